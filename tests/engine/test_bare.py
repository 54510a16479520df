"""Threads that rest between calls: they are used again, hold nothing, disturb nobody, and end when they should."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
import weakref
from _thread import allocate_lock
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest

import amorsize
from amorsize import parallelizable, pmap
from amorsize.engine import alive, bare, safety

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

WAIT_S = 30.0


def done(threads: bare.Threads, *tasks: Callable[[], object]) -> None:
    """Have every task run by a thread of its own, and wait until all are over."""
    together = threading.Barrier(len(tasks))
    ends = [allocate_lock() for _ in tasks]

    def beside_others(task: Callable[[], object]) -> None:
        together.wait(WAIT_S)
        task()

    for task, end in zip(tasks, ends, strict=True):
        end.acquire()
        threads.start(partial(beside_others, task), end.release)
    for end in ends:
        assert end.acquire(timeout=WAIT_S)


def until(is_so: Callable[[], bool]) -> None:
    latest_s = time.perf_counter() + WAIT_S
    while not is_so():
        assert time.perf_counter() < latest_s
        time.sleep(1e-4)


def idents(threads: bare.Threads, n: int) -> set[int]:
    found: list[int] = []
    done(threads, *[lambda: found.append(threading.get_ident())] * n)
    return set(found)


def thread_of(_item: object) -> int:
    return threading.get_ident()


# ---- used again


def test_threads_serve_the_next_call() -> None:
    first = idents(bare.Threads(), 3)
    assert bare.n_resting() == 3
    assert idents(bare.Threads(), 3) == first
    assert idents(bare.Threads(), 4) > first


@pytest.mark.parametrize("call", ["pmap", "pimap"])
def test_calls_use_the_threads_of_earlier_ones(call: str) -> None:
    def run(func: Callable[[object], int]) -> set[int]:
        results = getattr(amorsize, call)(func, range(20), backend="thread", n_jobs=2, chunksize=1)
        return set(results)

    first = run(thread_of)
    amorsize_threads = bare.n_resting()
    assert first.isdisjoint({threading.get_ident()})
    assert amorsize_threads == 2
    run(thread_of)
    run(lambda item: thread_of(item))
    assert bare.n_resting() == 2


def test_they_rest_before_their_call_returns() -> None:
    for n_jobs in (2, 8):
        for _ in range(50):
            pmap(thread_of, range(64), backend="thread", n_jobs=n_jobs)
            assert safety._other_threads() is None
    assert bare.n_resting() <= 8


def test_only_so_many_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bare, "MOST_RESTING", 2)
    idents(bare.Threads(), 5)
    assert bare.n_resting() == 2


def test_threads_that_an_initializer_has_changed_serve_no_other_call() -> None:
    local = threading.local()

    def change() -> None:
        local.is_changed = True

    def is_changed(_item: object) -> bool:
        return hasattr(local, "is_changed")

    assert all(pmap(is_changed, range(8), backend="thread", n_jobs=2, initializer=change))
    assert not any(pmap(is_changed, range(8), backend="thread", n_jobs=2))


def test_a_task_that_raises_ends_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: told.append(unraisable.exc_value))
    error = RuntimeError("out of nowhere")

    def fail() -> None:
        raise error

    done(bare.Threads(), fail)
    assert bare.n_resting() == 0
    bare.settle()
    assert told == [error]


@pytest.mark.fault("R14")
def test_a_thread_that_finds_no_room_to_rest_ends_and_its_call_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "_queue", None)  # as where no descriptor is left to load it with
    done(bare.Threads(), lambda: None)
    assert bare.n_resting() == 0


# ---- as good as new


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system keeps no cores for a thread")
def test_a_thread_has_the_cores_of_its_caller() -> None:
    mine = os.sched_getaffinity(0)
    if len(mine) < 2:
        pytest.skip("there is one core")
    found: list[set[int]] = []
    look = lambda: found.append(os.sched_getaffinity(0))  # noqa: E731
    done(bare.Threads(), look)
    try:
        os.sched_setaffinity(0, [min(mine)])
        done(bare.Threads(), look)
    finally:
        os.sched_setaffinity(0, mine)
    done(bare.Threads(), look)
    assert found == [mine, {min(mine)}, mine]


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals cannot be blocked")
def test_a_thread_has_the_signals_blocked_that_its_caller_has() -> None:
    found: list[set[signal.Signals]] = []
    look = lambda: found.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))  # type: ignore[arg-type]  # noqa: E731
    for blocked in ((), (signal.SIGUSR1,), (), (signal.SIGUSR1,)):
        before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        try:
            done(bare.Threads(), look)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert [signal.SIGUSR1 in mask for mask in found] == [False, True, False, True]


def test_a_thread_has_the_stack_that_new_ones_get() -> None:
    first = idents(bare.Threads(), 2)
    before = threading.stack_size(1 << 20)
    try:
        assert idents(bare.Threads(), 2).isdisjoint(first)
        assert threading.stack_size(1 << 20) == 1 << 20  # to ask has not changed it
    finally:
        threading.stack_size(before)
    assert idents(bare.Threads(), 2) == first


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals cannot be blocked")
def test_signals_that_a_task_has_blocked_are_blocked_in_no_other_call() -> None:
    masks: list[set[signal.Signals]] = []
    done(bare.Threads(), lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]))
    done(bare.Threads(), lambda: masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ())))  # type: ignore[arg-type]
    assert bare.n_resting() == 1
    assert signal.SIGUSR1 not in masks[0]


def test_a_profiler_that_a_task_has_set_follows_no_other_call() -> None:
    seen: list[object] = []
    done(bare.Threads(), lambda: sys.setprofile(lambda *_: None))
    done(bare.Threads(), lambda: seen.append(sys.getprofile()))
    assert seen == [None]


def test_no_thread_rests_where_it_may_be_a_greenlet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gevent", sys)
    done(bare.Threads(), lambda: None)
    assert bare.n_resting() == 0


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="the system does not tell what its threads block")
def test_a_signal_that_the_program_has_blocked_waits_for_it(fresh_python: Callable[..., str]) -> None:
    """In a program of its own: a library's threads, which other tests may have started, take any signal."""
    source = """
import os, signal, time
from amorsize import pmap

came = []
signal.signal(signal.SIGUSR1, lambda *_: came.append("late"))
pmap(lambda _: time.sleep(0.001), range(40), backend="thread", n_jobs=8)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])

def takes_it(thread):
    with open(f"/proc/self/task/{thread}/status") as status:
        blocked = next(line for line in status if line.startswith("SigBlk")).split()[1]
    return not int(blocked, 16) >> (signal.SIGUSR1 - 1) & 1

while any(map(takes_it, os.listdir("/proc/self/task"))):
    time.sleep(0.001)
os.kill(os.getpid(), signal.SIGUSR1)
time.sleep(0.02)
came.append("blocked")
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
print(len(os.listdir("/proc/self/task")), *came)
"""
    assert fresh_python("-c", source).split() == ["9", "blocked", "late"]


