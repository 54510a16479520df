"""What a plain call `f(x)` costs once the function is decorated."""

from __future__ import annotations

from timeit import Timer
from typing import TYPE_CHECKING

from amorsize import parallelizable
from benchmarks.figures import Figure, Goal, Row, counted, ratios
from benchmarks.pairing import in_turn

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.pairing import Effort

SAME = Goal(bound=1.02)
"""Two copies of one function, timed in turn, differ by up to 2 %: a tighter bound would judge the memory layout."""

CALLS_PER_S = 1_000_000
"""How many calls are timed for each second of a workload's loop: 0.3 s give 300,000 calls, some 15 ms a round."""


def plain_call(effort: Effort) -> list[Row]:
    """Compare calls of a function and of a method, bare and decorated."""
    n_calls = int(effort.loop_s * CALLS_PER_S)
    original = _function()
    n_made = 0 if parallelizable(original) is original else 1
    return [
        counted("call", "P5", "objects made by decorating", n_made),
        _compare("f(x): decorated / bare", "call(1)", _function(), original, n_calls, effort, SAME),
        _compare("o.m(x): decorated / bare", "call.method(1)", _Bare(), _Decorated(), n_calls, effort, Goal(bound=1.3)),
    ]


def _function() -> Callable[[int], int]:
    def itself(number: int) -> int:
        return number

    return itself


class _Bare:
    def method(self, number: int) -> int:
        return number


class _Decorated:
    @parallelizable
    def method(self, number: int) -> int:
        return number


def _compare(
    measure: str, statement: str, bare: object, decorated: object, n_calls: int, effort: Effort, goal: Goal
) -> Row:
    seconds = in_turn(
        {
            "bare": lambda: Timer(statement, globals={"call": bare}).timeit(n_calls),
            "decorated": lambda: Timer(statement, globals={"call": decorated}).timeit(n_calls),
        },
        2 * effort.n_rounds,
    )
    figure = Figure.of(ratios(seconds["decorated"], seconds["bare"]))
    return Row(benchmark="call", number="P5", measure=measure, unit="x", figure=figure, goal=goal, seconds=seconds)
