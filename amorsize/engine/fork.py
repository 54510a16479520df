"""Start and end workers by fork (Linux).

A worker is a copy of the caller: function and data are there already, nothing is pickled on the way in. What a forked
child must not share with its parent is undone in `_become_worker`, once, in order.

Everything that only Linux has is in this module, `counter`, `lifeline` and `wire`: memory files, SIGIO ownership,
affinity.
"""

from __future__ import annotations

import gc
import os
import sys

assert sys.platform == "linux"  # before the imports: elsewhere, type checkers find nothing behind them

from amorsize.engine import wire
from amorsize.engine.child import flush_output, leave, leave_to_caller, save_coverage
from amorsize.engine.process import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterable
    from typing import NoReturn

    from amorsize.engine.held import Held
    from amorsize.engine.lifeline import Lifeline
else:
    import _signal as signal  # the C half is loaded anyway; `signal` itself costs 3.3 ms


class ForkedWorker(Process):
    """A running worker, seen from the caller.

    Attributes:
        pipe: where it announces results.
        inbox: reads them.
        cell: index of its shared integers.
        expected: it has said that it is done, or was told to end: its end is no death.
        done_s: when it has said so, on the clock of `perf_counter`.
    """

    __slots__ = ("_arena", "cell", "done_s", "expected", "inbox", "pipe")

    def __init__(self, pid: int, pipe: int, arena: int, cells: memoryview, cell: int) -> None:
        super().__init__(pid)
        self.pipe = pipe
        self.cell = cell
        self.expected = False
        self.done_s: float | None = None
        self._arena = arena
        self.inbox = wire.Inbox(pipe, arena, cells, cell + 2)

    def events(self) -> list[int]:
        """Return the descriptors that become readable when it announces something or ends."""
        return [self.pipe] if self.pidfd is None else [self.pipe, self.pidfd]

    def descriptors(self) -> list[int]:
        return [self.pipe, self._arena, *super().descriptors()]


def start_worker(
    serve: Callable[[wire.Outbox], None],
    cells: memoryview,
    cell: int,
    lifeline: Lifeline,
    siblings: list[ForkedWorker],
    held: Held,
) -> ForkedWorker:
    """Fork one worker that runs `serve` and ends; it joins `siblings`.

    Signal handlers are held back, so that none, Ctrl-C's least of all, can find a child that nobody knows of.

    Raises:
        OSError: where descriptors, processes or memory are exhausted; nothing is left behind.
    """
    with held:
        opened: list[int] = []
        try:
            opened += os.pipe()
            opened.append(os.memfd_create("amorsize-results"))
            read_end, write_end, arena = opened
            outbox = wire.Outbox(write_end, arena, cells, cell + 2)
            pid = fork_child(lambda: serve(outbox), lifeline, [read_end, *descriptors_of(siblings)])
        except OSError:
            for fd in opened:
                os.close(fd)
            raise
        os.close(write_end)
        worker = ForkedWorker(pid, read_end, arena, cells, cell)
        siblings.append(worker)
    return worker


def descriptors_of(siblings: Iterable[Process]) -> list[int]:
    """Return what a new worker must close: while it holds its siblings' ends, their end-of-file never comes."""
    return [fd for sibling in siblings for fd in sibling.descriptors()]


def fork_child(serve: Callable[[], None], lifeline: Lifeline, foreign_fds: list[int]) -> int:
    """Fork a process that runs `serve` and ends; return its id. Signal handlers have to be held back meanwhile.

    What the caller has forgotten and not yet collected is never collected in the child: it would be finalized twice.
    """
    collects = gc.isenabled()
    gc.disable()  # what others have registered for a fork runs in the child first
    try:
        pid = _fork()
        if pid == 0:
            gc.freeze()
    finally:
        if collects:
            gc.enable()
    if pid == 0:
        _become_worker(serve, lifeline, foreign_fds)
    _wake_elsewhere(pid)
    return pid


def _fork() -> int:
    """Fork; whether that is safe here was decided before (`safety.refusal`).

    Python 3.12 warns of every native thread; those of a BLAS pool, which survive a fork, are the only ones here.
    """
    flush_output()
    warnings = sys.modules.get("warnings")
    if warnings is None or sys.version_info < (3, 12):
        return os.fork()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _become_worker(serve: Callable[[], None], lifeline: Lifeline, foreign_fds: list[int]) -> NoReturn:
    """Undo what a child must not share with its parent, serve, and leave without running the parent's exit code."""
    status = 1
    try:
        lifeline.hold()
        for fd in foreign_fds:
            os.close(fd)
        _reset_signals()
        _reseed_numpy()
        serve()
        save_coverage()
        status = 0
    except BrokenPipeError:
        pass  # the caller has stopped listening and is about to end this worker
    except BaseException as error:  # nothing may unwind into the parent's frames; what is left to tell goes to stderr
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        leave(status)


def _reset_signals() -> None:
    """Give every signal that the caller handles in Python its default again; Ctrl-C is the caller's to answer."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, leave_to_caller)


def _reseed_numpy() -> None:
    """Give the worker its own random numbers; Python's `random` does that by itself at a fork."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def _wake_elsewhere(pid: int) -> None:
    """Have a new worker start on another CPU than the caller's.

    Left alone it often waits 1-4 ms for the caller's own CPU. Naming the other CPUs and taking the limit back at once
    (37 us) made a job of 3.7 ms 1.23x the loop instead of 0.77x; from 12 ms of work on it makes no difference.
    """
    try:
        usable = os.sched_getaffinity(0)
        with open("/proc/self/stat", "rb") as stat:
            here = int(stat.read().rpartition(b") ")[2].split()[36])
        elsewhere = usable - {here}
        if elsewhere:
            os.sched_setaffinity(pid, elsewhere)
            os.sched_setaffinity(pid, usable)
    except (OSError, ValueError, IndexError):
        return  # it has ended already, or a sandbox hides these files: it starts where it starts
