"""Choose numbers for people who run multiprocessing.Pool themselves: processes, chunk size, and what to expect.

The prediction is Amdahl's law with measured overheads: what the caller pickles and rebuilds is the part that no number
of workers makes shorter.
"""

from __future__ import annotations

from math import ceil

from amorsize.planning.chunks import fixed_size
from amorsize.planning.limits import candidates, most_jobs
from amorsize.planning.model import Model
from amorsize.planning.planner import NOTHING_KNOWN, STANDARD_ERRORS, START_MARGIN, loop_plan
from amorsize.planning.words import items, span
from amorsize.records import Alternative, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.calibration.costs import Costs
    from amorsize.calibration.profile import Profile
    from amorsize.planning.limits import Limits
    from amorsize.records import Capacity

POOLS_OWN_CHUNKS = 4
"""`Pool.map` cuts this many chunks for each worker where no chunk size is given."""


def choose_pool_plan(
    profile: Profile, costs: Costs, capacity: Capacity, n_items: int, limits: Limits, shortest_s: float = 0.0
) -> Plan:
    """Choose n_jobs and chunksize for a new `multiprocessing.Pool(n_jobs).map(func, data, chunksize)`.

    `serial_s / predicted_s` of the plan is the speedup to expect; the plan is `serial` where a Pool would not
    clearly gain.

    Args:
        profile: what is known about the function.
        costs: what this machine charges.
        capacity: how much of the machine may be used now.
        n_items: items in all.
        limits: what was asked for, and what is allowed.
        shortest_s: seconds of the shortest item seen. One of a few that was disturbed must not hide what all others
            show: that the mean is shorter than the shortest of five happens once in 32 times, if half are shorter.
    """
    if not profile.is_known or not n_items:
        return loop_plan(NOTHING_KNOWN if n_items else "no item to run", n_items, None)
    item_s, serial_s = profile.item.mean, n_items * profile.item.mean
    most, bound = most_jobs(profile.worker_bytes, capacity, n_items, limits)
    if limits.refusal is not None or most == 1:
        return loop_plan(limits.refusal or bound, n_items, serial_s)
    model = Model(profile, costs, capacity, n_items, limits.replace(isolate=True))
    jobs = candidates(serial_s, 2 * costs.pool_worker_s, capacity.physical_cores, limits, most)
    rated = sorted(
        [
            (model.pool_s(item_s, n_jobs, chunksize), n_jobs, chunksize)
            for n_jobs in jobs
            for chunksize in _sizes(profile, costs, n_items, n_jobs, limits.chunksize)
        ]
    )
    best_s, n_jobs, chunksize = rated[0]
    told = f"{items(n_items)} of {span(item_s)}: Pool({n_jobs}) with chunksize {chunksize:,} takes {span(best_s)}"
    told = f"{told}, the plain loop {span(serial_s)}"
    low_s = max(profile.bound_s(-STANDARD_ERRORS), min(shortest_s, item_s))
    if n_items * low_s - model.pool_s(low_s, n_jobs, chunksize) <= START_MARGIN * costs.pool_start_s(n_jobs):
        return loop_plan(f"no clear gain ({told})", n_items, serial_s, _rejected(rated))
    loop = Alternative(backend="serial", n_jobs=1, predicted_s=serial_s, why_not="predicted to take longer")
    return Plan(
        backend="process",
        n_jobs=n_jobs,
        chunksize=chunksize,
        reason=told,
        predicted_s=best_s,
        serial_s=serial_s,
        caller_computes=False,
        alternatives=(*_rejected(rated[1:]), loop),
    )


def _sizes(profile: Profile, costs: Costs, n_items: int, n_jobs: int, most: int | None) -> set[int]:
    """Return the chunk sizes worth predicting: derived for this spread, Pool's own, and one chunk for each worker."""
    share = ceil(n_items / n_jobs)
    sizes = {fixed_size(n_items, n_jobs, costs.pool_chunk_s, profile.sd_s), ceil(share / POOLS_OWN_CHUNKS), share}
    return sizes if most is None else {min(size, most) for size in sizes}


def _rejected(rated: list[tuple[float, int, int]]) -> tuple[Alternative, ...]:
    return tuple(
        [
            Alternative(backend="process", n_jobs=n, chunksize=k, predicted_s=s, why_not="predicted to take longer")
            for s, n, k in rated
        ]
    )
