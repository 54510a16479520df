"""Whether the first look of a process pays, from what the call has shown so far.

That look costs 10 ms, most of it imports, and what starts workers as much again where it is loaded for the first
time. So it has to be clear, before anything is loaded, that so much can be gained.
"""

from __future__ import annotations

import sys
from _thread import _count
from time import perf_counter

from amorsize.clocks import usable_cpus
from amorsize.inline import Timings, call_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

LOOK_PAYS_S = 0.03
"""Seconds that have to be gained at the most: what the look costs, and what starts workers, on a slow day. On two
cores, which save half of the work left: with 0.02, three and four items of 20 ms, of which the first runs before the
look, took 1.2 times what they may; with a third of it a loop of 25 ms took twice as long; with twice as much one of
100 ms does not gain a third."""

UNFORKED_PAYS_S = 2 * LOOK_PAYS_S
"""The same where nothing may fork, beside another thread: fresh interpreters take as much again. For 0.03, loops of 70
and 90 ms took 1.3 times as long, only to find that out; for this, loops of 0.14 s are looked at, and gain at 0.2 s."""

YET_TO_COME = 1.5
"""Of a stream nobody knows how many items are left: so many times as many as there were. With as many, one of 300 ms is
looked at after 60 ms; with twice as many, one that is over after 40 ms is looked at 10 ms before its end."""

MANY = 32
"""Beside so many items for each core left idle, one more before the first look is nothing: it tells if the dearest so
far are the only ones. Of 100 items of 0.1 ms two took 10 ms: a look for the sake of the first made 1.4 of the loop."""

BESIDE = 16
"""So many more items may follow before another one is as dear as the dearest so far. Were that one left out, 500 items
of which one in 50 is 100 times as long would take 120 ms instead of 96; were it one of those seen, 100 of them 35
instead of 31."""

MOST_DOUBTED_S = 0.1
"""For so long: of what has lasted longer, a look is a tenth, whatever is left."""

ALL_BUSY = 0.9
"""Share of the cores in use from which on nothing is to be gained by more workers: native threads stop for a moment
between two items."""

N_TRIED, TAKING_OVER = 1024, 1.6
"""To take over a number from a worker costs the caller so many times as long as to call a function that does nothing.
Only what an item takes beyond that can be gained: else a million items of 70 ns look at 70 ms of work, and the look
that finds nothing takes a fifth of it. Measured, for 0.1 ms: the same machine takes 60 ns a call, and at times 120."""

TAKING_OVER_OBJECTS = 4.5
"""The same for all that is neither number nor text: a pair of numbers takes 0.14 us where a call takes 0.031, an object
of the user's three times as long. A million items that make a pair in 0.13 us looked for nothing."""

PLAIN = frozenset((int, float, bool, type(None), str, bytes))
"""Types of results that are taken over for little: those that marshal gives back as they were."""

LARGE_BYTES = 1 << 16
"""A result of this size costs the caller as much to take over as to write that many bytes into fresh memory."""

TRIED_BYTES = 1 << 20
"""So much is written on trial, once in a process: 0.1 to 0.8 ms. Each time that was asked, it took 3 % of a loop."""

ALSO_PAYS_S = LOOK_PAYS_S / 3
"""So much has to be gained in this very loop, which about pays for the look, where what earlier ones over the same
function have missed speaks for it: what has happened that often may happen as often again. 250 items of 0.15 ms, 40 ms
each time, take two threads 20, and nobody looked."""

DEAR_S = 5e-6
"""An item of this length takes so much longer than to take over a number that nearly all of it can be gained."""

LARGE_SHARE = 0.2
"""Of loops with large results, so much counts as missed: how long threads would take, which have nothing to take over,
is not known before a look, and that costs 7 % of them then. 250 arrays of 1 MB take two threads 40 ms, and the loop,
whose memory is new each time, 150."""

MOST_FUNCTIONS = 1024
"""Functions of which is known what their loops have missed."""


