"""What a measurement says: a median, how sure it is, and whether a goal is met. Pure: no clock, no process."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from math import comb
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONFIDENCE = 0.9
"""How often an interval holds the true median. Higher leaves more rows undecided, lower decides more wrongly."""

MIN_ROUNDS = 7
"""Fewer rounds judge nothing: below five, even the whole range of the samples misses `CONFIDENCE`."""

NOISY_CORES = 0.15
"""Cores that others may use meanwhile. On two cores this slows a parallel run by 8 % and a loop not at all: more of it
would turn met goals into missed ones, and less is what an idle machine's own housekeeping comes to."""


class Verdict(StrEnum):
    """Whether a goal is reached, as far as the samples can tell."""

    MET = "met"
    MISSED = "missed"
    UNDECIDED = "undecided"
    FAILED = "failed"
    UNAVAILABLE = "not available"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A median and the interval that holds the true one.

    Attributes:
        median: in the row's unit.
        low: lower end of the interval.
        high: upper end of the interval.
        n_rounds: rounds measured; None for what was counted and has no spread.
        samples: of every round, in order.
    """

    median: float
    low: float
    high: float
    n_rounds: int | None
    samples: tuple[float, ...] = field(default=(), compare=False)

    @classmethod
    def of(cls, samples: Sequence[float]) -> Figure:
        """Return the median of at least one sample, with its interval."""
        ordered = sorted(samples)
        n_outside = ranks_outside(len(ordered))
        low, high = ordered[n_outside], ordered[-1 - n_outside]
        return cls(median=median(ordered), low=low, high=high, n_rounds=len(ordered), samples=tuple(samples))


def ranks_outside(n_samples: int) -> int:
    """Return how many sorted samples at either end may be left out of the interval.

    The interval between the k-th smallest and the k-th largest of n samples misses the true median with the probability
    that fewer than k of n fair coins fall on one side, twice: no distribution is assumed.
    """
    n_outside, missed = 0, 2 / 2**n_samples
    while n_outside < (n_samples - 1) // 2:
        missed += 2 * comb(n_samples, n_outside + 1) / 2**n_samples
        if missed > 1 - CONFIDENCE:
            break
        n_outside += 1
    return n_outside


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A bound that a figure has to keep.

    Attributes:
        bound: in the row's unit.
        at_least: whether the figure has to reach it, instead of staying below.
    """

    bound: float
    at_least: bool = False

    def holds_for(self, value: float) -> bool:
        """Return whether one value keeps the bound."""
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.bound:.4g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measure of one benchmark.

    Attributes:
        benchmark: the name in the catalog.
        measure: what is measured, in words.
        number: of the goal that it belongs to, such as `P1`; empty for what no goal is about.
        unit: of figure and goal: `x` for a ratio, `ms`, `us`, or what was counted.
        figure: the result; None where there is none, and `note` says why.
        goal: what it is to be; None where the row is only shown.
        note: what else a reader should know.
        is_failure: whether there is no figure because a contender failed, and not because something is missing here.
        is_ours: whether that contender was amorsize or the plain loop.
        seconds: the raw seconds of every contender, round by round.
        others_cores: cores that other processes used meanwhile; None where the platform does not tell.
    """

    benchmark: str
    measure: str
    number: str = ""
    unit: str = ""
    figure: Figure | None
    goal: Goal | None = None
    note: str = ""
    is_failure: bool = False
    is_ours: bool = False
    seconds: Mapping[str, Sequence[float]] = field(default_factory=dict)
    others_cores: float | None = None

    @property
    def is_noisy(self) -> bool:
        """Whether others used so much of the machine that nothing timed on it can be judged."""
        is_timed = self.figure is not None and self.figure.n_rounds is not None
        return is_timed and (self.others_cores or 0.0) > NOISY_CORES

    @property
    def is_short(self) -> bool:
        """Whether it was measured too few times to judge anything."""
        n_rounds = None if self.figure is None else self.figure.n_rounds
        return n_rounds is not None and n_rounds < MIN_ROUNDS

    @property
    def verdict(self) -> Verdict | None:
        """Whether the goal is met; undecided where it lies inside the interval, and where the times prove nothing."""
        if self.figure is None:
            return Verdict.FAILED if self.is_failure else Verdict.UNAVAILABLE
        if self.goal is None:
            return None
        if self.is_noisy or self.is_short:
            return Verdict.UNDECIDED
        ends = {self.goal.holds_for(self.figure.low), self.goal.holds_for(self.figure.high)}
        if len(ends) > 1:
            return Verdict.UNDECIDED
        return Verdict.MET if ends.pop() else Verdict.MISSED


def counted(
    benchmark: str, number: str, measure: str, count: int, seconds: Mapping[str, Sequence[float]] | None = None
) -> Row:
    """Return a row for something that ought not to happen, and was counted."""
    figure = Figure(median=count, low=count, high=count, n_rounds=None)
    return Row(
        benchmark=benchmark,
        number=number,
        measure=measure,
        figure=figure,
        goal=Goal(bound=0),
        seconds=seconds or {},
    )


def missing(benchmark: str, number: str, measure: str, why: str) -> Row:
    """Return a row for what cannot be measured here, or not yet."""
    return Row(benchmark=benchmark, number=number, measure=measure, figure=None, note=why)


def failure(benchmark: str, measure: str, why: str, number: str = "", *, is_ours: bool = False) -> Row:
    """Return a row for a contender that failed."""
    return Row(
        benchmark=benchmark, number=number, measure=measure, figure=None, note=why, is_failure=True, is_ours=is_ours
    )


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Return each round's ratio of two contenders."""
    return [one / other for one, other in zip(above, below, strict=True)]


def differences(more: Sequence[float], less: Sequence[float]) -> list[float]:
    """Return each round's difference of two contenders."""
    return [one - other for one, other in zip(more, less, strict=True)]


def scaled(factor: float, samples: Sequence[float]) -> list[float]:
    """Return samples in another unit."""
    return [factor * sample for sample in samples]
