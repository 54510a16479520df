"""Functions that wait, against the best size of `ThreadPoolExecutor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.contest import PMAP, Contender, Timed, cold, try_cold, warm
from benchmarks.figures import Figure, Goal, Row, missing, ratios
from benchmarks.launch import ContenderFailed
from benchmarks.sizes import Size

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.pairing import Effort

WORKLOAD = "sleep_5ms"
ITEMS = Size(200)
LOOP_S = 1.0
THREADS = (16, 32, 64, 128, 200)
PMAP_THREADS = Contender("pmap-threads")


def waiting(effort: Effort) -> list[Row]:
    """Search the best number of threads, and let it run in turn with `pmap`, left alone and told to use threads."""
    tried = try_cold([Contender("threads", n_jobs) for n_jobs in THREADS], WORKLOAD, ITEMS, LOOP_S)
    best = tried.best()
    if best is None:
        return tried.failed_rows("waiting")
    return [
        *_rows("warm", warm, [best, PMAP], Goal(bound=1.0), effort),
        *_rows("cold", cold, [best, PMAP], Goal(bound=2.0), effort),
        *_told_to_use_threads(best, effort),
    ]


def _told_to_use_threads(best: Contender, effort: Effort) -> list[Row]:
    try:
        return _rows("warm", warm, [best, PMAP_THREADS], None, effort)
    except ContenderFailed as failed:
        return [missing("waiting", "P12", 'pmap(backend="thread")', f"this version cannot: {failed}")]


def _rows(
    mode: str, run: Callable[..., Timed], contenders: list[Contender], goal: Goal | None, effort: Effort
) -> list[Row]:
    best, ours = contenders
    timed = run(contenders, WORKLOAD, ITEMS, effort.n_rounds, LOOP_S)
    return [
        Row(
            benchmark="waiting",
            number="P12",
            measure=f"{mode}: {ours.label} / {best.label}, 200 x 5 ms",
            unit="x",
            figure=Figure.of(ratios(timed.seconds[ours], timed.seconds[best])),
            goal=goal,
            seconds=timed.labelled(),
        )
    ]
