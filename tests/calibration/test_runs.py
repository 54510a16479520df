"""When real runs refute what predicted them."""

from __future__ import annotations

import math

import pytest

from amorsize.calibration.runs import Run, refute


def run(measured_s: float, predicted_s: float = 1.0) -> Run:
    return Run(backend="process", n_jobs=2, chunksize=8, n_items=100, predicted_s=predicted_s, measured_s=measured_s)


def test_no_runs_refute_nothing() -> None:
    assert not refute(())


@pytest.mark.parametrize("measured_s", [4.1, 0.24])
def test_one_run_that_is_off_by_four_refutes(measured_s: float) -> None:
    assert refute((run(1.0), run(measured_s)))


def test_a_run_that_was_off_long_ago_refutes_nothing() -> None:
    assert not refute((run(9.0), run(1.0)))


@pytest.mark.parametrize("measured_s", [1.35, 0.7])
def test_three_runs_in_a_row_that_are_off_the_same_way_refute(measured_s: float) -> None:
    assert refute((run(measured_s),) * 3)
    assert not refute((run(measured_s),) * 2)


def test_runs_that_are_off_now_up_now_down_are_noise() -> None:
    assert not refute((run(1.4), run(0.7), run(1.4)))


def test_runs_too_short_to_time_refute_nothing() -> None:
    assert not refute((run(9e-4, predicted_s=1e-5),))


@pytest.mark.parametrize(
    "changes",
    [
        {"n_jobs": 10**9},
        {"n_jobs": 0},
        {"n_jobs": True},
        {"chunksize": 0},
        {"n_items": 1.5},
        {"measured_s": math.nan},
        {"predicted_s": -1.0},
        {"backend": 7},
        {"backend": "x" * 1000},
    ],
)
def test_an_impossible_run_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        run(1.0).replace(**changes)
