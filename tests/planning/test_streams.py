"""How many items a stream is expected to have, before anybody knows."""

from __future__ import annotations

import pytest

from amorsize.calibration.costs import Costs
from amorsize.calibration.profile import Profile
from amorsize.planning.limits import Limits
from amorsize.planning.planner import choose_plan
from amorsize.planning.streams import as_many_again, believed_length, expected_of
from amorsize.records import Capacity

ITEM_S = 1e-3
KNOWN = Profile.of([(1, ITEM_S)] * 100, 1.8e9, starts_cold=False)


@pytest.mark.parametrize(("elapsed_s", "item_s", "n_items"), [(0.1, 1e-3, 100), (0.0, 1e-3, 1), (1.0, 0.0, 1)])
def test_as_many_items_again_are_expected_as_there_were(elapsed_s: float, item_s: float, n_items: int) -> None:
    assert as_many_again(elapsed_s, item_s) == pytest.approx(n_items, abs=1)


def test_half_of_what_came_in_earlier_calls_is_counted_on() -> None:
    assert not expected_of(KNOWN, 10 * ITEM_S)[1]
    n_items, is_likely = expected_of(KNOWN.replace(stream_items=1000.0), 10 * ITEM_S)
    assert n_items == pytest.approx(490, abs=1)
    assert is_likely


def test_a_stream_that_is_longer_than_earlier_ones_is_expected_to_bring_as_many_again() -> None:
    n_items, is_likely = expected_of(KNOWN.replace(stream_items=1000.0), 2000 * ITEM_S)
    assert n_items == pytest.approx(2000, abs=1)
    assert not is_likely


@pytest.mark.parametrize(
    ("lengths", "believed"),
    [([7], 7), ([100, 3], 3), ([3, 101], 6), ([10, 10, 10], 10), ([0, 9], 2), ([9, 3, 99, 99], 12)],
)
def test_the_last_lengths_are_believed_the_short_ones_at_once(lengths: list[int], believed: float) -> None:
    known: float | None = None
    for n_items in lengths:
        known = believed_length(known, n_items)
    assert known == believed


@pytest.mark.parametrize(("stream_items", "is_parallel"), [(None, False), (4.0, False), (1000.0, True)])
def test_a_stream_like_those_that_had_many_items_starts_workers_at_once(
    stream_items: float | None, *, is_parallel: bool
) -> None:
    two = Capacity(n_cores=2, physical_cores=2, memory_bytes=1 << 33, rss_bytes=1 << 24)
    profile = KNOWN.replace(stream_items=stream_items)
    limits = Limits(n_jobs_ceiling=2, feeds=True, sends_items=True)
    plan = choose_plan(profile, Costs(), two, None, limits, elapsed_s=2 * ITEM_S)
    assert plan.is_parallel is is_parallel, plan.reason
