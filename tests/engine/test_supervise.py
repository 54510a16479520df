"""Caller and workers together: every item once, the failure of the loop, and a way back to it."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

if sys.platform != "linux" or not hasattr(os, "fork") or not hasattr(os, "memfd_create"):
    pytest.skip("forked workers exist on Linux only", allow_module_level=True)

from amorsize.engine import fork, supervise
from amorsize.engine.supervise import run
from amorsize.errors import ItemNotPicklable, WorkerDied
from amorsize.records import Evidence, Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from amorsize.engine.job import Job
    from amorsize.testing.items import Calls, Gate

    MakeJob = Callable[..., Job]
    Gates = tuple[Gate, Gate]
    Forks = list[int]
    OnSignal = Callable[[Callable[..., object]], None]

pytestmark = pytest.mark.needs_fork

BACK_TO_THE_LOOP = Plan(backend="serial", n_jobs=1, chunksize=1, reason="too slow together")


def results_of(task: Job) -> list[object]:
    """Run a job and return its results, or raise its failure."""
    assert run(task)
    task.collector.raise_failure()
    return task.collector.ordered()


def test_what_the_caller_takes_over_is_timed(job: MakeJob) -> None:
    task = job(str, range(60), n_jobs=2, chunksize=7, item_s=1e-5, caller_computes=False)
    results_of(task)
    assert task.taken.n_items == 60
    assert 60 / 7 <= task.taken.n_messages <= 60
    assert 0 < task.taken.seconds < 1


@pytest.mark.parametrize("n_jobs", [1, 2, 3])
@pytest.mark.parametrize("chunksize", [1, 7, 1000])
@pytest.mark.parametrize("caller_computes", [False, True])
def test_every_item_is_called_once_whatever_the_plan(
    job: MakeJob, calls: Calls, *, n_jobs: int, chunksize: int, caller_computes: bool
) -> None:
    def square(item: int) -> int:
        calls.note(item)
        return item * item

    task = job(square, range(60), n_jobs=n_jobs, chunksize=chunksize, item_s=1e-5, caller_computes=caller_computes)
    assert results_of(task) == [item * item for item in range(60)]
    assert sorted(calls.items()) == list(range(60))
    assert (os.getpid() not in {process for process, _, _ in calls.lines()}) or caller_computes


@pytest.fixture
def forks(monkeypatch: pytest.MonkeyPatch) -> Forks:
    """The ids of all processes that the caller has forked; after the first fork comes a SIGUSR2."""
    pids: list[int] = []
    fork = os.fork

    def fork_and_signal() -> int:
        pid = fork()
        if pid:
            pids.append(pid)
            if len(pids) == 1:
                signal.raise_signal(signal.SIGUSR2)
        return pid

    monkeypatch.setattr(os, "fork", fork_and_signal)
    return pids


@pytest.fixture
def on_signal() -> Iterator[OnSignal]:
    """Return a function that has SIGUSR2 answered by another."""
    before = signal.getsignal(signal.SIGUSR2)

    def answer_with(answer: Callable[..., object]) -> None:
        signal.signal(signal.SIGUSR2, answer)

    yield answer_with
    signal.signal(signal.SIGUSR2, before)


def test_a_signal_is_answered_before_another_worker_starts_and_the_others_start_then(
    job: MakeJob, forks: Forks, on_signal: OnSignal
) -> None:
    n_forked: list[int] = []
    on_signal(lambda *_: n_forked.append(len(forks)))
    task = job(abs, range(40), n_jobs=4)
    assert results_of(task) == list(range(40))
    assert (n_forked, len(forks), task.n_started) == ([1], 4, 4)


def test_no_worker_starts_after_a_signal_that_ends_the_call(
    job: MakeJob, forks: Forks, gates: Gates, on_signal: OnSignal
) -> None:
    def wait(_item: int) -> None:
        gates[0].wait()  # nobody opens it

    on_signal(signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        run(job(wait, range(40), n_jobs=4))
    assert len(forks) == 1


def test_as_many_workers_start_as_there_is_room_for(job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    fork, room = os.fork, iter(range(2))

    def fork_or_refuse() -> int:
        if next(room, None) is None:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return fork()

    monkeypatch.setattr(os, "fork", fork_or_refuse)
    task = job(abs, range(40), n_jobs=4)
    assert results_of(task) == list(range(40))
    assert task.n_started == 2
    assert str(task.shortage).startswith("only 2 of 4 workers could be started: ")


def test_items_that_the_caller_ran_before_are_not_run_again(job: MakeJob, calls: Calls) -> None:
    def note(item: int) -> int:
        calls.note(item)
        return item

    assert results_of(job(note, range(30), n_done=11)) == list(range(30))
    assert sorted(calls.items()) == list(range(30))


def test_the_end_of_a_worker_counts_into_its_price(job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """Giving the page tables back takes longer than copying them."""
    monkeypatch.setattr("amorsize.engine.fork.save_coverage", lambda: time.sleep(0.2))
    task = job(abs, range(10), n_jobs=2, caller_computes=False)
    assert results_of(task) == list(range(10))
    assert task.start_s >= 0.2


def test_workers_compute_at_the_same_time(job: MakeJob, gates: Gates) -> None:
    def meet(item: int) -> int:
        gates[item].open()
        gates[1 - item].wait()  # for ever, if items were run one after the other
        return os.getpid()

    first, second = results_of(job(meet, range(2)))
    assert first != second


def test_the_caller_computes_beside_its_workers(job: MakeJob, gates: Gates) -> None:
    def meet(item: int) -> int:
        gates[item].open()
        gates[1 - item].wait()
        return os.getpid()

    assert os.getpid() in results_of(job(meet, range(2), caller_computes=True))


def test_a_supervising_caller_runs_no_item(job: MakeJob) -> None:
    assert os.getpid() not in results_of(job(lambda _: os.getpid(), range(50)))


def test_a_caller_whose_items_turn_out_long_stops_computing(job: MakeJob, gates: Gates) -> None:
    caller = os.getpid()

    def item_of_unknown_length(_item: int) -> int:
        if os.getpid() == caller:
            time.sleep(0.02)  # what shows the caller that items are long
            gates[0].open()
        else:
            gates[0].wait()
        return os.getpid()

    pids = results_of(job(item_of_unknown_length, range(12), caller_computes=True))
    assert pids.count(caller) == 1


@pytest.mark.fault("R5")
def test_the_lowest_failing_item_is_raised_though_a_later_one_failed_first(job: MakeJob, gates: Gates) -> None:
    def fail(item: int) -> None:
        if item == 4:
            gates[0].wait()
            time.sleep(0.05)  # the failure above has reached the caller
            raise ValueError(item)
        if item == 5:
            gates[0].open()
            raise ValueError(item)

    with pytest.raises(ValueError) as caught:
        results_of(job(fail, range(40)))
    assert caught.value.args == (4,)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have workers that go on after a failure not be ended for it: they are to stop by themselves."""
    monkeypatch.setattr("amorsize.engine.supervise.GRACE_S", 60.0)


