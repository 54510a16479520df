"""Choose how a call is run: the loop, or how many processes; and say why, in words.

    Profile, Costs, Capacity, items left, Limits -> choose_plan -> Plan
    Plan, what the run has shown so far          -> revise      -> None, or the plan to go back to the loop

What is asked for is obeyed, within ceiling, memory and items. What is left to "auto" goes parallel only where it
clearly gains.
"""

from __future__ import annotations

from math import ceil

from amorsize.calibration.facts import MAX_ITEMS
from amorsize.planning.chunks import SHARES_LEFT, target_s
from amorsize.planning.limits import Limits, candidates, most_jobs
from amorsize.planning.model import Model
from amorsize.planning.words import items, processes, span
from amorsize.records import Alternative, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.calibration.costs import Costs
    from amorsize.calibration.profile import Profile
    from amorsize.records import Capacity, Evidence

STANDARD_ERRORS = 2.0
"""By how many standard errors the mean item is taken shorter when a gain is judged. With 0, every second cold call at
the edge forks for a first guess that was too high; 4 keeps a cold job of 4 ms in the loop."""

LEAST_SHARE = 0.1
"""However few items were timed, the others are taken to last at least this share of their mean. 0 times four items of
10 ms before a worker starts, a tenth of a job of 0.3 s; 1 believes one slow first call."""

START_MARGIN = 0.5
"""A run goes parallel where the gain exceeds this share of what starting costs: starts vary by about as much. 0 loses
on half of the jobs at the edge; 2 keeps jobs of 3 ms, which would gain 0.5 ms, in the loop."""

NEGLIGIBLE_START = 0.01
"""Where starting costs less than this share of the seconds already spent it cannot hurt, and the mean alone decides.
Ten times as much would let a wrong guess cost 10 %; none keeps cores idle beside a few long items of unknown spread."""

SKI_RENTAL = 0.02
"""For input of unknown length, workers start once that costs at most this share of the seconds already spent: whatever
comes, it is not slower than the loop by more. Half of it starts twice as late; twice as much may lose 4 %."""

UNKNOWN_RANGE = 65_536
"""The largest range where the number of items is unknown: ranges follow from item seconds, this only bounds them."""

RETREAT_AFTER_S = 0.01
"""Caller and workers are compared with the caller alone after this many seconds together: earlier, the start of the
workers tells more than their speed; later, a wrong start costs more."""

RETREAT_RATIO = 1.1
"""How many times slower together must be than alone: at 1.0 noise ends good runs, at 2.0 bad ones go on for long."""

ONE_CORE = 0.9
"""Who gets at least this much of a core's work done together is no worse off than alone: then the items became longer,
which no retreat cures. Higher and runs on sorted input are given up; lower and a machine that is full is not seen."""


def choose_plan(
    profile: Profile,
    costs: Costs,
    capacity: Capacity,
    n_items: int | None,
    limits: Limits,
    elapsed_s: float = 0.0,
) -> Plan:
    """Choose how the items that are left are run.

    Args:
        profile: what is known about the function, this call's own first items included.
        costs: what this machine charges.
        capacity: how much of the machine may be used now.
        n_items: items not yet computed; None where nobody knows how many come.
        limits: what was asked for, and what is allowed.
        elapsed_s: seconds that this call has already computed.
    """
    item_s = profile.item.mean
    serial_s = n_items * item_s if n_items is not None and profile.is_known else None
    most, bound = most_jobs(profile.worker_bytes, capacity, n_items, limits)
    reason = _why_loop(profile, n_items, limits, most, bound)
    if reason is not None:
        return loop_plan(reason, n_items, serial_s)
    if not profile.is_known:
        return _asked_plan(most, n_items, limits)
    expected = _as_many_again(elapsed_s, item_s) if n_items is None else n_items
    model = Model(profile, costs, capacity, expected, limits)
    if limits.n_jobs is not None or (limits.forces_workers and n_items is None):
        jobs = [most]
    else:
        jobs = candidates(expected * item_s, model.worker_start_s, capacity.physical_cores, limits, most)
    rated = sorted([(model.process_s(item_s, n_jobs), n_jobs) for n_jobs in jobs])
    if not limits.forces_workers:
        reason = _why_no_gain(profile, model, n_items, expected, rated[0], elapsed_s)
        if reason is not None:
            return loop_plan(reason, n_items, serial_s, _rejected(rated, "gains too little"))
    return _worker_plan(rated, model, item_s, n_items, limits)


def revise(plan: Plan, evidence: Evidence) -> Plan | None:
    """Return the loop where caller and workers together are slower than the caller alone was; None to go on.

    What is under way and not yet reported counts as done, so that only true slowness ends a run.
    """
    alone_s, n_jobs = evidence.alone_s, evidence.n_workers + 1
    if not alone_s or evidence.together_s < RETREAT_AFTER_S or evidence.n_together < 2 * n_jobs:
        return None
    if evidence.cores_used is not None and evidence.cores_used >= ONE_CORE:
        return None
    n_done = evidence.n_together + n_jobs * max(1.0, target_s(n_jobs) / alone_s)
    together_s = evidence.together_s / n_done
    if together_s <= RETREAT_RATIO * alone_s:
        return None
    together = f"{processes(plan.n_jobs)} {span(together_s)} an item"
    reason = f"{together}, the caller alone took {span(alone_s)}: back to the loop"
    return loop_plan(reason, evidence.n_left, evidence.n_left * alone_s)


