"""What the runs map, and what a plain loop makes of it. Light: workers import it."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.soak.plans import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.soak.plans import Plan

    Func = Callable[[int], object]


class OddError(Exception):
    """Cannot be rebuilt from its arguments."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")


class InputError(Exception):
    """What an input raises."""


def _int(n: int) -> object:
    return n * n


def _float(n: int) -> object:
    return n / 7


def _text(n: int) -> object:
    return f"item {n} " * (n % 9)


def _tuple(n: int) -> object:
    return n, str(n), [n, None]


def _bytes(n: int) -> object:
    return bytes([n % 256]) * (20_000 + 40_000 * (n % 5 == 0))


def _mixed(n: int) -> object:
    return (n, float(n), str(n), {n: [n]}, None)[n % 5]


def _spin(n: int) -> object:
    return sum(range(20_000 + n % 3)) + n


def _sleep(n: int) -> object:
    time.sleep(0.001)
    return -n


def _nested(n: int) -> object:
    from amorsize import pmap

    return pmap(_int, range(n, n + 20))


def _raises(at: int, n: int) -> object:
    if n == at:
        raise ValueError(f"no good: {n}")
    return n + 1


def _raises_odd(at: int, n: int) -> object:
    if n == at:
        raise OddError(n, "odd")
    return n + 2


def _no_pickle(at: int, n: int) -> object:
    return NoPickle() if n == at else n + 3


def _leaves(at: int, n: int) -> object:
    if n == at:
        raise SystemExit(n)
    return n + 4


def _dies(at: int, n: int) -> object:
    if n == at:
        os.kill(os.getpid(), signal.SIGKILL)
    return n + 5


def _dies_once(at: int, marker: str, n: int) -> object:
    if n == at:
        try:
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return n + 6
        os._exit(3)
    return n + 6


def _waits(at: int, n: int) -> object:
    if n == at:
        time.sleep(600.0)
    return n + 7


class NoPickle:
    """Cannot be pickled; equal to all of its kind."""

    def __eq__(self, other: object) -> bool:
        return type(other) is NoPickle

    def __hash__(self) -> int:
        return 0

    def __reduce__(self) -> str:
        raise TypeError("no pickle of this")


_PLAIN: dict[Kind, Func] = {
    Kind.INTS: _int,
    Kind.FLOATS: _float,
    Kind.TEXTS: _text,
    Kind.TUPLES: _tuple,
    Kind.BYTES: _bytes,
    Kind.MIXED: _mixed,
    Kind.SPINS: _spin,
    Kind.SLEEPS: _sleep,
    Kind.NESTED: _nested,
    Kind.INPUT_FAILS: _int,
}
_AT: dict[Kind, Callable[[int, int], object]] = {
    Kind.RAISES: _raises,
    Kind.ODD_ERROR: _raises_odd,
    Kind.NO_PICKLE: _no_pickle,
    Kind.LEAVES: _leaves,
    Kind.DIES: _dies,
    Kind.WAITS: _waits,
}


def func_of(plan: Plan, marker: str) -> Func:
    """Return what is mapped; `marker` is a file that a function which dies once may leave."""
    if plan.kind is Kind.DIES_ONCE:
        return partial(_dies_once, plan.at, marker)
    if plan.kind is Kind.CLOSURE:
        factor = plan.at
        return lambda n: n * factor
    if plan.kind in _AT:
        return partial(_AT[plan.kind], plan.at)
    return _PLAIN[plan.kind]


def items_of(plan: Plan) -> Sequence[int] | Iterator[int]:
    """Return the items, anew."""
    if plan.source == "range":
        return range(plan.n_items)
    if plan.source == "list":
        return list(range(plan.n_items))
    return _generated(plan)


def _generated(plan: Plan) -> Iterator[int]:
    for n in range(plan.n_items):
        if plan.kind is Kind.INPUT_FAILS and n == plan.at:
            raise InputError(n)
        yield n


def looped(plan: Plan) -> list[object]:
    """Return what a plain loop over all items gives, nothing having happened at `plan.at`."""
    if plan.kind is Kind.NO_PICKLE:
        return [_no_pickle(plan.at, n) for n in range(plan.n_items)]
    harmless = -1
    if plan.kind is Kind.DIES_ONCE:
        return [_dies_once(harmless, "", n) for n in range(plan.n_items)]
    if plan.kind is Kind.NESTED:
        return [[_int(m) for m in range(n, n + 20)] for n in range(plan.n_items)]
    if plan.kind in _AT:
        return [_AT[plan.kind](harmless, n) for n in range(plan.n_items)]
    return list(map(func_of(plan, ""), range(plan.n_items)))
