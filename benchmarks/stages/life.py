"""The life of a forked worker, beside that of a bare child of a process with the same resident memory."""

from __future__ import annotations

import mmap
import os
import select
import signal
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from time import perf_counter, sleep, thread_time
from typing import TYPE_CHECKING, NamedTuple

from amorsize.engine import supervise, wire
from amorsize.engine.collect import Collector
from amorsize.engine.fork import ForkedWorker, start_workers
from amorsize.engine.held import Held
from amorsize.engine.job import Job
from amorsize.engine.lifeline import Lifeline
from amorsize.engine.message import DONE
from amorsize.engine.watch import CELLS_PER_WORKER
from amorsize.inline import Work
from amorsize.records import Plan
from benchmarks.stages.clock import timed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.stages.clock import Sides

BUSY_S = 0.5e-3
"""A worker answers after so many seconds: its caller surely sleeps then, and waking it is what is measured."""


N_TOGETHER = 16
LONG_S = 60.0
"""Longer than anybody lets such a worker live."""


class Life(NamedTuple):
    """Seconds of a worker that is busy for `BUSY_S` and says so.

    Attributes:
        start: the caller is kept by its start.
        begin: from the begin of its start to its own first line.
        wake: from the begin of its message to the caller awake.
        leave: from the end of its message to its end seen by the caller.
        end: the caller takes its status and closes what was open for it.
    """

    start: float
    begin: float
    wake: float
    leave: float
    end: float


@contextmanager
def living(name: str) -> Iterator[Sides]:
    """Measure one part of a worker's life beside that of a bare child."""
    with ExitStack() as opened:
        stamps = memoryview(opened.enter_context(mmap.mmap(-1, 3 * 8))).cast("d")
        opened.callback(stamps.release)
        lifeline = opened.enter_context(closing(Lifeline()))
        yield (
            lambda: float(getattr(_life(stamps, lifeline), name)),
            lambda: float(getattr(_bare_life(stamps), name)),
        )


def _life(stamps: memoryview[float], lifeline: Lifeline) -> Life:
    cells = memoryview(bytearray(CELLS_PER_WORKER * 8)).cast("q")

    def serve(outbox: wire.Outbox, _number: int) -> None:
        _say_late(stamps, lambda: outbox.send(DONE, 0, 0, 0.0, b""))

    began_s = perf_counter()
    workers: list[ForkedWorker] = []
    start_workers(serve, 1, cells, lifeline, workers, Held())
    (worker,) = workers
    started_s = perf_counter()
    _wait_for(worker.pipe)
    heard_s = perf_counter()
    gone_s = _seen_to_end(worker.pid)
    worker.close()
    return _life_of(began_s, started_s, heard_s, gone_s, stamps)


def _bare_life(stamps: memoryview[float]) -> Life:
    read_end, write_end = os.pipe()
    began_s = perf_counter()
    pid = os.fork()
    if not pid:
        try:
            _say_late(stamps, lambda: os.write(write_end, b"."))
        finally:
            os._exit(0)
    started_s = perf_counter()
    _wait_for(read_end)
    heard_s = perf_counter()
    gone_s = _seen_to_end(pid)
    os.waitpid(pid, 0)
    life = _life_of(began_s, started_s, heard_s, gone_s, stamps)
    os.close(read_end)
    os.close(write_end)
    return life


def _say_late(stamps: memoryview[float], say: Callable[[], object]) -> None:
    """Stamp the first moment of a child, the one before its message, and the one after."""
    stamps[0] = perf_counter()  # on Linux all processes read one clock
    while perf_counter() < stamps[0] + BUSY_S:
        pass
    stamps[1] = perf_counter()
    say()
    stamps[2] = perf_counter()


def _wait_for(pipe: int) -> None:
    watch = select.poll()
    watch.register(pipe, select.POLLIN)
    watch.poll()


def _seen_to_end(pid: int) -> float:
    """Return when a child was seen to have ended; its status is left to be taken."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return perf_counter()


def _life_of(began_s: float, started_s: float, heard_s: float, gone_s: float, stamps: memoryview[float]) -> Life:
    """Return the parts of a life whose status has just been taken."""
    return Life(
        start=started_s - began_s,
        begin=stamps[0] - began_s,
        wake=heard_s - stamps[1],
        leave=gone_s - stamps[2],
        end=perf_counter() - gone_s,
    )


@contextmanager
def together() -> Iterator[Sides]:
    """Measure the start of one of `N_TOGETHER` workers, beside as many bare forks, in CPU seconds of the caller: where
    there are fewer cores, those that have begun take its time away."""
    cells = memoryview(bytearray(N_TOGETHER * CELLS_PER_WORKER * 8)).cast("q")

    def stage() -> float:
        workers: list[ForkedWorker] = []
        began_s = thread_time()
        start_workers(lambda _outbox, _number: sleep(LONG_S), N_TOGETHER, cells, lifeline, workers, Held())
        seconds = thread_time() - began_s
        for worker in workers:
            worker.close()
        return seconds / N_TOGETHER

    def floor() -> float:
        began_s = thread_time()
        pids = [_bare_sleeper() for _ in range(N_TOGETHER)]
        seconds = thread_time() - began_s
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        return seconds / N_TOGETHER

    with closing(Lifeline()) as lifeline:
        yield stage, floor


def _bare_sleeper() -> int:
    pid = os.fork()
    if not pid:
        try:
            sleep(LONG_S)
        finally:
            os._exit(0)
    return pid


@contextmanager
def crew() -> Iterator[Sides]:
    """Measure making and giving back what all workers share, beside the same out of bare system calls."""
    work = Work(abs, (range(2),))
    plan = Plan(backend="process", n_jobs=2, chunksize=1, reason="", start_method="fork")

    def stage() -> None:
        crew = supervise.Crew(Job(work, Collector(work, []), plan, lambda _: None, None, None))
        crew.open()
        crew.close()

    def floor() -> None:
        with mmap.mmap(-1, mmap.PAGESIZE):
            for fd in (*os.pipe(), os.memfd_create("floor")):
                os.close(fd)

    yield partial(timed, stage), partial(timed, floor)
