"""The faults as people and as programs read them, and the story of one run of the tool."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from benchmarks.faults.cases import chosen
from benchmarks.faults.cells import words_of
from benchmarks.faults.contenders import CONTENDERS
from benchmarks.faults.referee import FULL_S, QUICK_S, cell_of
from benchmarks.machine import Surroundings
from benchmarks.table import surroundings_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.faults.cases import Case
    from benchmarks.faults.cells import Cell

LEGEND = "2 workers each; amorsize with isolate=True: as with the others, no item runs in the caller"


def faults(names: Iterable[str], peers: Sequence[str], *, is_quick: bool, file: str | None) -> int:
    """Do the faults to the contenders and print the table; return the exit status.

    Raises:
        ValueError: for a name of a fault or a contender that there is not.
    """
    cases = chosen(names)
    unknown = set(peers) - set(CONTENDERS)
    if unknown:
        raise ValueError(f"no contender is called {', '.join(sorted(unknown))}; there are {', '.join(CONTENDERS)}")
    place = Surroundings.now()
    print(surroundings_of(place), LEGEND, sep="\n", flush=True)
    cells: list[tuple[Case, Cell]] = []
    for case in cases:
        print(f"\n{case.name}: {case.about}", flush=True)
        for peer in peers or CONTENDERS:
            cell = cell_of(case, peer, QUICK_S if is_quick else FULL_S)
            print(line_of(cell, case), flush=True)
            cells.append((case, cell))
    if file is not None:
        with open(file, "w", encoding="utf-8") as written:
            told = [{**asdict(cell), "about": case.about, "said": words_of(cell, case)} for case, cell in cells]
            json.dump({"surroundings": asdict(place), "cells": told}, written, indent=1, allow_nan=False)
    bad = [case.name for case, cell in cells if cell.peer == "amorsize" and cell.is_bad(case)]
    if bad:
        print(
            f"amorsize left its caller without a right answer, or processes behind: {', '.join(bad)}", file=sys.stderr
        )
    return 1 if bad else 0


def line_of(cell: Cell, case: Case) -> str:
    """Return one contender's line below a fault."""
    seconds = "" if cell.seconds is None else f"{cell.seconds:.2f} s"
    return f"  {cell.peer:<24}{seconds:>8}  {words_of(cell, case)}"