def loop_plan(reason: str, n_items: int | None, serial_s: float | None, rejected: tuple[Alternative, ...] = ()) -> Plan:
    """Return the plan of the caller's own loop."""
    return Plan(
        backend="serial",
        n_jobs=1,
        chunksize=n_items or 1,
        reason=reason,
        predicted_s=serial_s,
        serial_s=serial_s,
        start_method=None,
        caller_computes=True,
        alternatives=rejected,
    )


def _why_loop(profile: Profile, n_items: int | None, limits: Limits, most: int, bound: str) -> str | None:
    """Return why no prediction is needed to stay in the loop; None where one is."""
    if limits.backend == "serial":
        return 'backend="serial" was asked for'
    if limits.refusal is not None:
        return limits.refusal
    if n_items == 0:
        return "no item is left"
    if most == 1 and not limits.isolate:
        return bound
    if not profile.is_known and not limits.forces_workers:
        return "nothing known yet"
    return None


def _why_no_gain(
    profile: Profile, model: Model, n_items: int | None, expected: int, best: tuple[float, int], elapsed_s: float
) -> str | None:
    """Return why workers would not clearly gain; None where they would."""
    best_s, n_jobs = best
    item_s, start_s = profile.item.mean, model.start_s(n_jobs)
    serial_s = expected * item_s
    if model.decode_s >= item_s:
        return f"an item takes {span(item_s)}, and receiving its result from another process {span(model.decode_s)}"
    if n_items is None and start_s > SKI_RENTAL * elapsed_s:
        return f"nobody knows how many items come: {span(elapsed_s)} are too short to start workers for {span(start_s)}"
    if best_s >= serial_s:
        return f"too little work ({_compared(expected, item_s, n_jobs, best_s)})"
    if _lost_before(profile, item_s, expected):
        return f"the last two runs with workers were slower than the loop: {items(expected)} of {span(item_s)}"
    if start_s <= NEGLIGIBLE_START * elapsed_s:
        return None
    low_s = max(profile.bound_s(-STANDARD_ERRORS), LEAST_SHARE * item_s)
    if expected * low_s - model.process_s(low_s, n_jobs) <= START_MARGIN * start_s:
        doubt = span(expected * (item_s - low_s))
        return f"no clear gain, give or take {doubt} ({_compared(expected, item_s, n_jobs, best_s)})"
    return None


def _as_many_again(elapsed_s: float, item_s: float) -> int:
    """Return how many items to expect of a stream whose end nobody knows: as many as so far is the fairest guess."""
    return max(1, int(min(elapsed_s / item_s, MAX_ITEMS))) if item_s else 1


def _compared(n_items: int, item_s: float, n_jobs: int, predicted_s: float) -> str:
    loop_s = span(n_items * item_s)
    return f"{items(n_items)} of {span(item_s)}: {processes(n_jobs)} {span(predicted_s)}, the plain loop {loop_s}"


def _lost_before(profile: Profile, item_s: float, n_items: int) -> bool:
    """Tell whether the last two runs with workers, of as much work as this, were slower than the loop would have been.

    Runs in the loop push them out of the profile's memory: after some, workers get another chance.
    """
    runs = [run for run in profile.runs if run.backend == "process"][-2:]
    return len(runs) == 2 and all(run.measured_s > run.n_items * item_s and 2 * run.n_items >= n_items for run in runs)


def _asked_plan(n_jobs: int, n_items: int | None, limits: Limits) -> Plan:
    """Return the plan where workers were asked for and nothing can be predicted."""
    return Plan(
        backend="process",
        n_jobs=n_jobs,
        chunksize=_chunksize(n_items, n_jobs, limits),
        reason="workers were asked for; nothing known yet",
        start_method=limits.start_method,
        caller_computes=not (limits.isolate or limits.feeds),
    )


def _worker_plan(
    rated: list[tuple[float, int]], model: Model, item_s: float, n_items: int | None, limits: Limits
) -> Plan:
    """Return the plan of the best rated number of processes."""
    best_s, n_jobs = rated[0]
    rejected = _rejected(rated[1:], "predicted to take longer")
    if n_items is None:
        serial_s = predicted_s = None
        reason = f"items of {span(item_s)}, nobody knows how many: {processes(n_jobs)} them"
    else:
        serial_s, predicted_s = n_items * item_s, best_s
        asked = limits.forces_workers
        reason = ("as asked for, " if asked else "") + _compared(n_items, item_s, n_jobs, best_s)
        why_not = "workers were asked for" if asked else "predicted to take longer"
        rejected += (Alternative(backend="serial", n_jobs=1, chunksize=None, predicted_s=serial_s, why_not=why_not),)
    return Plan(
        backend="process",
        n_jobs=n_jobs,
        chunksize=_chunksize(n_items, n_jobs, limits),
        reason=reason,
        predicted_s=predicted_s,
        serial_s=serial_s,
        start_method=limits.start_method,
        caller_computes=model.caller_computes,
        alternatives=rejected,
    )


def _rejected(rated: list[tuple[float, int]], why_not: str) -> tuple[Alternative, ...]:
    return tuple(
        [
            Alternative(backend="process", n_jobs=n_jobs, chunksize=None, predicted_s=seconds, why_not=why_not)
            for seconds, n_jobs in rated
        ]
    )


def _chunksize(n_items: int | None, n_jobs: int, limits: Limits) -> int:
    """Return the largest range that may be taken; how much is taken really follows from what items turn out to last."""
    if limits.chunksize is not None:
        return limits.chunksize
    return UNKNOWN_RANGE if n_items is None else ceil(n_items / (SHARES_LEFT * n_jobs))
