"""What a call teaches, and which calls are too short to teach anything."""

from __future__ import annotations

import signal
import sys
from time import perf_counter, time
from typing import TYPE_CHECKING, Any

import pytest

import amorsize
from amorsize import AmorsizeWarning, footprint
from amorsize.advice import lesson
from amorsize.advice.adviser import Adviser
from amorsize.advice.knowledge import look_up
from amorsize.advice.lesson import report_of
from amorsize.calibration.costs import Costs
from amorsize.calibration.profile import Profile
from amorsize.engine.collect import Collector
from amorsize.engine.job import Job, Outcome, Taken
from amorsize.identity.machine import capacity
from amorsize.inline import Timings, Work
from amorsize.options import Options
from amorsize.planning.planner import loop_plan
from amorsize.records import Evidence, Plan

if TYPE_CHECKING:
    from pathlib import Path

    from amorsize.records import RunReport

TINY_S, LONG_S = 1e-4, 1e-2

needs_two_cores = pytest.mark.skipif(capacity(perf_counter()).n_cores < 2, reason="on one core no call has workers")

ASKED = [{"backend": "process"}, {"isolate": True}]


def is_kept(options: dict[str, Any], expected_s: float, seen_s: float) -> bool:
    """Tell whether a run with workers is kept that takes `seen_s` where `expected_s` were expected."""
    look_up(abs, [1], cache=True).learn(Profile.of([(10, expected_s)], time(), starts_cold=False), Costs(), 0.0)
    adviser = Adviser(abs, Options(**options), look_up(abs, [1], cache=True))
    adviser.plan = Plan(backend="process", n_jobs=2, chunksize=5, reason="", serial_s=expected_s)
    work = Work(abs, (range(10),))
    job = Job(work, Collector(work, []), adviser.plan, lambda _: None, None, None)
    job.timings.add(10, seen_s)
    before = look_up(abs, [1], cache=True).profile
    report_of(adviser, 10, Timings(), [job], perf_counter(), is_lazy=False)
    return look_up(abs, [1], cache=True).profile != before


@pytest.mark.parametrize("options", ASKED)
def test_a_run_that_is_as_short_as_expected_teaches_nothing_where_workers_were_asked_for(
    options: dict[str, Any], home: Path
) -> None:
    assert not is_kept(options, TINY_S, TINY_S)


def test_a_short_run_that_nobody_asked_for_may_show_that_workers_lose(home: Path) -> None:
    assert is_kept({}, TINY_S, TINY_S)


@pytest.mark.parametrize("options", [{}, *ASKED])
def test_a_run_that_was_or_should_have_been_longer_is_kept(options: dict[str, Any], home: Path) -> None:
    assert is_kept(options, TINY_S, LONG_S)
    assert is_kept(options, LONG_S, TINY_S)


def test_a_call_that_teaches_nothing_leaves_signals_alone(home: Path) -> None:
    def work(x: int) -> int:
        return -x

    look_up(work, [1], cache=True).learn(Profile.of([(10, 1e-6)], time(), starts_cold=False), Costs(), 0.0)
    asked: set[str] = set()
    sys.setprofile(lambda _, event, called: asked.add(called.__name__) if event == "c_call" else None)
    try:
        amorsize.pmap(work, [1, 2, 3])
    finally:
        sys.setprofile(None)
    assert "perf_counter" in asked
    assert not asked & {"signal", "getsignal"}


def test_an_error_of_ours_while_learning_costs_nobody_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "believed_sending", None)  # "'NoneType' object is not callable"
    decorated = amorsize.parallelizable(lambda x: -x)
    with pytest.warns(AmorsizeWarning, match="(?s)nothing was learned.*_learn.*not callable"):
        assert decorated.pmap(range(20), backend="process", n_jobs=2) == [-x for x in range(20)]
    assert "nothing was learned" in decorated.last_run.warnings[-1]  # type: ignore[union-attr]


@pytest.mark.needs_fork
def test_what_a_signals_handler_raises_while_learning_is_no_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_late(*_: object) -> None:
        raise TimeoutError("too late")

    before = signal.signal(signal.SIGALRM, too_late)
    monkeypatch.setattr(lesson, "believed_sending", lambda *_: signal.raise_signal(signal.SIGALRM))
    try:
        with pytest.raises(TimeoutError) as caught:
            amorsize.pmap(abs, range(20), backend="process", n_jobs=2)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert vars(caught.value)["finished"] == {x: x for x in range(20)}


