"""Which plan is chosen, why, and what is never chosen."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorsize.calibration.costs import Costs
from amorsize.calibration.profile import Profile
from amorsize.calibration.runs import Run
from amorsize.planning.limits import Limits, worker_limit_by_memory
from amorsize.planning.planner import choose_plan
from amorsize.planning.retreat import revise
from amorsize.records import Capacity, Evidence, Plan

MB = 2**20
NOW_S = 1.8e9
TWO = Capacity(n_cores=2, physical_cores=2, rss_bytes=11 * MB)


def doubling(item_s: float, n_items: int) -> list[tuple[int, float]]:
    """Return the batches in which a caller would have timed about so many items."""
    batches, size = [], 1
    while n_items >= size:
        batches.append((size, size * item_s))
        n_items, size = n_items - size, 2 * size
    return batches


def plan_after(
    item_s: float, n_timed: int, n_items: int | None, capacity: Capacity = TWO, **limits: Any
) -> Plan:  # Any: the fields of Limits
    """Return the plan of a cold call that has computed `n_timed` items of one length, and has `n_items` left."""
    profile = Profile.of(doubling(item_s, n_timed), NOW_S)
    allowed = Limits(**{"n_jobs_ceiling": capacity.n_cores, **limits})
    return choose_plan(profile, Costs(), capacity, n_items, allowed, elapsed_s=profile.item.weight * item_s)


# ---- worked examples


def test_nothing_known_is_the_loop() -> None:
    plan = choose_plan(Profile.empty(), Costs(), TWO, 1000, Limits(n_jobs_ceiling=2))
    assert (plan.backend, plan.reason) == ("serial", "nothing known yet")
    assert plan.predicted_s is None


def test_a_cold_job_of_9_ms_is_split() -> None:
    plan = plan_after(30e-6, 15, 285)
    assert (plan.backend, plan.n_jobs, plan.caller_computes) == ("process", 2, True)
    assert plan.predicted_s == pytest.approx(5e-3, rel=0.1)


def test_a_cold_job_of_4_ms_is_split_after_half_a_millisecond() -> None:
    assert plan_after(30e-6, 15, 118).is_parallel


def test_fifty_items_of_a_microsecond_are_too_little_work() -> None:
    plan = plan_after(1e-6, 1, 49)
    assert plan.backend == "serial"
    assert plan.reason.startswith("too little work (49 items of 1 us: 2 processes take ")


def test_half_a_million_items_of_a_tenth_of_a_microsecond_are_split() -> None:
    assert plan_after(0.1e-6, 4095, 495_905).is_parallel


def test_a_million_items_that_cost_less_than_receiving_their_results_stay_in_the_loop() -> None:
    plan = plan_after(0.02e-6, 4095, 10**6)
    assert plan.backend == "serial"
    assert plan.reason == "an item takes 0.02 us, and receiving its result from another process 0.06 us"


@pytest.mark.parametrize(
    ("cpu_share", "n_cores", "n_jobs"), [(1.0, 2, 2), (1.05, 2, 2), (1.6, 2, 1), (2.1, 2, 1), (2.0, 8, 4), (7.0, 8, 1)]
)
def test_processes_take_what_native_threads_leave_idle_if_that_is_much(
    cpu_share: float, n_cores: int, n_jobs: int
) -> None:
    """A share of 1.6 is that of two cores on a busy machine: nothing was idle."""
    profile = Profile.of(doubling(2e-3, 31), NOW_S).replace(cpu_share=cpu_share)
    capacity = TWO.replace(n_cores=n_cores, physical_cores=n_cores)
    plan = choose_plan(profile, Costs(), capacity, 1000, Limits(n_jobs_ceiling=n_cores))
    assert plan.n_jobs == n_jobs


def test_a_large_program_is_not_forked_for_20_ms_of_work() -> None:
    assert not plan_after(20e-6, 31, 1000, TWO.replace(rss_bytes=4096 * MB)).is_parallel


def test_a_large_program_is_forked_for_a_second_of_work() -> None:
    assert plan_after(1e-3, 31, 1000, TWO.replace(rss_bytes=4096 * MB)).is_parallel


@pytest.mark.parametrize("capacity", [TWO.replace(quota_cores=0.5), TWO.replace(n_cores=1)])
def test_one_core_or_less_is_the_loop(capacity: Capacity) -> None:
    plan = plan_after(1e-3, 31, 10_000, capacity)
    assert plan.backend == "serial"
    assert plan.reason == f"usable cores: {capacity.n_effective:g}"


TOLD = Run(backend="process", n_jobs=2, chunksize=1, n_items=1000, predicted_s=5.0, measured_s=5.0)
"""A run in which workers have told what memory they need."""

ALONE = TOLD.replace(backend="serial", n_jobs=1)


def plan_within(memory_bytes: int, item_s: float = 1e-2, runs: tuple[Run, ...] = (TOLD,), **limits: Any) -> Plan:
    """Return the plan of a thousand items that need 200 MB each, on eight cores with so much free memory."""
    profile = Profile.of([(1, item_s)] * 30, NOW_S).replace(worker_bytes=200.0 * MB, runs=runs)
    eight = TWO.replace(n_cores=8, physical_cores=8, memory_bytes=memory_bytes)
    return choose_plan(profile, Costs(), eight, 1000, Limits(**{"n_jobs_ceiling": 8, **limits}))


@pytest.mark.parametrize("limits", [{}, {"n_jobs": 6}, {"backend": "process"}, {"isolate": True}])
def test_no_more_processes_are_used_than_fit_in_memory_and_the_reason_says_so(limits: dict[str, Any]) -> None:
    plan = plan_within(800 * MB, **limits)
    assert plan.n_jobs == 3
    assert plan.reason.endswith("; there is memory for 3 only")


@pytest.mark.parametrize("limits", [{"n_jobs": 3}, {"n_jobs_ceiling": 2}])
def test_memory_is_no_reason_where_no_more_may_run_anyhow(limits: dict[str, Any]) -> None:
    assert "memory" not in plan_within(800 * MB, **limits).reason


def test_where_memory_may_do_for_one_only_a_single_worker_tells_if_that_costs_hardly_anything() -> None:
    plan = plan_within(300 * MB, guesses_memory=True)
    assert (plan.backend, plan.n_jobs, plan.caller_computes) == ("process", 1, False)
    assert plan.reason.endswith("; it tells what memory an item needs, of which there may be too little for two")


@pytest.mark.parametrize("item_s", [1e-2, 1e-3])
@pytest.mark.parametrize("runs", [(), (ALONE,) * 8], ids=["it was guessed", "it was long ago"])
def test_a_single_worker_tells_once_more_where_none_has_in_the_runs_remembered(
    item_s: float, runs: tuple[Run, ...]
) -> None:
    """What the caller had guessed, or heavy items that come no more, would keep all later calls in the loop."""
    plan = plan_within(300 * MB, item_s, runs)
    assert (plan.backend, plan.n_jobs, plan.caller_computes) == ("process", 1, False)


@pytest.mark.parametrize(
    ("item_s", "limits"),
    [
        pytest.param(1e-3, {}, id="workers have told"),
        pytest.param(1e-2, {}, id="workers have told of long items"),
        pytest.param(1e-2, {"guesses_memory": True, "start_method": "spawn"}, id="it would load all that once more"),
        pytest.param(1e-6, {"guesses_memory": True}, id="its start is too dear"),
    ],
)
def test_else_memory_for_one_is_the_loop(item_s: float, limits: dict[str, Any]) -> None:
    plan = plan_within(300 * MB, item_s, **limits)
    assert (plan.backend, plan.reason) == ("serial", "there is memory for one process only")


def test_runs_of_a_single_worker_do_not_count_as_lost() -> None:
    alone = Run(backend="process", n_jobs=1, chunksize=1, n_items=1000, predicted_s=0.1, measured_s=0.2)
    profile = Profile.of(doubling(1e-4, 1000), NOW_S).replace(runs=(alone, alone))
    assert choose_plan(profile, Costs(), TWO, 1000, Limits(n_jobs_ceiling=2)).n_jobs == 2


def test_long_items_are_left_to_workers_while_the_caller_supervises() -> None:
    plan = plan_after(0.1, 1, 15)
    assert (plan.backend, plan.n_jobs, plan.caller_computes) == ("process", 2, False)


def test_64_cores_are_not_all_started_for_a_third_of_a_second_of_work() -> None:
    plan = plan_after(0.35e-3, 3, 997, TWO.replace(n_cores=64, physical_cores=64))
    assert 8 <= plan.n_jobs <= 40
    assert plan.predicted_s == min(
        [each.predicted_s or math.inf for each in plan.alternatives] + [plan.predicted_s or 0]
    )


def test_64_cores_are_all_used_for_minutes_of_work() -> None:
    assert plan_after(10e-3, 3, 100_000, TWO.replace(n_cores=64, physical_cores=64)).n_jobs == 64


def test_two_runs_with_workers_that_lost_keep_the_third_in_the_loop() -> None:
    profile = Profile.of(doubling(1e-4, 1000), NOW_S)
    lost = Run(backend="process", n_jobs=2, chunksize=1, n_items=1000, predicted_s=0.05, measured_s=0.11)
    assert choose_plan(profile, Costs(), TWO, 1000, Limits(n_jobs_ceiling=2)).is_parallel
    assert choose_plan(profile.ran(lost), Costs(), TWO, 1000, Limits(n_jobs_ceiling=2)).is_parallel
    plan = choose_plan(profile.ran(lost).ran(lost), Costs(), TWO, 1000, Limits(n_jobs_ceiling=2))
    assert plan.reason.startswith("the last two runs with workers were slower than the loop")
    assert choose_plan(profile.ran(lost).ran(lost), Costs(), TWO, 100_000, Limits(n_jobs_ceiling=2)).is_parallel


# ---- uncertainty


def best_and_second(n_items: int) -> tuple[Profile, Capacity, Plan, Plan]:
    """Return a profile, a capacity, the best plan for so many items, and the plan with the number of workers that comes
    next."""
    many = Capacity(n_cores=64, physical_cores=64, rss_bytes=11 * MB)
    profile = Profile.of([(1000, 0.3)] * 100, NOW_S)
    best = choose_plan(profile, Costs(), many, n_items, Limits(n_jobs_ceiling=64))
    n_jobs = next(each.n_jobs for each in best.alternatives if each.backend == "process")
    second = choose_plan(profile, Costs(), many, n_items, Limits(n_jobs_ceiling=64, n_jobs=n_jobs))
    return profile, many, best, second


def seconds(plan: Plan) -> float:
    assert plan.predicted_s is not None
    return plan.predicted_s


def after(profile: Profile, plan: Plan) -> Profile:
    """Return what is known after a run that took as long as was predicted."""
    return profile.ran(
        Run(
            backend=plan.backend,
            n_jobs=plan.n_jobs,
            chunksize=plan.chunksize,
            n_items=1,
            predicted_s=seconds(plan),
            measured_s=seconds(plan),
        )
    )


def test_a_plan_that_served_is_not_changed_for_two_percent() -> None:
    profile, many, best, second = best_and_second(3000)
    assert seconds(best) < seconds(second) < seconds(best) / 0.97
    again = choose_plan(after(profile, second), Costs(), many, 3000, Limits(n_jobs_ceiling=64))
    assert again.n_jobs == second.n_jobs


def test_a_plan_that_served_is_changed_for_more() -> None:
    profile, many, best, second = best_and_second(100_000)
    assert seconds(second) > seconds(best) / 0.9
    again = choose_plan(after(profile, second), Costs(), many, 100_000, Limits(n_jobs_ceiling=64))
    assert again.n_jobs == best.n_jobs


def test_a_plan_is_not_changed_where_two_standard_errors_would_undo_the_gain() -> None:
    many = Capacity(n_cores=64, physical_cores=64, rss_bytes=11 * MB)
    sure = Profile.of([(1000, 0.3)] * 100, NOW_S)
    unsure = Profile.of([(1, 0.05e-3), (1, 1.15e-3), (1, 0.1e-3), (1, 0.1e-3), (1, 0.1e-3)], NOW_S, starts_cold=False)
    assert unsure.item.mean == pytest.approx(sure.item.mean)
    limits = Limits(n_jobs_ceiling=64)
    best = choose_plan(sure, Costs(), many, 2500, limits)
    fewer = choose_plan(sure, Costs(), many, 2500, limits.replace(n_jobs=8))
    assert seconds(fewer) > seconds(best) / 0.9
    chosen = {each: choose_plan(after(each, fewer), Costs(), many, 2500, limits).n_jobs for each in (sure, unsure)}
    assert chosen == {sure: best.n_jobs, unsure: fewer.n_jobs}


def test_one_short_item_is_not_enough_to_fork_for() -> None:
    assert not plan_after(1e-3, 1, 20).is_parallel


def test_one_long_item_is_enough_where_starting_cannot_hurt() -> None:
    assert plan_after(0.2, 1, 20).is_parallel


def test_a_first_call_that_warmed_something_up_does_not_start_workers() -> None:
    profile = Profile.of([(1, 0.2), (1, 1e-6), (2, 2e-6)], NOW_S)
    assert not choose_plan(profile, Costs(), TWO, 200, Limits(n_jobs_ceiling=2), elapsed_s=0.2).is_parallel


def test_the_reason_tells_how_uncertain_it_is() -> None:
    assert plan_after(30e-6, 15, 75).reason.startswith("no clear gain, give or take 0.58 ms (75 items of 30 us: ")


def test_a_stream_starts_workers_once_that_is_a_small_share_of_the_time_spent() -> None:
    assert not plan_after(30e-6, 511, None).is_parallel
    plan = plan_after(30e-6, 2047, None)
    assert plan.is_parallel
    assert plan.predicted_s is None
    assert plan.reason == "items of 30 us, nobody knows how many: 2 processes take them"


@pytest.mark.parametrize(("n_ahead", "is_parallel"), [(510, False), (511, True)])
def test_a_stream_starts_workers_earlier_where_as_many_items_as_so_far_are_in_hand(
    n_ahead: int, *, is_parallel: bool
) -> None:
    profile = Profile.of(doubling(30e-6, 511), NOW_S)
    limits = Limits(n_jobs_ceiling=2)
    plan = choose_plan(profile, Costs(), TWO, None, limits, 511 * 30e-6, n_ahead)
    assert plan.is_parallel is is_parallel, plan.reason


def test_what_is_in_hand_of_a_stream_starts_no_workers_that_would_not_gain() -> None:
    profile = Profile.of(doubling(30e-6, 15), NOW_S)
    assert not choose_plan(profile, Costs(), TWO, None, Limits(n_jobs_ceiling=2), 15 * 30e-6, 15).is_parallel


# ---- what was asked for


def test_a_backend_that_was_asked_for_is_used_and_the_loss_is_told() -> None:
    plan = plan_after(1e-6, 1, 49, backend="process", n_jobs=2)
    assert (plan.backend, plan.n_jobs) == ("process", 2)
    assert plan.reason.startswith("as asked for, 49 items of 1 us: 2 processes take ")
    assert [(each.backend, each.why_not) for each in plan.alternatives] == [("serial", "workers were asked for")]


def test_a_backend_that_was_asked_for_is_used_even_where_nothing_is_known() -> None:
    plan = choose_plan(Profile.empty(), Costs(), TWO, 100, Limits(n_jobs_ceiling=8, n_jobs=3, backend="process"))
    assert (plan.backend, plan.n_jobs, plan.chunksize) == ("process", 3, 17)


def test_a_number_of_processes_alone_does_not_force_them() -> None:
    assert not plan_after(1e-6, 1, 49, n_jobs=2).is_parallel
    assert plan_after(1e-3, 31, 1000, n_jobs=2, n_jobs_ceiling=8).n_jobs == 2


def test_isolation_needs_a_worker_even_for_one_item() -> None:
    plan = plan_after(1e-6, 1, 1, isolate=True)
    assert (plan.backend, plan.n_jobs, plan.caller_computes) == ("process", 1, False)


def test_the_loop_that_was_asked_for_is_the_loop() -> None:
    assert plan_after(1e-3, 31, 10_000, backend="serial").reason == 'backend="serial" was asked for'


def test_a_refusal_is_the_reason() -> None:
    plan = plan_after(1e-3, 31, 10_000, refusal="another thread runs", backend="process")
    assert (plan.backend, plan.reason) == ("serial", "another thread runs")


def test_the_chunksize_that_was_asked_for_is_the_largest_range() -> None:
    assert plan_after(30e-6, 31, 10_000, chunksize=7).chunksize == 7


def test_the_plain_loop_and_every_other_number_of_processes_are_named_with_their_seconds() -> None:
    plan = plan_after(1e-3, 31, 10_000, TWO.replace(n_cores=4, physical_cores=4))
    assert [(each.backend, each.n_jobs) for each in plan.alternatives] == [
        ("process", 3),
        ("process", 2),
        ("serial", 1),
    ]
    assert all((each.predicted_s or 0) > (plan.predicted_s or 0) for each in plan.alternatives)


def test_the_reason_compares_in_words() -> None:
    assert (
        plan_after(0.35e-3, 63, 1000).reason == "1,000 items of 0.35 ms: 2 processes take 0.18 s, the plain loop 0.35 s"
    )


# ---- what holds for every plan


planted = st.builds(
    lambda item, log_item, **known: Profile.from_facts(
        {**Profile.empty().to_facts(), "item": item, "log_item": log_item, **known}
    ),
    item=st.lists(st.floats(0, 1e12), min_size=4, max_size=4),
    log_item=st.lists(st.floats(-1e9, 1e12), min_size=4, max_size=4),
    longest_s=st.floats(0, 1e7),
    first_call_s=st.none() | st.floats(0, 1e7),
    cpu_share=st.none() | st.floats(0, 2**16),
    gil_free_share=st.none() | st.floats(0, 1),
    send_s=st.none() | st.floats(0, 1e7),
    result_bytes=st.none() | st.floats(0, 2**60),
    worker_bytes=st.none() | st.floats(0, 2**60),
).map(lambda profile: profile or Profile.empty())

machines = st.builds(
    Capacity,
    n_cores=st.integers(1, 256),
    quota_cores=st.none() | st.floats(0.01, 256),
    physical_cores=st.none() | st.integers(1, 256),
    memory_bytes=st.none() | st.integers(0, 2**45),
    rss_bytes=st.none() | st.integers(0, 2**40),
)

demands = st.builds(
    Limits,
    n_jobs_ceiling=st.integers(1, 256),
    n_jobs=st.none() | st.integers(1, 1000),
    chunksize=st.none() | st.integers(1, 1000),
    backend=st.sampled_from(["auto", "serial", "process", "thread"]),
    refusal=st.none() | st.just("no"),
    isolate=st.booleans(),
    no_processes=st.none() | st.just("no"),
    no_threads=st.none() | st.just("no"),
    n_threads_ceiling=st.integers(1, 256),
    has_gil=st.booleans(),
)


@given(planted, machines, st.none() | st.integers(0, 10**9), demands, st.floats(0, 1e5))
def test_no_profile_however_poisoned_breaks_a_limit(
    profile: Profile, capacity: Capacity, n_items: int | None, limits: Limits, elapsed_s: float
) -> None:
    plan = choose_plan(profile, Costs(), capacity, n_items, limits, elapsed_s)
    ceiling = limits.n_threads_ceiling if plan.backend == "thread" else limits.n_jobs_ceiling
    assert 1 <= plan.n_jobs <= min(ceiling, limits.n_jobs or 256)
    assert plan.backend != "process" or limits.no_processes is None
    assert plan.backend != "thread" or (not limits.isolate and limits.backend in ("auto", "thread"))
    assert plan.backend != "thread" or limits.no_threads is None or limits.backend == "thread"
    assert plan.chunksize >= 1
    assert not plan.is_parallel or limits.chunksize is None or plan.chunksize == limits.chunksize
    assert not plan.is_parallel or (limits.refusal is None and limits.backend != "serial" and n_items != 0)
    assert not plan.is_parallel or n_items is None or plan.n_jobs <= n_items
    assert plan.predicted_s is None or plan.predicted_s >= 0


@given(st.floats(1e-8, 1.0), st.integers(1, 200), st.integers(1, 10**6), st.floats(1.0, 3.0))
def test_results_that_cost_the_caller_as_much_as_the_items_mean_the_loop(
    item_s: float, n_timed: int, n_items: int, factor: float
) -> None:
    profile = Profile.of(doubling(item_s, n_timed), NOW_S)
    profile = profile.replace(send_s=2 * factor * profile.item.mean)
    capacity = TWO.replace(n_cores=64, physical_cores=64)
    assert not choose_plan(profile, Costs(), capacity, n_items, Limits(n_jobs_ceiling=64), 1e4).is_parallel


@given(st.floats(1e-7, 0.1), st.integers(1, 10**6), st.integers(0, 6))
def test_twice_the_cores_are_never_predicted_slower(item_s: float, n_items: int, doublings: int) -> None:
    profile = Profile.of(doubling(item_s, 1000), NOW_S)

    def predicted_s(n_cores: int) -> float:
        plan = choose_plan(profile, Costs(), TWO.replace(n_cores=n_cores), n_items, Limits(n_jobs_ceiling=n_cores))
        assert plan.predicted_s is not None
        return plan.predicted_s

    # More cores have the same candidates and some more, but for the one that follows from the model: hence the 0.1 %.
    few, many = (predicted_s(2**n) for n in (doublings, doublings + 1))
    assert many <= few * 1.001


@given(st.floats(1e-7, 0.1), st.integers(1, 10**5), st.integers(1, 64))
def test_auto_is_never_predicted_slower_than_the_loop(item_s: float, n_items: int, n_timed: int) -> None:
    plan = plan_after(item_s, n_timed, n_items, TWO.replace(n_cores=16, physical_cores=8))
    assert plan.predicted_s is not None
    assert plan.serial_s is not None
    assert plan.predicted_s <= plan.serial_s


@given(st.integers(0, 2**45), st.floats(1, 2**40))
def test_workers_fit_in_memory_but_for_the_first(memory_bytes: int, worker_bytes: float) -> None:
    fitting = worker_limit_by_memory(memory_bytes, worker_bytes)
    assert fitting is not None
    assert fitting == 1 or fitting * worker_bytes <= memory_bytes


def test_unknown_memory_limits_nothing() -> None:
    assert worker_limit_by_memory(None, 1.0) is None
    assert worker_limit_by_memory(1, None) is None


# ---- retreat


PARALLEL = plan_after(1e-4, 31, 10_000)


def evidence(n_together: int, together_s: float, **changes: float | None) -> Evidence:
    seen = Evidence(n_left=5000, n_workers=1, alone_s=1e-4, n_together=n_together, together_s=together_s)
    return seen.replace(**changes)


def test_together_slower_than_alone_means_back_to_the_loop() -> None:
    plan = revise(PARALLEL, evidence(100, 0.02))
    assert plan is not None
    assert plan.backend == "serial"
    assert plan.reason == "2 processes take 0.14 ms an item, the caller alone took 0.1 ms: back to the loop"
    assert plan.predicted_s == pytest.approx(0.5)


def test_together_faster_than_alone_goes_on() -> None:
    assert revise(PARALLEL, evidence(380, 0.02)) is None


def test_the_first_milliseconds_together_prove_nothing() -> None:
    assert revise(PARALLEL, evidence(10, 0.005)) is None


def test_items_under_way_are_not_held_against_the_workers() -> None:
    assert revise(PARALLEL, evidence(2, 0.9, alone_s=0.3)) is None


def test_without_a_time_alone_there_is_nothing_to_compare() -> None:
    assert revise(PARALLEL, evidence(100, 0.02, alone_s=None)) is None


def test_items_that_became_longer_are_no_reason_where_a_cores_work_is_done() -> None:
    assert revise(PARALLEL, evidence(100, 0.02, cores_used=1.6)) is None
    assert revise(PARALLEL, evidence(100, 0.02, cores_used=0.5)) is not None


@given(st.integers(0, 10**6), st.floats(0, 100), st.floats(1e-7, 1))
def test_a_run_at_least_as_fast_as_the_caller_alone_is_never_given_up(
    n_together: int, slack_s: float, alone_s: float
) -> None:
    together_s = max(0.0, n_together * alone_s - slack_s)
    assert revise(PARALLEL, evidence(n_together, together_s, alone_s=alone_s)) is None
