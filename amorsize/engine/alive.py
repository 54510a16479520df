"""Which threads this process has, and what one takes over from the one that starts it."""

from __future__ import annotations

import os
import sys
from _thread import stack_size
from itertools import tee

from amorsize.clocks import usable_cpus

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal  # the C half is loaded anyway; `signal` itself costs 3.3 ms

GREENLETS = ("gevent", "eventlet")
"""Libraries that may have put their own in the place of threads."""


def n_native() -> int | None:
    """Return how many threads the kernel has for this process; None where it does not tell.

    Counted by the links of their folder, one a thread beside its own two: that takes 2 us, and `/proc/self/stat`, for
    which the kernel looks up much more, 10.
    """
    try:
        n_links = os.stat("/proc/self/task").st_nlink
    except OSError as error:
        if error.errno is None:  # a signal handler's
            raise
        return None
    return n_links - 2 if n_links > 2 else None  # some other file system's folder has two or one


def is_alive(ident: int, native_id: int) -> bool:
    """Tell whether a thread, of which these are Python's number and the kernel's, has not quite ended."""
    return ident in sys._current_frames() or os.path.exists(f"/proc/self/task/{native_id}")


def greenlets() -> str | None:
    """Return the name of a loaded library whose greenlets may pass for threads."""
    return next((name for name in GREENLETS if name in sys.modules), None)


def inheritance() -> tuple[object, ...]:
    """Return the process, and what a new thread takes over from the one that starts it: the size of its stack, blocked
    signals, cores, priority. Takes 3 us."""
    everywhere = os.getpid(), stack_bytes(), blocked_signals()
    if sys.platform != "linux":
        return everywhere
    try:
        policy = os.sched_getscheduler(0)
    except OSError:  # of a C library that does not have it
        policy = None
    return *everywhere, usable_cpus(), os.getpriority(os.PRIO_PROCESS, 0), policy


def blocked_signals() -> frozenset[int]:
    """Return the signals that this thread takes none of; none on Windows."""
    if sys.platform == "win32":
        return frozenset()
    return frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def stack_bytes() -> int:
    """Return the size of the stack that new threads get; 0 for the system's own.

    To ask is to set it to 0. It is put back in one step of the interpreter, before another thread asks.
    """
    asked, again = tee(map(stack_size, (0,)))
    size, _ = next(zip(asked, map(stack_size, again), strict=False))
    return size
