"""Start and end workers by fork (Linux).

A worker is a copy of the caller: function and data are there already, nothing is pickled on the way in. What a forked
child must not share with its parent is undone in `_become_worker`, once, in order.

Everything that only Linux has is in this module and in `counter`: pidfd, memory files, SIGIO ownership, affinity.
"""

from __future__ import annotations

import gc
import os
import select
import sys
from time import clock_gettime

from amorsize.engine import wire

assert sys.platform == "linux"

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from typing import NoReturn

    from amorsize.engine.held import Held
else:
    import _signal as signal  # the C half is loaded anyway; `signal` itself costs 3.3 ms

CPUCLOCK_SCHED = 2  # Linux's number for the CPU clock of a whole process
F_GETFL, F_SETFL, F_SETOWN, F_SETSIG = 3, 4, 8, 10  # Linux's numbers; the module fcntl has no name for the last

LINGER_MS = 1000
"""A worker that has closed its pipe has this many ms to end by itself: flush its output, tear down its memory."""


class Lifeline:
    """A pipe whose writing end only the caller holds: when the caller is gone, the kernel kills the workers.

    The signal comes from the kernel itself (O_ASYNC with F_SETSIG), so it also ends a worker in the middle of C code
    that holds the GIL, 1-4 ms after the caller. A thread that waits for end-of-file never runs there, and
    PR_SET_PDEATHSIG fires when the forking *thread* ends and costs 4.7 ms of ctypes.
    """

    __slots__ = ("_fcntl", "_read_end", "_write_end")

    def __init__(self) -> None:
        import fcntl  # loaded before the fork: each worker that had to load it would start 0.8 ms later

        self._fcntl = fcntl.fcntl
        self._read_end, self._write_end = os.pipe()

    def hold(self) -> None:
        """Tie this worker's life to the caller's.

        The pipe is opened anew because the owner of SIGIO belongs to the open file description: inherited as it is,
        only the last worker would be killed.
        """
        os.close(self._write_end)
        own = os.open(f"/proc/self/fd/{self._read_end}", os.O_RDONLY | os.O_NONBLOCK)
        os.close(self._read_end)
        self._fcntl(own, F_SETOWN, os.getpid())
        self._fcntl(own, F_SETSIG, signal.SIGKILL)
        self._fcntl(own, F_SETFL, self._fcntl(own, F_GETFL) | os.O_ASYNC)

    def close(self) -> None:
        os.close(self._read_end)
        os.close(self._write_end)


