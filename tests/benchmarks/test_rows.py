"""What the questions answer, asked with little effort: that they end, and say what is missing."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from benchmarks.catalog import QUESTIONS, Benchmark
from benchmarks.figures import Verdict
from benchmarks.launch import ContenderFailed
from benchmarks.pairing import QUICK, Effort
from benchmarks.rows.memory import pss_bytes
from benchmarks.rows.never_slower import Case
from benchmarks.rows.own import rounds_within
from benchmarks.tour import named

ANSWERED = [
    *("calls", "decision", "first_decision", "fingerprint", "efficiency", "store", "stream"),
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("changes", "optimize", "spawn", "memory", "waiting", "stages")
    ),
]

LEAST = replace(QUICK, n_rounds=1, n_launches=1, n_tour_rounds=1, loop_s=0.005)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ANSWERED)
def test_a_question_is_answered_by_rows_of_its_own_name_and_goals(name: str) -> None:
    benchmark = next(each for each in QUESTIONS if each.name == name)
    rows = benchmark.run(LEAST)
    assert {row.benchmark for row in rows} == {name}
    assert {row.number for row in rows} <= {benchmark.numbers}
    assert not any(row.is_ours for row in rows), [row.note for row in rows]


def test_no_update_of_the_store_is_lost() -> None:
    rows = next(each for each in QUESTIONS if each.name == "store").run(LEAST)
    assert [row.verdict for row in rows if row.measure.startswith("updates lost")] == [Verdict.MET]


def test_a_benchmark_in_which_amorsize_fails_is_a_row_and_not_an_end() -> None:
    def failing(_: Effort) -> list[object]:
        raise ContenderFailed("pmap: not done after 5 s, and ended")

    (row,) = Benchmark("b", "P1", "?", failing).run(LEAST)  # type: ignore[arg-type]  # it returns nothing at all
    assert row.verdict is Verdict.FAILED
    assert row.is_ours
    assert row.note == "pmap: not done after 5 s, and ended"


def test_every_goal_has_a_question() -> None:
    asked = {number for question in QUESTIONS for number in question.numbers.split(", ")}
    assert asked | {"P1", "P10", "P14", ""} == {f"P{number}" for number in range(1, 19)} | {""}


def test_a_case_measures_the_loop_and_pmap_over_as_many_items_as_it_says() -> None:
    seen = []

    def way(workload: str, size: object, n_rounds: int, loop_s: float) -> dict[str, list[float]]:
        seen.append((workload, size, n_rounds, loop_s))
        return {"loop": [1.0], "pmap": [1.0]}

    case = Case(named("loop_1ms"), 3)
    case.measured(way, 0.01, 2)
    (found,) = seen
    assert found[1].n_items == 3  # type: ignore[attr-defined]
    assert str(case) == "loop_1ms x 3"


def test_memory_is_summed_over_a_process_and_what_it_shares_counts_once() -> None:
    if not os.path.exists("/proc/self/smaps_rollup"):
        pytest.skip("only Linux tells what processes share")
    assert pss_bytes(os.getpid()) > 1 << 20
    assert pss_bytes(2**22 + 1) == 0


def test_a_long_function_is_compared_in_fewer_rounds_but_at_least_one() -> None:
    assert rounds_within(budget_s=300, round_s=1.0, most=8) == 8
    assert rounds_within(budget_s=300, round_s=60.0, most=8) == 4
    assert rounds_within(budget_s=300, round_s=600.0, most=8) == 1