# ---- workers that make each other's items longer


def adviser_of(func: Any) -> Adviser:
    made = Adviser(func, Options(), look_up(func, [1], cache=True))
    made._cpu_share.value = 0.8  # it is known to compute, and too busy a machine for a ticker
    made.room = capacity(perf_counter())
    return made


def timed(n_batches: int, item_s: float) -> Timings:
    timings = Timings()
    for _ in range(n_batches):
        timings.add(1, item_s)
    return timings


def end_of(adviser: Adviser, alone: Timings, beside: Timings, taken: Taken | None = None) -> RunReport:
    """End a call that has run some items alone, and the others with two processes or not at all."""
    jobs = []
    n_items = alone.n_items + beside.n_items
    if beside.n_items:
        work = Work(abs, (range(n_items),))
        adviser.plan = Plan(backend="process", n_jobs=2, chunksize=5, reason="", predicted_s=0.2, start_method="fork")
        jobs = [Job(work, Collector(work, []), adviser.plan, lambda _: None, None, None)]
        jobs[0].timings.batches += beside.batches
        jobs[0].timings.n_items, jobs[0].timings.total_s = beside.n_items, beside.total_s
        jobs[0].taken = taken or Taken()
    return report_of(adviser, n_items, alone, jobs, perf_counter(), is_lazy=False)


# ---- what memory workers have needed


def needed_after(heaviest_mb: int | None, known_mb: int | None, start_method: str = "fork") -> float | None:
    """End a call of a caller of 100 MB whose heaviest worker was seen to hold so many MB; return what is believed."""
    adviser = adviser_of(abs)
    known = adviser.profile.replace(worker_bytes=None if known_mb is None else float(known_mb << 20))
    adviser.knowledge.profile = known
    adviser.room = adviser.room.replace(rss_bytes=100 << 20)
    adviser.plan = Plan(backend="process", n_jobs=2, chunksize=5, reason="", start_method=start_method)
    job = Outcome(adviser.plan)
    job.timings, job.heaviest_bytes = timed(20, LONG_S), None if heaviest_mb is None else heaviest_mb << 20
    report_of(adviser, 20, Timings(), [job], perf_counter(), is_lazy=False)
    found = look_up(abs, [1], cache=True).profile.worker_bytes
    return found and found / 2**20


@pytest.mark.parametrize(
    ("heaviest_mb", "known_mb", "start_method", "believed_mb"),
    [
        pytest.param(None, None, "fork", None, id="nobody looked"),
        pytest.param(400, None, "fork", 316, id="what it shares with the caller does not count"),
        pytest.param(90, None, "fork", 16, id="it gave some of that back"),
        pytest.param(400, None, "spawn", 400, id="a fresh interpreter shares nothing"),
        pytest.param(400, 200, "fork", 316, id="more is believed at once"),
        pytest.param(400, 516, "fork", 416, id="less by half"),
    ],
)
def test_what_one_more_worker_needs_follows_from_the_heaviest(
    heaviest_mb: int | None, known_mb: int | None, start_method: str, believed_mb: float | None, home: Path
) -> None:
    assert needed_after(heaviest_mb, known_mb, start_method) == believed_mb


