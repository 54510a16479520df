"""Statistics of quantities that were timed in batches."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorsize.calibration.moments import Moments

values = st.floats(1e-7, 100.0)
batches = st.lists(st.tuples(st.integers(1, 1000), values), max_size=20)


def close(one: Moments, two: Moments) -> bool:
    pairs = zip(one.numbers, two.numbers, strict=True)
    return all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9 * one.weight * 1e4) for a, b in pairs)


@given(st.lists(values, min_size=2, max_size=50))
def test_single_items_give_the_textbook_mean_and_variance(seconds: list[float]) -> None:
    moments = Moments.of([(1, second) for second in seconds])
    assert moments.mean == pytest.approx(statistics.fmean(seconds))
    assert moments.variance == pytest.approx(statistics.variance(seconds), rel=1e-6, abs=1e-12)


@given(batches, batches)
def test_merging_parts_gives_the_moments_of_the_whole(
    one: list[tuple[int, float]], two: list[tuple[int, float]]
) -> None:
    assert close(Moments.of(one).merge(Moments.of(two)), Moments.of(one + two))


@given(batches, batches, batches)
def test_merging_is_associative(
    one: list[tuple[int, float]], two: list[tuple[int, float]], three: list[tuple[int, float]]
) -> None:
    a, b, c = Moments.of(one), Moments.of(two), Moments.of(three)
    assert close(a.merge(b).merge(c), a.merge(b.merge(c)))


def test_batches_of_any_size_estimate_the_variance_of_one_item() -> None:
    """A batch mean of k items has 1/k of an item's variance: +-1 alone is as telling as +-0.1 over 100 items."""
    alone = Moments.of([(1, 9.0), (1, 11.0)] * 8)
    batched = Moments.of([(100, 9.9), (100, 10.1)] * 8)
    assert batched.variance == pytest.approx(alone.variance)


def test_one_batch_alone_tells_no_variance() -> None:
    assert Moments.of([(100, 1.0)]).variance is None


@given(batches, st.floats(0.01, 1.0))
def test_scaling_keeps_the_mean_and_the_spread_for_each_item(timed: list[tuple[int, float]], share: float) -> None:
    moments = Moments.of(timed)
    scaled = moments.scaled(share)
    assert scaled.mean == moments.mean
    assert scaled.weight == pytest.approx(share * moments.weight)
    assert scaled.m2 * moments.weight == pytest.approx(moments.m2 * scaled.weight)


def test_a_limit_never_adds_weight() -> None:
    moments = Moments.of([(1, 1.0), (1, 2.0), (1, 3.0)])
    assert moments.limited(2.0).weight == pytest.approx(2.0)
    assert moments.limited(10.0) == moments


@pytest.mark.parametrize(
    "numbers",
    [
        [-1.0, 0.0, 1.0, 0.0],
        [1.0, 2.0, 1.0, 0.0],
        [math.nan, 1.0, 1.0, 0.0],
        [2.0, 1.0, math.inf, 0.0],
        [2.0, 1.0, 1.0, -1e-9],
        [1e300, 1.0, 1.0, 0.0],
        ["2", 1.0, 1.0, 0.0],
        [1.0, 1.0, 1.0],
    ],
)
def test_impossible_numbers_are_refused(numbers: list[float]) -> None:
    with pytest.raises(ValueError, match=r"impossible statistics|not enough values"):
        Moments.from_numbers(numbers)
