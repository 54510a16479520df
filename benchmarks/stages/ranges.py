"""Ranges and messages, beside the bare system calls that they are made of."""

from __future__ import annotations

import marshal
import os
import socket
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from amorsize.engine import wire
from amorsize.engine.collect import Collector
from amorsize.engine.counter import open_counter
from amorsize.engine.desk import Desk
from amorsize.engine.encoding import MARSHAL_VERSION
from amorsize.engine.fed.link import Link
from amorsize.engine.job import Range
from amorsize.engine.message import TASK
from amorsize.engine.watch import CELLS_PER_WORKER
from amorsize.inline import Work
from benchmarks.stages.clock import timed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.stages.clock import Sides

N_TAKES = 1_000
"""Ranges taken between two readings of the clock."""

N_TRIPS = 100
"""Messages whose seconds are added up for one figure: 2 ms in all."""

N_PARTS, PART = 200, 100
"""Ranges put in order at once, and the results of each."""

SAID = bytes(wire.HEADER.size + len(marshal.dumps([0], MARSHAL_VERSION)))
"""As long as a message with one number."""


@contextmanager
def take() -> Iterator[Sides]:
    """Measure sizing and taking a range beside the system call that moves a file's offset."""
    with closing(open_counter()) as counter, open(os.memfd_create("floor"), "rb", buffering=0) as file:
        sizes = Range(2, None, 1e-3)
        yield (
            partial(timed, lambda: counter.take(sizes.wanted(10_000)), N_TAKES),
            partial(timed, partial(os.lseek, file.fileno(), 1, os.SEEK_CUR), N_TAKES),
        )


class _Wire:
    """Both ends of a worker's pipe in one process."""

    def __init__(self, opened: ExitStack) -> None:
        self.read_end, self.write_end = os.pipe()
        arena = os.memfd_create("amorsize-results")
        for fd in (self.read_end, self.write_end, arena):
            opened.callback(os.close, fd)
        cells = memoryview(bytearray(CELLS_PER_WORKER * 8)).cast("q")
        self._desk = Desk(wire.Outbox(self.write_end, arena, cells, 2), cells, 0)
        self._inbox = wire.Inbox(self.read_end, arena, cells, 2)
        self._collector = Collector(Work(abs, ([0],)), [])

    def publish(self) -> None:
        """Say what a worker says after a range of one item."""
        self._desk.open(0, 1).append(0)
        self._desk.publish()

    def take_in(self) -> None:
        """Do what the caller does with it."""
        for message in self._inbox.receive():
            self._collector.add(message.start, message.load())


@contextmanager
def messages(side: int) -> Iterator[Sides]:
    """Measure one side of a message, 0 for the worker's, beside as many bytes through a bare pipe."""
    with ExitStack() as opened:
        line = _Wire(opened)
        write, read = partial(os.write, line.write_end, SAID), partial(os.read, line.read_end, 1 << 16)
        yield partial(_trips, side, (line.publish, line.take_in)), partial(_trips, side, (write, read))


def _trips(side: int, acts: tuple[Callable[[], object], Callable[[], object]]) -> float:
    """Return the mean seconds of one side of many messages, said and heard in turn."""
    return sum([(timed(acts[0]), timed(acts[1]))[side] for _ in range(N_TRIPS)]) / N_TRIPS


@contextmanager
def order() -> Iterator[Sides]:
    """Measure collecting ranges that come in any order, beside joining lists that lie in order; for one range."""
    parts: dict[int, list[object]] = {at * PART: [*range(PART)] for at in range(N_PARTS)}
    mixed = sorted(parts, key=lambda start: start * 7_919 % (N_PARTS * PART + 1))
    work = Work(abs, (range(N_PARTS * PART),))

    def stage() -> None:
        collector = Collector(work, [])
        for start in mixed:
            collector.add(start, parts[start])
        collector.ordered()

    def floor() -> None:
        results: list[object] = []
        for part in parts.values():
            results.extend(part)

    yield partial(timed, stage, n_inside=N_PARTS), partial(timed, floor, n_inside=N_PARTS)


@contextmanager
def feed() -> Iterator[Sides]:
    """Measure a task sent to a fed worker and its result back, beside as many bytes over a bare socket."""
    with ExitStack() as opened:
        caller, worker, here, there = [
            opened.enter_context(end) for pair in (socket.socketpair(), socket.socketpair()) for end in pair
        ]
        for end in (caller, worker):
            end.setblocking(False)
        ours, theirs = Link(caller), Link(worker)

        def stage() -> None:
            ours.send_values(TASK, 0, [0])
            for task in theirs.receive():
                theirs.send_results(task.start, task.load(), 0.0)
            for answer in ours.receive():
                answer.load()

        def floor() -> None:
            for sender, receiver in ((here, there), (there, here)):
                sender.send(SAID)
                receiver.recv(1 << 16)

        yield partial(timed, stage, N_TRIPS), partial(timed, floor, N_TRIPS)