def test_what_a_call_has_made_is_gone_when_it_returns() -> None:
    class Result:
        pass

    gc.disable()
    try:
        results = pmap(lambda _: Result(), range(40), backend="thread", n_jobs=4)
        alive = [weakref.ref(result) for result in results]
        del results
        until(lambda: not any(ref() for ref in alive))  # the lines after a thread has told its end
    finally:
        gc.enable()


def test_destructors_of_what_a_call_has_made_run_before_its_thread_rests() -> None:
    resting: list[int] = []

    class Task:
        def __call__(self) -> None:
            pass

        def __del__(self) -> None:
            resting.append(bare.n_resting())

    is_over = allocate_lock()
    is_over.acquire()
    bare.Threads().start(Task(), is_over.release)
    assert is_over.acquire(timeout=WAIT_S)
    assert resting == [0]


def test_one_that_rests_is_none_of_threading_s() -> None:
    pmap(lambda _: logging.getLogger("amorsize.test").debug(threading.current_thread().name), range(4),
         backend="thread", n_jobs=2)  # fmt: skip
    assert bare.n_resting() == 2
    assert threading.enumerate() == [threading.main_thread()]


def test_who_follows_all_threads_follows_those_that_have_rested_and_no_longer_when_that_is_over() -> None:
    seen: list[str] = []

    def follow(frame: object, _event: str, _arg: object) -> None:
        seen.append(frame.f_code.co_name)  # type: ignore[attr-defined]

    def followed() -> None:
        pass

    done(bare.Threads(), followed)
    threading.setprofile(follow)
    try:
        done(bare.Threads(), followed)
    finally:
        threading.setprofile(None)
    n_seen = seen.count("followed")
    done(bare.Threads(), followed)
    assert n_seen > 0
    assert seen.count("followed") == n_seen


