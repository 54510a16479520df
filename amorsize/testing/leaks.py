"""What a process holds at one moment, and whether a block of code has left it with more."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

import amorsize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What this process holds at one moment; each entry is a line that a person can read.

    Example:
        >>> before = Holdings.now()
        >>> file = open(os.devnull)
        >>> Holdings.now().beyond(before)  # doctest: +ELLIPSIS
        ['descriptors: ... -> /dev/null']
        >>> file.close()
    """

    children: frozenset[str]
    threads: frozenset[str]
    descriptors: frozenset[str]
    memory_files: frozenset[str]
    temp_files: frozenset[str]
    signal_handlers: frozenset[str]

    @classmethod
    def now(cls, temp_directory: Path | None = None) -> Holdings:
        """Look at the process; the part that a platform does not show stays empty.

        Args:
            temp_directory: where it puts temp files and nobody else does; None for not looking at any.
        """
        return cls(
            children=_children(),
            threads=frozenset(repr(thread) for thread in threading.enumerate()),
            descriptors=_descriptors(),
            memory_files=_memory_files(),
            temp_files=frozenset(() if temp_directory is None else os.listdir(temp_directory)),
            signal_handlers=_signal_handlers(),
        )

    def beyond(self, before: Holdings) -> list[str]:
        """Name what is held now and was not held before."""
        return [
            f"{field.name.replace('_', ' ')}: {', '.join(sorted(more))}"
            for field in fields(self)
            if (more := getattr(self, field.name) - getattr(before, field.name))
        ]


def _children() -> frozenset[str]:
    if sys.platform != "win32" and hasattr(os, "waitid"):
        try:  # asks the kernel, and reaps nobody; a scan of all processes would cost 10 ms a test
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return frozenset()
    import psutil

    return frozenset(str(child) for child in psutil.Process().children())


def _descriptors() -> frozenset[str]:
    shown = "/proc/self/fd"
    if not os.path.isdir(shown):
        return frozenset()
    found = set()
    for number in os.listdir(shown):
        try:
            found.add(f"{number} -> {os.readlink(f'{shown}/{number}')}")
        except FileNotFoundError:
            continue  # the descriptor that listed the directory
    return frozenset(found)


def _memory_files() -> frozenset[str]:
    try:
        maps = Path("/proc/self/maps").read_text()
    except FileNotFoundError:
        return frozenset()
    mapped = {line.split(maxsplit=5)[5] for line in maps.splitlines() if "/memfd:" in line or "/dev/shm/" in line}
    return frozenset(mapped.union(str(path) for path in Path("/dev/shm").glob("*amorsize*")))


def _signal_handlers() -> frozenset[str]:
    not_ours = {getattr(signal, "SIGALRM", None)}  # pytest-timeout's clock
    return frozenset(f"{number} -> {signal.getsignal(number)}" for number in signal.valid_signals() - not_ours)


@contextmanager
def leaves_nothing_behind(temp_directory: Path | None = None) -> Iterator[None]:
    """Raise AssertionError where a block leaves a process, thread, descriptor, memory file or signal handler behind.

    Workers that stay warm for the next call are ended first: `amorsize.shutdown()`. A block that raises is not looked
    at.

    Args:
        temp_directory: where the block puts temp files and nobody else does; none may be left there either.

    Example:
        >>> with leaves_nothing_behind():
        ...     amorsize.pmap(abs, [-1, 2], backend="process")
        [1, 2]
    """
    before = Holdings.now(temp_directory)
    yield
    left = Holdings.now(temp_directory).beyond(before)
    if left:
        amorsize.shutdown()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # of garbage that was there before
            gc.collect()  # a cycle, such as an exception and its traceback, may hold them, which is no leak
        left = Holdings.now(temp_directory).beyond(before)
    assert not left, "left behind: " + "; ".join(left)


@pytest.fixture
def nothing_left_behind() -> Iterator[None]:
    """Fail the test that leaves a process, thread, descriptor, memory file or signal handler behind."""
    with leaves_nothing_behind():
        yield
