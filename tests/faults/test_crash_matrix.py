"""What goes wrong, when, in which value, and how workers are started: what the call says to each of it.

    {Python error, sys.exit, os._exit, segfault, SIGKILL}
        x {while it is pickled, while it is unpickled, in the call, when it is collected}
        x {argument, result, function; exception, on its way}
        x {fork over a list, fork over an iterator, spawn}

`TABLE` is the specification. In every cell the next call works, and nothing is left behind. Where a cell cannot occur
(under fork, say, no function is pickled), it says why; the trap is set all the same, and must not spring.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

import amorsize
from amorsize import BackendUnavailable, ItemNotPicklable, WorkerDied
from amorsize.testing.faults import (
    CALLED,
    COLLECTED,
    PICKLED,
    UNPICKLED,
    Trap,
    TrapError,
    raises_a_trap_at,
    sets_a_trap_at,
    springs,
)
from amorsize.testing.items import double

if TYPE_CHECKING:
    from collections.abc import Callable

    from amorsize.protocols import OptionArgs

CULPRIT, LAST = 3, 5
"""The item whose argument or result is a trap; where it springs when it is collected, the last one of all: a result is
sent before its item is collected, so that a worker with more to do would die in whatever it begins next."""

DEATHS = {
    "exit": (7, None, "ended itself with exit code 7"),
    "segfault": (None, signal.SIGSEGV, "was ended by signal 11 (SIGSEGV)"),
    "kill": (
        None,
        signal.SIGKILL,
        "was ended by signal 9 (SIGKILL), which is also how the kernel ends a process when memory runs out,",
    ),
}
"""How a process ends: exit code, signal, and how a message tells of it."""

WAYS = ("error", "sys.exit", *DEATHS)

LIST, FED, SPAWN = "fork over a list", "fork over an iterator", "spawn"
ONE_FORKED: OptionArgs = {"isolate": True, "n_jobs": 1, "chunksize": 1, "start_method": "fork"}
OPTIONS: dict[str, OptionArgs] = {
    LIST: {**ONE_FORKED, "n_jobs": 2},
    FED: ONE_FORKED,
    SPAWN: {**ONE_FORKED, "start_method": "spawn"},
}
"""Of two workers, one may not have begun with what is before the other's death when it has been waited for enough."""

# ---- what a cell may say


@dataclass(frozen=True)
class Answers:
    """The call answers as the loop does.

    Attributes:
        why: nothing springs, or nobody notices.
    """

    why: str


@dataclass(frozen=True)
class Raises:
    """The call raises.

    Attributes:
        kind: of the error.
        message: all of it.
        index: of the item that is blamed; None where the error has no such attribute.
    """

    kind: type[BaseException]
    message: str
    index: int | None = None


@dataclass(frozen=True)
class Dies:
    """The call tells of a worker's death, how it died, and in which item.

    Attributes:
        item: the item; None where no worker had begun with any.
    """

    item: int | None


@dataclass(frozen=True)
class EndsTheProgram:
    """It happens in the caller, whose program ends as it would in a loop that pickles; no worker is left."""


Cell = Answers | Raises | Dies | EndsTheProgram

IN_THERE = Answers("under fork, what is in the caller is in its workers, and is not sent")
NOT_COLLECTED = Answers("a forked worker ends by os._exit, and collects nothing that was there before its birth")
UNRAISABLE = Answers("Python prints what __del__ raises, and goes on")
TOO_LATE = Answers("its result has been sent before, and nobody waits for the worker any more")

EXITS = Raises(SystemExit, "sprung")
FAILS = Raises(ValueError, "sprung")
ITSELF = Raises(TrapError, "a trap")
"""Its arguments rebuild it, without its `__reduce__`; what that does to the process is tried in the worker."""
PROGRAM_ENDS = EndsTheProgram()
TRAP = f"{Trap.__module__}.{Trap.__qualname__}"
FUNCTION_NOT_SENT = Raises(
    BackendUnavailable,
    "Trap cannot run in a fresh interpreter: the function cannot be sent there (ValueError: sprung). "
    'Make what cannot be pickled in an initializer, or use start_method="fork" or backend="serial".',
)


def argument_not_sent(kind: str) -> Raises:
    return Raises(
        ItemNotPicklable,
        "the argument of item 3 cannot be pickled, so it cannot be sent to a worker: "
        f"argument is a {TRAP} ({kind}: sprung). "
        'Send what it can be made from instead, or run with backend="serial".',
        index=CULPRIT,
    )


def result_not_sent(kind: str) -> Raises:
    return Raises(
        ItemNotPicklable,
        "the result of item 3 cannot be pickled, so a worker cannot send it back: "
        f"result is a {TRAP} ({kind}: sprung). "
        'Return what it was made from instead, or run with backend="serial".',
        index=CULPRIT,
    )


