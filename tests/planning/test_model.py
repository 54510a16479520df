"""Predicted seconds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorsize.calibration.costs import Costs
from amorsize.calibration.profile import Profile
from amorsize.planning.limits import Limits
from amorsize.planning.model import Model
from amorsize.records import Capacity

MB = 2**20
FREE = Costs().replace(**{name: 1e-15 for name in Costs._fields if name != "crowding"})


EIGHT = Limits(n_jobs_ceiling=8)


def constant(item_s: float, n_items: int = 10_000) -> Profile:
    """Return a profile of many items that all last the same."""
    return Profile.of([(1, item_s)] * n_items, 1.8e9)


def capacity(n_cores: int, **known: float | int | None) -> Capacity:
    return Capacity(n_cores=n_cores, rss_bytes=11 * MB).replace(**known)


def model(item_s: float, n_items: int, cores: int = 64, costs: Costs = FREE, *, isolate: bool = False) -> Model:
    return Model(constant(item_s), costs, capacity(cores), n_items, Limits(n_jobs_ceiling=cores, isolate=isolate))


@pytest.mark.parametrize("n_jobs", [2, 4, 16])
def test_where_nothing_costs_anything_n_processes_take_an_nth_of_the_loop(n_jobs: int) -> None:
    assert model(1e-3, 16_000).process_s(1e-3, n_jobs) == pytest.approx(16.0 / n_jobs, rel=0.01)


def test_whole_items_make_somebody_run_one_more() -> None:
    assert model(1.0, 5).process_s(1.0, 4) == pytest.approx(2.0, rel=0.05)


def test_a_quota_bounds_what_any_number_of_processes_gains() -> None:
    half = Model(constant(1e-3), FREE, capacity(8, quota_cores=1.5), 10_000, EIGHT)
    assert half.process_s(1e-3, 8) == pytest.approx(10 / 1.5, rel=0.01)


def test_items_that_keep_two_cores_busy_gain_half_as_much() -> None:
    native = Model(constant(1e-3).replace(cpu_share=2.0), FREE, capacity(8), 10_000, EIGHT)
    assert native.process_s(1e-3, 8) == pytest.approx(10 / 4, rel=0.01)


def test_hyper_threads_gain_less_than_cores() -> None:
    shared = Model(constant(1e-3), FREE, capacity(8, physical_cores=4), 10_000, EIGHT)
    assert shared.process_s(1e-3, 8) == pytest.approx(10 / (4 * 1.3), rel=0.01)


def test_one_worker_beside_the_caller_delays_the_end_by_its_start() -> None:
    costs = FREE.replace(fork_s=1e-3)
    assert model(1e-4, 1000, costs=costs).start_s(2) == pytest.approx(1e-3, rel=1e-3)


def test_many_workers_delay_the_end_by_half_of_their_starts() -> None:
    """Those started first compute while the others are started."""
    costs = FREE.replace(fork_s=1e-3)
    assert model(1e-4, 1000, costs=costs).start_s(64) == pytest.approx(32.5e-3, rel=0.01)


def test_every_isolated_worker_pays_the_first_call_again() -> None:
    slow_first = constant(1e-3).replace(first_call_s=0.2)
    isolated = Model(slow_first, FREE, capacity(4), 1000, Limits(n_jobs_ceiling=4, isolate=True))
    assert isolated.start_s(4) == pytest.approx(0.2)
    assert Model(slow_first, FREE, capacity(4), 1000, Limits(n_jobs_ceiling=4)).start_s(4) < 1e-6


def test_the_caller_supervises_where_items_are_long_or_isolated() -> None:
    assert model(1e-3, 100).caller_computes
    assert not model(6e-3, 100).caller_computes
    assert not model(1e-3, 100, isolate=True).caller_computes


def test_a_caller_that_receives_more_than_it_can_is_the_limit() -> None:
    """16 processes, 1 us to decode each result: 15/16 of a million results are a second of the caller's time."""
    heavy = Model(constant(2e-6).replace(send_s=2e-6), FREE, capacity(16), 10**6, Limits(n_jobs_ceiling=16))
    assert heavy.process_s(2e-6, 16) == pytest.approx(15 / 16, rel=0.01)


def test_sending_takes_what_was_measured_and_else_what_bytes_cost() -> None:
    costs = Costs()
    measured = Model(constant(1e-3).replace(send_s=4e-6), costs, capacity(2), 100, Limits(n_jobs_ceiling=2))
    guessed = Model(constant(1e-3).replace(result_bytes=1e6), costs, capacity(2), 100, Limits(n_jobs_ceiling=2))
    assert (measured.encode_s, measured.decode_s) == (2e-6, 2e-6)
    assert guessed.decode_s == pytest.approx(0.2e-3, rel=0.01)


def test_nothing_is_sent_for_less_than_a_number() -> None:
    """A store may have been told so."""
    costs = Costs()
    planted = Model(constant(1e-3).replace(send_s=1e-12), costs, capacity(2), 100, Limits(n_jobs_ceiling=2))
    assert planted.decode_s == costs.encode_s


def test_the_end_never_waits_longer_than_for_the_longest_item() -> None:
    """Graham 1969: at most (1 - 1/n) of the longest."""
    wild = Profile.of([(1, 1e-3)] * 99 + [(1, 1.0)], 1.8e9, starts_cold=False)
    made = Model(wild, FREE, capacity(2), 100, Limits(n_jobs_ceiling=2))
    assert made.process_s(wild.item.mean, 2) <= 100 * wild.item.mean / 2 + 0.5 * wild.longest_of_s(100) + 1e-9


@given(
    st.floats(1e-7, 1.0),
    st.integers(1, 10**6),
    st.integers(1, 64),
    st.booleans(),
)
def test_a_prediction_is_at_least_the_work_over_the_processes(
    item_s: float, n_items: int, n_jobs: int, isolate: bool
) -> None:
    made = Model(constant(item_s, 30), Costs(), capacity(64), n_items, Limits(n_jobs_ceiling=64, isolate=isolate))
    assert n_items * item_s / n_jobs <= made.process_s(item_s, n_jobs) * (1 + 1e-9)
    assert n_items * item_s / n_jobs <= made.pool_s(item_s, n_jobs, 10) * (1 + 1e-9)


@given(st.floats(1e-7, 1.0), st.integers(1, 10**6), st.integers(1, 64))
def test_longer_items_are_never_predicted_faster(item_s: float, n_items: int, n_jobs: int) -> None:
    made = Model(constant(item_s, 30), Costs(), capacity(64), n_items, Limits(n_jobs_ceiling=64))
    assert made.process_s(item_s, n_jobs) <= made.process_s(1.1 * item_s, n_jobs) * (1 + 1e-9)


def test_a_pool_pays_for_every_chunk_and_every_item() -> None:
    made = model(1e-3, 10_000, costs=FREE.replace(pool_chunk_s=1e-3, pool_item_s=1e-4))
    assert made.pool_s(1e-3, 10, chunksize=100) == pytest.approx((10 + 100 * 1e-3 + 10_000 * 1e-4) / 10, rel=0.01)


def test_a_pool_waits_for_its_last_chunk() -> None:
    """11 chunks of 1 s on 10 processes."""
    assert model(1e-2, 1100).pool_s(1e-2, 10, chunksize=100) == pytest.approx(2.0, rel=0.06)
