"""Whether items along the input become longer or shorter, and what is then believed of a call's first ones."""

from __future__ import annotations

import random

import pytest

from amorsize.calibration.profile import Profile
from amorsize.calibration.trend import is_level, trend_of

NOW_S = 1.8e9

Batches = list[tuple[int, float]]


def ramp(first_s: float, last_s: float, n_items: int = 100) -> Batches:
    step_s = (last_s - first_s) / (n_items - 1)
    return [(1, first_s + k * step_s) for k in range(n_items)]


def test_sorted_items_have_a_trend() -> None:
    assert trend_of(ramp(0.0, 10e-3)) == pytest.approx(3.0, rel=0.05)
    assert trend_of(ramp(10e-3, 0.0)) == pytest.approx(1 / 3, rel=0.05)


def test_items_that_differ_little_have_none() -> None:
    assert trend_of(ramp(5e-3, 6e-3)) == 1.0


def test_items_that_differ_by_chance_have_none() -> None:
    rng = random.Random(7)
    for _ in range(20):
        drawn = [(1, 1e-3 * rng.lognormvariate(0, 1.5)) for _ in range(100)]
        assert trend_of(drawn) == 1.0
    assert trend_of([(1, 1e-3)] * 99 + [(1, 0.2)]) == 1.0


def test_few_or_short_items_tell_nothing() -> None:
    assert trend_of([]) is None
    assert trend_of(ramp(1e-3, 9e-3, 3)) is None
    assert trend_of(ramp(1e-9, 9e-9)) is None
    assert not is_level([])


@pytest.mark.parametrize(
    ("batches", "level"), [(ramp(5e-3, 6e-3), True), (ramp(1e-3, 9e-3), False), ([(9, 0.1)], True)]
)
def test_what_is_level_is_so_in_both_directions(batches: Batches, *, level: bool) -> None:
    assert is_level(batches) is is_level(batches[::-1]) is level


# ---- what is believed of the first items


def known(trend: float | None) -> Profile:
    return Profile.of([(1, 5e-3)] * 100, NOW_S).replace(trend=trend)


def first(item_s: float) -> Profile:
    return Profile.of([(1, item_s)] * 10, NOW_S)


@pytest.mark.parametrize(("trend", "item_s"), [(3.0, 0.1e-3), (1 / 3, 50e-3)])
def test_first_items_that_a_trend_explains_say_nothing_about_the_others(trend: float, item_s: float) -> None:
    assert known(trend).learn_first(first(item_s)).item == known(trend).item


@pytest.mark.parametrize(("trend", "item_s"), [(3.0, 50e-3), (1 / 3, 0.1e-3), (1.0, 0.1e-3), (None, 0.1e-3)])
def test_first_items_that_no_trend_explains_outvote_what_was_known(trend: float | None, item_s: float) -> None:
    believed_s = known(trend).learn_first(first(item_s)).item.mean
    assert abs(believed_s - item_s) < abs(believed_s - 5e-3)
    assert known(trend).learn_first(first(item_s)) == known(trend).learn(first(item_s))


def test_what_first_items_show_besides_is_believed() -> None:
    assert known(3.0).learn_first(first(0.1e-3).replace(cpu_share=0.5)).cpu_share == 0.5
    assert Profile.empty().learn_first(first(1e-3)) == first(1e-3)
