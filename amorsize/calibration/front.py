"""What the first items of a call tell of the others: less than a sample would, for inputs are sorted or grouped.

The next call most likely begins alike.
"""

from __future__ import annotations

from amorsize.calibration.runs import FAR_OFF, TELLING_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from amorsize.calibration.profile import Profile

    Batches = Sequence[tuple[int, float]]  # items and seconds of each, in the order of the input, about

PARTS = 16
"""A call shows what its first items tell of the others if all take at least so many times as long as those."""


def front_of(batches: Batches) -> float | None:
    """Return the mean seconds of the items in the first millisecond over those of all; None where nothing tells."""
    n_first, first_s = 0, 0.0
    for n_items, seconds in batches:
        n_first, first_s = n_first + n_items, first_s + seconds
        if first_s >= TELLING_S:
            break
    n_all, all_s = sums(batches)
    return first_s / n_first * n_all / all_s if first_s and all_s >= PARTS * first_s else None


def is_expected(known: Profile, first: Profile) -> bool:
    """Tell whether what is known makes one expect such first items: then they say nothing new about the others."""
    if known.front is None or not known.is_known or not first.is_known:
        return False
    expected_s = known.front * known.item.mean
    return expected_s <= FAR_OFF * first.item.mean and first.item.mean <= FAR_OFF * expected_s


def sums(batches: Batches) -> tuple[int, float]:
    """Return items and seconds of all batches."""
    return sum([n for n, _ in batches]), sum([seconds for _, seconds in batches])
