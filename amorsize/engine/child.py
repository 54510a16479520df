"""How every process of ours behaves, however it was started: what it leaves to its caller, and how it ends."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import NoReturn
else:
    import _signal as signal  # the C half is loaded anyway; `signal` itself costs 3.3 ms

FOR_ALL = ("SIGHUP", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2")
"""Names of signals that reach all processes of a program at once, but for Ctrl-C: of a terminal that is closed, a
service manager, a batch system before the time is up. Where the caller has a handler, it is the caller's to answer."""


def handled_for_all() -> list[int]:
    """Return those of them that this process handles in Python code."""
    numbers = [getattr(signal, name) for name in FOR_ALL if hasattr(signal, name)]
    return [number for number in numbers if callable(signal.getsignal(number))]


def leave_to_caller(_number: int, _frame: object) -> None:
    """Let a signal pass. To ignore it instead would be inherited by programs that items run: they would go on."""


def save_coverage() -> None:
    """Have a running coverage measurement keep what this worker has run: `os._exit` skips the hook that would.

    Only one that keeps a file for each process (`parallel = true`), as coverage itself asks of programs with several.
    """
    coverage = sys.modules.get("coverage")
    measurement = coverage.Coverage.current() if coverage is not None else None
    if measurement is not None and measurement.get_option("run:parallel"):
        measurement.save()


def hold(read_end: int) -> None:
    """End with whoever holds the writing end of this pipe, as soon as Python code can run here.

    Only Linux can have the kernel do it (`engine.lifeline`), also in the middle of C code that holds the GIL.
    """
    from _thread import start_new_thread

    def wait() -> None:
        while os.read(read_end, 1):
            pass
        os._exit(1)

    start_new_thread(wait, ())


def flush_output() -> str | None:
    """Flush the standard streams: what is in their buffers must be printed, and by one side only.

    Returns:
        What the caller is to be told where that failed, and a worker loses what its items print; else None.
    """
    lost: str | None = None
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:  # a full disk, or a pipe that nobody reads
            lost = lost or f"a worker could not write what its items print: {error}"
        except Exception:  # of None, or whatever a program put there; given up: what it may hold in its buffer
            continue
    return lost


def told(error: BaseException) -> int:
    """Tell on stderr what ends this process, as Python does; return the exit status that it gives."""
    if not isinstance(error, SystemExit):
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    if sys.stderr is not None:
        sys.stderr.write(f"{error.code}\n")
    return 1


def leave(status: int) -> NoReturn:
    """End this process without running what its program has registered for its exit."""
    try:
        flush_output()
    finally:
        os._exit(status)
