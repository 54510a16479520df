"""What many workers make of as many cores: measured where there are 16, simulated from the stages' costs elsewhere.

The simulation has to earn its belief: it predicts runs with as many workers as there are cores here, first.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from math import ceil
from statistics import fmean
from typing import TYPE_CHECKING

from amorsize.planning.words import span
from benchmarks.figures import Figure, Goal, Row, missing, ratios
from benchmarks.launch import Child, expected
from benchmarks.machine import usable_cores
from benchmarks.pairing import in_turn
from benchmarks.rows.stages import measured
from benchmarks.simulation import Prices, efficiency, makespan_s
from benchmarks.sizes import spinning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.pairing import Effort
    from benchmarks.sizes import Size

NUMBER, BENCHMARK = "P15", "efficiency"
WORKLOAD = "loop_1ms"
ITEMS_S = (10e-6, 100e-6, 1e-3, 10e-3)
ITEMS_PER_S = 33_333
"""Items for each second of a workload's loop: 0.3 s give 10,000."""

GOALS = {16: Goal(bound=0.95, at_least=True), 64: Goal(bound=0.90, at_least=True), 128: None}
"""What many workers are to reach with items of `JUDGED_S`; 128 are only shown."""

JUDGED_S = 1e-3
SHOWN_JOBS = (2, 4, 8, 16, 32, 64, 128)
MEASURED_JOBS = 16

LOOPS = 3
"""Loops of a workload in the loop of a predicted run: what a run costs once is to be small beside it."""

PREDICTED_WITHIN = 0.05

TOLD_SHARE = 0.05
"""Stages that take less of what is lost are not told."""

STAGE_OF = {
    "call_s": "call",
    "crew_s": "crew",
    "start_s": "start together",
    "begin_s": "begin",
    "take_s": "take",
    "publish_s": "publish",
    "encode_s": "encode ints",
    "drain_s": "drain",
    "decode_s": "decode ints",
    "wake_s": "wake",
    "leave_s": "leave",
    "reap_s": "end",
}
"""The stage that tells each price."""


def efficiencies(effort: Effort) -> list[Row]:
    """Measure the stages, predict runs that can be measured here, measure 16 workers where that is possible, and
    simulate them and more."""
    if sys.platform != "linux":
        return [missing(BENCHMARK, NUMBER, "workers that are forked", "there are none outside of Linux")]
    figures = {name: Figure.of(measured(stage, effort.n_launches)["stage"]) for name, stage in STAGE_OF.items()}
    prices = {end: _prices(figures, end) for end in ("low", "median", "high")}
    return [
        *_predicted(prices["median"], effort),
        *_measured(prices["median"], effort),
        *(_judged(n_jobs, prices, effort) for n_jobs in GOALS),
        *(_shown(item_s, prices["median"], effort) for item_s in ITEMS_S),
    ]


def _prices(figures: Mapping[str, Figure], end: str) -> Prices:
    """Return the prices at one end of their intervals, or in the middle."""
    found = {name: float(getattr(figure, end)) for name, figure in figures.items()}
    found["leave_s"] = max(0.0, found["leave_s"] - found["wake_s"])  # the caller was asleep when it saw the end
    return Prices(**found)


def _predicted(prices: Prices, effort: Effort) -> list[Row]:
    """Return how well runs are predicted that can be measured here."""
    n_jobs = min(2, usable_cores())
    if n_jobs < 2:
        return [missing(BENCHMARK, NUMBER, "predicted / measured", "one core has no use for workers")]
    sizes = {item_s: spinning(item_s, LOOPS * effort.loop_s) for item_s in ITEMS_S}
    return [
        _prediction_row(item_s, size, n_jobs, _runs(size, n_jobs, effort), prices) for item_s, size in sizes.items()
    ]


def _measured(prices: Prices, effort: Effort) -> list[Row]:
    """Return what 16 workers reach here, and how well that was predicted."""
    measure = f"measured: {MEASURED_JOBS} workers, {_n_items(effort)} x {span(JUDGED_S)}"
    n_cores = usable_cores()
    if n_cores < MEASURED_JOBS:
        return [missing(BENCHMARK, NUMBER, measure, f"this takes {MEASURED_JOBS} cores, and there are {n_cores}")]
    size = spinning(JUDGED_S, _n_items(effort) * JUDGED_S)
    seconds = _runs(size, MEASURED_JOBS, effort)
    reached = [loop_s / MEASURED_JOBS / pmap_s for loop_s, pmap_s in zip(seconds["loop"], seconds["pmap"], strict=True)]
    return [
        Row(
            benchmark=BENCHMARK,
            number=NUMBER,
            measure=measure,
            figure=Figure.of(reached),
            goal=GOALS[MEASURED_JOBS],
            seconds=seconds,
        ),
        _prediction_row(JUDGED_S, size, MEASURED_JOBS, seconds, prices),
    ]


