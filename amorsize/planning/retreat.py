"""Tell when a run with workers is to be given up: they and the caller together do worse than the caller alone.

Plan, what the run has shown so far -> revise -> None, or the plan of the loop
"""

from __future__ import annotations

from math import inf

from amorsize.planning.chunks import target_s
from amorsize.planning.model import WAITS_BELOW
from amorsize.planning.planner import loop_plan
from amorsize.planning.words import span, workers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.records import Evidence, Plan

RETREAT_AFTER_S = 0.01
"""Caller and workers are compared with the caller alone after this many seconds together: earlier, the start of the
workers tells more than their speed; later, a wrong start costs more."""

RETREAT_RATIO = 1.1
"""How many times slower together must be than alone: at 1.0 noise ends good runs, at 2.0 bad ones go on for long."""

ONE_CORE = 0.9
"""Who gets at least this much of a core's work done together is no worse off than alone: then the items became longer,
which no retreat cures. Higher and runs on sorted input are given up; lower and a machine that is full is not seen."""

GAINLESS_RATIO = 0.9
"""Threads that compute and save less than a tenth of what the caller alone takes are given up: holding the GIL after
all, they are up to a tenth slower, and the loop is there at once. 1.0 would keep those; 0.7 gives up good ones."""

MORE_THAN_A_CORE = 1.25
"""Threads that keep so many cores busy are not taking turns at the GIL."""


def revise(plan: Plan, evidence: Evidence) -> Plan | None:
    """Return the loop where caller and workers together are slower than the caller alone was; None to go on.

    What is under way and not yet reported counts as done, so that only true slowness ends a run.
    """
    alone_s, n_jobs = evidence.alone_s, evidence.n_workers + 1
    if not alone_s or evidence.together_s < RETREAT_AFTER_S or evidence.n_together < 2 * n_jobs:
        return None
    ratio, enough_cores = RETREAT_RATIO, ONE_CORE
    if plan.backend == "thread" and evidence.cores_used is not None and evidence.cores_used >= WAITS_BELOW:
        ratio, enough_cores = GAINLESS_RATIO, MORE_THAN_A_CORE
    if evidence.cores_used is not None and evidence.cores_used >= enough_cores:
        return None
    n_done = evidence.n_together + n_jobs * max(1.0, target_s(n_jobs, inf) / alone_s)
    together_s = evidence.together_s / n_done
    if together_s <= ratio * alone_s:
        return None
    together = f"{workers(plan.backend, plan.n_jobs)} {span(together_s)} an item"
    reason = f"{together}, the caller alone took {span(alone_s)}: back to the loop"
    return loop_plan(reason, evidence.n_left, None if evidence.n_left is None else evidence.n_left * alone_s)
