"""A run that is only played through: what can be worked out by hand, and what holds for every run."""

from __future__ import annotations

from math import ceil, inf, isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorsize.planning.chunks import SHORTEST_RANGE_S, target_s
from amorsize.planning.model import SUPERVISES_FROM_S
from benchmarks.simulation import Prices, efficiency, makespan_s

FREE = Prices()
MS = 1e-3
ITEMS = st.lists(st.floats(min_value=1e-6, max_value=0.05), min_size=1, max_size=60)
JOBS = st.integers(min_value=2, max_value=40)
SECONDS = st.floats(min_value=0.0, max_value=0.01)
PRICES = st.builds(
    Prices, call_s=SECONDS, crew_s=SECONDS, start_s=SECONDS, begin_s=SECONDS, take_s=SECONDS, publish_s=SECONDS,
    encode_s=SECONDS, drain_s=SECONDS, decode_s=SECONDS, wake_s=SECONDS, leave_s=SECONDS, reap_s=SECONDS,
)  # fmt: skip


@given(ITEMS, PRICES)
def test_one_job_is_the_plain_loop(items_s: list[float], prices: Prices) -> None:
    assert makespan_s(items_s, 1, prices) == sum(items_s)
    assert efficiency(items_s, 1, prices) == 1


@given(n_items=st.integers(min_value=1, max_value=300), n_jobs=JOBS)
def test_where_nothing_costs_anything_only_whole_items_are_in_the_way(n_items: int, n_jobs: int) -> None:
    item_s = target_s(n_jobs, inf)
    whole = ceil(n_items / n_jobs)
    assert isclose(makespan_s([item_s] * n_items, n_jobs, FREE), whole * item_s)
    assert isclose(efficiency([item_s] * n_items, n_jobs, FREE), n_items / n_jobs / whole)


@given(n_items=st.integers(min_value=1, max_value=3_000), n_jobs=JOBS, item_s=st.floats(min_value=1e-6, max_value=1e-4))
def test_where_nothing_costs_anything_all_end_within_a_range(n_items: int, n_jobs: int, item_s: float) -> None:
    even_s = n_items * item_s / n_jobs
    ended_s = makespan_s([item_s] * n_items, n_jobs, FREE)
    assert even_s <= ended_s * (1 + 1e-9)
    assert ended_s <= even_s + target_s(n_jobs, even_s * n_jobs) + item_s


@given(ITEMS, JOBS, PRICES)
def test_no_run_beats_its_longest_item_or_an_even_share(items_s: list[float], n_jobs: int, prices: Prices) -> None:
    ended_s = makespan_s(items_s, n_jobs, prices) * (1 + 1e-9)
    assert ended_s >= max(items_s)
    assert ended_s >= sum(items_s) / n_jobs


@given(ITEMS, JOBS, PRICES)
def test_the_same_run_ends_at_the_same_moment(items_s: list[float], n_jobs: int, prices: Prices) -> None:
    assert makespan_s(items_s, n_jobs, prices) == makespan_s(items_s, n_jobs, prices)


@given(
    n_items=st.integers(min_value=1, max_value=100),
    n_jobs=JOBS,
    item_s=st.sampled_from([target_s(40, 0.0), SUPERVISES_FROM_S]),
    starts_s=st.tuples(SECONDS, SECONDS),
)
def test_slower_starts_never_help(n_items: int, n_jobs: int, item_s: float, starts_s: tuple[float, float]) -> None:
    low_s, high_s = sorted(starts_s)
    items_s = [item_s] * n_items
    quick, slow = Prices(start_s=low_s, begin_s=low_s), Prices(start_s=high_s, begin_s=high_s)
    assert makespan_s(items_s, n_jobs, quick) <= makespan_s(items_s, n_jobs, slow) * (1 + 1e-9)


def test_a_caller_that_computes_waits_for_a_worker_that_comes_too_late() -> None:
    prices = Prices(start_s=1 * MS, begin_s=9 * MS, leave_s=2 * MS, reap_s=1 * MS)
    assert makespan_s([SHORTEST_RANGE_S] * 2, 2, prices) == pytest.approx(12 * MS)


def test_a_worker_starts_before_the_caller_is_through_with_all_starts() -> None:
    """The first of two begins after 2 ms and the second after 4; the caller begins at 6, and both are done by then."""
    prices = Prices(start_s=3 * MS, begin_s=1 * MS)
    assert makespan_s([1 * MS] * 4, 3, prices) == pytest.approx(6 * MS)


def test_a_caller_of_long_items_only_hears_what_its_workers_say() -> None:
    """Workers begin at 2 and 3 ms, and end at 12 and 13; each is heard, asleep, for 0.1 + 0.2, and then seen to end."""
    prices = Prices(start_s=1 * MS, begin_s=2 * MS, wake_s=0.1 * MS, drain_s=0.1 * MS, leave_s=1 * MS, reap_s=0.5 * MS)
    assert makespan_s([10 * MS] * 2, 2, prices) == pytest.approx((13 + 1 + 0.1 + 0.5) * MS)


def test_a_caller_that_computes_hears_between_its_ranges_and_nobody_waits_for_that() -> None:
    """Each runs an item of 1 ms; the worker runs the third at once, the caller hears of the first (0.1) and runs the
    fourth, of 3 ms, from 1.1 to 4.1; then it hears of the third, and that the worker is done."""
    assert makespan_s([1 * MS, 1 * MS, 1 * MS, 3 * MS], 2, Prices(drain_s=0.1 * MS)) == pytest.approx(4.3 * MS)


def test_many_workers_are_kept_waiting_by_starts_one_after_the_other() -> None:
    """The last of 100 starts after 99 of them: 10 s of items end no sooner, and half of the cores' time is lost."""
    items_s = [1 * MS] * 10_000
    assert efficiency(items_s, 100, Prices(start_s=1 * MS)) < 0.7
    assert efficiency(items_s, 100, FREE) == pytest.approx(1.0)