def _runs(size: Size, n_jobs: int, effort: Effort) -> dict[str, list[float]]:
    """Run the loop alone, as many loops at once, and `pmap`, in turn; of the loops at once, return what all items
    would take one after the other: what the machine itself loses where many compute is no cost of a stage."""
    part = replace(size, n_items=ceil(size.n_items / n_jobs))
    expected(WORKLOAD, part)  # once, and not in every thread
    with ExitStack() as opened:
        loops = [opened.enter_context(Child("loop")) for _ in range(n_jobs)]
        pmap = opened.enter_context(Child("pmap-processes", n_jobs))
        threads = opened.enter_context(ThreadPoolExecutor(n_jobs))

        def crowd() -> float:
            parts_s = threads.map(lambda loop: loop.call(WORKLOAD, part), loops)
            return fmean(parts_s) * size.n_items / part.n_items

        return in_turn(
            {
                "loop": partial(loops[0].call, WORKLOAD, size),
                "crowd": crowd,
                "pmap": partial(pmap.call, WORKLOAD, size),
            },
            effort.n_rounds,
        )


def _prediction_row(
    item_s: float, size: Size, n_jobs: int, seconds: Mapping[str, Sequence[float]], prices: Prices
) -> Row:
    """Compare with each round's run what the items' seconds in that round's crowd would make of it."""
    predicted = [makespan_s([all_s / size.n_items] * size.n_items, n_jobs, prices) for all_s in seconds["crowd"]]
    figure = Figure.of(ratios(predicted, seconds["pmap"]))
    is_low = figure.median < 1
    return Row(
        benchmark=BENCHMARK,
        number=NUMBER,
        measure=f"predicted / measured: {n_jobs} workers, {size.n_items} x {span(item_s)}",
        unit="x",
        figure=figure,
        goal=Goal(bound=1 - PREDICTED_WITHIN if is_low else 1 + PREDICTED_WITHIN, at_least=is_low),
        seconds={**seconds, "predicted": predicted},
    )


def _judged(n_jobs: int, prices: Mapping[str, Prices], effort: Effort) -> Row:
    """Return the simulated efficiency of many workers, and what is lost where.

    Its interval is what the ends of all prices' intervals make of it.
    """
    items_s = [JUDGED_S] * _n_items(effort)
    high, middle, low = [efficiency(items_s, n_jobs, prices[end]) for end in ("low", "median", "high")]
    return Row(
        benchmark=BENCHMARK,
        number=NUMBER,
        measure=f"simulated: {n_jobs} workers, {len(items_s)} x {span(JUDGED_S)}",
        figure=Figure(median=middle, low=low, high=high, n_rounds=effort.n_launches),
        goal=GOALS[n_jobs],
        note=f"lost to: {_losses(items_s, n_jobs, prices['median'])}",
    )


def _losses(items_s: Sequence[float], n_jobs: int, prices: Prices) -> str:
    """Return in words which part of what is lost would be won if a stage were free, for each worth telling."""
    reached = efficiency(items_s, n_jobs, prices)
    won = {
        stage: (efficiency(items_s, n_jobs, replace(prices, **{name: 0.0})) - reached) / (1 - reached)
        for name, stage in STAGE_OF.items()
    }
    worst = sorted(won, key=won.__getitem__, reverse=True)
    return ", ".join(f"{stage} {won[stage]:.0%}" for stage in worst if won[stage] >= TOLD_SHARE)


def _shown(item_s: float, prices: Prices, effort: Effort) -> Row:
    """Return the simulated efficiency of the most workers, and in words that of fewer."""
    items_s = [item_s] * _n_items(effort)
    reached = {n_jobs: efficiency(items_s, n_jobs, prices) for n_jobs in SHOWN_JOBS}
    last = reached[SHOWN_JOBS[-1]]
    return Row(
        benchmark=BENCHMARK,
        number=NUMBER,
        measure=f"simulated: {SHOWN_JOBS[-1]} workers, {len(items_s)} x {span(item_s)}",
        figure=Figure(median=last, low=last, high=last, n_rounds=None),
        note="workers: efficiency  " + ", ".join(f"{n_jobs}: {share:.3f}" for n_jobs, share in reached.items()),
    )


def _n_items(effort: Effort) -> int:
    return round(effort.loop_s * ITEMS_PER_S)
