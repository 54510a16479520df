"""Start fresh interpreters: the command, the process, and what it inherits.

    caller                          interpreter
      line   <----- socket ------->   line            posix_spawn; on Windows Popen, and the socket's number by stdin
      lifeline ---- pipe ---------->  held open       its end is the caller's end

Nothing else of the caller's is open in the new process, and `__main__` is not run there.
"""

from __future__ import annotations

import os
import sys

import amorsize
from amorsize.engine import safety
from amorsize.engine.child import handled_for_all
from amorsize.engine.spawn.surroundings import import_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
    from typing import Protocol

    from amorsize.engine.process import Status

    class ChildProcess(Protocol):
        """A process of ours: `engine.process.Process`, and its stand-in on Windows."""

        pid: int
        pidfd: int | None

        @property
        def cpu_s(self) -> float | None: ...
        def highest_bytes(self) -> int | None: ...
        def descriptors(self) -> list[int]: ...
        def kill(self) -> None: ...
        def end(self) -> Status: ...
        def has_ended(self) -> bool: ...
        def close(self) -> None: ...

else:
    import _signal as signal  # the C half is loaded anyway; `signal` itself costs 3.3 ms
    import _socket as socket  # the C half is all that is needed; `socket` itself costs 5 ms

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(amorsize.__file__)))

PROGRAM = "import sys; sys.path[:] = {path!r}; from amorsize.engine.spawn.worker import main; main({arguments})"

FLAGS = {
    "debug": "d", "dont_write_bytecode": "B", "no_site": "S", "verbose": "v", "bytes_warning": "b", "quiet": "q",
    "optimize": "O", "safe_path": "P",
}  # fmt: skip
"""Settings that a new interpreter gets by a letter, as often as the setting says."""


def refusal() -> str | None:
    """Return why no interpreter can be launched here, in words; None where one can."""
    executable = sys.executable
    if sys.platform in safety.WITHOUT_PROCESSES:
        return f"{sys.platform} has no processes to start"
    if getattr(sys, "frozen", False):
        return "this program is frozen: its executable is no interpreter that could be launched"
    if not executable or not os.access(executable, os.X_OK):
        return f"Python is embedded here: sys.executable ({executable!r}) is no program that could be launched"
    if "py" not in os.path.basename(executable).lower():
        return f"Python is embedded here: sys.executable ({executable!r}) does not look like an interpreter"
    if sys.platform == "linux" and not os.access("/proc/self/fd", os.X_OK):
        return "/proc is not mounted: without it, fresh interpreters would outlive their caller"
    return safety.no_workers()


def command(arguments: str) -> list[str]:
    """Return what to run: this interpreter with its own flags, and a program that finds amorsize where this one did."""
    path = import_path()
    if ROOT not in path:
        path.append(ROOT)
    return [sys.executable, *flags(), "-c", PROGRAM.format(path=path, arguments=arguments)]


def flags() -> list[str]:
    """Return the options that this interpreter was started with, as `subprocess._args_from_interpreter_flags` does,
    whose import would cost 10 ms."""
    given = sys.flags
    letters = ["-" + letter * getattr(given, name) for name, letter in FLAGS.items() if getattr(given, name)]
    if given.isolated:
        letters = [*[letter for letter in letters if letter != "-P"], "-I"]
    else:
        letters += ["-E"] * given.ignore_environment + ["-s"] * given.no_user_site
    # These two come with their flags, and must not come twice: the order of filters counts.
    implied = [("default", "error")[given.bytes_warning > 1] + "::BytesWarning"] if given.bytes_warning else []
    implied += ["default"] if given.dev_mode else []
    warned = list(sys.warnoptions)
    for option in implied:
        if option in warned:
            warned.remove(option)
    return letters + [f"-W{option}" for option in warned] + _x_options()


def _x_options() -> list[str]:
    found = []
    for name, value in getattr(sys, "_xoptions", {}).items():
        found += ["-X", name if value is True else f"{name}={value}"]
    return found


if sys.platform != "win32":
    from amorsize.engine.process import Process, Spare

    def start(ahead: str) -> tuple[socket.socket, ChildProcess, int | None]:
        """Launch one interpreter; return the non-blocking end of the line to it, its process, and its lifeline.

        Signal handlers have to be held back meanwhile.

        Args:
            ahead: a module that it loads at once; empty for none.

        Raises:
            OSError: where descriptors, processes or memory are exhausted; nothing is left behind.
        """
        here, there = socket.socketpair()
        pipe: list[int] = []
        try:
            with Spare():
                pipe += os.pipe()
            pid = _spawn(there.fileno(), pipe[0], ahead)
        except OSError:
            here.close()
            for fd in pipe[1:]:
                os.close(fd)
            raise
        finally:
            there.close()
            for fd in pipe[:1]:
                os.close(fd)
        here.setblocking(False)
        return here, Process(pid), pipe[1]

    def _spawn(line: int, lifeline: int, ahead: str) -> int:
        line_fd, lifeline_fd = [fd for fd in range(3, 7) if fd not in (line, lifeline)][:2]
        # Where this program was started without one, SQLite has opened in its place what can only be read. To close
        # what is not open may be an error: it is opened first.
        silent = [fd for fd, stream in ((1, sys.__stdout__), (2, sys.__stderr__)) if stream is None]
        return os.posix_spawn(
            sys.executable,
            command(f"{line_fd}, {lifeline_fd}, {os.getpid()}, {ahead!r}"),
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, line, line_fd),
                (os.POSIX_SPAWN_DUP2, lifeline, lifeline_fd),
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                *[(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDONLY, 0) for fd in silent],
                *[(os.POSIX_SPAWN_CLOSE, fd) for fd in silent],
            ],
            # Ctrl-C waits until the worker can let it pass: a half-started interpreter would print a traceback. So do
            # the signals that this process handles for all: they would end it.
            setsigmask=[*signal.pthread_sigmask(signal.SIG_BLOCK, ()), signal.SIGINT, *handled_for_all()],
        )

else:
    import subprocess

    from amorsize.engine.spawn.windows import WindowsProcess

    def start(ahead: str) -> tuple[socket.socket, ChildProcess, int | None]:
        """Launch one interpreter; its standard input tells it the socket, and is its lifeline."""
        import socket as sockets

        here, there = sockets.socketpair()
        try:
            process = subprocess.Popen(
                command(f"0, 0, {os.getpid()}, {ahead!r}"),
                stdin=subprocess.PIPE,
                creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,  # no Ctrl-C of the caller's console
            )
            shared = there.share(process.pid)
            assert process.stdin is not None
            process.stdin.write(len(shared).to_bytes(4, "little") + shared)
            process.stdin.flush()
        except OSError:
            here.close()
            raise
        finally:
            there.close()
        here.setblocking(False)
        return here, WindowsProcess(process), None