@pytest.mark.fault("R5")
@pytest.mark.usefixtures("patient")
def test_no_item_far_above_a_failing_one_is_called(job: MakeJob, calls: Calls) -> None:
    def fail_at_10(item: int) -> None:
        if item == 10:
            raise ValueError(item)
        time.sleep(0.002)
        calls.note(item)

    with pytest.raises(ValueError):
        results_of(job(fail_at_10, range(2000)))
    assert set(range(10)) <= set(calls.items())
    assert max(calls.items()) < 500  # 11 or 12 on a quiet machine


@pytest.mark.fault("R5")
@pytest.mark.usefixtures("patient")
def test_no_item_far_above_one_that_failed_in_the_caller_is_called(job: MakeJob, calls: Calls) -> None:
    caller = os.getpid()

    def fail_in_the_caller(item: int) -> None:
        if os.getpid() == caller:
            raise ValueError(item)
        time.sleep(0.002)
        calls.note(item)

    with pytest.raises(ValueError):
        results_of(job(fail_in_the_caller, range(2000), caller_computes=True))
    assert len(calls.items()) < 500


@pytest.mark.fault("R5")
def test_an_endless_item_above_the_failing_one_does_not_hold_its_error(job: MakeJob, gates: Gates) -> None:
    def fail_below(item: int) -> None:
        if item == 0:
            gates[0].wait()
            raise ValueError(item)
        gates[0].open()
        gates[1].wait()  # nobody opens it

    with pytest.raises(ValueError):
        results_of(job(fail_below, range(2)))


@pytest.mark.fault("R5")
def test_an_item_below_the_failing_one_is_finished(job: MakeJob, gates: Gates) -> None:
    def fail_above(item: int) -> int:
        if item == 0:
            gates[0].wait()
            time.sleep(0.2)  # longer than what items above a failure get
            return 0
        gates[0].open()
        raise ValueError(item)

    task = job(fail_above, range(2))
    run(task)
    assert isinstance(task.collector.error, ValueError)
    assert task.collector.finished() == {0: 0}