@pytest.mark.parametrize(
    ("held_mb", "believed_mb"),
    [
        pytest.param((100, 900), (316 + 16 + 80) / 2, id="ten needed less in all"),
        pytest.param((100, 8100), 316, id="they may have needed more"),
        pytest.param(None, 316, id="nothing tells"),
    ],
)
def test_of_threads_what_the_caller_has_ever_held_is_a_bound(
    held_mb: tuple[int, int] | None, believed_mb: float, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adviser = adviser_of(abs)
    adviser.profile = adviser.profile.replace(
        worker_bytes=float(316 << 20)
    )  # as the caller's first item seemed to need
    adviser.plan = Plan(backend="thread", n_jobs=10, chunksize=1, reason="")
    job = Outcome(adviser.plan)
    job.timings = timed(20, LONG_S)
    held = None if held_mb is None else (held_mb[0] << 20, held_mb[1] << 20)
    monkeypatch.setattr(footprint, "of", lambda: held)
    report_of(adviser, 20, Timings(), [job], perf_counter(), is_lazy=False)
    assert (look_up(abs, [1], cache=True).profile.worker_bytes or 0) / 2**20 == believed_mb


# ---- workers whose native threads fight for the cores


@pytest.mark.parametrize("goes_on", [False, True], ids=["numpy is loaded", "no numpy"])
def test_the_cores_that_workers_keep_busy_do_not_speak_for_them_where_native_threads_may_be_what_does(
    goes_on: bool, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setitem(sys.modules, "numpy", sys)
    if goes_on:
        monkeypatch.delitem(sys.modules, "numpy")
    adviser = Adviser(abs, Options(), look_up(abs, [1], cache=True))
    adviser.plan = Plan(backend="process", n_jobs=2, chunksize=5, reason="", predicted_s=0.2, start_method="spawn")
    slow = Evidence(n_left=50, n_workers=2, alone_s=1e-3, n_together=40, together_s=1.0, cores_used=2.0)
    assert (adviser.reconsider(slow) is None) == goes_on


# ---- what launching fresh interpreters takes


def end_of_spawned(n_warm: int) -> float:
    """End a call whose first results came after 10 ms; return what launching is believed to take from then on."""
    adviser = adviser_of(abs)
    adviser.plan = Plan(backend="process", n_jobs=2, chunksize=5, reason="", predicted_s=0.2, start_method="spawn")
    adviser.n_warm = n_warm
    job = Outcome(adviser.plan)
    job.timings, job.first_s = timed(20, LONG_S), 0.01
    report_of(adviser, 20, Timings(), [job], perf_counter(), is_lazy=False)
    return look_up(abs, [1], cache=True).costs.spawn_s


def test_what_launching_takes_is_known_from_runs_that_had_to(home: Path) -> None:
    assert end_of_spawned(n_warm=0) < Costs().spawn_s


def test_interpreters_that_were_warm_do_not_tell_what_launching_takes(home: Path) -> None:
    assert end_of_spawned(n_warm=2) == Costs().spawn_s


# ---- what threads take to start


def end_of_threads(cpu_s: float) -> float:
    """End a call whose 50 new threads were started within 50 ms; return what one is believed to take from then on."""
    adviser = adviser_of(abs)
    adviser.plan = Plan(backend="thread", n_jobs=50, chunksize=1, reason="", predicted_s=0.2)
    job = Outcome(adviser.plan)
    job.timings, job.cpu_timings = timed(50, LONG_S), timed(50, cpu_s)
    job.n_started, job.start_s = 50, 50e-3
    report_of(adviser, 50, Timings(), [job], perf_counter(), is_lazy=False)
    return look_up(abs, [1], cache=True).costs.thread_s


def test_what_starting_threads_takes_is_known_from_items_that_let_the_gil_go_at_once(home: Path) -> None:
    assert Costs().thread_s < end_of_threads(cpu_s=10e-6) < 1e-3


def test_items_that_compute_before_they_wait_do_not_tell_what_starting_threads_takes(home: Path) -> None:
    assert end_of_threads(cpu_s=1e-3) == Costs().thread_s


# ---- what the first call of a process loads


def test_a_first_item_much_longer_than_those_of_workers_was_a_warm_up(home: Path) -> None:
    end_of(adviser_of(abs), timed(1, 0.4), timed(29, 6e-3))
    known = look_up(abs, [1], cache=True).profile
    assert known.first_call_s == pytest.approx(0.394)
    assert known.item.mean == pytest.approx(6e-3)


def test_a_first_item_as_long_as_those_of_workers_is_one_of_them(home: Path) -> None:
    end_of(adviser_of(abs), timed(1, 8e-3), timed(29, 6e-3))
    known = look_up(abs, [1], cache=True).profile
    assert known.first_call_s is None
    assert known.item.weight == pytest.approx(30)


@needs_two_cores
@pytest.mark.needs_fork
@pytest.mark.parametrize(
    ("first_call_s", "has_run_here", "runs_one"), [(0.4, False, True), (0.4, True, False), (None, False, False)]
)
def test_what_the_first_item_loads_is_loaded_before_a_fork(
    first_call_s: float | None, has_run_here: bool, runs_one: bool, home: Path
) -> None:
    """Else each worker of each call would load it again: the caller, who waits for long items, never runs one."""
    adviser = adviser_of(abs)
    adviser.knowledge.has_run_here = has_run_here
    adviser.knowledge.profile = Profile.of([(1, 6e-3)] * 30, time(), starts_cold=False).replace(
        first_call_s=first_call_s, result_bytes=5.0, send_s=1e-6, crowding=0.0, cpu_share=1.0, gil_free_share=0.0
    )
    plan = adviser.choose(300, Timings(), [], lambda: [1])
    assert plan.is_parallel is not runs_one
    assert adviser.choose(299, timed(1, 0.4), [1], lambda: [1]).is_parallel


def test_items_that_workers_make_longer_are_known_as_long_as_they_are_alone(home: Path) -> None:
    report = end_of(adviser_of(abs), timed(10, 2e-3), timed(190, 10e-3))
    assert report.serial_s == pytest.approx(200 * 2e-3, rel=0.01)
    known = look_up(abs, [1], cache=True).profile
    assert known.item.mean == pytest.approx(2e-3, rel=0.01)
    assert known.crowding == pytest.approx(4.0, rel=0.01)


def test_what_workers_make_longer_than_they_gain_stays_in_the_loop_afterwards(home: Path) -> None:
    end_of(adviser_of(abs), timed(10, 2e-3), timed(190, 10e-3))
    plan = adviser_of(abs).choose(200, Timings(), [1], lambda: [1])
    assert not plan.is_parallel
    assert plan.serial_s == pytest.approx(0.4, rel=0.01)


@needs_two_cores
def test_a_function_that_may_be_crowded_runs_an_item_alone_first_and_then_no_more(home: Path) -> None:
    end_of(adviser_of(abs), timed(10, 2e-3), timed(190, 3e-3))
    adviser = adviser_of(abs)
    assert "alone" in adviser.choose(200, Timings(), [1], lambda: [1]).reason
    assert adviser.choose(199, timed(1, 2e-3), [1], lambda: [1]).is_parallel


@needs_two_cores
def test_a_function_that_is_not_crowded_does_not(home: Path) -> None:
    end_of(adviser_of(abs), timed(10, 2e-3), timed(190, 2e-3))
    assert adviser_of(abs).choose(200, Timings(), [1], lambda: [1]).is_parallel


@needs_two_cores
def test_after_many_runs_in_the_loop_workers_are_tried_again(home: Path) -> None:
    end_of(adviser_of(abs), timed(10, 2e-3), timed(190, 10e-3))
    n_runs = 0
    while "alone" not in (adviser := adviser_of(abs)).choose(200, Timings(), [1], lambda: [1]).reason:
        end_of(adviser, timed(200, 2e-3), Timings())
        n_runs += 1
    assert 10 < n_runs < 20


# ---- what sending costs


def known_sending_s() -> float | None:
    return look_up(abs, [1], cache=True).profile.send_s


def end_of_sending(result_s: float, n_items: int = 10_000) -> None:
    """End a call whose workers' results cost the caller so many seconds each to take over."""
    taken = Taken()
    taken.n_items, taken.n_messages, taken.seconds = n_items, 1, n_items * result_s + Costs().drain_s
    end_of(adviser_of(abs), timed(10, 2e-3), timed(190, 2e-3), taken)


def test_what_sending_costs_is_known_from_runs(home: Path) -> None:
    for _ in range(10):
        end_of_sending(1e-6)
    assert known_sending_s() == pytest.approx(2e-6, rel=0.01)


def test_a_run_that_does_not_tell_what_sending_costs_changes_nothing(home: Path) -> None:
    end_of_sending(1.0, n_items=100)
    assert known_sending_s() is None
    end_of(adviser_of(abs), timed(10, 2e-3), timed(190, 2e-3), None)
    assert known_sending_s() is None


def test_what_keeps_a_function_in_the_loop_is_believed_less_from_run_to_run(home: Path) -> None:
    for _ in range(20):
        end_of_sending(1e-2)
    n_runs = 0
    while not (adviser := adviser_of(abs)).choose(200, Timings(), [1], lambda: [1]).is_parallel:
        end_of(adviser, timed(200, 2e-3), Timings())
        n_runs += 1
    assert 20 < n_runs < 200


def test_what_a_run_has_told_of_results_that_need_pickle_counts_for_more_than_a_cheaper_trial(home: Path) -> None:
    for _ in range(15):
        end_of_sending(1e-4)
    adviser = adviser_of(abs)
    adviser.choose(200, timed(1, 2e-3), [{"not": {"plain"}}] * 64, lambda: [1])
    assert adviser.profile.send_s == pytest.approx(2e-4, rel=0.01)


def test_what_large_results_cost_is_not_believed_of_small_ones(home: Path) -> None:
    look_up(abs, [1], cache=True).learn(Profile.empty().replace(result_bytes=1e6), Costs(), 0.0)
    for _ in range(20):
        end_of_sending(1e-2)
    assert adviser_of(abs).choose(200, timed(1, 2e-3), [tuple(range(10**5))], lambda: [1]).backend == "serial"
    assert adviser_of(abs).choose(200, timed(1, 2e-3), [1], lambda: [1]).is_parallel


# ---- streams


def end_of_stream(n_items: int) -> Plan:
    """Have an iterator that gives so many items run in the loop; return the plan for its first one."""
    adviser = adviser_of(abs)
    plan = adviser.choose(None, timed(1, 2e-3), [1], lambda: [1], feeds=True)
    end_of(adviser, timed(n_items, 2e-3), Timings())
    return plan


@needs_two_cores
def test_workers_take_part_at_once_in_a_stream_like_those_before(home: Path) -> None:
    assert [end_of_stream(1000).is_parallel for _ in range(2)] == [False, True]


@needs_two_cores
def test_after_a_short_stream_no_long_one_is_expected(home: Path) -> None:
    assert [end_of_stream(n_items).is_parallel for n_items in (1000, 3, 1000, 2)] == [False, True, False, False]


# ---- sorted items


def rising(n_items: int) -> Timings:
    timings = Timings()
    for k in range(n_items):
        timings.add(1, 1e-3 + 1e-4 * k)
    return timings


def end_of_loop(timings: Timings) -> None:
    adviser = adviser_of(abs)
    adviser.plan = loop_plan("", timings.n_items, None)
    end_of(adviser, timings, Timings())


def test_what_sorted_items_take_is_not_judged_by_the_first_of_them(home: Path) -> None:
    end_of_loop(rising(500))
    known = look_up(abs, [1], cache=True).profile
    assert known.front == pytest.approx(1 / 26, rel=0.05)
    plan = adviser_of(abs).choose(490, rising(10), [1], lambda: [1])
    assert plan.serial_s == pytest.approx(490 * known.item.mean)


def test_sorted_items_do_not_look_as_if_workers_slowed_them_down(home: Path) -> None:
    end_of_loop(rising(500))
    adviser = adviser_of(abs)
    adviser.choose(490, rising(10), [1], lambda: [1])
    adviser.plan = Plan(backend="process", n_jobs=2, chunksize=5, reason="", predicted_s=0.2, start_method="fork")
    mean_s = adviser.profile.item.mean
    evidence = Evidence(n_left=450, n_workers=2, alone_s=mean_s / 20, n_together=40, together_s=40 * mean_s / 2)
    assert adviser.reconsider(evidence) is None
    assert adviser.reconsider(evidence.replace(together_s=40 * mean_s * 1.2)) is None  # 40 of them may by chance
    slower = adviser.reconsider(evidence.replace(together_s=40 * mean_s * 2))
    assert slower is not None
    assert not slower.is_parallel


def test_what_the_first_items_of_a_call_tell_is_remembered_from_call_to_call(home: Path) -> None:
    end_of_loop(rising(500))
    once = look_up(abs, [1], cache=True).profile.front
    end_of_loop(timed(500, 10e-3))
    twice = look_up(abs, [1], cache=True).profile.front
    assert once is not None
    assert twice == pytest.approx(once**0.5)
