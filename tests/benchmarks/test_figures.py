from __future__ import annotations

from itertools import product
from math import isclose
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.figures import (
    CONFIDENCE,
    MIN_ROUNDS,
    NOISY_CORES,
    Figure,
    Goal,
    Row,
    Verdict,
    counted,
    differences,
    failure,
    missing,
    ranks_outside,
    ratios,
)

TIMES = st.lists(st.floats(min_value=1e-6, max_value=1e3), min_size=1, max_size=60)


def row(low: float, high: float, *, goal: Goal | None, n_rounds: int = MIN_ROUNDS, others: float | None = 0.0) -> Row:
    figure = Figure(median=(low + high) / 2, low=low, high=high, n_rounds=n_rounds)
    return Row(benchmark="b", measure="m", unit="x", figure=figure, goal=goal, others_cores=others)


@given(TIMES)
def test_an_interval_holds_the_median_of_its_samples(samples: list[float]) -> None:
    figure = Figure.of(samples)
    assert figure.low <= figure.median <= figure.high
    assert figure.median == median(samples)
    assert {figure.low, figure.high} <= set(samples)


@given(TIMES)
def test_a_figure_does_not_depend_on_the_order_of_its_samples(samples: list[float]) -> None:
    assert Figure.of(sorted(samples)) == Figure.of(samples[::-1])


@pytest.mark.parametrize("n_samples", [5, 7, 9, 11, 13])
def test_an_interval_is_the_narrowest_that_keeps_its_confidence(n_samples: int) -> None:
    """Each sample is above or below the true median like a fair coin: all throws of n coins are counted out."""

    def confidence(n_outside: int) -> float:
        held = [n_outside < sum(coins) < n_samples - n_outside for coins in product((0, 1), repeat=n_samples)]
        return sum(held) / len(held)

    n_outside = ranks_outside(n_samples)
    assert confidence(n_outside) >= CONFIDENCE > confidence(n_outside + 1)


@pytest.mark.parametrize("n_samples", [1, 2, 3, 4])
def test_too_few_samples_give_their_whole_range(n_samples: int) -> None:
    assert ranks_outside(n_samples) == 0


def test_a_goal_is_met_or_missed_only_by_the_whole_interval() -> None:
    goal = Goal(bound=1.6, at_least=True)
    assert row(1.6, 1.9, goal=goal).verdict is Verdict.MET
    assert row(1.2, 1.59, goal=goal).verdict is Verdict.MISSED
    assert row(1.5, 1.9, goal=goal).verdict is Verdict.UNDECIDED


def test_a_goal_may_be_an_upper_bound() -> None:
    assert row(0.3, 0.7, goal=Goal(bound=0.7)).verdict is Verdict.MET
    assert row(0.71, 0.8, goal=Goal(bound=0.7)).verdict is Verdict.MISSED


def test_a_row_without_a_goal_has_no_verdict() -> None:
    assert row(1, 2, goal=None).verdict is None


def test_fewer_rounds_than_seven_judge_nothing() -> None:
    assert row(1, 1, goal=Goal(bound=2), n_rounds=MIN_ROUNDS - 1).verdict is Verdict.UNDECIDED


def test_a_machine_that_others_use_judges_nothing() -> None:
    assert row(1, 1, goal=Goal(bound=2), others=2 * NOISY_CORES).verdict is Verdict.UNDECIDED


def test_a_platform_that_does_not_tell_about_others_is_trusted() -> None:
    assert row(1, 1, goal=Goal(bound=2), others=None).verdict is Verdict.MET


@pytest.mark.parametrize(("count", "verdict"), [(0, Verdict.MET), (1, Verdict.MISSED)])
def test_what_is_counted_needs_one_look_and_no_quiet_machine(count: int, verdict: Verdict) -> None:
    assert counted("b", "P13", "extra calls", count).verdict is verdict


def test_what_has_no_figure_says_why() -> None:
    absent, broken = missing("b", "P11", "growth", "no pimap here"), failure("b", "Pool", "not done after 5 s")
    assert (absent.verdict, absent.note) == (Verdict.UNAVAILABLE, "no pimap here")
    assert (broken.verdict, broken.note) == (Verdict.FAILED, "not done after 5 s")
    assert not absent.is_noisy
    assert not broken.is_short


def test_contenders_are_compared_round_by_round() -> None:
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]
    assert all(map(isclose, differences([2.0, 9.0], [1.0, 3.0]), [1.0, 6.0]))


def test_contenders_of_different_rounds_are_not_compared() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratios([1.0, 2.0], [1.0])
