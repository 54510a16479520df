"""How much work to give: items of a wanted duration, and as many of them as the plain loop needs for a wanted time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from time import perf_counter

from benchmarks.workloads import load
from benchmarks.workloads.spinning import SPAN, spin

MIN_ITEMS = 8
"""Fewer items than this cannot be shared out evenly, whatever shares them."""

TELLING_S = 0.02
"""Seconds of a loop from which on its length tells how long an item takes."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much one call has to do.

    Attributes:
        n_items: items of the call.
        number: what the workload's family makes of it: steps of an item, or the port of a server.
    """

    n_items: int
    number: int = 0


def spinning(item_s: float, loop_s: float) -> Size:
    """Return the size at which an item of `spin` lasts `item_s` seconds, and the plain loop over all about `loop_s`."""
    call_s, step_s = _prices_s()
    n_steps = max(1, round((item_s - call_s) / step_s))
    return Size(max(MIN_ITEMS, round(loop_s / (call_s + n_steps * step_s))), n_steps)


def as_many(item_s: float, loop_s: float) -> Size:
    """Return the size at which items that last `item_s` seconds by themselves make a loop of about `loop_s`."""
    return Size(max(MIN_ITEMS, round(loop_s / item_s)))


def tried(workload: str, loop_s: float) -> Size:
    """Return the size at which the plain loop over a workload takes about `loop_s`, as found by trying."""
    return as_many(_item_s(workload), loop_s)


@cache
def _item_s(workload: str) -> float:
    """Return the seconds of an item in the quicker of two loops, each long enough to tell."""
    task = load(workload)
    n_items, seconds = MIN_ITEMS // 2, 0.0
    while seconds < TELLING_S:
        n_items *= 2
        seconds = float("inf")
        for _ in range(2):
            items = task.items(n_items, 0)
            began_s = perf_counter()
            for item in items:
                task.func(item)
            seconds = min(seconds, perf_counter() - began_s)
    return seconds / n_items


@cache
def _prices_s() -> tuple[float, float]:
    """Return what calling `spin` and what one of its steps costs here, in seconds."""
    call_s = _seconds_of(1, n_calls=5_000)
    return call_s, (_seconds_of(50_000, n_calls=1) - call_s) / 50_000


def _seconds_of(n_steps: int, n_calls: int) -> float:
    """Return the seconds of one call, in the quickest of many batches: each is short enough to pass undisturbed."""
    item = 10_000 * SPAN + n_steps
    batches_s = []
    for _ in range(50):
        began_s = perf_counter()
        for _ in range(n_calls):
            spin(item)
        batches_s.append(perf_counter() - began_s)
    return min(batches_s) / n_calls
