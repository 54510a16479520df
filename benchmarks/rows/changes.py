"""The second call, after what the first one has learned has changed: fewer cores, longer items, shorter items."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING

import psutil

from benchmarks.contest import Contender, Timed
from benchmarks.figures import Figure, Goal, Row, missing, ratios
from benchmarks.launch import Child
from benchmarks.machine import usable_cores
from benchmarks.pairing import in_turn
from benchmarks.sizes import spinning

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.pairing import Effort
    from benchmarks.sizes import Size

NUMBER, BENCHMARK = "P18", "changes"
AT_MOST = Goal(bound=1.10)
WORKLOAD = "loop_30us"
SHORT_S, LONG_S = 30e-6, 3e-3
PMAP, LOOP = Contender("pmap"), Contender("loop")


def changes(effort: Effort) -> list[Row]:
    """Measure the second call's regret beside the loop and Pools that know of the change."""
    short, long = spinning(SHORT_S, effort.loop_s), spinning(LONG_S, effort.loop_s)
    return [
        _fewer_cores(short, effort),
        _row("items 100 x as long", _second_calls(short, long, _every_core(), effort)),
        _row("items 100 x as short", _second_calls(long, short, _every_core(), effort)),
    ]


def _fewer_cores(size: Size, effort: Effort) -> Row:
    measure = "half of the cores"
    if sys.platform != "linux":
        return missing(BENCHMARK, NUMBER, measure, "only Linux takes cores away from a running process")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return missing(BENCHMARK, NUMBER, measure, "there is one core, and no half of it")
    kept = cores[: len(cores) // 2]
    pools = (Contender("pool", len(kept)), Contender("pool", len(kept), 16))
    return _row(measure, _second_calls(size, size, pools, effort, partial(_restrict, kept)))


def _every_core() -> tuple[Contender, ...]:
    n_cores = usable_cores()
    return Contender("pool"), Contender("pool", n_cores, 1), Contender("pool", n_cores, 16)


def _second_calls(
    before: Size,
    after: Size,
    pools: Sequence[Contender],
    effort: Effort,
    change: Callable[[int], None] = lambda _pid: None,
) -> Timed:
    """Run two calls in each of fresh processes, with the change between them, and return the seconds of the second."""

    def second_call(contender: Contender) -> float:
        with Child(contender.peer, contender.n_jobs) as child:
            child.call(WORKLOAD, before, contender.chunksize(before.n_items))
            change(child.pid)
            return child.call(WORKLOAD, after, contender.chunksize(after.n_items))

    contenders = (PMAP, LOOP, *pools)
    return Timed(seconds=in_turn({each: partial(second_call, each) for each in contenders}, effort.n_tour_rounds))


def _restrict(cores: Sequence[int], pid: int) -> None:
    """Leave a process and its children only these cores."""
    for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
        process.cpu_affinity(list(cores))  # type: ignore[no-untyped-call,unused-ignore]  # is not typed everywhere


def _row(measure: str, timed: Timed) -> Row:
    best = timed.best(contender for contender in timed.seconds if contender != PMAP)
    assert best is not None
    return Row(
        benchmark=BENCHMARK,
        number=NUMBER,
        measure=f"second call, {measure}: pmap / {best.label}",
        unit="x",
        figure=Figure.of(ratios(timed.seconds[PMAP], timed.seconds[best])),
        goal=AT_MOST,
        seconds=timed.labelled(),
    )
