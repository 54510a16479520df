"""`pimap`: results as they come, no more work than they take, and nothing left when it is closed."""

from __future__ import annotations

import itertools
import os
import random
import select
import threading
import time
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

import amorsize.stream
from amorsize import BackendUnavailable, WorkerDied, parallelizable, pimap, pmap, pstarmap, shutdown
from amorsize.advice import knowledge, plans
from amorsize.advice.shares import CpuShare
from amorsize.call import Call
from amorsize.engine.rows import Rows
from amorsize.inline import Timings
from amorsize.records import Capacity

if TYPE_CHECKING:
    from collections.abc import Callable

    from amorsize.records import Evidence, Plan

PLANS: list[Any] = [
    pytest.param({"backend": "serial"}, id="serial"),
    pytest.param({}, id="auto"),
    pytest.param({"backend": "thread", "n_jobs": 3}, id="thread"),
    pytest.param({"isolate": True, "n_jobs": 2}, id="isolate", marks=pytest.mark.needs_fork),
]


@parallelizable
def ten_times(x: int) -> int:
    return 10 * x


@parallelizable
def fails_at_seven(x: int) -> int:
    if x == 7:
        raise ValueError("seven")
    return 10 * x


def pulled_into(pulled: list[int], numbers: Iterator[int]) -> Iterator[int]:
    for number in numbers:
        pulled.append(number)
        yield number


def broken_after(n_items: int) -> Iterator[int]:
    yield from range(n_items)
    raise OSError("the disk is gone")


# ---- lazy


@pytest.mark.fault("R10")
@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("size", [1, 2, 7])
def test_pulled_is_never_further_ahead_of_returned_than_buffersize(plan: Any, size: int) -> None:
    pulled: list[int] = []
    with ten_times.pimap(pulled_into(pulled, itertools.count()), buffersize=size, **plan) as stream:
        for returned in range(300):
            assert len(pulled) - returned <= size
            assert next(stream) == 10 * returned


@pytest.mark.fault("R10")
@pytest.mark.slow
@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("ordered", [True, False])
def test_a_million_items_stay_within_the_window(plan: Any, ordered: bool) -> None:
    pulled: list[int] = []
    numbers = pulled_into(pulled, iter(range(10**6)))
    total = 0
    for returned, result in enumerate(ten_times.pimap(numbers, buffersize=500, ordered=ordered, **plan), 1):
        assert len(pulled) - returned < 500
        total += result
    assert total == 10 * sum(range(10**6))


@pytest.mark.fault("R10")
@pytest.mark.parametrize("plan", PLANS)
def test_a_consumer_may_feed_the_iterator_that_it_consumes(plan: Any) -> None:
    """With a window of one item each result is handed out before the next item is asked for."""
    waiting = [1]
    seen: list[int] = []
    for result in ten_times.pimap(iter(waiting.pop, None), buffersize=1, **plan):
        seen.append(result)
        waiting.append(result + 1 if len(seen) < 5 else None)  # type: ignore[arg-type]
    assert seen == [10, 110, 1110, 11110, 111110]


# ---- errors


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("items", [list, iter], ids=["list", "iterator"])
def test_an_error_comes_after_the_results_before_it(plan: Any, items: Callable[[range], Any]) -> None:
    seen: list[int] = []
    with pytest.raises(ValueError, match="seven") as caught:
        seen.extend(fails_at_seven.pimap(items(range(20)), **plan))
    assert seen == [10 * x for x in range(7)]
    assert any("item 7: 7" in note for note in caught.value.__notes__)


