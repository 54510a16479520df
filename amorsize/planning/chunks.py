"""How many items are taken at once: few enough that all finish together, enough that taking costs nothing.

Workers with a shared counter size each range when they take it (`range_size`). A backend that must cut its chunks
beforehand takes the size that Kruskal & Weiss derived (`fixed_size`).
"""

from __future__ import annotations

from math import ceil, log, sqrt

SHORTEST_RANGE_S, LONGEST_RANGE_S = 0.5e-3, 2e-3
"""Shortest and longest range worth taking, in seconds, while much is left: taking and publishing one costs ~10 us on
each side. With half of the shortest, jobs of a few ms pay 4 % for that; with more, their workers idle at the end. With
the shortest throughout, jobs of 150 ms take 2 to 5 % longer than with the longest; with twice that, as long."""

STEPS = 8
"""Where it lies between them, a range is such a part of each process's equal share of what is left."""

TARGET_PER_JOB_S = 30e-6
"""Seconds of range for each process that computes: the one caller reads every range, at ~6 us each, and 64 workers with
ranges of 0.5 ms would bring it one every 8 us. With half of it reading takes 40 % of the caller, whatever n; twice as
much makes the ends of runs ragged on large machines."""

SHARES_LEFT = 2
"""Every process may take this part of its equal share of what is left. 1 lets one long range end after everything else;
4 doubles the number of ranges near the end."""


def target_s(n_jobs: int, left_s: float) -> float:
    """Return the seconds of work that one range should hold where `n_jobs` processes take ranges, and so much work is
    left."""
    return max(SHORTEST_RANGE_S, TARGET_PER_JOB_S * n_jobs, min(LONGEST_RANGE_S, left_s / (STEPS * n_jobs)))


def range_size(item_s: float | None, n_left: int, n_jobs: int, chunksize: int | None) -> int:
    """Return how many items to take next, at least 1.

    Called by every process before each range: plain comparisons, for 0.3 us.

    Args:
        item_s: seconds an item is expected to take; None where nothing is known, which tries one item.
        n_left: items that nobody has taken yet, about.
        n_jobs: processes that take ranges.
        chunksize: the largest range allowed; None for no limit.
    """
    if item_s is None:
        return 1
    size = n_left // (SHARES_LEFT * n_jobs)
    seconds = item_s * n_left / (STEPS * n_jobs)  # as `target_s`, which takes twice as long
    if seconds > LONGEST_RANGE_S:
        seconds = LONGEST_RANGE_S
    if seconds < SHORTEST_RANGE_S:
        seconds = SHORTEST_RANGE_S
    if seconds < TARGET_PER_JOB_S * n_jobs:
        seconds = TARGET_PER_JOB_S * n_jobs
    if size * item_s > seconds:
        size = int(seconds / item_s)
    if chunksize is not None and size > chunksize:
        size = chunksize
    return size if size > 1 else 1


def fixed_size(n_items: int, n_jobs: int, chunk_s: float, sd_s: float) -> int:
    """Return the chunk size for a backend that cuts all chunks before it starts.

    k* = (sqrt(2) N h / (sigma n sqrt(ln n)))^(2/3): longer chunks cost fewer messages, shorter ones end together
    (Kruskal & Weiss 1985, "Allocating independent subtasks on parallel processors").

    Args:
        n_items: items in all, >= 1.
        n_jobs: processes that compute.
        chunk_s: seconds that each further chunk costs.
        sd_s: standard deviation of an item's seconds; 0 gives each process one chunk.
    """
    most = max(1, ceil(n_items / n_jobs))
    scale = sd_s * n_jobs * sqrt(log(n_jobs)) if n_jobs > 1 else 0.0
    wanted = sqrt(2.0) * n_items * chunk_s
    if wanted >= scale * most**1.5:
        return most
    return max(1, int((wanted / scale) ** (2 / 3)))
