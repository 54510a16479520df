"""Have workers end with their caller, however it ends (Linux)."""

from __future__ import annotations

import errno
import os
import sys

assert sys.platform == "linux"  # before the imports: elsewhere, type checkers find nothing behind them

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal  # the C half is loaded anyway; `signal` itself costs 3.3 ms

F_GETFL, F_SETFL, F_SETOWN, F_SETSIG = 3, 4, 8, 10  # Linux's numbers; the module fcntl has no name for the last


class Lifeline:
    """A pipe whose writing end only the caller holds: when the caller is gone, the kernel kills the workers.

    The signal comes from the kernel itself (O_ASYNC with F_SETSIG), so it also ends a worker in the middle of C code
    that holds the GIL, 1-4 ms after the caller. A thread that waits for end-of-file never runs there, and
    PR_SET_PDEATHSIG fires when the forking *thread* ends and costs 4.7 ms of ctypes.

    Raises:
        OSError: where no descriptor is left, or the module that tells the kernel is missing.
    """

    __slots__ = ("_write_end", "read_end")

    def __init__(self) -> None:
        try:
            import fcntl as _  # noqa: F401 - for `hold`: each worker would load it, in 1 ms, the caller once, in 0.3
        except ImportError as error:  # as of a system that has no room for workers: the caller goes on alone
            raise OSError(errno.ENOSYS, str(error)) from error
        self.read_end, self._write_end = os.pipe()
        _of_callers.append(self)

    def hold(self) -> None:
        """Tie this forked worker's life to the caller's."""
        hold(self.read_end)

    def let_go(self) -> None:
        """Be no caller's any more."""
        os.close(self._write_end)

    def close(self) -> None:
        if self in _of_callers:
            _of_callers.remove(self)
            self.let_go()
        os.close(self.read_end)


_of_callers: list[Lifeline] = []
"""All lifelines that this process, the caller, has."""


def _let_go() -> None:
    """Let go of all, in a child: the workers of two streams, each holding the other's, would live for ever, and those
    of a stream beside which a program forks for as long as its child."""
    while _of_callers:
        _of_callers.pop().let_go()


os.register_at_fork(after_in_child=_let_go)


def hold(read_end: int) -> None:
    """Tie this process's life to whoever holds the writing end of the pipe.

    The pipe is opened anew because the owner of SIGIO belongs to the open file description: inherited as it is, only
    the last worker would be killed. A caller that was killed just after the fork, before this, sends no signal any
    more: the pipe's end tells it.
    """
    from fcntl import fcntl

    own = os.open(f"/proc/self/fd/{read_end}", os.O_RDONLY | os.O_NONBLOCK)
    os.close(read_end)
    fcntl(own, F_SETOWN, os.getpid())
    fcntl(own, F_SETSIG, signal.SIGKILL)
    fcntl(own, F_SETFL, fcntl(own, F_GETFL) | os.O_ASYNC)
    try:
        is_gone = not os.read(own, 1)
    except BlockingIOError:
        return
    if is_gone:
        os._exit(1)
