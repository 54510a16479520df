"""The faults, in the order of the table that they are shown in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from benchmarks.faults import tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any


class Setting(Enum):
    """What happens around the map."""

    PLAIN = auto()
    INTERRUPTED_GROUP = auto()
    INTERRUPTED_PARENT = auto()
    KILLED_PARENT = auto()
    ENDLESS = auto()
    ENDLESS_STREAM = auto()
    HELD_LOCK = auto()
    NO_GUARD = auto()
    NESTED = auto()


@dataclass(frozen=True, slots=True)
class Case:
    """One fault.

    Attributes:
        name: what `faults` takes.
        about: what is done, in words.
        func: what is mapped; ignored where the setting brings its own.
        items: makes what it is mapped over.
        setting: what happens around it.
        tells_deaths: whether a good answer names how the worker ended.
        tells_item: whether a good answer names the item.
    """

    name: str
    about: str
    func: Callable[[Any], object] = tasks.square
    items: Callable[[], Iterable[Any]] = tasks.numbers
    setting: Setting = Setting.PLAIN
    tells_deaths: bool = False
    tells_item: bool = False


CASES = (
    Case("killed", "a worker gets SIGKILL at item 500 of 1000", tasks.killed, tells_deaths=True, tells_item=True),
    Case("exits", "an item calls os._exit(7)", tasks.exits, tells_deaths=True, tells_item=True),
    Case("segfault", "an item crashes in C code", tasks.crashes, tells_deaths=True, tells_item=True),
    Case(
        "argument", "item 500 holds a lock, which has no pickle", tasks.indexed, tasks.with_lock_inside, tells_item=True
    ),
    Case("result", "the result of item 500 is a lambda", tasks.with_lambda, tells_item=True),
    Case("exception", "item 500 raises what cannot be rebuilt", tasks.cannot_be_rebuilt, tells_item=True),
    Case("early_error", "item 50 of 1000 x 10 ms raises", tasks.fails_early, tells_item=True),
    Case("interrupt", "Ctrl-C: SIGINT to the whole group", tasks.busy, setting=Setting.INTERRUPTED_GROUP),
    Case("interrupt_parent", "SIGINT to the parent only", tasks.busy, setting=Setting.INTERRUPTED_PARENT),
    Case("parent_killed", "the parent gets SIGKILL, workers are busy", tasks.busy, setting=Setting.KILLED_PARENT),
    Case("endless", "a generator of 10^8 items, to map (amorsize: pimap)", tasks.quick, tasks.endless, Setting.ENDLESS),
    Case(
        "endless_stream",
        "the same, to imap, Parallel(return_as='generator') and their like",
        tasks.quick,
        tasks.endless,
        Setting.ENDLESS_STREAM,
    ),
    Case("lock", "another thread holds a lock that items use, for 1 s", tasks.locked, setting=Setting.HELD_LOCK),
    Case("no_guard", "start method spawn, in a script without a __main__ guard", setting=Setting.NO_GUARD),
    Case("nested", "items map themselves", setting=Setting.NESTED),
    Case("system_exit", "an item raises SystemExit", tasks.leaves_program),
    Case("keyboard_interrupt", "an item raises KeyboardInterrupt", tasks.interrupts),
    Case("finished", "a worker gets SIGKILL at item 900 of 1000 x 1 ms: the finished results", tasks.killed_late),
)
"""The three ways in which a worker dies share a row of the first table, as do the last but one and its neighbour."""


def chosen(names: Iterable[str]) -> list[Case]:
    """Return the cases of these names, in order; all of them for none.

    Raises:
        ValueError: for a name that is none of them.
    """
    wanted = set(names)
    unknown = wanted - {case.name for case in CASES}
    if unknown:
        raise ValueError(
            f"no fault is called {', '.join(sorted(unknown))}; there are {', '.join(c.name for c in CASES)}"
        )
    return [case for case in CASES if case.name in wanted or not wanted]
