"""What can be run, by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.machine import OthersWatch
from benchmarks.rows.beside import FASTER, NEVER_SLOWER, beside_big_results, beside_loops
from benchmarks.rows.calls import calls
from benchmarks.rows.limits import break_even, overhead
from benchmarks.rows.plain_call import plain_call
from benchmarks.rows.start import first_pmap, importing, leaving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.figures import Row
    from benchmarks.pairing import Effort


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A question, and how to answer it.

    Attributes:
        name: what `run` takes; also the first column of all its rows.
        about: the question in words.
        measure: answers it with rows; takes seconds to minutes.
    """

    name: str
    about: str
    measure: Callable[[Effort], list[Row]]

    def run(self, effort: Effort) -> list[Row]:
        """Measure, and note on every row how much of the machine others used meanwhile."""
        watch = OthersWatch()
        rows = self.measure(effort)
        others_cores = watch.cores()
        return [replace(row, others_cores=others_cores) for row in rows]


CATALOG = (
    Benchmark("call", "a plain call f(x), decorated and bare", plain_call),
    Benchmark("import", "import amorsize and one decoration", importing),
    Benchmark("first_pmap", "the first pmap of a fresh process over 50 trivial items", first_pmap),
    Benchmark("calls", "calls of the function beyond one an item", calls),
    Benchmark(
        "loop_1us",
        "items of 1 us beside the loop and multiprocessing.Pool",
        partial(beside_loops, "loop_1us", 1e-6, NEVER_SLOWER),
    ),
    Benchmark("loop_30us", "the same with items of 30 us", partial(beside_loops, "loop_30us", 30e-6, FASTER)),
    Benchmark("loop_1ms", "the same with items of 1 ms", partial(beside_loops, "loop_1ms", 1e-3, FASTER)),
    Benchmark("loop_10ms", "the same with items of 10 ms", partial(beside_loops, "loop_10ms", 10e-3, FASTER)),
    Benchmark("big_results", "the same with results of 1 MB", partial(beside_big_results, "big_results")),
    Benchmark("overhead", "what an empty item costs beyond the loop, forced to all cores", overhead),
    Benchmark("break_even", "the shortest loop that a cold pmap beats 1.2 times", break_even),
    Benchmark("exit", "what a call leaves to be done when the process ends", leaving),
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
