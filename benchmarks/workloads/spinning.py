"""Items that keep a core busy for a known time. Loads nothing.

An item is `position * SPAN + n_steps`: its low bits say how much work it is, the others make every answer another one,
so that results in a wrong order are noticed. Durations are drawn from low-discrepancy sequences: the same in every
process, and without the cost of `import random`.
"""

from __future__ import annotations

import os
from math import cos, exp, log, pi, sqrt
from time import perf_counter

from benchmarks.workloads.task import Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    T = TypeVar("T")

SPAN = 1 << 24
"""Items are made of numbers below this: 0.4 s of steps, and millions of items in 64 bits."""

RARE, RARE_TIMES = 50, 100
"""One in so many items of `bimodal` is so many times as long as the others."""

GIANT_SHARE = 0.25
"""The last item of `giant_last` takes this share of the whole loop: more could not be hidden by two cores."""

WARM_UP_S = 0.2
"""Seconds that the first call of `first_call_slow` in a process takes longer than the others."""

_is_warm = False


def noop(item: T) -> T:
    """Return the item: all that is left is what the tool costs."""
    return item


def pair(item: int) -> tuple[int, int]:
    """Make an object that the garbage collector has to look at."""
    return item, item + 1


def spin(item: int) -> int:
    """Keep a core busy for as many steps as the item says."""
    total = item
    for step in range(item % SPAN):
        total += step
    return total


def other_spin(item: int) -> int:
    """Do as `spin` does, as another function: what is known about one says nothing about the other."""
    total = item
    for step in range(item % SPAN):
        total += step
    return total - 1


def marked_spin(item: int) -> int:
    """Do as `spin` does, and append this process's id to the file that `MARKS_FILE` names, if it names one."""
    marks = os.open(os.environ.get("MARKS_FILE", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(marks, b"%d\n" % os.getpid())
    os.close(marks)
    return spin(item)


def warmed_spin(item: int) -> int:
    """Do as `spin` does, after a warm-up in the first call of each process, like one that loads a model."""
    global _is_warm
    if not _is_warm:
        until_s = perf_counter() + WARM_UP_S
        while perf_counter() < until_s:
            spin(1000)
        _is_warm = True
    return spin(item)


def item_of(position: int, n_steps: float) -> int:
    """Return the item of so many steps, rounded and kept within what an item can say."""
    return position * SPAN + min(SPAN - 1, max(1, round(n_steps)))


def equal(n_items: int, n_steps: int) -> list[int]:
    """Return items of `n_steps` steps each."""
    return [position * SPAN + n_steps for position in range(n_items)]


def lognormal(n_items: int, n_steps: int) -> list[int]:
    """Return items whose steps are log-normal around the mean `n_steps`, with sigma 1."""
    return [item_of(position, n_steps * exp(_normal(position) - 0.5)) for position in range(n_items)]


def bimodal(n_items: int, n_steps: int) -> list[int]:
    """Return items of which one in 50, not in a regular place, is 100 times as long; `n_steps` on average."""
    common = n_steps * RARE / (RARE - 1 + RARE_TIMES)
    steps = [common] * n_items
    for block in range(0, n_items, RARE):
        place = block + int(_uniform(block, 0.7548776662466927) * RARE)
        steps[min(place, n_items - 1)] = common * RARE_TIMES
    return [item_of(position, n) for position, n in enumerate(steps)]


def sorted_up(n_items: int, n_steps: int) -> list[int]:
    """Return items that get longer and longer; `n_steps` on average."""
    return [item_of(position, n_steps * 2 * (position + 0.5) / n_items) for position in range(n_items)]


def sorted_down(n_items: int, n_steps: int) -> list[int]:
    """Return items that get shorter and shorter; `n_steps` on average."""
    return [item_of(position, n_steps * 2 * (n_items - position - 0.5) / n_items) for position in range(n_items)]


def giant_last(n_items: int, n_steps: int) -> list[int]:
    """Return equal items and a last one that takes a quarter of the whole loop; `n_steps` on average."""
    common = n_steps * (1 - GIANT_SHARE) * n_items / max(1, n_items - 1)
    giant = n_steps * GIANT_SHARE * n_items
    return [item_of(position, common if position < n_items - 1 else giant) for position in range(n_items)]


def _stream(n_items: int, n_steps: int) -> Iterator[int]:
    return (position * SPAN + n_steps for position in range(n_items))


def _uniform(position: int, irrational: float) -> float:
    return (position + 0.5) * irrational % 1


def _normal(position: int) -> float:
    """Return the n-th of a sequence that is spread like a standard normal variable (Box and Muller 1958)."""
    radius = sqrt(-2 * log(_uniform(position, 0.6180339887498949) or 0.5))
    return radius * cos(2 * pi * _uniform(position, 0.7548776662466927))


def _made_by(make: Callable[[int], object]) -> Task:
    """Return the task that hands back one kind of value."""
    return Task(noop, lambda n_items, _: [make(position) for position in range(n_items)])


TASKS = {
    "noop": _made_by(int),
    "noop_float": _made_by(float),
    "noop_str": _made_by(str),
    "pairs": Task(pair, lambda n_items, _: list(range(n_items))),
    "noop_tuple": _made_by(lambda position: (position, position + 1)),
    **{name: Task(spin, equal) for name in ("loop_1us", "loop_30us", "loop_1ms", "loop_10ms", "coarse")},
    **{make.__name__: Task(spin, make) for make in (lognormal, bimodal, sorted_up, sorted_down, giant_last)},
    "first_call_slow": Task(warmed_spin, equal),
    "generator": Task(spin, _stream),
    "marked": Task(marked_spin, equal),
    "other": Task(other_spin, equal),
}
