"""Whether the first look of a process pays, from what the call has shown so far.

That look costs 10 ms, most of it imports, and what starts workers as much again where it is loaded for the first
time. So it has to be clear, before anything is loaded, that so much can be gained.
"""

from __future__ import annotations

import os
import sys
from time import perf_counter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from amorsize.inline import Timings

LOOK_PAYS_S = 0.015
"""Seconds that have to be gained at the most. On two cores, which save half of the work left: with half of it, a look
that finds the best plan loses, and a loop of 25 ms took twice as long; twice as much keeps a job of 60 ms, which would
gain a fifth, in the loop."""

ALL_BUSY = 0.9
"""Share of the cores in use from which on nothing is to be gained by more workers: native threads stop for a moment
between two items."""

TAKING_OVER_S = 6e-8
"""What it costs the caller to take over one number from a worker: of an item's time, only what is above can be gained.
Without it a million items of 70 ns look at 70 ms of work, and the look that finds nothing takes a fifth of that."""

LARGE_BYTES = 1 << 16
"""A result of this size costs the caller as much to take over as to write that many bytes into fresh memory."""

TRIED_BYTES = 1 << 20
"""Of larger results, so much is written on trial: 0.1 to 0.7 ms."""


def first_look_pays(timings: Timings, n_left: int | None, results: Sequence[object]) -> bool:
    """Tell whether the first look of a process pays.

    Args:
        timings: what the caller has timed.
        n_left: items left; None where nobody knows: they are supposed to be as many as there were.
        results: some, the latest last.
    """
    n_left = timings.n_items if n_left is None else n_left
    most_s = n_left * saved_share(timings)
    if most_s * (timings.total_s / timings.n_items - TAKING_OVER_S) < LOOK_PAYS_S:
        return False
    return most_s * (timings.total_s / timings.n_items - taking_over_s(results[-1] if results else None)) >= LOOK_PAYS_S


def saved_share(timings: Timings) -> float:
    """Return the share of an item's time that workers could save: that of the cores which this program leaves idle.

    Native threads may use all of them, and a function that waits none.
    """
    n_cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    seconds, _, process_s = timings.window or (1.0, 1.0, 1.0)
    busy = process_s / seconds / n_cores
    return 0.0 if busy >= ALL_BUSY else 1 - busy


def taking_over_s(result: object) -> float:
    """Return what it costs the caller at the least to take over such a result from a worker."""
    kind = type(result)
    if kind is not bytes and kind is not bytearray and (kind.__module__, kind.__name__) != ("numpy", "ndarray"):
        return TAKING_OVER_S
    n_bytes = sys.getsizeof(result)
    if n_bytes < LARGE_BYTES:
        return TAKING_OVER_S
    tried = min(n_bytes, TRIED_BYTES)
    began_s = perf_counter()
    _ = b"\1" * tried
    return (perf_counter() - began_s) * n_bytes / tried
