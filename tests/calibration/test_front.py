"""What the first items of a call tell of the others, and what is then believed."""

from __future__ import annotations

import pytest

from amorsize.calibration.front import front_of, is_expected
from amorsize.calibration.profile import Profile

NOW_S = 1.8e9

Batches = list[tuple[int, float]]


def ramp(first_s: float, last_s: float, n_items: int = 100) -> Batches:
    step_s = (last_s - first_s) / (n_items - 1)
    return [(1, first_s + k * step_s) for k in range(n_items)]


def test_first_items_of_sorted_input_are_shorter_or_longer_than_all() -> None:
    assert front_of(ramp(1e-3, 11e-3)) == pytest.approx(1 / 6, rel=0.01)
    assert front_of(ramp(11e-3, 1e-3)) == pytest.approx(11 / 6, rel=0.01)


def test_first_items_of_like_ones_are_like_all() -> None:
    assert front_of([(4, 1e-3)] * 100) == pytest.approx(1.0)


def test_first_items_are_those_of_the_first_millisecond() -> None:
    short, longer = (1, 0.25e-3), (1, 1e-3)
    assert front_of([short] * 4 + [longer] * 96) == pytest.approx(0.25 / 0.97)
    assert front_of([short] * 2 + [longer] * 98) == pytest.approx(0.5 / 0.985)


def test_a_call_that_is_hardly_longer_than_its_first_items_tells_nothing() -> None:
    assert front_of([]) is None
    assert front_of([(1, 0.0)]) is None
    assert front_of([(1, 1e-3)] * 15) is None
    assert front_of([(1, 1e-3)] * 16) == pytest.approx(1.0)


# ---- what is believed of the first items


def known(front: float | None) -> Profile:
    return Profile.of([(1, 5e-3)] * 100, NOW_S).replace(front=front)


def first(item_s: float) -> Profile:
    return Profile.of([(1, item_s)] * 10, NOW_S)


@pytest.mark.parametrize(("front", "item_s"), [(0.02, 0.1e-3), (0.02, 0.3e-3), (10.0, 50e-3), (1.0, 8e-3)])
def test_first_items_like_those_before_say_nothing_about_the_others(front: float, item_s: float) -> None:
    assert is_expected(known(front), first(item_s))


@pytest.mark.parametrize(("front", "item_s"), [(0.02, 5e-3), (1.0, 0.1e-3), (10.0, 5e-3), (None, 0.1e-3), (None, 5e-3)])
def test_first_items_unlike_those_before_count_like_any_others(front: float | None, item_s: float) -> None:
    assert not is_expected(known(front), first(item_s))


def test_what_they_show_besides_is_learned() -> None:
    learned = known(0.02).learn(first(0.1e-3).replace(cpu_share=0.5).without_items())
    assert (learned.item, learned.log_item, learned.longest_s) == (
        known(0.02).item,
        known(0.02).log_item,
        known(0.02).longest_s,
    )
    assert learned.cpu_share == 0.5


def test_where_nothing_is_known_nothing_is_expected() -> None:
    assert not is_expected(Profile.empty(), first(1e-3))
    assert not is_expected(known(1.0), Profile.empty())
