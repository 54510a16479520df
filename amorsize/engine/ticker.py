"""Find out which share of its time a function frees the GIL: a thread ticks while the caller runs items.

The ticker sleeps 0.2 ms at a time. Where the GIL is free it ticks some 70 times in 20 ms, where it is held twice,
because whoever holds it is asked to let go only every 5 ms (sha256, zlib, sort: 70; Python loops, json: 2; half and
half: 31). How long a tick takes on this machine is measured first, while the caller waits.
"""

from __future__ import annotations

from _thread import allocate_lock
from time import perf_counter, sleep

from amorsize.engine.bare import Threads
from amorsize.inline import advance
from amorsize.planning.threads import UNDISTURBED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from amorsize.inline import Timings, Work

TICK_S = 0.0002
"""Shorter, and the ticker itself takes the GIL too often; longer tells less in the same time."""

FIRST_TICKS = 4
"""Ticks while the caller waits; the fastest tells how long one takes."""

COARSE_S = 0.0005
"""Where a tick takes this long the clock is too coarse, or the machine too busy, to tell anything: too few ticks would
be expected, and those that even a function that holds the GIL lets through would look like many."""

PATIENCE_S = 0.1
"""How long the caller waits for the ticker: where it does not begin, or end, in this time the machine is too busy."""


class Ticker:
    """A thread that ticks from `start` to `stop`.

    Args:
        clock: tells seconds.
        pause: called with the seconds of a tick.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter, pause: Callable[[float], object] = sleep) -> None:
        self._clock, self._pause = clock, pause
        self._n_ticks = 0
        self._tick_s = COARSE_S
        self._is_wanted = True
        self._is_ready, self._has_ended = allocate_lock(), allocate_lock()
        self._is_ready.acquire()
        self._has_ended.acquire()

    def start(self) -> bool:
        """Start the thread, and wait until it knows how long a tick takes; tell whether it can tell anything.

        Where it cannot, there is nothing to stop.
        """
        can_tell = False
        try:
            Threads().start(self._tick, self._has_ended.release)
            can_tell = self._is_ready.acquire(timeout=PATIENCE_S) and self._tick_s < COARSE_S
        except RuntimeError:  # no room for a thread: nothing is found out
            self._has_ended.release()
        finally:
            if not can_tell:
                self._end()  # where Ctrl-C came meanwhile, too
        self._began_s, self._n_before = self._clock(), self._n_ticks
        return can_tell

    def stop(self) -> float | None:
        """End the thread; return the share of the time since `start`, 0 to 1, in which it could have run Python code.

        None where that was too short to tell.
        """
        seconds, n_ticks = self._clock() - self._began_s, self._n_ticks - self._n_before
        self._end()
        expected = seconds / self._tick_s
        return min(1.0, n_ticks / expected) if expected >= 1 else None

    def _end(self) -> None:
        self._is_wanted = False
        self._has_ended.acquire(timeout=PATIENCE_S)

    def _tick(self) -> None:
        for _ in range(FIRST_TICKS):
            began_s = self._clock()
            self._pause(TICK_S)
            self._tick_s = min(self._tick_s, self._clock() - began_s)
        self._is_ready.release()
        while self._is_wanted:
            self._pause(TICK_S)
            self._n_ticks += 1


def advance_ticking(
    work: Work, results: list[object], timings: Timings, size: int, until_s: float
) -> tuple[int, float | None]:
    """Run items as `advance` does, beside a ticker; return what it returns, and the share that was found.

    None where others kept the caller from computing meanwhile.
    """
    ticker = Ticker()
    if not ticker.start():
        return advance(work, results, timings, size, until_s), None
    before = timings.window
    try:
        size = advance(work, results, timings, size, until_s)
    finally:
        share = ticker.stop()
    seconds, cpu_s, _ = timings.window or (1.0, 1.0, 1.0)
    return size, share if timings.window is before or cpu_s >= UNDISTURBED * seconds else None
