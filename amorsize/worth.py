"""Whether the first look of a process pays, from what the call has shown so far.

That look costs 10 ms, most of it imports, and what starts workers as much again where it is loaded for the first
time. So it has to be clear, before anything is loaded, that so much can be gained.
"""

from __future__ import annotations

import os
import sys
from time import perf_counter

from amorsize.inline import Timings, call_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

LOOK_PAYS_S = 0.03
"""Seconds that have to be gained at the most: what the look costs, and what starts workers, on a slow day. On two
cores, which save half of the work left: with 0.02, three and four items of 20 ms, of which the first runs before the
look, took 1.2 times what they may; with a third of it a loop of 25 ms took twice as long; with twice as much one of
100 ms does not gain a third."""

YET_TO_COME = 1.5
"""Of a stream nobody knows how many items are left: so many times as many as there were. With as many, one of 300 ms is
looked at after 60 ms; with twice as many, one that is over after 40 ms is looked at 10 ms before its end."""

MANY = 32
"""Beside so many items a core, one more before the first look is nothing: it tells if the dearest so far are the only
ones. Of 100 items of 0.1 ms two took 10 ms: a look for the sake of the first made the loop 1.4 times as long."""

ALL_BUSY = 0.9
"""Share of the cores in use from which on nothing is to be gained by more workers: native threads stop for a moment
between two items."""

N_TRIED, TAKING_OVER = 1024, 1.6
"""To take over a number from a worker costs the caller so many times as long as to call a function that does nothing.
Only what an item takes beyond that can be gained: else a million items of 70 ns look at 70 ms of work, and the look
that finds nothing takes a fifth of it. Measured, for 0.1 ms: the same machine takes 60 ns a call, and at times 120."""

LARGE_BYTES = 1 << 16
"""A result of this size costs the caller as much to take over as to write that many bytes into fresh memory."""

TRIED_BYTES = 1 << 20
"""So much is written on trial, once in a process: 0.1 to 0.8 ms. Each time that was asked, it took 3 % of a loop."""

ALSO_PAYS_S = LOOK_PAYS_S / 10
"""So much has to be gained in this loop, where what earlier ones have missed speaks for a look: what has happened that
often may happen as often again. 250 items of 0.15 ms, each time 40 ms, take two threads 20, and nobody looked."""

DEAR_S = 5e-6
"""An item of this length takes so much longer than to take over a number that nearly all of it can be gained."""

DOUBT_S = 0.3
"""Seconds of loops with large results after which a process looks all the same, for 3 % of them: from threads nothing
has to be taken over. 250 arrays of 1 MB take two threads 40 ms, and the loop, whose memory is new each time, 150."""


def first_look_pays(timings: Timings, n_left: int | None, results: Sequence[object]) -> bool:
    """Tell whether the first look of a process pays.

    Args:
        timings: what the caller has timed.
        n_left: items left; None where nobody knows.
        results: some, the latest last.
    """
    share = saved_share(timings)
    n_items = YET_TO_COME * timings.n_items if n_left is None else n_left
    n_saved, item_s = n_items * share, lately_s(timings)
    if n_items * (1 - share) >= MANY * share:
        item_s = min(item_s, ordinary_s(timings))
    result = results[-1] if results else None
    _earlier.and_now(timings, 0.0 if is_large(result) or item_s < DEAR_S else share)
    gain_s, needed_s = n_saved * item_s, LOOK_PAYS_S - _earlier.missed_s
    if gain_s < ALSO_PAYS_S:
        return False
    if is_large(result) and _earlier.seconds + timings.total_s >= DOUBT_S:
        return True
    return gain_s >= needed_s and gain_s - n_saved * taking_over_s(result) >= needed_s


class Earlier:
    """What loops of this process have taken that nothing was looked up for.

    Attributes:
        seconds: in all. How long loops with large results take says nothing of how long threads would: that takes a
            look.
        missed_s: what workers might have saved of the others.
    """

    def __init__(self) -> None:
        self.seconds = self.missed_s = 0.0
        self._timings = Timings()
        self._share = 0.0

    def and_now(self, timings: Timings, share: float) -> None:
        """Take note of a loop that is still going on: it counts once another one is told of.

        Args:
            timings: of the loop.
            share: of it, which workers might have saved, as it looks now; the smallest counts.
        """
        if timings is not self._timings:
            self.seconds += self._timings.total_s
            self.missed_s += self._timings.total_s * self._share
            self._timings, self._share = timings, share
        self._share = min(self._share, share)


_earlier = Earlier()
_writing_s: float | None = None


def look_pays(serial_s: float) -> bool:
    """Tell whether a first look pays for work that is known to take so many seconds on one core."""
    return serial_s * (1 - 1 / n_usable_cores()) >= LOOK_PAYS_S


def lately_s(timings: Timings) -> float:
    """Return the mean seconds of an item in the later half of the batches: in the first, code and memory are new."""
    n_items, seconds = map(sum, zip(*timings.batches[len(timings.batches) // 2 :], strict=True))
    return seconds / n_items


def ordinary_s(timings: Timings) -> float:
    """Return the same, of all items but those of the dearest batch; 0.0 where there is no other."""
    late = timings.batches[len(timings.batches) // 2 if len(timings.batches) > 3 else 0 :]
    others = sorted(late, key=lambda batch: batch[1] / batch[0])[:-1]
    n_items = sum([n for n, _ in others])
    return sum([seconds for _, seconds in others]) / n_items if n_items else 0.0


def saved_share(timings: Timings) -> float:
    """Return the share of an item's time that workers could save: that of the cores which this program leaves idle.

    Native threads may use all of them, and a function that waits none.
    """
    seconds, _, process_s = timings.window or (1.0, 1.0, 1.0)
    busy = process_s / seconds / n_usable_cores()
    return 0.0 if busy >= ALL_BUSY else 1 - busy


def n_usable_cores() -> int:
    """Return how many cores this process may use at the most; quotas and settings are for the look itself."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def taking_over_s(result: object) -> float:
    """Return what it costs the caller at the least to take over such a result from a worker."""
    if not is_large(result):
        return TAKING_OVER * _calling_s()
    return sys.getsizeof(result) / TRIED_BYTES * _written_s()


def is_large(result: object) -> bool:
    """Tell whether what it costs to take over such a result is decided by its bytes."""
    kind = type(result)
    is_flat = kind is bytes or kind is bytearray or (kind.__module__, kind.__name__) == ("numpy", "ndarray")
    return is_flat and sys.getsizeof(result) >= LARGE_BYTES


def _written_s() -> float:
    global _writing_s
    if _writing_s is None:
        began_s = perf_counter()
        _ = b"\1" * TRIED_BYTES
        _writing_s = perf_counter() - began_s
    return _writing_s


def _calling_s() -> float:
    call_each(_nothing, range(N_TRIED), [])  # the first time, Python finds out how to call it
    began_s = perf_counter()
    call_each(_nothing, range(N_TRIED), [])
    return (perf_counter() - began_s) / N_TRIED


def _nothing(item: object) -> object:
    return item
