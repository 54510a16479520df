"""What real runs took, beside what had been predicted: the evidence against a profile that is no longer true."""

from __future__ import annotations

from amorsize.calibration.facts import MAX_SECONDS, SHORTEST_S, check_numbers, is_count
from amorsize.records import Record

MAX_JOBS = 2**16
"""More processes than any machine runs."""

MAX_RUNS = 8
"""Observed runs that are kept: enough to see a trend; more would only make each store access longer."""

FAR_OFF, OFF = 4.0, 1.3
"""A profile is stale when one run is off by the first factor, or `RUNS_OFF` in a row, the same way, by the second.
Lower and an ordinary noisy machine forgets what it learned; higher and a changed function stays mispredicted."""

RUNS_OFF = 3
"""How many runs in a row "several" is."""

TELLING_S = 1e-3
"""Seconds from which on a measurement can refute a prediction: below, one preemption by the system is a factor of 4."""


class Run(Record):
    """One real run, and what had been predicted for it.

    Attributes:
        backend: `serial`, `process` or `thread`.
        n_jobs: processes that computed, or threads.
        chunksize: the largest range that was taken at once.
        n_items: items that the prediction was about.
        predicted_s: seconds predicted when the plan was made.
        measured_s: seconds that it took from there.
    """

    backend: str
    n_jobs: int
    chunksize: int
    n_items: int
    predicted_s: float
    measured_s: float

    def check(self) -> None:
        if type(self.backend) is not str or len(self.backend) > 32:
            raise ValueError(f"backend must be a short name, got {self.backend!r}")
        if not (is_count(self.n_jobs, MAX_JOBS) and is_count(self.chunksize) and is_count(self.n_items)):
            raise ValueError(f"n_jobs, chunksize and n_items must be whole, >= 1 and possible, got {self!r}")
        check_numbers((self.predicted_s, self.measured_s), 0, MAX_SECONDS)

    @property
    def ratio(self) -> float:
        """Measured over predicted seconds; 1.0 where both are too short to tell."""
        if max(self.measured_s, self.predicted_s) < TELLING_S:
            return 1.0
        return self.measured_s / max(self.predicted_s, SHORTEST_S)


def refute(runs: tuple[Run, ...]) -> bool:
    """Tell whether the last runs refute what predicted them: one off by a factor of 4, or three the same way by 1.3."""
    if not runs:
        return False
    last = runs[-1].ratio
    if last >= FAR_OFF or last <= 1 / FAR_OFF:
        return True
    ratios = [run.ratio for run in runs[-RUNS_OFF:]]
    return len(ratios) == RUNS_OFF and (min(ratios) >= OFF or max(ratios) <= 1 / OFF)
