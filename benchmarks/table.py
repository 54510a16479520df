"""Rows as people and as programs read them."""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.figures import MIN_ROUNDS, NOISY_CORES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.figures import Figure, Row
    from benchmarks.machine import Surroundings

COLUMNS = "{:<4} {:<15} {:<54} {:>10} {:>17} {:>9}  {:<13}"

LEGEND = "Pool: as its documentation shows it; Pool 2x16: with 2 workers, and 16 chunks for each of them"

HEAD = COLUMNS.format("goal", "benchmark", "measure", "median", "interval", "bound", "verdict").rstrip()


def line_of(row: Row) -> str:
    """Return a row as a line of the table, and its times and what else there is to say as a line below it."""
    figure, value, interval = row.figure, "", ""
    if figure is not None:
        value = f"{figure.median:.3g} {row.unit}"
        interval = "" if figure.n_rounds is None else f"{figure.low:.3g} .. {figure.high:.3g}"
    goal = "" if row.goal is None else str(row.goal)
    line = COLUMNS.format(row.number, row.benchmark, row.measure, value, interval, goal, row.verdict or "").rstrip()
    timed = ", ".join(f"{name} {_short_s(median(seconds))}" for name, seconds in row.seconds.items() if seconds)
    return "\n".join([line, *(f"     {said}" for said in (timed, row.note) if said)])


def _short_s(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-4 else f"{seconds * 1e6:.3g} us"


def heading_of(place: Surroundings) -> str:
    """Return what stands above the table."""
    return f"{surroundings_of(place)}\n{LEGEND}"


def surroundings_of(place: Surroundings) -> str:
    """Return where the figures are from, in a line."""
    cores = f"{place.n_cores} of {place.n_machine_cores} cores"
    packages = ", ".join(f"{name} {version}" for name, version in place.packages.items())
    return (
        f"amorsize {place.amorsize}, {place.python}, {place.system}, {cores} of {place.processor}, load {place.load:g};"
        f" {packages}"
    )


def footing_of(rows: Sequence[Row]) -> str:
    """Return what stands below the table: how it went, and what cannot be judged and why; empty without goals."""
    verdicts = [row.verdict for row in rows if row.verdict is not None]
    counts = [f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(sorted(verdicts))]
    lines = [", ".join(counts)] if counts else []
    noisy = [row for row in rows if row.is_noisy]
    if noisy:
        worst = max(row.others_cores or 0.0 for row in noisy)
        names = ", ".join(dict.fromkeys(row.benchmark for row in noisy))
        lines.append(f"too noisy to judge (others used up to {worst:.2g} cores, {NOISY_CORES} are tolerated): {names}")
    if any(row.goal is None and row.measure.endswith("/ pmap") for row in rows):
        lines.append("... / pmap: above 1, pmap was faster")
    if any(row.is_short for row in rows):
        lines.append(f"fewer than {MIN_ROUNDS} rounds: times are shown, and not judged")
    return "\n".join(lines)


def json_of(rows: Sequence[Row], place: Surroundings) -> dict[str, object]:
    """Return everything that was measured, made of what JSON knows."""
    return {
        "surroundings": asdict(place),
        "rows": [{**asdict(row), **_judged(row)} for row in rows],
    }


def _judged(row: Row) -> dict[str, object]:
    """Return what a row works out itself; the ends of its interval only where they are numbers that JSON knows."""
    figure = None
    if row.figure is not None:
        ends = {name: value if isfinite(value) else None for name, value in _ends_of(row.figure).items()}
        figure = {**asdict(row.figure), **ends}
    return {"figure": figure, "verdict": row.verdict, "is_noisy": row.is_noisy}


def _ends_of(figure: Figure) -> dict[str, float]:
    return {"median": figure.median, "low": figure.low, "high": figure.high}
