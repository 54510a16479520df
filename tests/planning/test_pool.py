"""Numbers for people who run multiprocessing.Pool themselves."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorsize.calibration.costs import Costs
from amorsize.calibration.profile import Profile
from amorsize.planning.limits import Limits
from amorsize.planning.pool import choose_pool_plan
from amorsize.records import Capacity, Plan

MB = 2**20


def sampled(item_s: float, n_items: int = 5) -> Profile:
    """Return what a dry run of five items shows."""
    return Profile.of([(1, item_s)] * n_items, 1.8e9)


def pool_plan(profile: Profile, n_items: int, n_cores: int = 4, *, limits: Limits | None = None) -> Plan:
    capacity = Capacity(n_cores=n_cores, physical_cores=n_cores, rss_bytes=20 * MB)
    return choose_pool_plan(profile, Costs(), capacity, n_items, limits or Limits(n_jobs_ceiling=n_cores))


def test_a_second_of_work_gains_almost_as_many_times_as_there_are_cores() -> None:
    plan = pool_plan(sampled(1e-3), 1000)
    assert plan.serial_s is not None
    assert plan.predicted_s is not None
    assert plan.n_jobs == 4
    assert 3.0 < plan.serial_s / plan.predicted_s < 4.0
    assert plan.reason.startswith("1,000 items of 1 ms: Pool(4) with chunksize ")


def test_ten_milliseconds_of_work_are_not_worth_a_pool() -> None:
    plan = pool_plan(sampled(30e-6), 300)
    assert plan.backend == "serial"
    assert plan.reason.startswith("no clear gain (300 items of 30 us: Pool(")
    assert plan.alternatives


def test_what_the_caller_must_pickle_is_what_no_worker_takes_from_it() -> None:
    """250 arguments of 1 MB: the caller spends 0.2 ms on each, whatever the number of workers."""
    plan = pool_plan(sampled(1e-3).replace(argument_bytes=1e6), 2500, n_cores=64)
    assert plan.predicted_s is not None
    assert plan.predicted_s > 2500 * 0.2e-3


def test_nothing_known_and_nothing_to_do_are_the_loop() -> None:
    assert pool_plan(Profile.empty(), 100).reason == "nothing known yet"
    assert pool_plan(sampled(1.0), 0).reason == "no item to run"


def test_one_disturbed_item_does_not_hide_what_the_others_show() -> None:
    capacity, limits = Capacity(n_cores=4, physical_cores=4, rss_bytes=20 * MB), Limits(n_jobs_ceiling=4)
    disturbed = Profile.of([(1, 1e-3), (1, 1e-3), (1, 3e-3), (1, 1e-3), (1, 9e-3)], 1.8e9)
    assert not choose_pool_plan(disturbed, Costs(), capacity, 1000, limits).is_parallel
    assert choose_pool_plan(disturbed, Costs(), capacity, 1000, limits, shortest_s=1e-3).is_parallel


def test_no_chunk_is_larger_than_allowed() -> None:
    assert pool_plan(sampled(1e-3), 1000).chunksize > 3
    assert pool_plan(sampled(1e-3), 1000, limits=Limits(n_jobs_ceiling=4, chunksize=3)).chunksize == 3


def test_one_core_and_a_refusal_are_the_loop() -> None:
    assert pool_plan(sampled(1.0), 100, n_cores=1).reason == "usable cores: 1"
    refused = Limits(n_jobs_ceiling=4, refusal="its results cannot be pickled")
    assert pool_plan(sampled(1.0), 100, limits=refused).reason == "its results cannot be pickled"


def test_the_plain_loop_is_among_what_was_rejected() -> None:
    plan = pool_plan(sampled(1e-3), 1000)
    assert plan.alternatives[-1].backend == "serial"
    assert plan.alternatives[-1].predicted_s == pytest.approx(1.0)


@given(st.floats(1e-7, 1.0), st.integers(1, 10**6), st.integers(1, 64), st.integers(1, 64))
def test_a_pool_keeps_within_cores_and_items(item_s: float, n_items: int, n_cores: int, n_sampled: int) -> None:
    plan = pool_plan(sampled(item_s, n_sampled), n_items, n_cores)
    assert 1 <= plan.n_jobs <= min(n_cores, n_items)
    assert 1 <= plan.chunksize <= n_items
    if plan.is_parallel:
        assert plan.chunksize <= ceil(n_items / plan.n_jobs)
        assert plan.predicted_s is not None
        assert plan.serial_s is not None
        assert plan.predicted_s < plan.serial_s
