"""A child process of ours: watch it, end it, and take its exit status and nobody else's (POSIX)."""

from __future__ import annotations

import os
import sys

from amorsize import footprint

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from typing import TypeAlias, TypeVar

    T = TypeVar("T")
    Status: TypeAlias = tuple[int | None, int | None]  # exit code, signal; both None: somebody else took it
else:
    import _signal as signal  # the C half is loaded anyway; `signal` itself costs 3.3 ms

assert sys.platform != "win32"

CPUCLOCK_SCHED = 2  # Linux's number for the CPU clock of a whole process

LINGER_MS = 1000
"""A child that has closed its pipe has this many ms to end by itself: flush its output, tear down its memory."""


class Spare:
    """A context in which what is opened leaves the process four descriptors: for an item that opens a file, as it could
    in the plain loop, and for modules that are loaded late."""

    __slots__ = ("_ends",)

    def __init__(self) -> None:
        self._ends: list[int] = []

    def __enter__(self) -> None:
        """Raise OSError where there are not so many."""
        try:
            self._ends += os.pipe()
            self._ends += os.pipe()
        except OSError:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        while self._ends:
            os.close(self._ends.pop())


def as_many(n_workers: int, open_one: Callable[[], T]) -> tuple[list[T], OSError | None]:
    """Open something for each of so many workers, or as many as there is room for; return it, and why not for all."""
    opened: list[T] = []
    try:
        with Spare():
            while len(opened) < n_workers:
                opened.append(open_one())
    except OSError as error:
        return opened, error
    return opened, None


class Process:
    """A child process.

    Attributes:
        pid: its process id.
        pidfd: a descriptor that becomes readable when it has ended; None on a kernel without them (Linux before 5.3).
    """

    __slots__ = ("_cpu_s", "_is_open", "_status", "pid", "pidfd")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._cpu_s: float | None = 0.0
        self._status: Status | None = None
        self._is_open = True
        self.pidfd = _pidfd(pid)

    @property
    def cpu_s(self) -> float | None:
        """CPU seconds that it has used so far, to the microsecond, for 0.5 us; None where the system does not tell.

        The number is the process's CPU clock as the kernel defines it (`clock_getcpuclockid` in C).
        """
        from time import clock_gettime

        try:
            self._cpu_s = clock_gettime(~self.pid << 3 | CPUCLOCK_SCHED)
        except OSError:  # it has been reaped: the last reading stands; a system without such clocks never gave one
            self._cpu_s = self._cpu_s or None
        return self._cpu_s

    def highest_bytes(self) -> int | None:
        """Return the most memory that it has held so far; None where the system does not tell, or it has ended."""
        found = footprint.of(self.pid) if self._status is None else None
        return found and found[1]

    def descriptors(self) -> list[int]:
        """Return all that are open for it here: what a sibling must close."""
        return [] if self.pidfd is None else [self.pidfd]

    def kill(self) -> None:
        """End it at once; harmless where it has ended already."""
        if self._status is not None:
            return
        try:
            if self.pidfd is None or sys.platform != "linux":
                os.kill(self.pid, signal.SIGKILL)
            else:
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        except ProcessLookupError:
            return

    def end(self) -> Status:
        """Wait for its end, which it has announced or was told, and take its exit status.

        One that has closed its pipe and lives on (a function that closes all descriptors) is killed.

        Returns:
            (exit code, None), (None, signal), or (None, None) where somebody else took the status first.
        """
        if self._status is None:
            if self.pidfd is not None and not _is_readable(self.pidfd, LINGER_MS):
                self.kill()
            self._status = self._reap(0)
        return self._status or (None, None)

    def has_ended(self) -> bool:
        """Tell, without waiting, whether it has ended; its status is taken then."""
        if self._status is None:
            self._status = self._reap(os.WNOHANG)
        return self._status is not None

    def _reap(self, options: int) -> Status | None:
        """Wait for this child alone: the caller's other children are the caller's. None: it still lives."""
        try:
            if self.pidfd is None or sys.platform != "linux":
                pid, status = os.waitpid(self.pid, options)
                if not pid:
                    return None
                return (None, os.WTERMSIG(status)) if os.WIFSIGNALED(status) else (os.WEXITSTATUS(status), None)
            ended = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | options)  # by pid, it might be a later child by now
        except ChildProcessError:
            return None, None
        if ended is None:
            return None
        return (ended.si_status, None) if ended.si_code == os.CLD_EXITED else (None, ended.si_status)

    def close(self) -> None:
        """End it if it still lives, and give its descriptors back; a second time, do nothing."""
        self.kill()
        self.end()
        if self._is_open:
            self._is_open = False
            for fd in self.descriptors():
                os.close(fd)


def _pidfd(pid: int) -> int | None:
    if sys.platform == "linux" and hasattr(os, "pidfd_open"):
        try:
            return os.pidfd_open(pid)
        except OSError:
            return None
    return None


def _is_readable(fd: int, timeout_ms: int) -> bool:
    import select

    watch = select.poll()
    watch.register(fd, select.POLLIN)
    return bool(watch.poll(timeout_ms))
