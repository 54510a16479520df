"""Threads and a supervising caller: every item once, the failure of the loop, and an end to every call."""

from __future__ import annotations

import _thread
import asyncio
import contextvars
import signal
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from amorsize.engine import bare, safety, thread
from amorsize.engine.thread import run
from amorsize.inline import Work
from amorsize.records import Evidence, Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from amorsize.engine.job import Job

    MakeJob = Callable[..., Job]

BACK_TO_THE_LOOP = Plan(backend="serial", n_jobs=1, chunksize=1, reason="too slow together")
WAIT_S = 30.0
"""A thread that is still missing after this long never comes; nothing waits for nearly as long where all is well."""


def results_of(task: Job) -> list[object]:
    """Run a job and return its results, or raise its failure."""
    assert run(task)
    task.collector.raise_failure()
    return task.collector.ordered()


def until(is_so: Callable[[], object]) -> None:
    """Let the other threads run until something is so."""
    while not is_so():
        time.sleep(1e-4)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What threads that are to be left behind wait for: opened in the end, and waited for."""
    n_before = len(sys._current_frames()) - bare.n_resting()
    made = threading.Event()
    yield made
    made.set()
    until(lambda: len(sys._current_frames()) - bare.n_resting() <= n_before)


@pytest.fixture
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for those who will never come."""
    monkeypatch.setattr(thread, "GRACE_S", 0.01)


@pytest.mark.parametrize("n_jobs", [1, 2, 5, 100])
@pytest.mark.parametrize("chunksize", [1, 7, 1000])
@pytest.mark.parametrize("item_s", [None, 1e-6, 1.0])
def test_every_item_is_called_once_and_none_in_the_caller(
    job: MakeJob, n_jobs: int, chunksize: int, item_s: float | None
) -> None:
    calls: list[tuple[int, int]] = []

    def square(item: int) -> int:
        calls.append((threading.get_ident(), item))
        return item * item

    task = job(square, list(range(60)), n_jobs=n_jobs, chunksize=chunksize, item_s=item_s)
    assert results_of(task) == [item * item for item in range(60)]
    assert Counter(item for _, item in calls) == Counter(range(60))
    assert threading.get_ident() not in {ident for ident, _ in calls}


def test_items_that_the_caller_ran_before_are_not_run_again(job: MakeJob) -> None:
    calls: list[int] = []

    def note(item: int) -> int:
        calls.append(item)
        return item

    assert results_of(job(note, range(30), n_done=11)) == list(range(30))
    assert sorted(calls) == list(range(30))


def test_as_many_threads_as_planned_run_at_the_same_time(job: MakeJob) -> None:
    everybody = threading.Barrier(50)
    began_s = time.perf_counter()
    task = job(lambda _: everybody.wait(WAIT_S), range(50), n_jobs=50)
    results_of(task)
    assert 0 < task.start_s < time.perf_counter() - began_s


def test_no_more_threads_are_started_than_there_are_items(job: MakeJob) -> None:
    task = job(abs, range(3), n_jobs=200)
    assert results_of(task) == [0, 1, 2]
    assert task.n_started <= 4


@pytest.mark.fault("R5")
def test_the_lowest_failing_item_is_raised_though_a_later_one_failed_first(job: MakeJob) -> None:
    def fail(item: int) -> None:
        if item == 4:
            until(lambda: task.collector.error)
        if item in (4, 5):
            raise ValueError(item)

    task = job(fail, range(40))
    with pytest.raises(ValueError) as caught:
        results_of(task)
    assert caught.value.args == (4,)


@pytest.mark.fault("R5")
def test_no_item_above_a_failing_one_is_started(job: MakeJob) -> None:
    calls: list[int] = []
    is_above = threading.Event()

    def fail_at_2(item: int) -> None:
        calls.append(item)
        if item == 5:
            is_above.set()
            until(lambda: task.collector.error)
        if item == 2:
            assert is_above.wait(WAIT_S)
            raise ValueError(item)

    task = job(fail_at_2, range(20), chunksize=5, item_s=1e-9)
    with pytest.raises(ValueError):
        results_of(task)
    assert sorted(calls) == [0, 1, 2, 5]


@pytest.mark.fault("R5")
def test_items_below_a_failing_one_in_ranges_already_taken_are_finished(job: MakeJob) -> None:
    def fail_at_5(item: int) -> int:
        if item == 0:
            until(lambda: task.collector.error)
        if item == 5:
            raise ValueError(item)
        return item

    task = job(fail_at_5, range(20), chunksize=5, item_s=1e-9)
    with pytest.raises(ValueError) as caught:
        results_of(task)
    assert vars(caught.value)["finished"] == {item: item for item in range(5)}


