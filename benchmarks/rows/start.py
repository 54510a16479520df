"""What a fresh process pays before its work begins, and after it has ended."""

from __future__ import annotations

import subprocess
from functools import partial
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, Goal, Row, differences, scaled
from benchmarks.launch import AT_ROOT, Child, command, environment, told_s
from benchmarks.pairing import in_turn
from benchmarks.sizes import spinning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.pairing import Effort

    Seconds = Mapping[str, Sequence[float]]

BARE = "pass"

DECORATE = """
import amorsize
@amorsize.parallelizable
def double(number):
    return 2 * number
"""

TIMED = "from time import perf_counter; began_s = perf_counter()" + DECORATE + "print(perf_counter() - began_s)"

FIRST_PMAP = (
    "from time import perf_counter"
    + DECORATE
    + """
numbers = list(range(50))
began_s = perf_counter()
expected = [double(number) for number in numbers]
loop_s = perf_counter() - began_s
began_s = perf_counter()
results = double.pmap(numbers)
pmap_s = perf_counter() - began_s
assert results == expected
print(loop_s, pmap_s)
"""
)


def importing(effort: Effort) -> list[Row]:
    """Measure `import amorsize` and one decoration: beside an interpreter that does nothing, and from inside."""
    with TemporaryDirectory(prefix="benchmarks-") as home:
        walls = in_turn(
            {"bare": partial(wall_s, BARE, home), "decorating": partial(wall_s, AT_ROOT + DECORATE, home)},
            effort.n_launches,
        )
        inside = in_turn({"inside": lambda: told_s(AT_ROOT + TIMED, home)[0]}, effort.n_launches)
    whole = differences(walls["decorating"], walls["bare"])
    return [
        _row_ms("import", "P6", "import, decorate: inside", inside["inside"], 0.5, inside),
        _row_ms("import", "P6", "import, decorate: whole process", whole, 0.5, walls),
    ]


def first_pmap(effort: Effort) -> list[Row]:
    """Measure the first `pmap` of a fresh process, over 50 trivial items, beside the loop over the same items."""
    seconds: dict[str, list[float]] = {"loop": [], "pmap": []}
    with TemporaryDirectory(prefix="benchmarks-") as home:
        for _ in range(effort.n_launches):
            loop_s, pmap_s = told_s(AT_ROOT + FIRST_PMAP, home)
            seconds["loop"].append(loop_s)
            seconds["pmap"].append(pmap_s)
    more = differences(seconds["pmap"], seconds["loop"])
    return [_row_ms("first_pmap", "P6", "50 trivial items: pmap - loop", more, 0.7, seconds)]


def leaving(effort: Effort) -> list[Row]:
    """Measure how much longer a process takes to end after a cold call that was worth learning from."""
    size = spinning(0.001, effort.loop_s)

    def ending_s(peer: str) -> float:
        child = Child(peer)
        child.call("loop_1ms", size)
        return child.close()

    seconds = in_turn({peer: partial(ending_s, peer) for peer in ("loop", "pmap")}, effort.n_rounds)
    more = differences(seconds["pmap"], seconds["loop"])
    return [_row_ms("exit", "P2", "end after a cold pmap - after a loop", more, 40, seconds)]


def _row_ms(
    benchmark: str, number: str, measure: str, samples_s: Sequence[float], at_most_ms: float, seconds: Seconds
) -> Row:
    return Row(
        benchmark=benchmark,
        number=number,
        measure=measure,
        unit="ms",
        figure=Figure.of(scaled(1e3, samples_s)),
        goal=Goal(bound=at_most_ms),
        seconds=seconds,
    )


def wall_s(program: str, home: str) -> float:
    """Return the seconds from starting a bare interpreter to its end."""
    began_s = perf_counter()
    subprocess.run(command(program), env=environment(home), stdin=subprocess.DEVNULL, check=True)
    return perf_counter() - began_s
