"""`python -m benchmarks list`, `python -m benchmarks run NAME...|all [--quick] [--json FILE]`.

The table goes to stdout, progress to stderr. Exit status: 0 measured (whatever the verdicts), 1 a contender failed or
returned a wrong answer, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from benchmarks.catalog import CATALOG, chosen
from benchmarks.launch import WrongAnswer, compile_packages
from benchmarks.machine import Surroundings
from benchmarks.pairing import FULL, QUICK
from benchmarks.table import HEAD, footing_of, heading_of, json_of, line_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.catalog import Benchmark
    from benchmarks.figures import Row
    from benchmarks.pairing import Effort


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says, and return the exit status."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if asked.command == "list":
        for benchmark in CATALOG:
            print(f"{benchmark.name:<12} {benchmark.about}")
        return 0
    try:
        benchmarks = chosen(asked.names)
    except ValueError as error:
        parser.error(str(error))
    place = Surroundings.now()
    print(heading_of(place), HEAD, sep="\n", flush=True)
    try:
        rows = _measured(benchmarks, QUICK if asked.quick else FULL)
    except (WrongAnswer, ChildProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    print(footing_of(rows))
    if asked.json is not None:
        with open(asked.json, "w", encoding="utf-8") as file:
            json.dump(json_of(rows, place), file, indent=1, allow_nan=False)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure amorsize beside its peers.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="what can be run")
    run = commands.add_parser("run", help="measure and print a table")
    run.add_argument("names", nargs="+", metavar="NAME", help="names from the list, or all")
    run.add_argument("--quick", action="store_true", help="seconds instead of minutes; judges nothing")
    run.add_argument("--json", metavar="FILE", help="also write everything, every single time included, to a file")
    return parser


def _measured(benchmarks: Sequence[Benchmark], effort: Effort) -> list[Row]:
    """Measure one benchmark after the other, printing its rows as soon as they are known."""
    compile_packages()
    rows: list[Row] = []
    for benchmark in benchmarks:
        print(f"measuring {benchmark.name}: {benchmark.about}", file=sys.stderr, flush=True)
        found = benchmark.run(effort)
        print(*map(line_of, found), sep="\n", flush=True)
        rows += found
    return rows


if __name__ == "__main__":
    sys.exit(main())