@pytest.mark.fault("R5")
@pytest.mark.usefixtures("impatience")
def test_items_below_a_failing_one_are_waited_for_however_long_they_take(job: MakeJob) -> None:
    def fail_at_1(item: int) -> int:
        if item == 1:
            raise ValueError(item)
        until(lambda: task.collector.error)
        time.sleep(0.1)  # ten times the patience with those above
        return item

    task = job(fail_at_1, range(2))
    with pytest.raises(ValueError) as caught:
        results_of(task)
    assert vars(caught.value)["finished"] == {0: 0}
    assert task.left_behind is None


@pytest.mark.fault("R5")
@pytest.mark.usefixtures("impatience")
def test_an_endless_item_above_the_failing_one_does_not_hold_its_error(job: MakeJob, gate: threading.Event) -> None:
    calls: list[int] = []
    is_above = threading.Event()

    def fail_below(item: int) -> int:
        calls.append(item)
        if item == 6:
            is_above.set()
            gate.wait()
        if item == 0:
            assert is_above.wait(WAIT_S)
            raise ValueError(item)
        return item

    task = job(fail_below, range(20), chunksize=5, item_s=1e-9)
    with pytest.raises(ValueError) as caught:
        results_of(task)
    assert task.left_behind is not None
    assert "went on when the call was over" in task.left_behind
    assert vars(caught.value)["finished"] == {5: 5}
    gate.set()
    until(lambda: len(sys._current_frames()) - bare.n_resting() == 1)
    assert sorted(calls) == [0, 5, 6]
    assert task.collector.n_done == 1


@pytest.mark.fault("R6")
@pytest.mark.parametrize(
    "error", [SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError, RecursionError, StopIteration]
)
def test_every_kind_of_exception_surfaces_as_itself(job: MakeJob, error: type[BaseException]) -> None:
    def fail(item: int) -> int:
        if item == 7:
            raise error("seven")
        return item

    with pytest.raises(error, match="seven") as caught:
        results_of(job(fail, range(20), n_jobs=3))
    assert caught.value.__notes__[0] == "amorsize: raised by item 7: 7"


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Have SIGINT raise KeyboardInterrupt, as in a program that was started from a terminal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.fault("R8")
@pytest.mark.usefixtures("interruptible")
def test_after_ctrl_c_no_item_is_started_and_what_is_finished_is_kept(job: MakeJob) -> None:
    calls: list[int] = []

    def interrupt(item: int) -> int:
        calls.append(item)
        if item == 5:
            signal.raise_signal(signal.SIGINT)
            until(lambda: interrupted)
        return item

    interrupted: list[int] = []
    task = job(interrupt, range(100), n_jobs=1, chunksize=10, item_s=1e-9)
    stop = thread.Crew.stop

    def note_and_stop(crew: thread.Crew) -> None:
        interrupted.append(1)
        stop(crew)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(thread.Crew, "stop", note_and_stop)
        with pytest.raises(KeyboardInterrupt):
            run(task)
    until(lambda: len(sys._current_frames()) - bare.n_resting() == 1)
    # The sixth item may have ended before the caller had answered: then the next ones were run like any.
    assert calls == list(range(len(calls)))
    assert task.collector.finished() == {item: item for item in calls}
    assert len(calls) < 100
    assert task.left_behind is None


@pytest.mark.fault("R8")
@pytest.mark.usefixtures("interruptible", "impatience")
def test_ctrl_c_does_not_wait_for_an_endless_item(job: MakeJob, gate: threading.Event) -> None:
    def hang(item: int) -> int:
        if item == 5:
            signal.raise_signal(signal.SIGINT)
            gate.wait()
        return item

    task = job(hang, range(100), n_jobs=1, chunksize=10, item_s=1e-9)
    with pytest.raises(KeyboardInterrupt):
        run(task)
    assert task.left_behind is not None
    assert task.collector.finished() == {item: item for item in range(5)}


setting: contextvars.ContextVar[str] = contextvars.ContextVar("setting", default="unset")


def test_items_run_in_a_copy_of_the_callers_context(job: MakeJob) -> None:
    def see(_: int) -> str:
        seen = setting.get()
        everybody.wait(WAIT_S)
        setting.set("an item's")
        return seen

    everybody = threading.Barrier(3)
    token = setting.set("the caller's")
    assert results_of(job(see, range(3), n_jobs=3)) == ["the caller's"] * 3
    assert setting.get() == "the caller's"
    setting.reset(token)


def test_what_no_thread_has_taken_is_run_by_the_caller_after_a_retreat(job: MakeJob) -> None:
    calls: list[tuple[int, int]] = []

    def wait_for_the_retreat(item: int) -> int:
        calls.append((threading.get_ident(), item))
        until(lambda: task.retreat)
        return item

    task = job(wait_for_the_retreat, range(50), n_jobs=3, item_s=1.0, decide=lambda _: BACK_TO_THE_LOOP)
    assert results_of(task) == list(range(50))
    assert sorted(item for _, item in calls) == list(range(50))
    assert [ident for ident, _ in calls].count(threading.get_ident()) == 47
    assert task.retreat == BACK_TO_THE_LOOP.reason