def result_not_rebuilt(kind: str) -> Raises:
    return Raises(
        ItemNotPicklable, f"the results of item 3 cannot be rebuilt in this process: {kind}: sprung", index=CULPRIT
    )


def argument_not_rebuilt(kind: str) -> Raises:
    return Raises(
        ItemNotPicklable, f"the arguments of item 3 cannot be rebuilt in a worker: {kind}: sprung", index=CULPRIT
    )


def function_not_rebuilt(kind: str) -> Raises:
    return Raises(BackendUnavailable, f"Trap cannot run in a fresh interpreter: {kind}: sprung")


# What, when, where; then what is said to a Python error, to sys.exit, and to each of the deaths.
TABLE: list[tuple[str, str, str, Cell, Cell, Cell]] = [
    ("argument", PICKLED, LIST, IN_THERE, IN_THERE, IN_THERE),
    ("argument", PICKLED, FED, argument_not_sent("ValueError"), argument_not_sent("SystemExit"), PROGRAM_ENDS),
    ("argument", PICKLED, SPAWN, argument_not_sent("ValueError"), argument_not_sent("SystemExit"), PROGRAM_ENDS),
    ("argument", UNPICKLED, LIST, IN_THERE, IN_THERE, IN_THERE),
    ("argument", UNPICKLED, FED, argument_not_rebuilt("ValueError"), argument_not_rebuilt("SystemExit"), Dies(3)),
    ("argument", UNPICKLED, SPAWN, argument_not_rebuilt("ValueError"), argument_not_rebuilt("SystemExit"), Dies(3)),
    ("argument", CALLED, LIST, FAILS, EXITS, Dies(3)),
    ("argument", CALLED, FED, FAILS, EXITS, Dies(3)),
    ("argument", CALLED, SPAWN, FAILS, EXITS, Dies(3)),
    ("argument", COLLECTED, LIST, NOT_COLLECTED, NOT_COLLECTED, NOT_COLLECTED),
    ("argument", COLLECTED, FED, UNRAISABLE, UNRAISABLE, TOO_LATE),
    ("argument", COLLECTED, SPAWN, UNRAISABLE, UNRAISABLE, TOO_LATE),
    ("result", PICKLED, LIST, result_not_sent("ValueError"), result_not_sent("SystemExit"), Dies(3)),
    ("result", PICKLED, FED, result_not_sent("ValueError"), result_not_sent("SystemExit"), Dies(3)),
    ("result", PICKLED, SPAWN, result_not_sent("ValueError"), result_not_sent("SystemExit"), Dies(3)),
    ("result", UNPICKLED, LIST, result_not_rebuilt("ValueError"), result_not_rebuilt("SystemExit"), PROGRAM_ENDS),
    ("result", UNPICKLED, FED, result_not_rebuilt("ValueError"), result_not_rebuilt("SystemExit"), PROGRAM_ENDS),
    ("result", UNPICKLED, SPAWN, result_not_rebuilt("ValueError"), result_not_rebuilt("SystemExit"), PROGRAM_ENDS),
    ("result", CALLED, LIST, FAILS, EXITS, Dies(3)),
    ("result", CALLED, FED, FAILS, EXITS, Dies(3)),
    ("result", CALLED, SPAWN, FAILS, EXITS, Dies(3)),
    ("result", COLLECTED, LIST, UNRAISABLE, UNRAISABLE, Dies(LAST)),
    ("result", COLLECTED, FED, UNRAISABLE, UNRAISABLE, TOO_LATE),
    ("result", COLLECTED, SPAWN, UNRAISABLE, UNRAISABLE, TOO_LATE),
    ("function", PICKLED, LIST, IN_THERE, IN_THERE, IN_THERE),
    ("function", PICKLED, FED, IN_THERE, IN_THERE, IN_THERE),
    ("function", PICKLED, SPAWN, FUNCTION_NOT_SENT, EXITS, PROGRAM_ENDS),
    ("function", UNPICKLED, LIST, IN_THERE, IN_THERE, IN_THERE),
    ("function", UNPICKLED, FED, IN_THERE, IN_THERE, IN_THERE),
    ("function", UNPICKLED, SPAWN, function_not_rebuilt("ValueError"), function_not_rebuilt("SystemExit"), Dies(None)),
    ("function", CALLED, LIST, FAILS, EXITS, Dies(0)),
    ("function", CALLED, FED, FAILS, EXITS, Dies(0)),
    ("function", CALLED, SPAWN, FAILS, EXITS, Dies(0)),
    ("function", COLLECTED, LIST, NOT_COLLECTED, NOT_COLLECTED, NOT_COLLECTED),
    ("function", COLLECTED, FED, NOT_COLLECTED, NOT_COLLECTED, NOT_COLLECTED),
    ("exception", PICKLED, LIST, ITSELF, ITSELF, Dies(3)),
    ("exception", PICKLED, FED, ITSELF, ITSELF, Dies(3)),
    ("exception", PICKLED, SPAWN, ITSELF, ITSELF, Dies(3)),
    ("exception", UNPICKLED, LIST, ITSELF, ITSELF, Dies(3)),
    ("exception", UNPICKLED, FED, ITSELF, ITSELF, Dies(3)),
    ("exception", UNPICKLED, SPAWN, ITSELF, ITSELF, Dies(3)),
    ("function", COLLECTED, SPAWN, UNRAISABLE, UNRAISABLE, Answers("a warm worker keeps it until another comes")),
]

