"""What sending a result costs: its encoding by a worker, and its decoding by the caller.

    what bytes cost here -> a trial of some results -> what callers took over in runs -> the function's profile

A trial finds memory that was used before, and a cache that holds little else: of short texts it shows a third of what
they cost. It also decides alone whether workers take part at all, so what is learned may not run away.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from amorsize.calibration.costs import Costs
    from amorsize.calibration.profile import Profile

    Taken = tuple[int, int, float]  # results, messages, and seconds that taking them over took

LEAST_S = 1e-4
"""Seconds that results have to cost at the least, going by their bytes, to tell anything."""

STEP = 2.0
"""One run changes what is believed by this factor at most: a caller that is stopped for 10 ms while it takes over 300
numbers would make each 30 us dear, and keep the function in the loop for 85 calls."""

FADING = 0.98
"""With each run that tells nothing, this share of what was believed beyond the price of the bytes is still believed.
Workers that lost a third by it are tried again after some 15 runs; with 0.9 after three, which costs a tenth."""

UNLIKE = 8.0
"""Results that are so many times as large as those that were learned from, or as small, say nothing of each other."""


def price_of(n_bytes: float | None, costs: Costs) -> float:
    """Return what a result of so many bytes costs by these alone; None stands for few."""
    return costs.encode_s + costs.decode_s + 2 * costs.byte_s * (n_bytes or 0.0)


def believed_sending(profile: Profile, costs: Costs, runs: Iterable[Taken]) -> float | None:
    """Return the seconds that a result is believed to cost after a call; None where nothing is known.

    Decoding is timed, and encoding supposed to take as long.

    Args:
        profile: what is known, this call's own trial included.
        costs: what this machine charges.
        runs: what the caller took over in this call.
    """
    by_bytes_s, known_s, has_told = price_of(profile.result_bytes, costs), profile.send_s, False
    for n_items, n_messages, seconds in runs:
        if n_items * by_bytes_s >= LEAST_S:
            before_s, has_told = known_s or by_bytes_s, True
            seen_s = 2 * max(0.0, seconds - n_messages * costs.drain_s) / n_items
            known_s = min(max(seen_s, before_s / STEP), before_s * STEP)
    if known_s is None or has_told or known_s <= by_bytes_s:
        return known_s
    return by_bytes_s + FADING * (known_s - by_bytes_s)


def is_alike(n_bytes: float, known_bytes: float | None) -> bool:
    """Tell whether what is known of results of one size holds for those of another; below 64 bytes all are alike."""
    n_bytes, known_bytes = max(n_bytes, 64.0), max(known_bytes or 0.0, 64.0)
    return n_bytes <= UNLIKE * known_bytes and known_bytes <= UNLIKE * n_bytes