def test_a_failure_after_a_retreat_is_the_loops(job: MakeJob) -> None:
    def fail(item: int) -> int:
        until(lambda: task.retreat)
        if item >= 10:
            raise SystemExit(item)
        return item

    task = job(fail, range(50), n_jobs=3, item_s=1.0, decide=lambda _: BACK_TO_THE_LOOP)
    with pytest.raises(SystemExit) as caught:
        run(task)
    assert caught.value.args == (10,)
    assert task.collector.failed_at == 10


def test_evidence_tells_what_the_threads_have_done(job: MakeJob) -> None:
    shown: list[Evidence] = []

    def wait_for_it(item: int) -> int:
        until(lambda: shown and (item < 19 or any(each.n_together >= 10 for each in shown)))
        return item

    results_of(job(wait_for_it, range(20), alone_s=0.5, decide=shown.append))
    last = max(shown, key=lambda each: each.n_together)
    assert (shown[0].n_workers, last.alone_s) == (2, 0.5)
    assert (last.n_left or 0) + last.n_together == 20
    assert last.cores_used is not None


def test_where_no_thread_can_be_started_no_item_is_touched(job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(bare, "start_new_thread", refuse)
    calls: list[int] = []
    task = job(calls.append, range(10))
    assert not run(task)
    assert calls == []
    assert "can't start new thread" in (task.shortage or "")


def test_fewer_threads_than_planned_do_all_the_work(job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    n_started: list[int] = []

    def refuse_the_third(*arguments: Any) -> int:  # Any: whatever a thread is given
        if len(n_started) == 2:
            raise RuntimeError("can't start new thread")
        n_started.append(1)
        return _thread.start_new_thread(*arguments)

    monkeypatch.setattr(bare, "start_new_thread", refuse_the_third)
    both = threading.Barrier(2)
    task = job(lambda item: both.wait(WAIT_S) * 0 + item, range(10), n_jobs=5)
    assert results_of(task) == list(range(10))
    assert task.shortage is not None
    assert task.shortage.startswith("only 2 of 5 threads could be started")


def test_a_list_that_the_function_shortens_is_run_as_it_was(job: MakeJob) -> None:
    items = list(range(40))
    task = job(lambda item: items.pop() * 0 + item, items)
    assert results_of(task) == list(range(40))


def test_several_arguments_are_passed_on(job: MakeJob) -> None:
    task = job(pow, [2, 3, 4] * 5)
    task.work = task.collector.work = Work(pow, ([2, 3, 4] * 5, [5, 2, 1] * 5))
    assert results_of(task) == [32, 9, 4] * 5


def test_a_call_of_another_thread_and_of_a_running_event_loop_work_the_same(job: MakeJob) -> None:
    async def call() -> list[object]:
        return results_of(job(abs, range(-20, 0), n_jobs=4))

    found: list[list[object]] = []
    caller = threading.Thread(target=lambda: found.append(asyncio.run(call())))
    caller.start()
    caller.join()
    assert found == [list(range(20, 0, -1))]


def test_items_that_ask_for_their_thread_leave_nothing_on_the_list_of_threads(job: MakeJob) -> None:
    everybody = threading.Barrier(5)
    before = threading.enumerate()

    def who(_: int) -> str:
        everybody.wait(WAIT_S)
        return threading.current_thread().name

    names = results_of(job(who, range(5), n_jobs=5))
    assert len(set(names)) == 5
    assert threading.enumerate() == before


def test_who_traces_all_threads_sees_the_items(job: MakeJob) -> None:
    seen: set[str] = set()

    def trace(frame: FrameType, _event: str, _argument: object) -> None:
        seen.add(frame.f_code.co_name)

    def traced_item(item: int) -> int:
        return item

    before = threading.gettrace()
    threading.settrace(trace)
    try:
        results_of(job(traced_item, range(3)))
    finally:
        threading.settrace(before)
    assert "traced_item" in seen


def test_items_that_wait_tell_that_they_do(job: MakeJob) -> None:
    never = threading.Event()
    task = job(lambda _: never.wait(0.005), range(20), n_jobs=10)
    results_of(task)
    assert task.cores_used is not None
    assert task.cores_used < 0.5
    assert task.cpu_timings is not None
    assert task.timings.n_items == task.cpu_timings.n_items == 20
    assert task.cpu_timings.total_s < task.timings.total_s


@pytest.mark.needs_fork
def test_a_fork_is_not_refused_for_threads_on_their_way_out(job: MakeJob) -> None:
    until(lambda: safety.refusal() is None)  # those of earlier tests are gone
    everybody = threading.Barrier(100)
    results_of(job(lambda _: everybody.wait(WAIT_S), range(100), n_jobs=100))
    assert safety.refusal() is None