CELLS = {
    (what, when, where, how): cell
    for what, when, where, error, leave, death in TABLE
    for how, cell in zip(WAYS, (error, leave, death, death, death), strict=True)
}

# ---- how a cell is looked at


def call(what: str, when: str, where: str, how: str) -> list[Any]:
    """Run a call with the trap in it."""
    culprit = LAST if when == COLLECTED else CULPRIT
    items: Any = range(LAST + 1)
    func: Callable[..., Any] = springs
    if what == "argument":
        items = (Trap(how, when) if item == culprit else item for item in items)
    elif what == "result":
        func = functools.partial(sets_a_trap_at, culprit, how, when, owner=os.getpid())
    elif what == "exception":
        func = functools.partial(raises_a_trap_at, culprit, how, when)
    else:
        func = Trap(how, when)
    return amorsize.pmap(func, list(items) if where == LIST else iter(items), **OPTIONS[where])


def end_of(body: Callable[[], object]) -> int:
    """Run a body in a process of its own, until nobody of it is left; return its exit code, or minus its signal."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(writing, 1)
            os.closerange(3, 256)
            with contextlib.suppress(BaseException):
                body()
        finally:
            os._exit(99)
    os.close(writing)
    try:
        assert os.read(reading, 1) == b""  # workers share its standard output: that it ends shows that all are gone
    finally:
        os.close(reading)
        status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status)


def is_right(index: int, result: object) -> bool:
    """Tell whether this is the result of an item, which may be a trap, or what calling one gave."""
    return result == index or not isinstance(result, int)


def test_the_table_has_every_cell_once() -> None:
    values, moments, where = ("argument", "result", "function"), (PICKLED, UNPICKLED, CALLED, COLLECTED), tuple(OPTIONS)
    wanted = {*product(values, moments, where, WAYS), *product(["exception"], [PICKLED, UNPICKLED], where, WAYS)}
    assert set(CELLS) == wanted
    assert len(CELLS) == len(TABLE) * len(WAYS)


def row_of(what: str, when: str, how: str) -> str:
    """Return which of the faults a cell is."""
    if how in DEATHS:
        return "R1"
    if when == CALLED:
        return "R5" if how == "error" else "R6"
    return "R4" if what == "exception" else "R3"


PARAMETERS = [
    pytest.param(
        *(what, when, where, how, cell),
        marks=[
            pytest.mark.fault(row_of(what, when, how)),
            pytest.mark.slow if where == SPAWN else pytest.mark.needs_fork,
        ],
        id=f"{how}, {what} {when}, {where}",
    )
    for (what, when, where, how), cell in CELLS.items()
]


@pytest.mark.parametrize(("what", "when", "where", "how", "cell"), PARAMETERS)
def test_it_is_told_as_the_table_says_and_the_next_call_works(
    what: str, when: str, where: str, how: str, cell: Cell, capfd: pytest.CaptureFixture[str]
) -> None:
    run = functools.partial(call, what, when, where, how)
    if isinstance(cell, Answers):
        found = run()
        assert len(found) == LAST + 1
        assert all(map(is_right, range(LAST + 1), found))
    elif isinstance(cell, EndsTheProgram):
        exitcode, number, _ = DEATHS[how]
        assert end_of(run) == (exitcode if number is None else -number)
    elif isinstance(cell, Dies):
        exitcode, number, told = DEATHS[how]
        with pytest.raises(WorkerDied) as caught:
            run()
        died = caught.value
        place = "outside of any item" if cell.item is None else f"in item {cell.item}"
        assert str(died) == f"a worker {told} {place}"
        assert (died.first, died.stop) == (cell.item, None if cell.item is None else cell.item + 1)
        assert (died.exitcode, died.signal) == (exitcode, number)
        assert where == LIST or set(range(cell.item or 0)) <= set(died.finished)
        assert all(is_right(index, died.finished[index]) for index in died.finished)
    else:
        with pytest.raises(cell.kind) as error:
            run()
        assert (type(error.value), str(error.value)) == (cell.kind, cell.message)
        assert getattr(error.value, "index", None) == cell.index
    assert amorsize.pmap(double, [1, 2, 3, 4], **OPTIONS[where]) == [2, 4, 6, 8]
    if cell is not UNRAISABLE:
        assert capfd.readouterr().err == ""
