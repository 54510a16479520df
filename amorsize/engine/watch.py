"""How caller and workers do together, as evidence for whoever decides whether they go on."""

from __future__ import annotations

from itertools import islice
from time import perf_counter

from amorsize.inline import thread_time
from amorsize.records import Evidence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Protocol

    class Weighed(Protocol):
        """A worker, as far as its memory goes."""

        def highest_bytes(self) -> int | None:
            """Return the most memory that it has held, where that is known."""
            ...


CELLS_PER_WORKER = 3
"""Shared integers of each worker: start and stop of its range, and the bytes of its memory file that the caller has
read."""

EVIDENCE_EVERY_S = 0.01
"""How often the caller asks whether the plan still holds. A wrong plan costs at most this long; asking costs 5 us."""

WEIGHED_FROM_S, MOST_WEIGHED = 0.01, 16
"""After so many seconds, twice as many, ... so many workers are asked what memory they have held, for 12 us each."""


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
        self._began_s, self._weigh_from_s = self._up_s, WEIGHED_FROM_S
        self._heaviest_bytes: int | None = None

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

    def heaviest_bytes(self, workers: Iterable[Weighed]) -> int | None:
        """Return the most memory that one of these workers, or of those before, was seen to hold."""
        since_s = perf_counter() - self._began_s
        if since_s >= self._weigh_from_s:
            self._weigh_from_s = 2 * since_s
            found = [worker.highest_bytes() for worker in islice(workers, MOST_WEIGHED)]
            self._heaviest_bytes = max(filter(None, [self._heaviest_bytes, *found]), default=None)
        return self._heaviest_bytes

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
