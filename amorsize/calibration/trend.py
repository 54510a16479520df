"""Whether items along the input become longer or shorter: of sorted data, the first tell little about the others."""

from __future__ import annotations

from math import sqrt

from amorsize.calibration.moments import Moments
from amorsize.calibration.runs import TELLING_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Batches = Sequence[tuple[int, float]]  # items and seconds of each, in the order of the input, about

LEVEL = 1.3
"""Items whose second half takes at most this many times as long as the first, or the reverse, are alike along the
input. Lower, and noise looks like a trend; at 2, a cost that rises with the position passes for none."""

DOUBT = 3.0
"""Standard errors by which two halves must differ: a few long items among many short ones fall anywhere, and with 2,
one in 20 inputs in random order has a trend."""


def trend_of(batches: Batches) -> float | None:
    """Return an item's seconds in the second half of the input over those in the first, 1 where chance could explain
    them; None where nothing tells."""
    middle = len(batches) // 2
    first, second = _moments(batches[:middle]), _moments(batches[middle:])
    variances = first.variance, second.variance
    if sums(batches)[1] < TELLING_S or variances[0] is None or variances[1] is None or not first.mean:
        return None
    error_s = sqrt(variances[0] / first.weight + variances[1] / second.weight)
    ratio = second.mean / first.mean
    is_level = 1 / LEVEL <= ratio <= LEVEL or abs(second.mean - first.mean) <= DOUBT * error_s
    return 1.0 if is_level else ratio


def is_level(batches: Batches) -> bool:
    """Tell whether these batches last long enough to tell anything, and both halves show the same."""
    if sums(batches)[1] < TELLING_S:
        return False
    middle = len(batches) // 2
    if not middle:
        return True
    (n_first, first_s), (n_second, second_s) = sums(batches[:middle]), sums(batches[middle:])
    return first_s * n_second <= LEVEL * second_s * n_first and second_s * n_first <= LEVEL * first_s * n_second


def sums(batches: Batches) -> tuple[int, float]:
    """Return items and seconds of all batches."""
    return sum([n for n, _ in batches]), sum([seconds for _, seconds in batches])


def relative_spread(batches: Batches) -> float:
    """Return the standard deviation of an item's seconds over their mean; where it is not known, 1."""
    item = _moments(batches)
    return 1.0 if item.variance is None else sqrt(item.variance) / item.mean


def _moments(batches: Batches) -> Moments:
    return Moments.of([(n, seconds / n) for n, seconds in batches])
