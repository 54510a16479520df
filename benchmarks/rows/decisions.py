"""How long it takes to decide: in a process that knows the function, and in a fresh one that asks the store.

A part of each decision is to work out who the function is: its fingerprint.
"""

from __future__ import annotations

from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, Goal, Row, scaled
from benchmarks.launch import AT_ROOT, told_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.pairing import Effort

KNOWN = """
from time import perf_counter
import amorsize
@amorsize.parallelizable
def triple(number):
    return 3 * str(number)  # long enough for a look into the store to be worth it
numbers = range(10**6)  # not a list: the collector would look through it
"""

DECIDE_AGAIN = (
    KNOWN
    + """
triple.pmap(numbers)
triple.explain(numbers)
for _ in range(int(sys.argv[2])):
    began_s = perf_counter()
    triple.explain(numbers)
    print(perf_counter() - began_s)
"""
)

LEARN = KNOWN + "triple.pmap(numbers)"

DECIDE_FIRST = (
    KNOWN
    + """
began_s = perf_counter()
plan = triple.explain(numbers)
print(perf_counter() - began_s)
assert plan.serial_s is not None, "the store knew nothing"
"""
)

KEY_AGAIN = """
from time import perf_counter
from amorsize.identity.function import function_key
source = ["import math", "FACTOR = 3"]
source += [f"def helper_{at}(x): return math.sin(x) * FACTOR + {at}" for at in range(10)]
source += ["def task(x): return " + " + ".join(f"helper_{at}(x)" for at in range(10))]
exec("\\n".join(source))
function_key(task)
for _ in range(int(sys.argv[2])):
    began_s = perf_counter()
    for _ in range(100):
        function_key(task)
    print((perf_counter() - began_s) / 100)
"""

DECISIONS_A_LAUNCH = 5


def decision(effort: Effort) -> list[Row]:
    """Measure `explain`, which decides and does nothing else, where this process has run the function before."""
    with TemporaryDirectory(prefix="benchmarks-") as home:
        seconds = told_s(AT_ROOT + DECIDE_AGAIN, home, str(DECISIONS_A_LAUNCH * effort.n_launches))
    return [_row("decision", "P7", "explain(10^6 items), function known here", "us", seconds, 20)]


def first_decision(effort: Effort) -> list[Row]:
    """Measure the first `explain` of fresh processes, whose store an earlier one has filled."""
    with TemporaryDirectory(prefix="benchmarks-") as home:
        told_s(AT_ROOT + LEARN, home)
        seconds = [told_s(AT_ROOT + DECIDE_FIRST, home)[0] for _ in range(effort.n_launches)]
    return [_row("first_decision", "P8", "first explain of a process, from the store", "ms", seconds, 3)]


def fingerprint(effort: Effort) -> list[Row]:
    """Measure the key of a function with ten helpers, which is worked out anew at every call, where it was before."""
    with TemporaryDirectory(prefix="benchmarks-") as home:
        seconds = told_s(AT_ROOT + KEY_AGAIN, home, str(DECISIONS_A_LAUNCH * effort.n_launches))
    return [_row("fingerprint", "", "key of a function with ten helpers, known here", "us", seconds, 100)]


def _row(benchmark: str, number: str, measure: str, unit: str, seconds: Sequence[float], at_most: float) -> Row:
    factor = {"ms": 1e3, "us": 1e6}[unit]
    return Row(
        benchmark=benchmark,
        number=number,
        measure=measure,
        unit=unit,
        figure=Figure.of(scaled(factor, seconds)),
        goal=Goal(bound=at_most),
        seconds={benchmark: seconds},
    )
