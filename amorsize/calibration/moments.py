"""Mean and spread of a quantity that was timed in batches, so that parts can be added up in any order."""

from __future__ import annotations

from amorsize.calibration.facts import MAX_ITEMS
from amorsize.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_MEAN = 1e9
"""Beyond any mean of seconds or of their logarithm."""

MAX_M2 = 1e40
"""Beyond any sum of squares: the highest count times the longest item, squared."""


class Moments(Record):
    """Weighted mean and squared deviations of batch means.

    A batch of k items tells its mean alone, whose variance is that of an item over k. So a batch weighs k, and
    `m2 / (samples - 1)` estimates the variance of a single item without bias, whatever the sizes of the batches.

    Attributes:
        weight: items seen; a fraction once they aged.
        samples: batches that were timed apart.
        mean: mean per item.
        m2: sum over batches of k x (batch mean - mean)^2.
    """

    weight: float = 0.0
    samples: float = 0.0
    mean: float = 0.0
    m2: float = 0.0

    def check(self) -> None:
        # One chain of comparisons instead of a loop: a Moments is made several times before a run may go parallel.
        try:
            fits = 0 <= self.samples <= self.weight <= MAX_ITEMS and -MAX_MEAN <= self.mean <= MAX_MEAN
            fits = fits and 0 <= self.m2 <= MAX_M2
        except TypeError:
            fits = False
        if not fits:
            raise ValueError(f"impossible statistics: {self!r}")

    @classmethod
    def of(cls, batches: Sequence[tuple[int, float]]) -> Moments:
        """Return the moments of batches of (items, mean per item)."""
        weight = sum([n for n, _ in batches])
        if not weight:
            return cls()
        mean = sum([n * value for n, value in batches]) / weight
        m2 = sum([n * (value - mean) * (value - mean) for n, value in batches])
        return cls(weight=float(weight), samples=float(len(batches)), mean=mean, m2=m2)

    @property
    def variance(self) -> float | None:
        """Variance of a single item; None while fewer than two batches tell."""
        return self.m2 / (self.samples - 1) if self.samples > 1 else None

    def merge(self, other: Moments) -> Moments:
        """Return both together (Chan, Golub & LeVeque 1979)."""
        if not other.weight:
            return self
        if not self.weight:
            return other
        weight = self.weight + other.weight
        delta = other.mean - self.mean
        share = other.weight / weight
        return Moments(
            weight=weight,
            samples=self.samples + other.samples,
            mean=self.mean + delta * share,
            m2=self.m2 + other.m2 + delta * delta * self.weight * share,
        )

    def scaled(self, share: float) -> Moments:
        """Return the same mean and spread with this share of the weight."""
        if share == 1.0:
            return self
        return Moments(weight=self.weight * share, samples=self.samples * share, mean=self.mean, m2=self.m2 * share)

    def limited(self, n_samples: float) -> Moments:
        """Return the same mean and spread with a weight of at most `n_samples` items."""
        return self if self.weight <= n_samples else self.scaled(n_samples / self.weight)

    @property
    def numbers(self) -> list[float]:
        """The fields in order, for a store."""
        return [self.weight, self.samples, self.mean, self.m2]

    @classmethod
    def from_numbers(cls, numbers: Sequence[float]) -> Moments:
        """Return the moments that `numbers` told; raise TypeError or ValueError for anything else."""
        weight, samples, mean, m2 = numbers
        return cls(weight=weight, samples=samples, mean=mean, m2=m2)
