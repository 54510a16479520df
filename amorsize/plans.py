"""The plan that follows from what is known and what was asked for; found again where nothing of it has changed."""

from __future__ import annotations

from amorsize.clearance import sends_items
from amorsize.identity.machine import HAS_GIL
from amorsize.planning.limits import MOST_THREADS, Limits
from amorsize.planning.planner import choose_plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.calibration.costs import Costs
    from amorsize.calibration.profile import Profile
    from amorsize.options import Options
    from amorsize.records import Capacity, Plan

    Known = tuple[Profile, Costs, Capacity, Options]
    Told = tuple[int | None, float, int, int, str | None, bool, str, str | None, str | None]

MOST_PLANS = 64
"""Plans kept for who asks again, at 2 KB. Short calls that teach nothing find theirs, for 1 us instead of 25; other
calls leave some that nobody will ask for."""

_plans: dict[tuple[object, ...], tuple[Known, Plan]] = {}


def plan_for(known: Known, told: Told) -> Plan:
    """Return the plan that follows from this and nothing else; the same one where it was asked for just before.

    Of what is known only the very same objects count as the same: they are frozen, and kept as long as their ids.
    """
    key = (*map(id, known), *told)
    found = _plans.get(key)
    if found is None:
        if len(_plans) >= MOST_PLANS:
            _plans.clear()
        found = _plans[key] = known, _new_plan(known, told)
    return found[1]


def _new_plan(known: Known, told: Told) -> Plan:
    profile, costs, room, asked = known
    n_left, elapsed_s, n_ahead, n_ready, stays, feeds, start_method, no_processes, no_threads = told
    limits = Limits(
        n_jobs=asked.jobs_asked(room.n_cores),
        n_jobs_ceiling=asked.jobs_ceiling(room.n_cores, room.quota_cores),
        chunksize=None if asked.chunksize == "auto" else asked.chunksize,
        backend=asked.backend,
        refusal=stays,
        isolate=asked.isolate,
        feeds=feeds or start_method == "spawn",
        sends_items=sends_items(start_method, n_left),
        start_method=start_method,
        n_warm=n_ready,
        no_processes=no_processes,
        no_threads=no_threads,
        n_threads_ceiling=asked.threads_ceiling(room.n_cores, MOST_THREADS),
        has_gil=HAS_GIL,
    )
    return choose_plan(profile, costs, room, n_left, limits, elapsed_s, n_ahead)