def first_look_pays(func: object, timings: Timings, n_left: int | None, results: Sequence[object]) -> bool:
    """Tell whether the first look of a process pays.

    Args:
        func: what is mapped.
        timings: what the caller has timed.
        n_left: items left; None where nobody knows.
        results: some, the latest last.
    """
    share = saved_share(timings)
    n_items = YET_TO_COME * timings.n_items if n_left is None else n_left
    n_saved, item_s = n_items * share, lately_s(timings)
    if n_items * (1 - share) >= MANY * share and timings.total_s < MOST_DOUBTED_S:
        item_s = min(item_s, surely_s(timings))
    gain_s = n_saved * item_s
    if gain_s < ALSO_PAYS_S:
        return False
    result = results[-1] if results else None
    seen_s = timings.total_s * _missed_share(share, item_s, result)
    missed_s = _missed_before(func, timings, seen_s)
    if is_large(result) and missed_s + seen_s >= LOOK_PAYS_S:
        return True
    needed_s = max(ALSO_PAYS_S, (LOOK_PAYS_S if _may_join_soon(timings) else UNFORKED_PAYS_S) - missed_s)
    return gain_s >= needed_s and gain_s - n_saved * taking_over_s(result) >= needed_s


def _may_join_soon(timings: Timings) -> bool:
    """Tell whether a fork, or threads for a function that waits, may do without fresh interpreters."""
    seconds, cpu_s, _ = timings.window or (1.0, 1.0, 1.0)
    return (sys.platform == "linux" and not _count()) or cpu_s < ALL_BUSY * seconds


def look_pays(serial_s: float) -> bool:
    """Tell whether a first look pays for work that is known to take so many seconds on one core."""
    return serial_s * (1 - 1 / n_usable_cores()) >= LOOK_PAYS_S


def _missed_share(share: float, item_s: float, result: object) -> float:
    """Return the share of a loop's time that workers would have saved; 0 where that cannot be told.

    Args:
        share: of an item's time that they could save.
        item_s: seconds of an item.
        result: of one.
    """
    if is_large(result):
        return LARGE_SHARE
    uses_one_core = share >= ALL_BUSY * (1 - 1 / n_usable_cores())
    return share if item_s >= DEAR_S and uses_one_core else 0.0


_missed_s: dict[int, float] = {}  # by identity of the function


def _missed_before(func: object, timings: Timings, seen_s: float) -> float:
    """Return the seconds that earlier loops over a function have missed, and count so many of this one from now on."""
    before_s = max(0.0, _missed_s.get(id(func), 0.0) - timings.missed_s)
    if len(_missed_s) >= MOST_FUNCTIONS:
        _missed_s.clear()
    _missed_s[id(func)] = before_s + seen_s
    timings.missed_s = seen_s
    return before_s


def lately_s(timings: Timings) -> float:
    """Return the mean seconds of an item in the later half of the batches: in the first, code and memory are new."""
    n_items, seconds = map(sum, zip(*timings.batches[len(timings.batches) // 2 :], strict=True))
    return seconds / n_items


def surely_s(timings: Timings) -> float:
    """Return the mean seconds of an item that the same items make sure of; 0.0 where there is only one.

    The dearest batch counts as one of `BESIDE` more items than were seen.
    """
    late = timings.batches[len(timings.batches) // 2 if len(timings.batches) > 3 else 0 :]
    *others, (n_dearest, dearest_s) = sorted(late, key=lambda batch: batch[1] / batch[0])
    n_others = sum([n for n, _ in others])
    if not n_others:
        return 0.0
    return sum([seconds for _, seconds in others]) / n_others + dearest_s / (n_others + n_dearest + BESIDE)


def saved_share(timings: Timings) -> float:
    """Return the share of an item's time that workers could save: that of the cores which this program leaves idle.

    Native threads may use all of them, and a function that waits none.
    """
    seconds, _, process_s = timings.window or (1.0, 1.0, 1.0)
    busy = process_s / seconds / n_usable_cores()
    return 0.0 if busy >= ALL_BUSY else 1 - busy


def n_usable_cores() -> int:
    """Return how many cores this process may use at the most; quotas and settings are for the look itself."""
    return len(usable_cpus())


def taking_over_s(result: object) -> float:
    """Return what it costs the caller at the least to take over such a result from a worker."""
    if not is_large(result):
        return (TAKING_OVER if type(result) in PLAIN else TAKING_OVER_OBJECTS) * _calling_s()
    return sys.getsizeof(result) / TRIED_BYTES * _written_s()


def is_large(result: object) -> bool:
    """Tell whether what it costs to take over such a result is decided by its bytes."""
    kind = type(result)
    is_flat = kind is bytes or kind is bytearray or (kind.__module__, kind.__name__) == ("numpy", "ndarray")
    return is_flat and sys.getsizeof(result) >= LARGE_BYTES


_writing_s: float | None = None


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
