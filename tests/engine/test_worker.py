"""What a worker has finished is soon in the caller's reach; what it took is known when it dies."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

if sys.platform != "linux" or not hasattr(os, "fork") or not hasattr(os, "memfd_create"):
    pytest.skip("forked workers exist on Linux only", allow_module_level=True)

from amorsize.engine.job import Range
from amorsize.engine.supervise import run
from amorsize.errors import ItemNotPicklable, WorkerDied

if TYPE_CHECKING:
    from collections.abc import Callable

    from amorsize.engine.job import Job

    MakeJob = Callable[..., Job]

SURE_TO_BE_PUBLISHED_S = 0.2
"""Ten times the interval at which a worker publishes, in seconds of its own computing."""


def compute(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        sum(range(1000))


class Unpicklable:
    def __reduce__(self) -> str:
        raise RuntimeError("stays here")


class Alarming:
    """Is an int for whoever gets it; when it is pickled, a signal comes."""

    def __reduce__(self) -> tuple[object, ...]:
        if signal.getsignal(signal.SIGALRM) != signal.SIG_DFL:
            signal.raise_signal(signal.SIGALRM)
        return int, (1,)


def test_ranges_follow_the_seconds_of_an_item() -> None:
    sizes = Range(2, None, None)
    assert sizes.wanted(1000) == 1
    sizes.saw(1, 1e-6)
    assert sizes.item_s == 1e-6
    sizes.saw(100, 100 * 11e-6)
    assert sizes.item_s == pytest.approx(4e-6)
    assert sizes.wanted(10_000) > 1


def test_a_range_is_never_larger_than_asked_for() -> None:
    assert Range(2, 7, 1e-9).wanted(1_000_000) == 7


@pytest.mark.needs_fork
def test_an_item_during_which_the_timer_has_nothing_to_publish_is_timed_whole(job: MakeJob) -> None:
    task = job(lambda _: compute(SURE_TO_BE_PUBLISHED_S), range(4), n_jobs=2, caller_computes=False)
    assert run(task)
    assert task.timings.n_items == 4
    assert task.timings.total_s >= 4 * SURE_TO_BE_PUBLISHED_S


@pytest.mark.needs_fork
def test_what_a_worker_had_finished_long_before_it_died_is_kept(job: MakeJob) -> None:
    def die_at_40(item: int) -> int:
        if item == 40:
            compute(SURE_TO_BE_PUBLISHED_S)
            os._exit(3)
        return item

    task = job(die_at_40, range(100), n_jobs=1, chunksize=100, item_s=1e-9)  # the first range holds 50 items
    run(task)
    assert isinstance(task.collector.error, WorkerDied)
    assert task.collector.finished() == {index: index for index in range(40)}


@pytest.mark.needs_fork
def test_a_death_is_told_with_the_smallest_range_known(job: MakeJob) -> None:
    def die_at_40(item: int) -> int:
        if item == 40:
            compute(SURE_TO_BE_PUBLISHED_S)
            os._exit(3)
        return item

    task = job(die_at_40, range(100), n_jobs=1, chunksize=100, item_s=1e-9)
    run(task)
    died = task.collector.error
    assert isinstance(died, WorkerDied)
    assert (died.first, died.stop) == (40, 50)


@pytest.mark.needs_fork
def test_what_a_worker_had_finished_is_published_before_it_raises(job: MakeJob) -> None:
    def fail_at_40(item: int) -> int:
        if item == 40:
            raise ValueError(item)
        return item

    task = job(fail_at_40, range(100), n_jobs=1, chunksize=100, item_s=1e-9)
    run(task)
    assert isinstance(task.collector.error, ValueError)
    assert task.collector.finished() == {index: index for index in range(40)}


@pytest.mark.needs_fork
def test_an_item_that_is_interrupted_to_publish_is_called_once(job: MakeJob, capfd: pytest.CaptureFixture[str]) -> None:
    def long_item(item: int) -> int:
        os.write(1, b"called\n")
        compute(0.1)  # the timer fires five times in it
        return item

    task = job(long_item, range(4), n_jobs=2)
    run(task)
    assert task.collector.ordered() == [0, 1, 2, 3]
    assert capfd.readouterr().out.count("called") == 4


@pytest.mark.needs_fork
def test_what_a_handler_raises_while_results_are_published_reaches_the_item_that_runs(job: MakeJob) -> None:
    def give_up(*_: object) -> None:
        raise TimeoutError

    def run_out_of_time(item: int) -> object:
        if item != 1:
            return Alarming()
        signal.signal(signal.SIGALRM, give_up)
        try:
            compute(SURE_TO_BE_PUBLISHED_S)
        except TimeoutError:
            return "gave up"
        finally:
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
        return "was not told"

    task = job(run_out_of_time, range(4), n_jobs=1, chunksize=2, item_s=1e-9)
    run(task)
    task.collector.raise_failure()
    assert task.collector.ordered() == [1, "gave up", 1, 1]


@pytest.mark.needs_fork
def test_the_timer_that_publishes_interrupts_no_system_call(job: MakeJob) -> None:
    def wait(item: int) -> int:
        compute(0.03)
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            compute(0.03)
            os.write(write_end, b"x")
            os._exit(0)
        assert os.read(read_end, 1) == b"x"
        os.waitpid(pid, 0)
        os.close(read_end)
        os.close(write_end)
        return item

    task = job(wait, range(4), n_jobs=2)
    run(task)
    assert task.collector.error is None
    assert task.collector.ordered() == [0, 1, 2, 3]


@pytest.mark.needs_fork
def test_a_result_that_cannot_be_pickled_loses_none_of_its_neighbours(job: MakeJob) -> None:
    def odd(item: int) -> object:
        return Unpicklable() if item == 30 else item

    task = job(odd, range(100), n_jobs=1, chunksize=100, item_s=1e-9)
    run(task)
    error = task.collector.error
    assert isinstance(error, ItemNotPicklable)
    assert error.index == 30
    assert task.collector.finished() == {index: index for index in range(30)}


@pytest.mark.needs_fork
def test_a_result_that_cannot_be_pickled_does_not_disturb_the_item_that_runs_when_the_timer_fires(job: MakeJob) -> None:
    def odd(item: int) -> object:
        if item == 3:
            try:
                compute(0.1)
            except BaseException:
                return "disturbed"
        return Unpicklable() if item == 1 else item

    task = job(odd, range(12), n_jobs=1, chunksize=100, item_s=1e-9)
    run(task)
    error = task.collector.error
    assert isinstance(error, ItemNotPicklable)
    assert error.index == 1


@pytest.mark.needs_fork
def test_the_lowest_failing_item_is_raised_where_a_result_before_it_cannot_be_pickled(job: MakeJob) -> None:
    def odd(item: int) -> object:
        if item == 6:
            raise ValueError(item)
        return Unpicklable() if item == 2 else item

    task = job(odd, range(100), n_jobs=1, chunksize=100, item_s=1e-9)
    run(task)
    error = task.collector.error
    assert isinstance(error, ItemNotPicklable)
    assert error.index == 2


@pytest.mark.needs_fork
def test_results_of_items_that_kill_the_worker_while_they_are_pickled_are_told_as_its_death(job: MakeJob) -> None:
    class Deadly:
        def __reduce__(self) -> str:
            os._exit(9)

    task = job(lambda item: Deadly() if item == 5 else item, range(20), n_jobs=2)
    run(task)
    died = task.collector.error
    assert isinstance(died, WorkerDied)
    assert (died.first, died.stop, died.exitcode) == (5, 6, 9)
