"""What the contract calls: functions that any worker finds by name, and what they leave to be looked at."""

from __future__ import annotations

import sys

assert sys.platform != "win32"  # before the imports: signals, named pipes and limits are those of POSIX

import logging
import os
import random
import select
import threading
import warnings
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn, Self

from amorsize import parallelizable, pmap

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

WAIT_S = 30.0
"""Seconds that anything is waited for before it counts as never coming."""

WAKE_S = 0.1
"""Seconds of one wait at most."""

VARIABLE: ContextVar[str] = ContextVar("amorsize.testing.VARIABLE", default="unset")

HERE = threading.local()
"""What an initializer leaves in its own thread."""


class Calls:
    """A file that every call appends a line to: process, thread, item.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def note(self, item: object) -> None:
        """Append a line; a write so short is not divided by others'."""
        line = f"{os.getpid()} {threading.get_ident()} {item}\n".encode()
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(fd, line)
        finally:
            os.close(fd)

    def lines(self) -> list[tuple[int, int, str]]:
        """Return (process, thread, item) of every call, in their order."""
        if not self.path.exists():
            return []
        split = [line.split(" ", 2) for line in self.path.read_text().splitlines()]
        return [(int(process), int(thread), item) for process, thread, item in split]

    def items(self) -> list[int]:
        """Return the items that were called, in the order of their calls."""
        return [int(item) for _, _, item in self.lines()]


class Gate:
    """What opens once and stays open: a named pipe, so that any process or thread can wait at it.

    It pickles as its path. In the process that made it, nothing is opened for waiting, so that an item that is left
    behind leaves no descriptor.

    Args:
        path: where the pipe is made.
    """

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        os.mkfifo(self._path)
        self._owner = os.getpid()
        self._fd = self._open_end()

    def __reduce__(self) -> tuple[object, ...]:
        return _elsewhere, (self._path,)

    def _open_end(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_NONBLOCK)

    def _end(self) -> int:
        return self._fd if self._owner == os.getpid() else self._open_end()

    def _give_back(self, fd: int) -> None:
        if fd != self._fd:
            os.close(fd)

    def wait(self) -> None:
        """Wait until somebody opens it.

        Raises:
            TimeoutError: where nobody does.
        """
        fd = self._end()
        try:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            # In short turns: the handler of a signal that comes just before a wait is called only after it.
            if not any(poll.poll(WAKE_S * 1e3) for _ in range(round(WAIT_S / WAKE_S))):
                raise TimeoutError(f"nobody opened the gate {self._path}")
        finally:
            self._give_back(fd)

    def open(self) -> None:
        """Let everybody through who waits or comes later."""
        fd = self._end()
        try:
            os.write(fd, b".")
        finally:
            self._give_back(fd)

    def take(self, n_openings: int) -> None:
        """Wait until it was opened so many times, and close it again."""
        for _ in range(n_openings):
            self.wait()
            os.read(self._fd, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
        os.unlink(self._path)


def _elsewhere(path: str) -> Gate:
    """Return a gate in a process that did not make it."""
    gate = Gate.__new__(Gate)
    gate._path = path
    gate._owner = gate._fd = -1
    return gate


class Travels:
    """A number that arrives in another process as a plain one."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __add__(self, other: int) -> int:
        return self.number + other

    def __reduce__(self) -> tuple[object, ...]:
        return int, (self.number,)


@parallelizable
def double(item: Any) -> Any:
    return item * 2


def printed(item: int) -> int:
    sys.stdout.write(f"out \u00e9{item}\n")
    sys.stderr.write(f"error \u00e9{item}\n")
    return item


class Odd(UserWarning):
    """What items warn of."""


def warned(item: int) -> int:
    warnings.warn(f"odd {item}", Odd, stacklevel=1)
    return item


def warned_once(item: int) -> int:
    warnings.warn("odd", Odd, stacklevel=1)
    return item


def logged(item: int) -> int:
    logging.getLogger(__name__).error("odd %d", item)
    return item


def add(left: Any, right: Any) -> Any:
    return left + right


def same(item: Any) -> Any:
    return item


def many_bytes(n_bytes: int) -> bytes:
    return bytes([n_bytes % 251]) * n_bytes


def lock_of(item: int) -> Any:
    """Return what cannot be pickled for item 3."""
    return {"lock": threading.Lock()} if item == 3 else item


def noted(calls: Calls, item: int) -> int:
    calls.note(item)
    return item * 2


def process_of(_item: object) -> int:
    return os.getpid()


def variable_of(_item: object) -> str:
    return VARIABLE.get()


def surroundings_of(name: str) -> tuple[str, str | None]:
    return os.getcwd(), os.environ.get(name)


def number_of(_item: object) -> tuple[float, float | None]:
    try:
        import numpy
    except ImportError:
        return random.random(), None
    return random.random(), float(numpy.random.random())


def inner_sum(options: dict[str, Any], n_items: int) -> int:
    """Run a call inside of a call; where its workers cannot be had, it says so by a warning."""
    import warnings

    from amorsize import AmorsizeWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AmorsizeWarning)
        return sum(pmap(double, range(n_items), **options))


def collect(found: list[Any], results: Iterable[Any]) -> None:
    """Keep what comes, whatever comes then."""
    for result in results:
        found.append(result)


# Initializers.


def initialize(calls: Calls, token: str) -> None:
    calls.note(f"initialized {token}")
    HERE.token = token


def token_of(calls: Calls, item: int) -> str | None:
    calls.note(item)
    return getattr(HERE, "token", None)


def refuse_to_start(kind: type[BaseException]) -> NoReturn:
    raise kind("the initializer has failed")