def test_an_endless_item_below_a_dead_worker_does_not_hold_its_error(job: MakeJob, gates: Gates) -> None:
    def die_above(item: int) -> None:
        if item == 0:
            gates[0].open()
            gates[1].wait()  # nobody opens it
        gates[0].wait()
        os._exit(5)

    with pytest.raises(WorkerDied) as caught:
        results_of(job(die_above, range(2)))
    assert (caught.value.first, caught.value.exitcode) == (1, 5)


def test_after_a_retreat_the_caller_finishes_and_every_item_was_called_once(
    job: MakeJob, calls: Calls, gates: Gates
) -> None:
    caller = os.getpid()

    def slow_in_workers(item: int) -> int:
        calls.note(item)
        if os.getpid() == caller:
            time.sleep(0.001)
        else:
            gates[0].wait()  # until the retreat
        return item

    def retreat(_evidence: Evidence) -> Plan:
        gates[0].open()
        return BACK_TO_THE_LOOP

    task = job(slow_in_workers, range(100), caller_computes=True, decide=retreat)
    assert results_of(task) == list(range(100))
    assert sorted(calls.items()) == list(range(100))
    assert task.retreat == "too slow together"


def test_a_retreat_of_workers_alone_leaves_the_rest_to_the_caller(job: MakeJob, calls: Calls, gates: Gates) -> None:
    caller = os.getpid()

    def slow_in_workers(item: int) -> int:
        calls.note(item)
        if os.getpid() != caller:
            gates[0].wait()
        return item

    def retreat(_evidence: Evidence) -> Plan:
        gates[0].open()
        return BACK_TO_THE_LOOP

    # So many that the workers cannot have run them all between the opening of the gate and the end of their feeding.
    task = job(slow_in_workers, range(3000), decide=retreat)
    task.caller_may_run = True
    assert results_of(task) == list(range(3000))
    assert sorted(calls.items()) == list(range(3000))
    assert caller in {process for process, _, _ in calls.lines()}


def test_what_the_start_took_is_no_evidence_against_the_workers(job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    up_s: list[float] = []
    late: list[float] = []
    start_workers = fork.start_workers

    def start_slowly(*args: Any) -> None:  # as a fork of a large process does
        time.sleep(0.05)
        start_workers(*args)
        up_s.append(time.perf_counter())

    def look(evidence: Evidence) -> None:
        late.append(evidence.together_s - (time.perf_counter() - up_s[-1]))

    monkeypatch.setattr(supervise, "start_workers", start_slowly)
    results_of(job(lambda _: time.sleep(0.005), range(20), decide=look, alone_s=0.005, caller_computes=True))
    assert late
    assert max(late) <= 0


def test_the_evidence_tells_how_far_the_run_has_come(job: MakeJob) -> None:
    shown: list[Evidence] = []

    def look(evidence: Evidence) -> None:
        shown.append(evidence)

    task = job(lambda _: time.sleep(0.005), range(20), n_jobs=2, decide=look, alone_s=0.004, n_done=2)
    results_of(task)
    assert shown
    for evidence in shown:
        assert evidence.alone_s == 0.004
        assert 0 <= evidence.n_together <= 18
        assert (evidence.n_left or 0) + evidence.n_together == 18
        assert evidence.together_s > 0


def test_a_result_that_fails_to_be_rebuilt_in_the_caller_is_told_with_its_item(job: MakeJob) -> None:
    caller = os.getpid()

    class Homesick:
        def __reduce__(self) -> tuple[object, ...]:
            return _rebuild_outside, (caller,)

    task = job(lambda item: Homesick() if item == 3 else item, range(10))
    run(task)
    error = task.collector.error
    assert isinstance(error, ItemNotPicklable)
    assert error.index == 3
    assert "not at home" in str(error)


def _rebuild_outside(home: int) -> object:
    if os.getpid() == home:
        raise RuntimeError("not at home")
    return None


def test_what_a_failing_decision_raises_ends_the_call_and_all_workers(job: MakeJob, gates: Gates) -> None:
    def decide(_evidence: Evidence) -> Plan:
        raise ZeroDivisionError

    def wait(_item: int) -> None:
        gates[0].wait()  # nobody opens it

    with pytest.raises(ZeroDivisionError):
        run(job(wait, range(10), decide=decide))


def test_where_the_caller_must_run_nothing_there_is_no_going_back(job: MakeJob) -> None:
    def decide(_evidence: Evidence) -> Plan:
        raise AssertionError("not asked")

    task = job(lambda _: time.sleep(0.005), range(20), decide=decide, caller_may_run=False)
    results_of(task)
    assert task.retreat is None
