"""Draw rows: each one's figure beside its goal. matplotlib is loaded only here."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from benchmarks.figures import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.figures import Row

COLOURS = {Verdict.MET: "tab:green", Verdict.MISSED: "tab:red", Verdict.UNDECIDED: "tab:gray", None: "tab:blue"}

LINE_INCHES = 0.22


def drawing(file: str) -> Callable[[Sequence[Row]], None]:
    """Return what draws rows into a file; its ending says in which format.

    Raises:
        ValueError: where matplotlib is missing, or does not know the format.
    """
    try:
        from matplotlib.figure import Figure as Canvas
    except ImportError as error:
        raise ValueError(f"--plot needs matplotlib, which amorsize[bench] installs: {error}") from error
    known = Canvas().canvas.get_supported_filetypes()
    ending = file.rpartition(".")[2].lower()
    if ending not in known:
        raise ValueError(f"--plot draws {', '.join(sorted(known))}, got {file!r}")

    def draw(rows: Sequence[Row]) -> None:
        points = [(row, *ends) for row in rows if (ends := ends_of(row)) is not None]
        canvas = Canvas(figsize=(10, 1 + LINE_INCHES * max(4, len(points))), layout="constrained")
        axes = canvas.subplots()
        for height, (row, low, middle, high) in enumerate(reversed(points)):
            colour = COLOURS[row.verdict]
            axes.plot([low, high], [height, height], color=colour, linewidth=4, alpha=0.4)
            axes.plot([middle], [height], "o", color=colour)
        axes.set_yticks(range(len(points)), [label_of(row) for row, *_ in reversed(points)], fontsize=7)
        axes.set_ylim(-1, max(1, len(points)))
        axes.set_xscale("log")
        axes.axvline(1.0, color="black", linewidth=1)
        axes.set_xlabel("figure / goal: left of the line is met; without a goal, the ratio itself")
        axes.grid(axis="x", alpha=0.3)
        canvas.savefig(file)

    return draw


def label_of(row: Row) -> str:
    """Return what stands beside a row's point."""
    return f"{row.number} {row.benchmark}: {row.measure}".strip()


def ends_of(row: Row) -> tuple[float, float, float] | None:
    """Return low end, median and high end in units of the goal, or as they are; None for what has no place on it."""
    if row.figure is None or (row.goal is None and row.unit != "x"):
        return None
    ends = (row.figure.low, row.figure.median, row.figure.high)
    if not all(isfinite(end) and end > 0 for end in ends) or (row.goal is not None and row.goal.bound <= 0):
        return None
    if row.goal is None:
        return ends
    bound, (low, middle, high) = row.goal.bound, ends
    if row.goal.at_least:
        return bound / high, bound / middle, bound / low
    return low / bound, middle / bound, high / bound
