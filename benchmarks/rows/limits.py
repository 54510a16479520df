"""Where `pmap` ends to pay: items that do nothing, and loops that are over before workers can help."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, Goal, Row, differences, ratios, scaled
from benchmarks.launch import Child
from benchmarks.pairing import in_turn
from benchmarks.sizes import Size, spinning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.pairing import Effort

ITEMS_PER_S = 3_333_333
"""How many empty items are mapped for each second of a workload's loop: 0.3 s give a million."""

HANDED_BACK = (
    ("ints", "noop", 0.04),
    ("floats", "noop_float", 0.04),
    ("strings", "noop_str", 0.06),
    ("pairs", "noop_tuple", 0.15),
)
"""Kind of item, its workload, and the microseconds that it may cost."""

ITEM_S = 30e-6
WORTH = 1.2
LOOPS_S = (0.001, 0.0014, 0.002, 0.0028, 0.004, 0.0056, 0.008, 0.011, 0.016, 0.023)
"""Loop times that break-even is looked for at: steps of 1.4, so the answer is known to within that factor."""

LOADING_S = 0.2
"""A call of this many seconds goes parallel, and so loads every module that the measured call after it needs."""


def overhead(effort: Effort) -> list[Row]:
    """Measure what an item costs beyond the loop where it does nothing and every core has to be used."""
    size = Size(round(effort.loop_s * ITEMS_PER_S))
    return [_overhead_row(kind, workload, size, at_most_us, effort) for kind, workload, at_most_us in HANDED_BACK]


def _overhead_row(kind: str, workload: str, size: Size, at_most_us: float, effort: Effort) -> Row:
    with Child("loop") as loop, Child("pmap-processes") as pmap:
        seconds = in_turn(
            {"loop": partial(loop.call, workload, size), "pmap": partial(pmap.call, workload, size)}, effort.n_rounds
        )
    more_us = scaled(1e6 / size.n_items, differences(seconds["pmap"], seconds["loop"]))
    return Row(
        benchmark="overhead",
        number="P9",
        measure=f"{size.n_items:.0e} {kind} forced: (pmap - loop) / N",
        unit="us",
        figure=Figure.of(more_us),
        goal=Goal(bound=at_most_us),
        seconds=seconds,
    )


def break_even(effort: Effort) -> list[Row]:
    """Find the shortest loop of 30 us items that a cold `pmap` beats 1.2 times, modules loaded and not."""
    loaded: dict[float, list[float]] = {}
    fresh: dict[float, list[float]] = {}
    for loop_s in LOOPS_S:
        size = spinning(ITEM_S, loop_s)
        seconds = in_turn(
            {
                "loop": partial(_cold_call, "loop", size),
                "loaded": partial(_loaded_call, size),
                "fresh": partial(_cold_call, "pmap", size),
            },
            effort.n_rounds,
        )
        loaded[loop_s] = ratios(seconds["loop"], seconds["loaded"])
        fresh[loop_s] = ratios(seconds["loop"], seconds["fresh"])
    return [
        _break_even_row(f"modules loaded: {WORTH} x the loop from", loaded, Goal(bound=4)),
        _break_even_row(f"fresh process: {WORTH} x the loop from", fresh, Goal(bound=10)),
    ]


def _cold_call(peer: str, size: Size) -> float:
    """Return the seconds of the first call in a fresh process, imports included."""
    with Child(peer) as child:
        return child.call("loop_30us", size)


def _loaded_call(size: Size) -> float:
    """Return the seconds of a function's first call in a process where another one has run in parallel before."""
    with Child("pmap") as child:
        child.call("other", spinning(ITEM_S, LOADING_S))
        return child.call("loop_30us", size)


def _break_even_row(measure: str, speedups: Mapping[float, Sequence[float]], goal: Goal) -> Row:
    figures = {loop_s: Figure.of(found) for loop_s, found in speedups.items()}
    figure = Figure(
        median=_first_ms({loop_s: figure.median for loop_s, figure in figures.items()}),
        low=_first_ms({loop_s: figure.high for loop_s, figure in figures.items()}),
        high=_first_ms({loop_s: figure.low for loop_s, figure in figures.items()}),
        n_rounds=min(len(found) for found in speedups.values()),
    )
    return Row(benchmark="break_even", number="P4", measure=measure, unit="ms", figure=figure, goal=goal)


def _first_ms(speedups: Mapping[float, float]) -> float:
    """Return the shortest loop from which on every longer one is beaten; infinite where the longest is not."""
    found_s = float("inf")
    for loop_s in sorted(speedups, reverse=True):
        if speedups[loop_s] < WORTH:
            break
        found_s = loop_s
    return 1e3 * found_s