@pytest.mark.fault("R7")
@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("n_items", [0, 1, 30])
def test_an_iterator_that_raises_does_so_after_the_results_before_it(plan: Any, n_items: int) -> None:
    seen: list[int] = []
    with pytest.raises(OSError, match="the disk is gone") as caught:
        seen.extend(ten_times.pimap(broken_after(n_items), **plan))
    assert seen == [10 * x for x in range(n_items)]
    assert any(f"by the iterable, in place of item {n_items}" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("plan", PLANS)
def test_what_finished_names_on_an_error_is_still_there(plan: Any) -> None:
    """The note on the error tells how many results `finished` holds; taking results must not empty it."""
    with pytest.raises(ValueError, match="seven") as caught:
        list(fails_at_seven.pimap(iter(range(20)), **plan))
    finished: dict[int, int] = caught.value.finished  # type: ignore[attr-defined]
    assert all(result == 10 * index for index, result in finished.items())
    told = [note for note in caught.value.__notes__ if "finished results" in note]
    assert told == (
        [f"amorsize: its attribute `finished` holds {len(finished)} finished results, by index"] * bool(told)
    )


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("items", [list, iter], ids=["list", "iterator"])
def test_a_stop_iteration_of_an_item_is_raised_as_itself(plan: Any, items: Callable[[range], Any]) -> None:
    def stops(x: int) -> int:
        if x == 3:
            raise StopIteration("here")
        return x

    with pytest.raises(StopIteration, match="here"):
        pmap(stops, items(range(10)), **plan)


@pytest.mark.parametrize("plan", PLANS)
def test_a_stop_iteration_of_an_item_does_not_end_a_stream_in_silence(plan: Any) -> None:
    def stops(x: int) -> int:
        if x == 3:
            raise StopIteration("here")
        return x

    with pytest.raises(RuntimeError) as caught:
        list(parallelizable(stops).pimap(iter(range(10)), **plan))
    assert isinstance(caught.value.__cause__, StopIteration)


def test_a_stop_iteration_of_who_is_told_of_progress_is_raised_as_itself() -> None:
    def told(_n_done: int, _n_items: int | None) -> None:
        raise StopIteration("told")

    with pytest.raises(StopIteration, match="told"):
        pmap(abs, range(10), backend="process", n_jobs=2, timeout=30, progress=told)


def test_an_interrupt_does_not_wait_for_the_results_before_it() -> None:
    def interrupted(x: int) -> int:
        if x == 5000:
            raise KeyboardInterrupt
        return x

    stream = parallelizable(interrupted).pimap(iter(range(10_000)), backend="serial", buffersize=10_000)
    seen: list[int] = []
    with pytest.raises(KeyboardInterrupt) as caught:
        seen.extend(stream)
    assert len(seen) + len(caught.value.finished) == 5000  # type: ignore[attr-defined]
    assert len(seen) < 5000


# ---- the end


@pytest.mark.needs_fork
def test_a_stream_that_was_begun_here_can_be_ended_by_another_thread() -> None:
    stream = ten_times.pimap(itertools.count(), isolate=True, n_jobs=2)
    next(stream)
    thread = threading.Thread(target=stream.close)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


@pytest.mark.fault("R1")
@pytest.mark.needs_fork
def test_a_stream_goes_on_after_the_death_of_an_idle_worker() -> None:
    """Who is killed while the consumer takes its time has no item, and no item may be blamed."""
    import psutil

    with ten_times.pimap(iter(range(40)), isolate=True, n_jobs=2, buffersize=1) as stream:
        seen = [next(stream), next(stream)]
        for worker in psutil.Process().children():
            watch = os.pidfd_open(worker.pid)
            worker.kill()
            select.select([watch], [], [])
            os.close(watch)
        seen.extend(stream)
    assert seen == [10 * x for x in range(40)]


# ---- what is learned


@pytest.mark.needs_fork
def test_the_second_stream_knows_what_the_first_one_learned() -> None:
    for n_sampled in (5, 0):
        assert sorted(ten_times.pimap(iter(range(200)), isolate=True, n_jobs=2)) == [10 * x for x in range(200)]
        assert ten_times.last_run is not None
        assert ten_times.last_run.n_sampled in (0, n_sampled)


@pytest.mark.parametrize("plan", PLANS)
def test_a_stream_that_is_closed_early_reports_and_learns(plan: Any) -> None:
    """An endless iterator never comes to its end."""
    with ten_times.pimap(itertools.count(), **plan) as stream:
        for _ in range(15):
            next(stream)
    assert ten_times.last_run is not None
    assert ten_times.last_run.n_items == 15


def test_the_time_that_the_consumer_takes_is_not_held_against_the_prediction() -> None:
    """What a stream measures is mostly what its consumer does between two results."""
    for _ in range(2):
        assert len(list(ten_times.pimap(list(range(300)), isolate=True, n_jobs=2))) == 300
    assert ten_times.last_run is not None
    assert ten_times.last_run.predicted_s is None


# ---- back to the caller


@pytest.fixture
def lost_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every comparison finds that the workers are slower than the caller alone was."""

    def revise(plan: Plan, evidence: Evidence) -> Plan:
        return plan.replace(backend="serial", n_jobs=1, reason="slower than alone: back to the loop")

    monkeypatch.setattr("amorsize.planning.retreat.revise", revise)


def takes_a_while(x: int) -> tuple[int, int]:
    sum(range(30_000))
    return x, os.getpid()


@pytest.mark.needs_fork
@pytest.mark.usefixtures("lost_cause")
@pytest.mark.parametrize("call", ["pmap", "pimap"])
@pytest.mark.parametrize("items", [list, iter], ids=["list", "iterator"])
def test_after_a_retreat_the_caller_does_the_rest_and_each_item_once(call: str, items: Callable[[range], Any]) -> None:
    func = parallelizable(takes_a_while)
    results = list(getattr(func, call)(items(range(300)), backend="process", n_jobs=2, retries=1))
    assert [x for x, _ in results] == list(range(300))
    assert results[0][1] != os.getpid()
    assert results[-1][1] == os.getpid()
    assert func.last_run is not None
    assert "back to the loop" in func.last_run.reason


@pytest.mark.needs_fork
@pytest.mark.usefixtures("lost_cause")
def test_without_a_caller_who_may_run_items_there_is_no_retreat() -> None:
    results = list(parallelizable(takes_a_while).pimap(iter(range(300)), isolate=True, n_jobs=2))
    assert os.getpid() not in {pid for _, pid in results}


# ---- looking ahead


class Spun(Iterator[int]):
    """Items that come at once, the first so many; it counts those that were pulled."""

    def __init__(self, n_items: int) -> None:
        self.n_pulled = 0
        self._n_items = n_items

    def __next__(self) -> int:
        if self.n_pulled == self._n_items:
            raise StopIteration
        self.n_pulled += 1
        return self.n_pulled


def asked_after(n_items: int, stream: Spun, **options: Any) -> Plan | None:
    """Return the plan for a stream of which so many items of 1 ms have been run."""
    from amorsize.stream import _ask

    call = Call(ten_times, [{}, {}, {"cache": False, **options}], Timings(), time.perf_counter())
    for _ in range(n_items):
        call.timings.add(1, 0.001)
    call.timings.used(n_items * 0.001, n_items * 0.001, n_items * 0.001)
    return _ask(call, Rows(ten_times, (stream,), star=False), None, [1])


@pytest.mark.needs_fork
@pytest.mark.parametrize(("n_come", "is_parallel"), [(20, True), (19, False)])
def test_workers_start_early_where_as_many_items_of_a_stream_come_as_so_far(
    monkeypatch: pytest.MonkeyPatch, n_come: int, *, is_parallel: bool
) -> None:
    monkeypatch.setattr(knowledge, "_costs", {})  # what other tests have learned of a busy machine
    monkeypatch.setattr(
        plans, "capacity", lambda *_, **__: Capacity(n_cores=2, rss_bytes=20 * 2**20)
    )  # nor their memory
    stream = Spun(n_come)
    assert (asked_after(20, stream, n_jobs=2) is not None) is is_parallel
    assert stream.n_pulled == n_come


def test_ctrl_c_while_a_plan_is_made_keeps_what_is_done() -> None:
    def interrupted() -> Iterator[int]:
        yield from range(2)
        raise KeyboardInterrupt

    call = Call(ten_times, [{}, {}, {"cache": False, "backend": "process"}], Timings(), time.perf_counter())
    rows, results = Rows(ten_times, (interrupted(),), star=False), list[object]()
    rows.run(2, results)
    with pytest.raises(KeyboardInterrupt) as caught:
        next(amorsize.stream.steps(call, rows, None, results))
    assert dict(caught.value.finished) == {0: 0, 1: 10}  # type: ignore[attr-defined]
    assert "in place of item 2" in caught.value.__notes__[0]


def refilled() -> Iterator[bytearray]:
    """Yield one buffer, which is filled anew each time, as by `readinto`."""
    buffer = bytearray(1)
    for number in range(200):
        buffer[0] = number
        yield buffer


def first_byte(buffer: bytearray) -> int:
    time.sleep(0.0005)
    return buffer[0]


@pytest.mark.parametrize("options", [{}, {"backend": "process"}, {"backend": "thread"}, {"n_jobs": 2}])
def test_an_iterator_that_overwrites_its_items_is_not_pulled_ahead(options: dict[str, Any]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert pmap(first_byte, refilled(), **options) == list(range(200))
        assert list(pimap(first_byte, refilled(), **options)) == list(range(200))
    assert all("overwrites each item with the next" in str(each.message) for each in caught)


def tens(key_and_group: tuple[int, Iterator[int]]) -> list[int]:
    time.sleep(0.0005)
    return list(key_and_group[1])


@pytest.mark.filterwarnings("ignore:.*overwrites each item with the next")
@pytest.mark.parametrize("options", [{}, {"backend": "thread"}])
def test_the_groups_of_groupby_are_each_used_up_before_the_next(options: dict[str, Any]) -> None:
    groups = itertools.groupby(range(2000), lambda number: number // 10)
    assert pmap(tens, groups, **options) == [list(range(first, first + 10)) for first in range(0, 2000, 10)]


def drawn(generator: random.Random, _number: int) -> float:
    sum(range(20_000))
    return generator.random()


@pytest.mark.usefixtures("gaining")
@pytest.mark.filterwarnings("ignore:.*which two workers must not share")
def test_items_of_an_iterator_that_share_a_generator_draw_from_it_one_after_the_other() -> None:
    own = random.Random(7)
    expected = [own.random() for _ in range(300)]
    assert pstarmap(drawn, zip(itertools.repeat(random.Random(7)), range(300))) == expected
    shared = random.Random(7)
    assert pstarmap(drawn, ((shared, number) for number in range(300))) == expected


def test_items_of_an_iterator_that_have_each_a_generator_of_their_own_are_in_nobodys_way() -> None:
    call = Call(ten_times, [{}, {}, {}], Timings(), time.perf_counter())

    def way(*items: object) -> str | None:
        return amorsize.stream._in_the_way(call, Rows(ten_times, (iter(items),), star=False))

    one, other = random.Random(1), random.Random(2)
    assert way((one, 1), (one, 2)) == "it uses item[0] (random.Random), which two workers must not share"
    assert way((one, 1), (other, 2)) is None
    assert way((one, 1)) is None
    assert way(1, 2) is None
    assert way() is None


def test_where_nothing_may_run_in_the_caller_that_is_an_error() -> None:
    with pytest.raises(BackendUnavailable, match="overwrites each item with the next"):
        pmap(first_byte, refilled(), isolate=True)


@pytest.mark.needs_fork
def test_an_iterator_that_is_pulled_item_by_item_may_overwrite_them() -> None:
    assert list(pimap(first_byte, refilled(), backend="process", n_jobs=2, buffersize=1)) == list(range(200))


def test_a_stream_is_not_pulled_ahead_where_workers_would_not_pay() -> None:
    stream = Spun(100)
    assert asked_after(1, stream) is None
    assert stream.n_pulled == 1  # to tell what kind of items these are


def test_a_stream_is_pulled_no_further_ahead_than_its_buffer_allows() -> None:
    stream = Spun(100)
    assert asked_after(20, stream, buffersize=2) is None
    assert stream.n_pulled == 1  # to tell what kind of items these are


# ---- threads


def test_a_stream_of_unknown_length_gets_more_threads_the_longer_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a function that waits, the first items justify two threads; a second of them as many as can wait at once."""
    from amorsize.advice.adviser import Adviser
    from amorsize.advice.knowledge import look_up
    from amorsize.inline import Timings
    from amorsize.options import Options

    def look(share: CpuShare, _timings: object) -> None:
        share.value = 0.005  # on a busy machine it may look as if it computed

    monkeypatch.setattr(CpuShare, "look", look)
    timings = Timings()
    adviser = Adviser(waits, Options(cache=False), look_up(waits, [1], cache=False))

    for _ in range(20):
        timings.add(1, 0.005)
    first = adviser.choose(None, timings, [1], lambda: [1], feeds=True)
    assert first.backend == "thread", first.reason
    later = adviser.more(timings, 1.0)
    assert later.backend == "thread"
    assert later.n_jobs > first.n_jobs
    assert adviser.more(timings, 0.0) == later


def test_a_long_list_as_a_stream_is_not_kept_back_to_find_out_about_the_gil() -> None:
    """Nobody would run the ticker that the loop in `pmap` waits for."""
    from amorsize.advice.adviser import Adviser
    from amorsize.advice.knowledge import look_up
    from amorsize.inline import Timings
    from amorsize.options import Options

    timings = Timings()
    adviser = Adviser(ten_times, Options(cache=False), look_up(ten_times, [1], cache=False))
    for _ in range(20):
        timings.add(1, 0.001)
    timings.used(0.02, 0.02, 0.02)
    large = [bytes(10_000_000)]  # sending it takes longer than an item: threads would gain, if they could run at once
    adviser.choose(100_000, timings, large, lambda: [1], feeds=True)
    assert not adviser.wants_ticker
    adviser.choose(100_000, timings, large, lambda: [1], feeds=False)
    assert adviser.wants_ticker


def waits(x: int) -> int:
    time.sleep(0.005)
    return x


@pytest.mark.parametrize("call", ["pmap", "pimap"])
@pytest.mark.parametrize("given", [{}, {"backend": "thread", "n_jobs": 40}])
@pytest.mark.usefixtures("waiting")
def test_a_function_that_waits_runs_in_threads_over_an_iterator_too(call: str, given: Any) -> None:
    func = parallelizable(waits)
    assert list(getattr(func, call)(iter(range(200)), **given)) == list(range(200))
    assert func.last_run is not None
    assert func.last_run.backend == "thread"


def test_threads_that_are_still_in_an_item_do_not_keep_a_closed_stream() -> None:
    gate = threading.Event()

    def waits_at_one(x: int) -> int:
        if x == 1:
            gate.wait()
        return x

    stream = parallelizable(waits_at_one).pimap(iter(range(9)), backend="thread", n_jobs=2)
    assert next(stream) == 0
    stream.close()
    gate.set()


def test_a_thread_whose_item_has_failed_begins_no_other() -> None:
    started: list[int] = []
    both, over = threading.Barrier(2), threading.Event()

    def fails_first(x: int) -> int:
        started.append(x)
        if x < 2:
            both.wait()
        if x == 0:
            raise ValueError("zero")
        over.wait()
        return x

    with pytest.raises(ValueError, match="zero"):
        list(parallelizable(fails_first).pimap(iter(range(20)), backend="thread", n_jobs=2))
    over.set()
    assert sorted(started) == [0, 1]


@pytest.mark.needs_fork
@pytest.mark.parametrize("items", [list, iter], ids=["list", "iterator"])
def test_where_all_results_are_kept_anyway_one_long_item_holds_nobody_back(items: Callable[[range], Any]) -> None:
    """The first item ends when the last one has been called."""
    gate, opened = os.pipe()

    def waits_for_the_last(x: int) -> int:
        if x == 0:
            os.read(gate, 1)
        if x == 99:
            os.write(opened, b".")
        return x

    assert pmap(waits_for_the_last, items(range(100)), isolate=True, n_jobs=2, retries=1, chunksize=1) == [*range(100)]
    os.close(gate)
    os.close(opened)


@pytest.mark.needs_fork
def test_a_copy_of_the_process_that_closes_the_stream_does_not_end_its_workers() -> None:
    stream = parallelizable(takes_a_while).pimap(iter(range(100)), isolate=True, n_jobs=2)
    workers = {next(stream)[1] for _ in range(20)}
    pid = os.fork()
    if not pid:
        stream.close()
        os._exit(0)
    assert os.waitpid(pid, 0) == (pid, 0)
    rest = list(stream)
    assert [x for x, _ in rest] == list(range(20, 100))
    assert len(workers | {worker for _, worker in rest}) <= 2


@pytest.mark.needs_fork
@pytest.mark.parametrize(
    "plan",
    [
        pytest.param({"isolate": True}, id="fork"),
        pytest.param({"isolate": True, "start_method": "spawn"}, id="spawn"),
        pytest.param({"backend": "thread"}, id="thread"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_copy_of_the_process_that_goes_on_with_the_stream_is_told_and_takes_nothing(plan: Any) -> None:
    stream = pimap(takes_a_while, iter(range(100)), n_jobs=2, buffersize=8, **plan)
    found = [next(stream)[0] for _ in range(20)]
    pid = os.fork()
    if not pid:
        try:
            list(stream)
        except WorkerDied as died:
            os._exit(42 if "forked" in str(died) else 1)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
    assert found + [x for x, _ in stream] == list(range(100))
    shutdown()


@pytest.mark.parametrize("call", ["pmap", "pimap"])
def test_threads_that_were_asked_for_run_the_first_item_of_an_iterator_too(call: str) -> None:
    """Nobody knows how many items come, which is no reason for fewer threads."""
    meet = threading.Barrier(3)

    def meets(x: int) -> int:
        meet.wait()
        return x

    results = getattr(parallelizable(meets), call)(iter(range(3)), backend="thread", n_jobs=3)
    assert list(results) == [0, 1, 2]