class ForkedWorker:
    """A running worker, seen from the caller.

    Attributes:
        pid: its process id.
        pidfd: a descriptor that becomes readable when it has ended; None on a kernel without them (before 5.3).
        pipe: where it announces results.
        inbox: reads them.
        cell: index of its shared integers.
        expected: it has said that it is done, or was told to end: its end is no death.
    """

    __slots__ = ("_arena", "_cpu_s", "_is_open", "_status", "cell", "expected", "inbox", "pid", "pidfd", "pipe")

    def __init__(self, pid: int, pipe: int, arena: int, cells: memoryview, cell: int) -> None:
        self.pid = pid
        self.pipe = pipe
        self.cell = cell
        self.expected = False
        self._arena = arena
        self._cpu_s: float | None = 0.0
        self._status: tuple[int | None, int | None] | None = None
        self._is_open = True
        self.inbox = wire.Inbox(pipe, arena, cells, cell + 2)
        try:
            self.pidfd: int | None = os.pidfd_open(pid)
        except OSError:
            self.pidfd = None

    def events(self) -> list[int]:
        """Return the descriptors that become readable when it announces something or ends."""
        return [self.pipe] if self.pidfd is None else [self.pipe, self.pidfd]

    @property
    def cpu_s(self) -> float | None:
        """CPU seconds that it has used so far, to the microsecond, for 0.5 us; None where the system does not tell.

        The number is the process's CPU clock as the kernel defines it (`clock_getcpuclockid` in C).
        """
        try:
            self._cpu_s = clock_gettime(~self.pid << 3 | CPUCLOCK_SCHED)
        except OSError:  # it has been reaped: the last reading stands; a kernel without such clocks never gave one
            self._cpu_s = self._cpu_s or None
        return self._cpu_s

    def descriptors(self) -> list[int]:
        """Return what a sibling must close."""
        return [fd for fd in (self.pipe, self._arena, self.pidfd) if fd is not None] if self._is_open else []

    def kill(self) -> None:
        """End it at once; harmless where it has ended already."""
        if self._status is not None:
            return
        try:
            if self.pidfd is None:
                os.kill(self.pid, signal.SIGKILL)
            else:
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        except ProcessLookupError:
            return

    def end(self) -> tuple[int | None, int | None]:
        """Wait for its end, which it has announced or was told, and take its exit status.

        Returns:
            (exit code, None), (None, signal), or (None, None) where somebody else took the status first.
        """
        if self._status is None:
            self._status = self._wait()
        return self._status

    def _wait(self) -> tuple[int | None, int | None]:
        """Wait for this child alone: the caller's other children are the caller's.

        One that has closed its pipe and lives on (a function that closes all descriptors) is killed.
        """
        kind, name = (os.P_PID, self.pid) if self.pidfd is None else (os.P_PIDFD, self.pidfd)
        if self.pidfd is not None:
            watch = select.poll()
            watch.register(self.pidfd, select.POLLIN)
            if not watch.poll(LINGER_MS):
                self.kill()
        try:
            ended = os.waitid(kind, name, os.WEXITED)
        except ChildProcessError:
            return None, None
        if ended is None:
            return None, None
        return (ended.si_status, None) if ended.si_code == os.CLD_EXITED else (None, ended.si_status)

    def close(self) -> None:
        """End it if it still lives, and give its descriptors back; a second time, do nothing."""
        self.kill()
        self.end()
        descriptors, self._is_open = self.descriptors(), False
        for fd in descriptors:
            os.close(fd)


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
            pid = _fork()
            if pid == 0:
                siblings_fds = [fd for sibling in siblings for fd in sibling.descriptors()]
                outbox = wire.Outbox(write_end, arena, cells, cell + 2)
                _become_worker(lambda: serve(outbox), lifeline, [read_end, *siblings_fds])
        except OSError:
            for fd in opened:
                os.close(fd)
            raise
        os.close(write_end)
        worker = ForkedWorker(pid, read_end, arena, cells, cell)
        siblings.append(worker)
        _wake_elsewhere(pid)
    return worker


def _fork() -> int:
    """Fork; whether that is safe here was decided before (`safety.refusal`).

    Python 3.12 warns of every native thread; those of a BLAS pool, which survive a fork, are the only ones here.
    """
    for stream in (sys.stdout, sys.stderr):
        _flush(stream)
    warnings = sys.modules.get("warnings")
    if warnings is None or sys.version_info < (3, 12):
        return os.fork()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _flush(stream: object) -> None:
    """Flush a standard stream, so that what is in its buffer is not printed by both sides."""
    try:
        stream.flush()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # None, or whatever a program put there
    except (AttributeError, OSError, ValueError):
        return


def _become_worker(serve: Callable[[], None], lifeline: Lifeline, foreign_fds: list[int]) -> NoReturn:
    """Undo what a child must not share with its parent, serve, and leave without running the parent's exit code."""
    status = 1
    try:
        lifeline.hold()
        for fd in foreign_fds:
            os.close(fd)
        _reset_signals()
        gc.freeze()
        _reseed_numpy()
        serve()
        _save_coverage()
        status = 0
    except BrokenPipeError:
        pass  # the caller has stopped listening and is about to end this worker
    except BaseException as error:  # nothing may unwind into the parent's frames; what is left to tell goes to stderr
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        try:
            for stream in (sys.stdout, sys.stderr):
                _flush(stream)
        finally:
            os._exit(status)


def _reset_signals() -> None:
    """Give every signal that the caller handles in Python its default again; Ctrl-C is the caller's to answer."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, _leave_to_caller)


def _leave_to_caller(_number: int, _frame: object) -> None:
    """Let Ctrl-C pass. To ignore the signal instead would be inherited by programs that items run: they would go on."""


def _reseed_numpy() -> None:
    """Give the worker its own random numbers; Python's `random` does that by itself at a fork."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def _save_coverage() -> None:
    """Have a running coverage measurement keep what this worker ran: `os._exit` skips the hook that would.

    Only one that keeps a file for each process (`parallel = true`), as coverage itself asks of programs with several.
    """
    coverage = sys.modules.get("coverage")
    measurement = coverage.Coverage.current() if coverage is not None else None
    if measurement is not None and measurement.get_option("run:parallel"):
        measurement.stop()
        measurement.save()


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
