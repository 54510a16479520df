"""Results as bytes and back, beside the quickest dumps and loads that take them."""

from __future__ import annotations

import marshal
import pickle
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from amorsize.engine.encoding import MARSHAL_VERSION, decode, encode
from benchmarks.stages.clock import timed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from benchmarks.stages.clock import Measure, Sides

N_RESULTS = 2_000
"""Results encoded at once: figures are for one of them."""


class Point:
    """An object as programs have many."""

    def __init__(self, x: int, y: int) -> None:
        self.x, self.y = x, y


MADE: Mapping[str, Callable[[int], object]] = {
    "ints": lambda number: 1_000_000 + number,
    "floats": lambda number: number / 7,
    "strings": lambda number: f"result {number}",
    "pairs": lambda number: (number, number + 1),
    "objects": lambda number: Point(number, number + 1),
}
"""Kinds of results."""


@contextmanager
def encoding(kind: str) -> Iterator[Sides]:
    """Measure encoding results beside the quickest dumps that takes them; for one result."""
    results = [MADE[kind](number) for number in range(N_RESULTS)]
    dumps, _ = _bare(kind)
    yield _for_one(partial(encode, results)), _for_one(partial(dumps, results))


@contextmanager
def decoding(kind: str) -> Iterator[Sides]:
    """Measure decoding results beside the loads of the quickest dumps; for one result."""
    results = [MADE[kind](number) for number in range(N_RESULTS)]
    dumps, loads = _bare(kind)
    yield _for_one(partial(decode, *encode(results)[:2], [])), _for_one(partial(loads, dumps(results)))


def _for_one(act: Callable[[], object]) -> Measure:
    return partial(timed, act, n_inside=N_RESULTS)


def _bare(kind: str) -> tuple[Callable[[Any], bytes], Callable[[bytes], object]]:  # Any: results of one kind
    if kind == "objects":
        return partial(pickle.dumps, protocol=5), pickle.loads
    return lambda results: marshal.dumps(results, MARSHAL_VERSION), marshal.loads
