"""Anybody's own function over their own data, beside the loop and every peer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from benchmarks.contest import COMPARED, LOOP, PMAP, Contender, Timed, cold, search, warm
from benchmarks.figures import Figure, Row, ratios
from benchmarks.launch import OWN_LIMIT_S, Child, expected
from benchmarks.sizes import Size
from benchmarks.workloads.own import name_of

if TYPE_CHECKING:
    from benchmarks.pairing import Effort

NAMED = re.compile(r"[\w.]+:[\w.]+")
"""How a function or its data is named."""

BUDGET_S = 1_000.0
"""Seconds for each second of a workload's loop that the rounds of either mode may take: 300 s, and 30 s in a hurry."""


def own(func: str, data: str, effort: Effort) -> list[Row]:
    """Compare a user's function: the loop and `pmap`, cold and warm, and every peer as documented and at its best."""
    workload = name_of(func, data)
    with Child("loop", limit_s=OWN_LIMIT_S) as child:
        first = child.ask(workload, Size(0))
    size, loop_s = Size(first.n_results), first.seconds
    is_checked = expected(workload, size) is not None
    found = search(workload, size, loop_s, effort)
    chosen = dict.fromkeys(
        contender
        for peer in COMPARED
        for contender in (Contender(peer), found.best_of(peer))
        if contender in found.seconds and contender is not None
    )
    rows = found.failed_rows("compare")
    contenders = [LOOP, PMAP, *chosen]
    n_rounds = rounds_within(BUDGET_S * effort.loop_s, len(contenders) * loop_s, effort.n_tour_rounds)
    for mode, run in (("cold", cold), ("warm", warm)):
        rows += _rows(mode, run(contenders, workload, size, n_rounds, loop_s), is_checked=is_checked)
    return rows


def rounds_within(budget_s: float, round_s: float, most: int) -> int:
    """Return how many rounds to run, beside the first, which does not count: a long function is measured less often."""
    return max(1, min(most, int(budget_s / max(round_s, 1e-6)) - 1))


def _rows(mode: str, timed: Timed, *, is_checked: bool) -> list[Row]:
    """Return a row for each contender: how many times as long as `pmap` it takes."""
    rows = timed.failed_rows("compare")
    note = "" if is_checked else "two plain loops gave different results: answers were not checked"
    for contender, seconds in timed.seconds.items():
        if contender != PMAP:
            rows.append(
                Row(
                    benchmark="compare",
                    measure=f"{mode}: {contender.label} / pmap",
                    unit="x",
                    figure=Figure.of(ratios(seconds, timed.seconds[PMAP])),
                    note=note,
                    seconds={contender.label: seconds, "pmap": timed.seconds[PMAP]},
                )
            )
    return rows
