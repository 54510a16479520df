"""How often the function is called: once an item, whatever is being learned."""

from __future__ import annotations

import os
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.figures import counted
from benchmarks.launch import Child
from benchmarks.sizes import Size, spinning

if TYPE_CHECKING:
    from benchmarks.figures import Row
    from benchmarks.pairing import Effort


def calls(effort: Effort) -> list[Row]:
    """Count calls beyond one an item by what all processes append to one file: cold, from a filled store, and warm."""
    size = spinning(0.001, effort.loop_s)
    rows = []
    with TemporaryDirectory(prefix="benchmarks-") as home:
        for when in ("cold", "next process"):
            with _child(home) as child:
                rows.append(_row(when, child, size, home))
                rows.append(_row(f"{when}, 2nd call", child, size, home))
    return rows


def _child(home: str) -> Child:
    return Child("pmap", home=home, MARKS_FILE=_marks_file(home))


def _marks_file(home: str) -> str:
    return os.path.join(home, "marks")


def _row(when: str, child: Child, size: Size, home: str) -> Row:
    seconds = child.call("marked", size)
    with open(_marks_file(home), encoding="ascii") as marks:
        pids = marks.read().split()
    os.remove(_marks_file(home))
    measure = f"extra calls, {when}, {len(set(pids))} processes"
    return counted("calls", "P13", measure, len(pids) - size.n_items, {"pmap": [seconds]})
