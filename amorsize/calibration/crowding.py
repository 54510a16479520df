"""By how much workers slow each other down: memory's bandwidth, hyper-threads, native threads that want the same cores.

    seconds alone, seconds beside workers -> seen_crowding -> believed_crowding -> the function's profile

An item's seconds alone and beside workers are two things. Were they one, items that workers make longer would look as
if they always were, and the loop, which nobody has run since, too dear for ever.
"""

from __future__ import annotations

from math import sqrt

from amorsize.calibration.front import sums
from amorsize.calibration.moments import Moments
from amorsize.calibration.runs import TELLING_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.calibration.front import Batches
    from amorsize.calibration.profile import Profile
    from amorsize.calibration.runs import Run

LEVEL = 1.3
"""Items whose second half takes at most this many times as long as the first, or the reverse, are alike along the
input. Of others, sorted ones say, the first tell nothing about the next. Lower, and noise hides crowding; at 2, a cost
that rises with the position passes for it."""

DOUBT = 2.0
"""Standard errors by which the seconds alone are taken longer, and those beside workers shorter."""

FADING = 0.9
"""With each run in the loop, this share of it is still believed: another program may have been the cause. Workers that
lost five to one are tried again after some 15 runs, and given up after 10 ms; lower, they are sooner."""


def seen_crowding(alone: Batches, beside: Batches, n_jobs: int) -> float | None:
    """Return by which share of its seconds alone each further process made an item longer; None where nothing tells.

    Args:
        alone: what the caller ran before there were workers.
        beside: what was run with workers.
        n_jobs: processes that computed then.
    """
    if n_jobs < 2 or not _is_level(alone) or not _is_level(beside):
        return None
    slower, surely = _times_as_long(beside, alone, _relative_spread(beside))
    if surely > 1:
        return (surely - 1) / (n_jobs - 1)
    return 0.0 if slower <= LEVEL else None


def seen_lag(by_caller: Batches, by_workers: Batches, n_jobs: int) -> float | None:
    """Return the crowding that shows where the caller is as fast as ever, and its workers are slower than it is.

    A forked worker that reads 1 MB of its parent's memory for the first time takes a page fault for each 4 kB of it:
    0.55 ms an item where the caller takes 0.16. What the two share out is so much, and by no order of theirs, that it
    tells where the few items alone do not.

    Args:
        by_caller: what the caller ran beside its workers.
        by_workers: what these ran.
        n_jobs: processes that computed then.
    """
    if n_jobs < 2 or not _is_level(by_caller) or not _is_level(by_workers):
        return None
    spread = max(_relative_spread(by_caller), _relative_spread(by_workers))
    _, surely = _times_as_long(by_workers, by_caller, spread)
    if surely <= LEVEL:
        return None
    lanes = 1 + (n_jobs - 1) / surely
    return (n_jobs / lanes - 1) / (n_jobs - 1)


def _times_as_long(these: Batches, those: Batches, spread: float) -> tuple[float, float]:
    """Return how many times as long the former's items take as the latter's, and how many times at the least."""
    (n_these, these_s), (n_those, those_s) = sums(these), sums(those)
    times = these_s * n_those / (those_s * n_these)
    return times, times * (1 - DOUBT * spread / sqrt(n_these)) / (1 + DOUBT * spread / sqrt(n_those))


def believed_crowding(profile: Profile, seen: float | None, run: Run | None) -> float | None:
    """Return what to believe after a call; None where that is what the profile says.

    Args:
        profile: what was known before.
        seen: what the call has shown; None where nothing.
        run: of the call.
    """
    known = profile.crowding
    if seen is not None:
        return seen if known is None else (known + seen) / 2
    if not known or run is None or run.backend != "serial":
        return None
    before = next((each for each in reversed(profile.runs) if each.backend == "process"), None)
    if before is not None and before.n_items >= run.n_items and before.measured_s < run.measured_s:
        return 0.0  # workers were faster after all
    return known * FADING


def _is_level(batches: Batches) -> bool:
    """Tell whether these batches last long enough to tell anything, and both halves show the same."""
    if sums(batches)[1] < TELLING_S:
        return False
    middle = len(batches) // 2
    if not middle:
        return True
    (n_first, first_s), (n_second, second_s) = sums(batches[:middle]), sums(batches[middle:])
    return first_s * n_second <= LEVEL * second_s * n_first and second_s * n_first <= LEVEL * first_s * n_second


def _relative_spread(batches: Batches) -> float:
    """Return the standard deviation of an item's seconds over their mean; where it is not known, 1."""
    item = Moments.of([(n, seconds / n) for n, seconds in batches])
    return 1.0 if item.variance is None else sqrt(item.variance) / item.mean