def test_an_exception_from_outside_that_comes_too_late_loses_no_task() -> None:
    """Libraries that limit the time of a call raise one in its thread, which may have gone on to something else."""
    found: list[int] = []
    done(bare.Threads(), lambda: found.append(threading.get_ident()))
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(found[0]), ctypes.py_object(TimeoutError))
    for _ in range(3):
        done(bare.Threads(), lambda: found.append(threading.get_ident()))
    assert found == found[:1] * 4


# ---- the end


def test_a_thread_that_gets_nothing_ends_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bare, "IDLE_S", 0.001)
    first = bare.n_busy()
    done(bare.Threads(), lambda: None)
    until(lambda: bare.n_resting() == 0)
    bare.settle()
    assert (bare.n_resting(), bare.n_busy()) == (0, first)


def test_one_that_is_taken_at_the_moment_of_its_end_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bare, "IDLE_S", 1e-6)
    for _ in range(300):
        done(bare.Threads(), *[lambda: None] * 2)


def test_shutdown_ends_those_that_rest() -> None:
    before = alive.n_native(), len(sys._current_frames())
    idents(bare.Threads(), 5)
    amorsize.shutdown()
    assert len(sys._current_frames()) == before[1]
    # The kernel may count one a moment longer than it knows it, and so may have counted one of an earlier test's.
    until(lambda: (alive.n_native() or 0) <= (before[0] or 0))
    amorsize.shutdown()


