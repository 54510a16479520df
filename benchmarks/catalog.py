"""What can be run, by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.figures import failure
from benchmarks.launch import ContenderFailed
from benchmarks.machine import OthersWatch
from benchmarks.rows.beside import beside
from benchmarks.rows.calls import calls
from benchmarks.rows.limits import break_even, overhead
from benchmarks.rows.plain_call import plain_call
from benchmarks.rows.start import first_pmap, importing, leaving
from benchmarks.tour import TOUR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.figures import Row
    from benchmarks.pairing import Effort


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A question, and how to answer it.

    Attributes:
        name: what `run` takes; also the second column of all its rows.
        numbers: of the goals that it is about; empty for what is only shown.
        about: the question in words.
        measure: answers it with rows; takes seconds to minutes.
    """

    name: str
    numbers: str
    about: str
    measure: Callable[[Effort], list[Row]]

    def run(self, effort: Effort) -> list[Row]:
        """Measure, and note on every row how much of the machine others used meanwhile.

        Where amorsize or the plain loop itself fails, that is the row.
        """
        watch = OthersWatch()
        try:
            rows = self.measure(effort)
        except ContenderFailed as failed:
            rows = [failure(self.name, "could not be measured", str(failed), self.numbers, is_ours=True)]
        others_cores = watch.cores()
        return [replace(row, others_cores=others_cores) for row in rows]


QUESTIONS = (
    Benchmark("call", "P5", "a plain call f(x), decorated and bare", plain_call),
    Benchmark("import", "P6", "import amorsize and one decoration", importing),
    Benchmark("first_pmap", "P6", "the first pmap of a fresh process over 50 trivial items", first_pmap),
    Benchmark("calls", "P13", "calls of the function beyond one an item", calls),
    Benchmark("overhead", "P9", "what an empty item costs beyond the loop, forced to all cores", overhead),
    Benchmark("break_even", "P4", "the shortest loop that a cold pmap beats 1.2 times", break_even),
    Benchmark("exit", "P2", "what a call leaves to be done when the process ends", leaving),
)

CATALOG = (
    *QUESTIONS,
    *(Benchmark(each.name, "P1-P3", f"beside every peer: {each.about}", partial(beside, each)) for each in TOUR),
)


def chosen(names: Iterable[str]) -> list[Benchmark]:
    """Return the benchmarks of these names, in the catalog's order; `all` is every one.

    Raises:
        ValueError: for a name that is not in the catalog.
    """
    wanted = set(names)
    unknown = wanted - {benchmark.name for benchmark in CATALOG} - {"all"}
    if unknown:
        known = ", ".join(benchmark.name for benchmark in CATALOG)
        raise ValueError(f"no benchmark is called {', '.join(sorted(unknown))}; there are {known}, and all")
    return [benchmark for benchmark in CATALOG if benchmark.name in wanted or "all" in wanted]
