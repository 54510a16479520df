"""How caller and workers do together, as evidence for whoever decides whether they go on."""

from __future__ import annotations

from time import perf_counter, thread_time

from amorsize.records import Evidence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

CELLS_PER_WORKER = 3
"""Shared integers of each worker: start and stop of its range, and the bytes of its memory file that the caller has
read."""

EVIDENCE_EVERY_S = 0.01
"""How often the caller asks whether the plan still holds. A wrong plan costs at most this long; asking costs 5 us."""


class Watch:
    """A stopwatch that starts when the workers do.

    Args:
        alone_s: seconds an item took while the caller computed alone; None where it did not.
        n_before: items done before.
        caller_computes: whether the caller's own time counts.
    """

    def __init__(self, alone_s: float | None, n_before: int, *, caller_computes: bool) -> None:
        self._alone_s = alone_s
        self._n_before = n_before
        self._caller_computes = caller_computes
        self._up_s = self._asked_s = perf_counter()
        self._up_cpu_s = thread_time()

    def pause(self, seconds: float) -> None:
        """Leave out so many seconds that have just passed, and say nothing about caller or workers."""
        self._up_s += seconds

    def is_time(self) -> bool:
        """Tell whether enough time has passed since the last evidence."""
        now = perf_counter()
        if now - self._asked_s < EVIDENCE_EVERY_S:
            return False
        self._asked_s = now
        return True

    def evidence(self, cpu_s: Sequence[float | None], n_left: int | None, n_done: int, n_workers: int) -> Evidence:
        """Return what has been seen so far; `cpu_s` are the CPU seconds of all workers, None where one is not known."""
        together_s = perf_counter() - self._up_s
        used_s = [seconds for seconds in cpu_s if seconds is not None]
        if self._caller_computes:
            used_s.append(thread_time() - self._up_cpu_s)
        return Evidence(
            n_left=n_left,
            n_workers=n_workers,
            alone_s=self._alone_s,
            n_together=n_done - self._n_before,
            together_s=together_s,
            cores_used=None if None in cpu_s else sum(used_s) / together_s,
        )