@pytest.mark.needs_fork
def test_they_have_ended_before_the_program_forks() -> None:
    idents(bare.Threads(), 5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Python 3.12 warns of a fork beside threads
        child = os.fork()
    if child == 0:
        os._exit(len(sys._current_frames()) - 1 + bare.n_resting())
    assert os.waitpid(child, 0)[1] == 0
    assert bare.n_resting() == 0


@pytest.mark.needs_fork
@pytest.mark.fault("R8")
def test_a_signal_at_a_fork_has_its_handler_called_after_it() -> None:
    class Interrupt(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupt

    def shut_down_and_interrupt() -> None:
        shutdown()
        signal.raise_signal(signal.SIGUSR1)

    shutdown, before = bare.shutdown, signal.signal(signal.SIGUSR1, interrupt)
    idents(bare.Threads(), 3)
    child, is_interrupted = 0, False
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bare, "shutdown", shut_down_and_interrupt)
        try:
            child = os.fork()
            if child == 0:
                os._exit(0)
            until(lambda: is_interrupted)
        except Interrupt:
            is_interrupted = True
        finally:
            signal.signal(signal.SIGUSR1, before)
    assert os.waitpid(child, 0)[1] == 0
    assert is_interrupted


FORKS_BESIDE_A_HOOK = """
import os, signal, sys, time
sys.path[:0] = sys.argv[1:]
os.register_at_fork(after_in_parent=lambda: time.sleep(0.05))
from _thread import allocate_lock
from amorsize.engine import bare

class Interrupt(Exception):
    pass

def interrupt(*_):
    raise Interrupt

def shut_down_and_interrupt():
    shutdown()
    signal.raise_signal(signal.SIGUSR1)

signal.signal(signal.SIGUSR1, interrupt)
ended = allocate_lock()
ended.acquire()
bare.Threads().start(lambda: None, ended.release)
ended.acquire()
shutdown, bare.shutdown = bare.shutdown, shut_down_and_interrupt
try:
    if os.fork() == 0:
        os._exit(0)
    while True:
        time.sleep(0.01)
except Interrupt:
    print("interrupted")
"""


@pytest.mark.needs_fork
@pytest.mark.fault("R8")
def test_a_signal_at_a_fork_is_not_lost_in_the_hooks_of_others() -> None:
    done = subprocess.run(
        # Python 3.13 warns of the thread that will send the signal: it counts once the hooks are over.
        [sys.executable, "-W", "ignore", "-c", FORKS_BESIDE_A_HOOK, *sys.path],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    assert (done.stdout, done.stderr) == ("interrupted\n", "")


@pytest.mark.needs_fork
def test_nothing_forks_while_destructors_of_what_functions_have_kept_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """They may hold locks, which would never open in the child."""
    monkeypatch.setattr(bare, "MOST_ENDING_S", 0.01)
    local, is_going, may_go = threading.local(), threading.Event(), threading.Event()

    class Connection:
        def __del__(self) -> None:
            is_going.set()
            may_go.wait(WAIT_S)

    def connect() -> None:
        local.connection = Connection()

    done(bare.Threads(), connect)
    try:
        assert "other threads are alive" in (safety.no_fork() or "")
        assert is_going.wait(WAIT_S)
    finally:
        may_go.set()
        until(lambda: len(sys._current_frames()) == 1)
    assert safety._other_threads() is None


@pytest.mark.needs_fork
def test_a_stream_that_is_left_early_is_no_obstacle_to_a_fork() -> None:
    for _ in range(5):
        pmap(lambda _: threading.Event().wait(0.001), range(20), backend="thread", n_jobs=4)
        assert safety._other_threads() is None
        with amorsize.pimap(lambda _: threading.Event().wait(0.001), range(80), backend="thread", n_jobs=4) as stream:
            next(stream)
        assert safety._other_threads() is None


@pytest.mark.needs_fork
def test_a_child_that_no_hook_was_called_for_uses_no_thread_of_its_parent(fresh_python: Callable[..., str]) -> None:
    source = """
import ctypes, os
from amorsize import pmap
pmap(abs, range(20), backend="thread", n_jobs=4)
child = ctypes.PyDLL(None).fork()
print(pmap(abs, [-1, -2, -3], backend="thread", n_jobs=2), flush=True)
if child:
    os.waitpid(child, 0)
"""
    assert fresh_python("-c", source).replace("\n", "") == "[1, 2, 3]" * 2


@pytest.mark.needs_fork
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_the_child_of_a_task_that_has_forked_does_not_rest() -> None:
    children: list[int] = []
    done(bare.Threads(), lambda: children.append(os.fork()))
    (child,) = children
    until(lambda: os.waitpid(child, os.WNOHANG)[0] == child)
    assert bare.n_resting() == 1


@pytest.mark.needs_fork
def test_a_call_with_processes_comes_after_one_with_threads_and_the_other_way_round() -> None:
    for _ in range(3):
        assert len(set(pmap(thread_of, range(8), backend="thread", n_jobs=4, chunksize=1))) >= 1
        pids = set(pmap(lambda _: os.getpid(), range(8), backend="process", start_method="fork", isolate=True))
        assert os.getpid() not in pids


@pytest.mark.fault("R8")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer sends signals")
def test_a_handler_that_raises_while_a_thread_is_taken_loses_none() -> None:
    class Interrupt(Exception):
        pass

    def interrupt(_number: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_code.co_filename == bare.__file__:
            raise Interrupt

    def end() -> None:
        over.release()

    before = signal.signal(signal.SIGALRM, interrupt)
    over, n_interrupted = threading.Semaphore(0), 0
    for k in range(400):
        try:
            signal.setitimer(signal.ITIMER_REAL, 1e-6 * (1 + k % 40))
            bare.Threads().start(lambda: None, end)
            over.acquire(timeout=WAIT_S)
        except Interrupt:
            n_interrupted += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    bare.settle()  # before the handler goes: one that is still due has its turn here
    signal.signal(signal.SIGALRM, before)
    amorsize.shutdown()
    assert n_interrupted > 0
    assert len(sys._current_frames()) == 1


def test_a_program_ends_at_once_although_threads_rest(fresh_python: Callable[..., str]) -> None:
    source = """
import atexit, sys, time
from amorsize import pmap
from amorsize.engine import bare
atexit.register(lambda: print(bare.n_resting(), len(sys._current_frames())))
print(len(set(pmap(lambda n: time.sleep(0.001), range(100), backend="thread", n_jobs=50))))
"""
    assert fresh_python("-c", source).split() == ["1", "0", "1"]


@parallelizable
def nested(n: int) -> list[int]:
    return pmap(abs, [-n, n], backend="thread", n_jobs=2)


def test_calls_from_several_threads_at_once_share_them() -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: pmap(lambda k: k * n, range(50), backend="thread", n_jobs=4), range(40)))
    assert found == [[k * n for k in range(50)] for n in range(40)]
    assert 0 < bare.n_resting() <= 16
    assert pmap(nested, range(4), backend="thread", n_jobs=2) == [[n, n] for n in range(4)]
