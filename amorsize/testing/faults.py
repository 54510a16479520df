"""What the contract calls to see it fail, die or wait; any worker finds it by name."""

from __future__ import annotations

import sys

assert sys.platform != "win32"  # before the imports: signals, named pipes and limits are those of POSIX

import os
import signal
import threading
from time import sleep
from typing import TYPE_CHECKING, Any, NoReturn

from amorsize.testing.items import WAKE_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from amorsize.testing.items import Calls, Gate

# What fails.


class TwoArguments(Exception):
    """An exception that its own arguments do not rebuild."""

    def __init__(self, first: object, second: object) -> None:
        super().__init__(f"{first} and {second}")
        self.first, self.second = first, second


class Unpicklable(Exception):
    """An exception that cannot be pickled."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


def fails_from(lowest: int, item: int) -> int:
    """Fail at this item and all above."""
    if item >= lowest:
        raise ValueError(f"no {item}")
    return item * 2


def fails_at(kind: type[BaseException], arguments: tuple[Any, ...], culprit: int, item: int) -> int:
    if item == culprit:
        raise kind(*arguments)
    return item * 2


def fails_late(gate: Gate, item: int) -> int:
    """Fail at 0, once 1 has failed, and at 1."""
    if item == 0:
        gate.wait()
    elif item == 1:
        gate.open()
    raise ValueError(f"no {item}")


def fails_before_others_end(calls: Calls, gate: Gate, left: Gate, culprit: int, item: int) -> int:
    """Fail at one item; those above it wait, and tell when they leave."""
    calls.note(item)
    if item == culprit:
        raise ValueError(f"no {item}")
    if item > culprit:
        gate.wait()
        left.open()
    return item * 2


def fails_at_first(calls: Calls, n_times: int, item: int) -> int:
    """Fail the first few times that item 2 is called."""
    calls.note(item)
    if item == 2 and calls.items().count(2) <= n_times:
        raise ConnectionError("not yet")
    return item * 2


# What ends its worker.


def die(how: str) -> NoReturn:
    """End this process in one of several ways, silently."""
    import faulthandler

    try:
        import resource
    except ImportError:  # a Python built without it: a core file may be left
        pass
    else:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.disable()
    if how == "exit":
        os._exit(7)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "segfault":
        import ctypes

        ctypes.string_at(0)
    os.abort()


def dies_at(how: str, culprit: int, item: int) -> int:
    if item == culprit:
        die(how)
    return item * 2


def dies_at_first(calls: Calls, n_times: int, item: int) -> int:
    """End the worker the first few times that item 2 is called."""
    calls.note(item)
    if item == 2 and calls.items().count(2) <= n_times:
        die("kill")
    return item * 2


PICKLED, UNPICKLED, CALLED, COLLECTED = "pickled", "unpickled", "called", "collected"
"""Moments of a value's life."""


def go_wrong(how: str) -> None:
    """Go wrong in one of several ways: `error`, `memory`, `sys.exit`, or as `die` does."""
    if how == "error":
        raise ValueError("sprung")
    if how == "memory":
        raise MemoryError
    if how == "sys.exit":
        sys.exit("sprung")
    die(how)


class Trap:
    """A value that goes wrong in one way at one moment of its life; collected, only in others than its first process.

    Args:
        how: as `go_wrong` has it.
        when: `PICKLED`, `UNPICKLED`, `CALLED` or `COLLECTED`.
        owner: its first process; None for this one.
    """

    def __init__(self, how: str, when: str, owner: int | None = None) -> None:
        self.how, self.when = how, when
        self.owner = os.getpid() if owner is None else owner

    def __reduce__(self) -> tuple[object, ...]:
        self._pass(PICKLED)
        return _rebuilt, (self.how, self.when, self.owner)

    def __call__(self, item: object = None) -> object:
        self._pass(CALLED)
        return item

    def __del__(self) -> None:
        if self.owner != os.getpid():
            self._pass(COLLECTED)

    def _pass(self, moment: str) -> None:
        if self.when == moment:
            go_wrong(self.how)


def _rebuilt(how: str, when: str, owner: int) -> Trap:
    if when == UNPICKLED:
        go_wrong(how)
    return Trap(how, when, owner)


class TrapError(Exception):
    """An exception that goes wrong in one way when it is pickled or unpickled."""

    def __init__(self, how: str, when: str) -> None:
        super().__init__("a trap")
        self.how, self.when = how, when

    def __reduce__(self) -> tuple[object, ...]:
        if self.when == PICKLED:
            go_wrong(self.how)
        return _rebuilt_error, (self.how, self.when)


def _rebuilt_error(how: str, when: str) -> TrapError:
    if when == UNPICKLED:
        go_wrong(how)
    return TrapError(how, when)


def raises_a_trap_at(culprit: int, how: str, when: str, item: int) -> int:
    if item == culprit:
        raise TrapError(how, when)
    return item


def springs(item: object) -> object:
    """Call what is given, where it is a trap."""
    return item() if isinstance(item, Trap) else item


def sets_a_trap_at(culprit: int, how: str, when: str, item: int, owner: int = -1) -> object:
    """Return a trap for one item, which is called before."""
    if item != culprit:
        return item
    trap = Trap(how, when, owner)
    trap()
    return trap


# What waits.


def waits_at(gate: Gate, culprit: int, item: int) -> int:
    if item == culprit:
        gate.wait()
    return item * 2


def waits_for_the_next(gate: Gate, item: int) -> int:
    """Wait at 0 until 1 is called."""
    if item == 0:
        gate.wait()
    elif item == 1:
        gate.open()
    return item * 2


def waits_for_ever(announce: Callable[[], None]) -> NoReturn:
    announce()
    while True:
        sleep(WAKE_S)  # a signal that comes between two steps of Python code and the sleep waits for its end
