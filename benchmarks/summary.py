"""What many rows say together: geometric means over the workloads, and how good the predictions were. Pure."""

from __future__ import annotations

from math import ceil
from statistics import geometric_mean, median
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, Goal, Row
from benchmarks.goals import COLD_REGRET, MOVED_TIMES, SHORT_REGRET, WARM_REGRET

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

PREDICTED_WITHIN = 0.10
PREDICTED_MOSTLY_WITHIN = 0.30
MOST = 0.95


def summaries(rows: Sequence[Row], listed: Collection[str], computing: Collection[str]) -> list[Row]:
    """Return the rows that sum others up; none for a question that was asked over one workload only.

    Args:
        rows: everything measured.
        listed: workloads that count.
        computing: those of them that keep a core busy.
    """
    small = {name for name in listed if name not in MOVED_TIMES}
    found = [
        _mean("P1", WARM_REGRET, rows, listed, "all", 0.97),
        _mean("P1", WARM_REGRET, rows, computing, "CPU-bound", 1.00),
        _mean("P2", COLD_REGRET, rows, listed, "all", 0.93),
        _mean("P2", SHORT_REGRET, rows, small, "without big_*", 0.85),
        *_predictions(rows),
    ]
    return [row for row in found if row is not None]


def _mean(
    number: str, measure: str, rows: Iterable[Row], names: Collection[str], called: str, at_most: float
) -> Row | None:
    """Return the geometric mean over workloads; only a mean over all that were asked for is judged."""
    told = [row for row in rows if row.benchmark in names and row.measure.startswith(f"{measure} (")]
    figures = [row.figure for row in told if row.figure is not None]
    if len(figures) < 2:
        return None
    rounds = [geometric_mean(each) for each in zip(*(figure.samples for figure in figures), strict=False)]
    return Row(
        benchmark="summary",
        number=number,
        measure=f"{measure}, {called}: mean of {len(figures)}",
        unit="x",
        figure=Figure.of(rounds),
        goal=Goal(bound=at_most) if len(figures) == len(names) else None,
        others_cores=_mean_cores(told),
    )


def _mean_cores(rows: Sequence[Row]) -> float | None:
    known = [row.others_cores for row in rows if row.others_cores is not None]
    return sum(known) / len(known) if known else None


def _predictions(rows: Iterable[Row]) -> list[Row]:
    """Return how far predictions were off, over all rounds of the rows that were quiet."""
    told = [row for row in rows if row.number == "P1" and "predicted" in row.seconds and not row.is_noisy]
    if len(told) < 2:
        return []
    errors = [error for row in told for error in _errors(row)]
    most = _most(errors)
    ninety_fifth = Figure(median=most, low=most, high=most, n_rounds=len(errors))
    middle = Figure.of(errors)
    return [
        _prediction_row("median error", middle, PREDICTED_WITHIN, len(told), told),
        _prediction_row("95th percentile of errors", ninety_fifth, PREDICTED_MOSTLY_WITHIN, len(told), told),
    ]


def _errors(row: Row) -> list[float]:
    """Return by what share each prediction of a row was off, either way."""
    pairs = zip(row.seconds["predicted"], row.seconds["pmap"], strict=True)
    return [abs(predicted_s / measured_s - 1) for predicted_s, measured_s in pairs]


def _strays(row: Row) -> list[float]:
    """Return by what share each round of the plain loop was off the median of all of them."""
    typical_s = median(row.seconds["loop"])
    return [abs(seconds / typical_s - 1) for seconds in row.seconds["loop"]]


def _most(errors: Collection[float]) -> float:
    """Return the 95th percentile."""
    return sorted(errors)[ceil(MOST * len(errors)) - 1]


def _prediction_row(measure: str, figure: Figure, at_most: float, n_workloads: int, told: Sequence[Row]) -> Row:
    worst = sorted(told, key=lambda row: -median(_errors(row)))[:3]
    return Row(
        benchmark="summary",
        number="P14",
        measure=f"warm, predicted / measured: {measure}",
        figure=figure,
        goal=Goal(bound=at_most),
        note=f"over {n_workloads} workloads; worst: "
        + ", ".join(f"{row.benchmark} {median(_errors(row)):.0%}" for row in worst)
        + f"; the loop itself strays from its median by {_most([each for row in told for each in _strays(row)]):.0%}",
        others_cores=_mean_cores(told),
    )
