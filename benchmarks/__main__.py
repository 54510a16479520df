"""What amorsize is measured by, from the command line.

    python -m benchmarks list
    python -m benchmarks run NAME...|all [--quick] [--json FILE] [--plot FILE]
    python -m benchmarks compare pkg.mod:func --data pkg.mod:data [--quick] [--json FILE] [--plot FILE]
    python -m benchmarks trace [--seed S] [--quick]
    python -m benchmarks faults [NAME...] [--peer NAME] [--quick] [--json FILE]
    python -m benchmarks soak [--minutes N] [--seed S] [--run N] [--json FILE]

The table goes to stdout, progress to stderr. Exit status: 0 measured (whatever the verdicts), 1 amorsize failed or
returned a wrong answer, hung or left something behind, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from benchmarks.catalog import CATALOG, Benchmark, chosen
from benchmarks.launch import compile_packages
from benchmarks.machine import Surroundings
from benchmarks.pairing import FULL, QUICK
from benchmarks.rows.own import NAMED, own
from benchmarks.summary import summaries
from benchmarks.table import HEAD, footing_of, heading_of, json_of, line_of
from benchmarks.tour import TOUR, Kind
from benchmarks.trace import run_trace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.figures import Row
    from benchmarks.pairing import Effort


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says, and return the exit status."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if asked.command == "list":
        for benchmark in CATALOG:
            print(f"{benchmark.name:<16} {benchmark.numbers:<10} {benchmark.about}")
        return 0
    if asked.command == "trace":
        compile_packages()
        print(
            heading_of(Surroundings.now()).partition("\n")[0],
            run_trace(asked.seed, (QUICK if asked.quick else FULL).loop_s),
            sep="\n",
        )
        return 0
    try:
        if asked.command == "faults":
            return _faults(asked)
        if asked.command == "soak":
            return _soak(asked)
        if asked.command == "compare":
            benchmarks = [Benchmark("compare", "", asked.func, partial(own, asked.func, asked.data))]
        else:
            benchmarks = chosen(asked.names)
        draw = _drawing(asked.plot)
    except ValueError as error:
        parser.error(str(error))
    place = Surroundings.now()
    print(heading_of(place), HEAD, sep="\n", flush=True)
    rows = _measured(benchmarks, QUICK if asked.quick else FULL)
    print(footing_of(rows))
    if asked.json is not None:
        with open(asked.json, "w", encoding="utf-8") as file:
            json.dump(json_of(rows, place), file, indent=1, allow_nan=False)
    draw(rows)
    return 1 if any(row.is_ours for row in rows) else 0


def _faults(asked: argparse.Namespace) -> int:
    from benchmarks.faults.table import faults

    return faults(asked.names, asked.peer, is_quick=asked.quick, file=asked.json)


def _soak(asked: argparse.Namespace) -> int:
    from benchmarks.soak.story import soak

    return soak(minutes=asked.minutes, seed=asked.seed, numbers=asked.run or count(), file=asked.json)


def _drawing(file: str | None) -> Callable[[Sequence[Row]], None]:
    """Return what draws the rows into a file; told before anything is measured that it cannot be done.

    Raises:
        ValueError: where matplotlib is missing, or cannot write such a file.
    """
    if file is None:
        return lambda _rows: None
    from benchmarks.plot import drawing

    return drawing(file)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure amorsize beside its peers.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="what can be run, and the number of the goal that it belongs to")
    run = commands.add_parser("run", help="measure and print a table")
    run.add_argument("names", nargs="+", metavar="NAME", help="names from the list, or all")
    compare = commands.add_parser("compare", help="measure your own function over your own data")
    compare.add_argument("func", metavar="FUNC", type=_place, help="the function, as pkg.mod:name")
    compare.add_argument("--data", required=True, type=_place, help="the items, or what makes them: pkg.mod:name")
    trace = commands.add_parser("trace", help="ten runs of one function while cores, load, items and code change")
    trace.add_argument("--seed", type=int, default=1, metavar="S", help="of the items, which cost differently (1)")
    faults = commands.add_parser(
        "faults", help="kill, crash and interrupt amorsize and its peers, and see what is left"
    )
    faults.add_argument("names", nargs="*", metavar="NAME", help="faults; all of them for none")
    faults.add_argument("--peer", action="append", default=[], metavar="NAME", help="only this one; may be repeated")
    faults.add_argument("--quick", action="store_true", help="what is not done after 3 s hangs, instead of 12 s")
    faults.add_argument("--json", metavar="FILE", help="also write everything that was seen")
    soak = commands.add_parser("soak", help="seeded chaos: short runs whose workers are killed, stopped, interrupted")
    soak.add_argument("--minutes", type=float, default=1.0, metavar="N", help="how long (1)")
    soak.add_argument("--seed", type=int, default=1, metavar="S", help="what is done in which run follows from it (1)")
    soak.add_argument("--run", type=int, action="append", metavar="N", help="only this run; may be repeated")
    soak.add_argument("--json", metavar="FILE", help="also write everything that was seen")
    for command in (run, compare, trace):
        command.add_argument("--quick", action="store_true", help="seconds instead of minutes; judges nothing")
    for command in (run, compare):
        command.add_argument("--json", metavar="FILE", help="also write everything, every single time included")
        command.add_argument("--plot", metavar="FILE", help="also draw the ratios; needs matplotlib")
    return parser


def _place(text: str) -> str:
    if not NAMED.fullmatch(text):
        raise argparse.ArgumentTypeError(f"name it as pkg.mod:name, got {text!r}")
    return text


def _measured(benchmarks: Sequence[Benchmark], effort: Effort) -> list[Row]:
    """Measure one benchmark after the other, printing its rows as soon as they are known."""
    compile_packages()
    rows: list[Row] = []
    for benchmark in benchmarks:
        print(f"measuring {benchmark.name}: {benchmark.about}", file=sys.stderr, flush=True)
        found = benchmark.run(effort)
        print(*map(line_of, found), sep="\n", flush=True)
        rows += found
    listed = {workload.name for workload in TOUR if workload.is_listed}
    computing = {workload.name for workload in TOUR if workload.kind is Kind.COMPUTES}
    summed_up = summaries(rows, listed, computing)
    print(*map(line_of, summed_up), sep="\n", end="\n" if summed_up else "", flush=True)
    return rows + summed_up


if __name__ == "__main__":
    sys.exit(main())
