"""How many items a stream is expected to have, before anybody knows."""

from __future__ import annotations

from math import inf

import pytest

from amorsize.calibration.costs import Costs
from amorsize.calibration.profile import Profile
from amorsize.planning.limits import Limits
from amorsize.planning.planner import choose_plan
from amorsize.planning.streams import SKI_RENTAL, START_SHARE, as_many_again, believed_length, prospects
from amorsize.records import Capacity

ITEM_S = 1e-3
KNOWN = Profile.of([(1, ITEM_S)] * 100, 1.8e9, starts_cold=False)


@pytest.mark.parametrize(("elapsed_s", "item_s", "n_items"), [(0.1, 1e-3, 100), (0.0, 1e-3, 1), (1.0, 0.0, 1)])
def test_as_many_items_again_are_expected_as_there_were(elapsed_s: float, item_s: float, n_items: int) -> None:
    assert as_many_again(elapsed_s, item_s) == pytest.approx(n_items, abs=1)


def test_half_of_what_came_in_earlier_calls_is_counted_on() -> None:
    n_items, most_s = prospects(KNOWN.replace(stream_items=1000.0), 10 * ITEM_S, 0)
    assert n_items == pytest.approx(490, abs=1)
    assert most_s == pytest.approx(START_SHARE * 490 * ITEM_S, rel=0.01)


@pytest.mark.parametrize("stream_items", [None, 1000.0])
def test_a_stream_unlike_earlier_ones_is_expected_to_bring_as_many_again(stream_items: float | None) -> None:
    n_items, most_s = prospects(KNOWN.replace(stream_items=stream_items), 2000 * ITEM_S, 0)
    assert n_items == pytest.approx(2000, abs=1)
    assert most_s == SKI_RENTAL * 2000 * ITEM_S


@pytest.mark.parametrize("stream_items", [None, 30.0, 1000.0])
def test_where_as_many_items_as_so_far_are_in_hand_a_start_may_take_as_long_as_pays(stream_items: float | None) -> None:
    known = KNOWN.replace(stream_items=stream_items)
    assert prospects(known, 10 * ITEM_S, 11)[1] == inf
    assert prospects(known, 10 * ITEM_S, 5)[1] < inf


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
