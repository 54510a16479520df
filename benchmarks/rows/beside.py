"""`pmap` beside the loop and every peer over one workload: the peers as documented and at their best, cold and warm."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.apart import apart
from benchmarks.contest import LOOP, PMAP, Contender, Timed, cold, finalists, search, try_cold, warm
from benchmarks.figures import Figure, Goal, Row, Verdict, ratios
from benchmarks.goals import (
    BESIDE_BEST,
    BESIDE_BEST_ALLOCATING,
    COLD_MOVED,
    COLD_REGRET,
    MOVED,
    MOVED_TIMES,
    SHORT_REGRET,
    WARM_REGRET,
    never_slower,
)
from benchmarks.tour import Kind, ready

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.pairing import Effort
    from benchmarks.sizes import Size
    from benchmarks.tour import Workload


def beside(workload: Workload, effort: Effort) -> list[Row]:
    """Search every peer's best setting, and let the best run in turn with `pmap` and the loop."""
    with ready(workload, effort.loop_s) as size:
        found = search(workload.name, size, effort.loop_s, effort, waits=workload.kind is Kind.WAITS)
        rows = found.failed_rows(workload.name)
        rows += _warm_rows(workload, size, found, effort)
        tried = _tried_cold(workload, size, found, effort)
        rows += _cold_rows(workload, size, tried, effort)
    if effort.parts and workload.name not in MOVED_TIMES:
        with ready(workload, effort.loop_s / 2) as size:
            rows += _short_rows(workload, size, tried, effort)
    return rows


def _warm_rows(workload: Workload, size: Size, found: Timed, effort: Effort) -> list[Row]:
    timed = warm([LOOP, PMAP, *finalists(found)], workload.name, size, effort.n_tour_rounds, effort.loop_s)
    bound = BESIDE_BEST_ALLOCATING if workload.allocates else BESIDE_BEST
    seconds = {**timed.labelled(), **_others(found, timed)}
    if timed.predicted_s:
        seconds["predicted"] = timed.predicted_s
    regret = _regret(workload, WARM_REGRET, "P1", timed, seconds, Goal(bound=bound))
    rows = [
        _told_why(regret, workload, size, effort.loop_s, is_cold=False),
        _beside_loop(workload, "warm", timed, is_first=False),
    ]
    peer = timed.best(contender for contender in timed.seconds if contender.uses_processes)
    if workload.name in MOVED_TIMES and peer is not None:
        rows.append(
            Row(
                benchmark=workload.name,
                number="P10",
                measure=f"{MOVED}: {peer.label} / pmap",
                unit="x",
                figure=Figure.of(ratios(timed.seconds[peer], timed.seconds[PMAP])),
                goal=Goal(bound=MOVED_TIMES[workload.name], at_least=True),
            )
        )
    return rows


def _tried_cold(workload: Workload, size: Size, found: Timed, effort: Effort) -> Timed:
    """Run each peer once in a fresh process, as documented and with the setting that was best warm."""
    if not effort.parts:
        return found  # quick: what was best warm is good enough to show
    peers = dict.fromkeys(contender.peer for contender in found.seconds)
    chosen = dict.fromkeys(
        contender for peer in peers for contender in (Contender(peer), found.best_of(peer)) if contender is not None
    )
    return try_cold(chosen, workload.name, size, effort.loop_s)


def _cold_rows(workload: Workload, size: Size, tried: Timed, effort: Effort) -> list[Row]:
    timed = cold([LOOP, PMAP, *finalists(tried, 1)], workload.name, size, effort.n_tour_rounds, effort.loop_s)
    seconds = {**timed.labelled(), **(_others(tried, timed) if effort.parts else {})}
    regret = _regret(workload, COLD_REGRET, "P2", timed, seconds, Goal(bound=BESIDE_BEST))
    rows = [
        _told_why(regret, workload, size, effort.loop_s, is_cold=True),
        _beside_loop(workload, "cold", timed, is_first=True),
    ]
    peer = timed.best(contender for contender in timed.seconds if contender.uses_processes)
    if workload.name in ("big_args", "big_results") and peer is not None:
        rows.append(
            Row(
                benchmark=workload.name,
                number="P2",
                measure=f"cold, processes: pmap / {peer.label}",
                unit="x",
                figure=Figure.of(ratios(timed.seconds[PMAP], timed.seconds[peer])),
                goal=Goal(bound=COLD_MOVED),
            )
        )
    return rows


def _short_rows(workload: Workload, size: Size, tried: Timed, effort: Effort) -> list[Row]:
    """Compare over a loop of half the length, where starting costs twice as much of it."""
    timed = cold([LOOP, PMAP, *finalists(tried, 1)], workload.name, size, effort.n_tour_rounds, effort.loop_s / 2)
    regret = _regret(workload, SHORT_REGRET, "P2", timed, timed.labelled(), Goal(bound=BESIDE_BEST))
    return [_told_why(regret, workload, size, effort.loop_s / 2, is_cold=True)]


def _regret(
    workload: Workload, measure: str, number: str, timed: Timed, seconds: Mapping[str, Sequence[float]], goal: Goal
) -> Row:
    best = timed.best(contender for contender in timed.seconds if contender != PMAP)
    assert best is not None  # the loop is always there
    return Row(
        benchmark=workload.name,
        number=number,
        measure=f"{measure} ({best.label})",
        unit="x",
        figure=Figure.of(ratios(timed.seconds[PMAP], timed.seconds[best])),
        goal=goal,
        seconds=seconds,
    )


def _told_why(row: Row, workload: Workload, size: Size, loop_s: float, *, is_cold: bool) -> Row:
    """Return the row; where it misses its goal, with what the call's time went into."""
    if row.verdict is not Verdict.MISSED:
        return row
    return replace(row, note=apart(workload.name, size, loop_s, is_cold=is_cold))


def _beside_loop(workload: Workload, mode: str, timed: Timed, *, is_first: bool) -> Row:
    loop = timed.seconds[LOOP]
    return Row(
        benchmark=workload.name,
        number="P3",
        measure=f"{mode}: pmap / loop",
        unit="x",
        figure=Figure.of(ratios(timed.seconds[PMAP], loop)),
        goal=never_slower(loop, is_first=is_first),
    )


def _others(found: Timed, timed: Timed) -> dict[str, Sequence[float]]:
    """Return the seconds of a search: of each peer as documented and at its best, without those that went on."""
    shown: dict[str, Sequence[float]] = {}
    for contender, seconds in found.seconds.items():
        if contender not in timed.seconds and contender in (Contender(contender.peer), found.best_of(contender.peer)):
            shown[contender.label] = seconds
    return shown
