"""What can be run, by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.figures import failure, missing
from benchmarks.goals import MOVED_TIMES
from benchmarks.launch import ContenderFailed
from benchmarks.machine import OthersWatch
from benchmarks.rows.beside import beside
from benchmarks.rows.calls import calls
from benchmarks.rows.changes import changes
from benchmarks.rows.decisions import decision, fingerprint, first_decision
from benchmarks.rows.efficiency import efficiencies
from benchmarks.rows.keeping import store
from benchmarks.rows.limits import break_even, overhead
from benchmarks.rows.memory import memory, stream
from benchmarks.rows.never_slower import never_slower
from benchmarks.rows.optimizing import optimizing
from benchmarks.rows.plain_call import plain_call
from benchmarks.rows.spawning import spawning
from benchmarks.rows.stages import stages
from benchmarks.rows.start import first_pmap, importing, leaving
from benchmarks.rows.waiting import waiting
from benchmarks.tour import TOUR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.figures import Row
    from benchmarks.pairing import Effort
    from benchmarks.tour import Workload


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
        except ImportError as error:
            rows = [
                missing(self.name, self.numbers, "could not be measured", f"{error}: it comes with amorsize[bench]")
            ]
        others_cores = watch.cores()
        return [replace(row, others_cores=others_cores) for row in rows]


QUESTIONS = (
    Benchmark("call", "P5", "a plain call f(x), decorated and bare", plain_call),
    Benchmark("import", "P6", "import amorsize and one decoration", importing),
    Benchmark("first_pmap", "P6", "the first pmap of a fresh process over 50 trivial items", first_pmap),
    Benchmark("decision", "P7", "deciding, where this process knows the function", decision),
    Benchmark("first_decision", "P8", "the first decision of a fresh process, from the store", first_decision),
    Benchmark("fingerprint", "", "working out the key of a function with ten helpers", fingerprint),
    Benchmark("calls", "P13", "calls of the function beyond one an item", calls),
    Benchmark("overhead", "P9", "what an empty item costs beyond the loop, forced to all cores", overhead),
    Benchmark("break_even", "P4", "the shortest loop that a cold pmap beats 1.2 times", break_even),
    Benchmark("exit", "P2", "what a call leaves to be done when the process ends", leaving),
    Benchmark("waiting", "P12", "200 items that wait for 5 ms, beside ThreadPoolExecutor", waiting),
    Benchmark("changes", "P18", "the second call, after cores or data have changed", changes),
    Benchmark("optimize", "", "what optimize() estimates, and what a Pool run as it says reaches", optimizing),
    Benchmark("spawn", "", "workers that are fresh interpreters, first and second call", spawning),
    Benchmark("stream", "P11", "the caller's memory while 10^7 items go through pimap", stream),
    Benchmark("memory", "P16", "the memory of caller and workers where items are large", memory),
    Benchmark("store", "P17", "a large store, and one that eight processes write", store),
    Benchmark("stages", "", "each stage of a call beside its floor", stages),
    Benchmark("efficiency", "P15", "what 16, 64 and 128 workers make of as many cores", efficiencies),
    Benchmark("never_slower", "P3", "the worst case of every workload, from one item up, and of lies", never_slower),
)


def _numbers(workload: Workload) -> str:
    """Return the goals that a workload is measured for."""
    return "P1-P3, P10" if workload.name in MOVED_TIMES else "P1-P3"


CATALOG = (
    *QUESTIONS,
    *(Benchmark(each.name, _numbers(each), f"beside every peer: {each.about}", partial(beside, each)) for each in TOUR),
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
