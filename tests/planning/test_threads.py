"""When threads are chosen, how many, and when it is worth finding out whether they would help."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorsize.calibration.costs import Costs
from amorsize.calibration.profile import Profile
from amorsize.planning.limits import WORKER_BYTES, Limits
from amorsize.planning.planner import choose_plan
from amorsize.planning.retreat import revise
from amorsize.planning.threads import worth_a_ticker
from amorsize.records import Capacity, Evidence, Plan

TWO = Capacity(n_cores=2, physical_cores=2, rss_bytes=11 * 2**20)
WAITS: dict[str, float] = {"cpu_share": 0.01}
FREES_THE_GIL: dict[str, float] = {"cpu_share": 1.0, "gil_free_share": 1.0}


def plan_for(
    item_s: float, n_items: int | None, shown: dict[str, float], capacity: Capacity = TWO, **limits: Any
) -> Plan:  # Any: the fields of Limits
    """Return the plan for items that were timed 30 times and have shown these shares."""
    profile = Profile.of([(1, item_s)] * 30, 1.8e9).replace(**shown)
    return choose_plan(
        profile, Costs(), capacity, n_items, Limits(**{"n_jobs_ceiling": capacity.n_cores, **limits}), 30 * item_s
    )


def test_a_function_that_waits_gets_many_threads_and_a_caller_that_supervises() -> None:
    plan = plan_for(5e-3, 200, WAITS)
    assert plan.backend == "thread"
    assert 50 <= plan.n_jobs <= 200
    assert (plan.start_method, plan.caller_computes) == (None, False)
    assert plan.reason.startswith(f"200 items of 5 ms: {plan.n_jobs} threads take ")
    assert {each.backend for each in plan.alternatives} == {"thread", "process", "serial"}
    assert all(each.predicted_s is not None for each in plan.alternatives)


def test_one_core_is_enough_for_threads_that_wait() -> None:
    assert plan_for(5e-3, 200, WAITS, TWO.replace(n_cores=1)).backend == "thread"


@pytest.mark.parametrize(("cpu_share", "low", "high"), [(0.3, 2, 8), (0.1, 4, 24), (0.01, 32, 256)])
def test_the_waiting_share_says_how_many_threads_there_are(cpu_share: float, low: int, high: int) -> None:
    assert low <= plan_for(20e-3, 1000, {"cpu_share": cpu_share}).n_jobs <= high


def test_auto_starts_at_most_256_threads() -> None:
    assert plan_for(1.0, 10_000, {"cpu_share": 0.0}).n_jobs == 256


def test_no_more_threads_are_started_than_fit_in_memory() -> None:
    """What a worker process needs besides what its items do is none that a thread needs."""
    free = TWO.replace(memory_bytes=1 << 30)
    assert plan_for(1.0, 10_000, {**WAITS, "worker_bytes": float(WORKER_BYTES + (100 << 20))}, free).n_jobs == 8
    assert plan_for(1.0, 10_000, {"cpu_share": 0.0, "worker_bytes": float(WORKER_BYTES)}, free).n_jobs == 256


def test_the_environments_ceiling_holds_for_threads_too() -> None:
    assert plan_for(1.0, 10_000, WAITS, n_jobs_ceiling=2, n_threads_ceiling=3).n_jobs == 3
    assert plan_for(1.0, 10_000, WAITS, n_jobs_ceiling=1, n_threads_ceiling=1).backend == "serial"


def test_threads_that_rest_already_are_cheaper_than_new_ones_which_will_rest_where_half_of_them_do() -> None:
    seconds = [plan_for(5e-3, 60, WAITS, n_resting=n).predicted_s for n in (0, 15, 30, 100)]
    assert None not in seconds
    assert seconds[0] > seconds[1] > seconds[2] == seconds[3]  # type: ignore[operator]
    assert [plan_for(0.15e-3, 4, WAITS, n_resting=n).n_jobs for n in (0, 4)] == [2, 4]


def test_a_few_short_waits_are_not_worth_threads() -> None:
    assert plan_for(20e-6, 10, WAITS).backend == "serial"


def test_where_no_process_may_be_started_a_function_that_frees_the_gil_gets_a_thread_a_core() -> None:
    plan = plan_for(1e-3, 1000, FREES_THE_GIL, TWO.replace(n_cores=8, physical_cores=8), no_processes="grpc is loaded")
    assert (plan.backend, plan.n_jobs) == ("thread", 8)
    refused = next(each for each in plan.alternatives if each.backend == "process")
    assert (refused.predicted_s, refused.why_not) == (None, "grpc is loaded")


def test_results_that_are_dear_to_send_make_threads_the_better_choice() -> None:
    assert plan_for(1e-3, 1000, {**FREES_THE_GIL, "send_s": 1e-3}).backend == "thread"


def test_items_that_keep_several_cores_busy_get_no_more_threads_than_fit() -> None:
    eight = TWO.replace(n_cores=8, physical_cores=8)
    native = {"cpu_share": 4.0, "gil_free_share": 1.0}
    assert plan_for(10e-3, 1000, native, eight, no_processes="no").n_jobs == 2
    assert plan_for(10e-3, 1000, {**native, "cpu_share": 8.0}, eight, no_processes="no").backend == "serial"


def test_without_a_gil_computing_threads_are_as_good_as_processes() -> None:
    plan = plan_for(1e-3, 1000, {"cpu_share": 1.0}, has_gil=False, no_processes="no")
    assert (plan.backend, plan.n_jobs) == ("thread", 2)


@given(
    st.floats(1e-7, 1.0),
    st.integers(1, 10**6),
    st.none() | st.floats(0.5, 4.0),
    st.none() | st.floats(0.0, 0.24),
    st.sampled_from([None, "no fork"]),
)
def test_a_function_that_holds_the_gil_never_gets_threads(
    item_s: float, n_items: int, cpu_share: float | None, gil_free_share: float | None, no_processes: str | None
) -> None:
    profile = Profile.of([(1, item_s)] * 30, 1.8e9).replace(cpu_share=cpu_share, gil_free_share=gil_free_share)
    limits = Limits(n_jobs_ceiling=8, no_processes=no_processes)
    plan = choose_plan(profile, Costs(), TWO.replace(n_cores=8), n_items, limits, 1e4)
    assert plan.backend != "thread"
    assert no_processes is None or plan.reason == no_processes


@given(st.floats(1e-6, 1.0), st.integers(1, 10**6), st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.booleans())
def test_what_holds_the_gil_bounds_what_threads_gain(
    item_s: float, n_items: int, cpu_share: float, gil_free_share: float, is_asked: bool
) -> None:
    shown = {"cpu_share": cpu_share, "gil_free_share": gil_free_share}
    plan = plan_for(item_s, n_items, shown, backend="thread" if is_asked else "auto")
    if plan.backend == "thread" and plan.predicted_s is not None:
        assert plan.predicted_s >= n_items * item_s * (1 - gil_free_share) * 0.999
        assert plan.predicted_s >= n_items * item_s / plan.n_jobs * 0.999
        assert plan.predicted_s >= n_items * item_s * cpu_share / 2 * 0.999


def test_threads_that_were_asked_for_are_used_and_the_loss_is_told() -> None:
    plan = plan_for(1e-3, 100, {"cpu_share": 1.0}, backend="thread")
    assert plan.backend == "thread"
    assert plan.reason.startswith("as asked for, 100 items of 1 ms: ")
    assert plan_for(1e-3, 100, WAITS, backend="thread", n_jobs=50, n_threads_ceiling=256).n_jobs == 50


def test_threads_that_were_asked_for_when_nothing_is_known_are_as_many_as_the_standard_librarys() -> None:
    limits = Limits(n_jobs_ceiling=2, backend="thread")
    plan = choose_plan(Profile.empty(), Costs(), TWO, 100, limits)
    assert (plan.backend, plan.n_jobs, plan.caller_computes, plan.start_method) == ("thread", 6, False, None)
    assert choose_plan(Profile.empty(), Costs(), TWO.replace(n_cores=64), 100, limits).n_jobs == 32


@pytest.mark.parametrize(
    "limits",
    [{"refusal": "no"}, {"no_threads": "no"}, {"isolate": True}, {"backend": "process"}, {"n_jobs": 1}],
    ids=str,
)
def test_where_threads_may_not_be_there_are_none(limits: dict[str, Any]) -> None:
    assert plan_for(5e-3, 200, WAITS, **limits).backend != "thread"


def test_one_item_is_no_reason_for_a_thread() -> None:
    assert plan_for(5e-3, 1, WAITS, backend="thread").backend == "serial"


def test_fewer_threads_are_taken_that_are_about_as_good() -> None:
    plan = plan_for(0.1, 257, WAITS)
    fastest = min(
        [each for each in plan.alternatives if each.backend == "thread"], key=lambda each: each.predicted_s or 0
    )
    assert plan.predicted_s is not None
    assert plan.n_jobs <= fastest.n_jobs or plan.predicted_s <= (fastest.predicted_s or 0)


# ---- whether to find out


def test_a_long_run_that_threads_could_halve_is_worth_a_ticker() -> None:
    computes = {"cpu_share": 1.0}
    loop, hoped = (plan_for(1e-3, 400, {**computes, **more}, no_processes="no") for more in ({}, FREES_THE_GIL))
    assert worth_a_ticker(loop, hoped, 0.0, 0)


@pytest.mark.parametrize(
    ("item_s", "shown", "limits"),
    [
        (1e-3, {}, {"no_processes": "no"}),  # 0.1 s: over before anything is known
        (1e-3, {}, {}),  # processes are as good
        (1e-3, {}, {"no_processes": "no", "no_threads": "no"}),
        (1e-3, {"send_s": 0.4e-3}, {}),  # threads would be better, by less than the time lost with finding out
    ],
)
def test_what_could_not_gain_is_not_worth_a_ticker(
    item_s: float, shown: dict[str, float], limits: dict[str, Any]
) -> None:
    plan, hoped = (plan_for(item_s, 100, {"cpu_share": 1.0, **shown, **more}, **limits) for more in ({}, FREES_THE_GIL))
    assert not worth_a_ticker(plan, hoped, 0.0, 0)


def test_a_run_too_short_for_a_ticker_is_worth_one_after_others() -> None:
    plan, hoped = (plan_for(6e-4, 100, {"cpu_share": 1.0, **more}, no_processes="no") for more in ({}, FREES_THE_GIL))
    assert not worth_a_ticker(plan, hoped, before_s=0.03, n_untold=0)
    assert worth_a_ticker(plan, hoped, before_s=0.04, n_untold=0)
    assert not worth_a_ticker(plan, hoped, before_s=0.04, n_untold=1)
    assert worth_a_ticker(plan, hoped, before_s=0.08, n_untold=1)


def test_a_ticker_delays_workers_by_what_they_would_gain_meanwhile() -> None:
    plan = Plan(backend="process", n_jobs=2, chunksize=1, reason="known", predicted_s=0.12, serial_s=0.24)
    hoped = plan.replace(backend="thread", predicted_s=0.08)
    assert not worth_a_ticker(plan, hoped, before_s=0.12, n_untold=0)
    assert worth_a_ticker(plan, hoped, before_s=0.14, n_untold=0)
    assert worth_a_ticker(plan.replace(predicted_s=0.23), hoped, before_s=0.001, n_untold=0)


# ---- retreat


def seen(n_together: int, cores_used: float) -> Evidence:
    return Evidence(n_left=500, n_workers=2, alone_s=1e-3, n_together=n_together, together_s=0.1, cores_used=cores_used)


def test_threads_that_turn_out_to_take_turns_are_given_up() -> None:
    plan = plan_for(1e-3, 1000, FREES_THE_GIL, no_processes="no")
    back = revise(plan, seen(95, 1.0))
    assert back is not None
    assert back.reason.startswith("2 threads take 0.99 ms an item, the caller alone took 1 ms")
    assert revise(plan, seen(170, 1.9)) is None
    assert revise(plan, seen(95, 1.9)) is None  # the items became longer


def test_threads_that_wait_are_given_up_for_a_clear_loss_only() -> None:
    plan = plan_for(1e-3, 1000, WAITS)
    assert revise(plan, seen(95, 0.1)) is None
    assert revise(plan, seen(50, 0.1)) is not None
