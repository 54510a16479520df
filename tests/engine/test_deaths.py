"""A worker that ends in the middle of its work: which item, how, what was finished; and life goes on."""

from __future__ import annotations

import faulthandler
import os
import select
import signal
from typing import TYPE_CHECKING

import pytest

from amorsize import WorkerDied, pmap

if TYPE_CHECKING:
    from amorsize.testing.items import Gate

    Gates = tuple[Gate, Gate]

pytestmark = pytest.mark.needs_fork


def die(number: int) -> None:
    faulthandler.disable()  # pytest's own would print every stack
    os.kill(os.getpid(), number)
    select.select([], [], [])


def die_at_20(number: int) -> object:
    def work(item: int) -> int:
        if item == 20:
            die(number)
        return item

    return work


@pytest.mark.fault("R1")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM])
def test_a_worker_that_a_signal_ends_is_told_with_its_item_and_signal(number: signal.Signals) -> None:
    with pytest.raises(WorkerDied, match=number.name) as caught:
        pmap(die_at_20(number), range(100), isolate=True, n_jobs=2, chunksize=1)  # type: ignore[arg-type]
    died = caught.value
    assert (died.first, died.stop) == (20, 21)
    assert (died.signal, died.exitcode) == (number, None)
    assert set(range(20)) <= set(died.finished)
    assert all(died.finished[index] == index for index in died.finished)


@pytest.mark.fault("R1")
@pytest.mark.parametrize("exitcode", [0, 1, 7, 255])
def test_a_worker_that_exits_is_told_with_its_item_and_code(exitcode: int) -> None:
    def leave_at_20(item: int) -> int:
        if item == 20:
            os._exit(exitcode)
        return item

    with pytest.raises(WorkerDied) as caught:
        pmap(leave_at_20, range(100), isolate=True, n_jobs=2, chunksize=1)
    assert (caught.value.first, caught.value.exitcode, caught.value.signal) == (20, exitcode, None)


@pytest.mark.fault("R1")
def test_one_workers_death_does_not_take_what_the_others_finish(gates: Gates) -> None:
    def die_when_the_other_is_busy(item: int) -> int:
        if item == 0:
            gates[0].open()
            gates[1].wait()
            return 0
        gates[0].wait()
        gates[1].open()
        os._exit(1)

    with pytest.raises(WorkerDied) as caught:
        pmap(die_when_the_other_is_busy, [0, 1], isolate=True, n_jobs=2, chunksize=1)
    assert caught.value.first == 1
    assert caught.value.finished == {0: 0}


def test_a_worker_whose_descriptors_the_function_closes_ends_in_an_error() -> None:
    def close_everything(_item: int) -> None:
        os.closerange(3, 256)

    with pytest.raises((WorkerDied, OSError)):
        pmap(close_everything, range(4), isolate=True, n_jobs=2)


@pytest.mark.fault("R1")
def test_a_process_that_an_item_leaves_behind_does_not_keep_the_call_waiting(gates: Gates) -> None:
    left_behind, done = gates

    def leave_a_child(item: int) -> int:
        if os.fork() == 0:
            try:
                left_behind.wait()  # it holds all that the worker held, its pipe too
                done.open()
            finally:
                os._exit(0)
        return item

    try:
        assert pmap(leave_a_child, [5], isolate=True, n_jobs=1) == [5]
    finally:
        left_behind.open()
    done.wait()
