"""Choose how a call is run: the loop, or how many processes or threads; and say why, in words.

    Profile, Costs, Capacity, items left, Limits -> choose_plan -> Plan

What is asked for is obeyed, within ceiling, memory and items. What is left to "auto" goes parallel only where it
clearly gains.
"""

from __future__ import annotations

from math import ceil, inf

from amorsize.calibration.facts import MAX_ITEMS
from amorsize.planning.chunks import SHARES_LEFT
from amorsize.planning.limits import MEMORY_FOR_ONE, Limits, candidates, memory_bound, most_jobs
from amorsize.planning.model import Model, worker_start_s
from amorsize.planning.streams import prospects
from amorsize.planning.threads import thread_counts
from amorsize.planning.words import items, span, workers
from amorsize.records import Alternative, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.calibration.costs import Costs
    from amorsize.calibration.profile import Profile
    from amorsize.records import Capacity

    Way = tuple[float, int, str]  # predicted seconds, number of workers, backend: what sorts first is best

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

UNKNOWN_RANGE = 65_536
"""The largest range where the number of items is unknown: ranges follow from item seconds, this only bounds them."""

FEWER_THREADS = 1.05
"""Fewer threads are taken where they are predicted to take at most this many times as long: whoever is asked at the
other end is spared the connections."""

LEAST_GAIN = 0.03
"""A way that ran last is left only for one that is predicted to take this share less, wherever within two standard
errors the mean item lies. 0 goes to and fro between ways that differ by less than predictions err; a tenth would keep
workers idle that help."""

TELLING_SHARE = 0.02
"""By this share of its time the loop may be slowed down so that a single worker tells what memory an item needs."""

NOTHING_KNOWN = "nothing known yet"
"""The reason for the loop before any item has run."""


def choose_plan(
    profile: Profile,
    costs: Costs,
    capacity: Capacity,
    n_items: int | None,
    limits: Limits,
    elapsed_s: float = 0.0,
    n_ahead: int = 0,
) -> Plan:
    """Choose how the items that are left are run.

    Args:
        profile: what is known about the function, this call's own first items included.
        costs: what this machine charges.
        capacity: how much of the machine may be used now.
        n_items: items not yet computed; None where nobody knows how many come.
        limits: what was asked for, and what is allowed.
        elapsed_s: seconds that this call has already computed.
        n_ahead: items that are known to come where nobody knows how many do.
    """
    item_s = profile.item.mean
    serial_s = n_items * item_s if n_items is not None and profile.is_known else None
    reason = _why_loop(n_items, limits)
    if reason is not None:
        return loop_plan(reason, n_items, serial_s)
    expected, most_s = prospects(profile, elapsed_s, n_ahead) if n_items is None else (n_items, inf)
    ways, bound = _ways(profile, costs, capacity, n_items, expected, limits)
    if not ways:
        return loop_plan(bound, n_items, serial_s)
    if not profile.is_known:
        if not limits.forces_workers:
            return loop_plan(NOTHING_KNOWN, n_items, serial_s)
        return _asked_plan(*ways[-1], n_items, limits)
    model = Model(profile, costs, capacity, expected, limits)
    model.caller_computes &= ("process", 1) not in ways  # a single worker runs them all
    rated = sorted([(model.seconds(backend, item_s, n_jobs), n_jobs, backend) for backend, n_jobs in ways])
    reasons: list[str] = []
    for way in _steady(_best_of_each(rated), rated, profile, model):
        reason = None
        if not limits.forces_workers:
            reason = _why_no_gain(profile, model, expected, way, elapsed_s, most_s)
        if reason is None:
            plan = _worker_plan(way, rated, model, item_s, n_items, limits)
            fitting = memory_bound(profile.worker_bytes, capacity, n_items, limits)
            return plan if way[1:] != (fitting, "process") else plan.replace(reason=_within_memory(plan, limits))
        reasons.append(reason)
    reasons = reasons[:1] if limits.no_processes is None else [limits.no_processes, *reasons]
    return loop_plan("; ".join(reasons), n_items, serial_s, _rejected(rated, expected * item_s))


def _ways(
    profile: Profile, costs: Costs, capacity: Capacity, n_items: int | None, expected: int, limits: Limits
) -> tuple[list[tuple[str, int]], str]:
    """Return every backend and number of workers worth predicting; and why not where there is none."""
    most, bound = most_jobs(profile.worker_bytes, capacity, n_items, limits)
    is_endless = n_items is None and limits.forces_workers  # how few items came so far does not bound what is asked for
    threads = thread_counts(profile, capacity, MAX_ITEMS if is_endless else expected, limits)
    if limits.no_processes is not None:
        bound = limits.no_processes
        processes: list[int] = []
    elif limits.backend == "thread" or (most == 1 and not (limits.isolate or _tells_memory(bound, profile, limits))):
        processes = []
    elif limits.n_jobs is not None or (limits.forces_workers and n_items is None) or not profile.is_known:
        processes = [most]
    else:
        start_s, serial_s = worker_start_s(costs, capacity, limits), expected * profile.item.mean
        processes = candidates(serial_s, start_s, capacity.physical_cores, limits, most)
    return [("process", n_jobs) for n_jobs in processes] + [("thread", n_jobs) for n_jobs in threads], bound


def _best_of_each(rated: list[Way]) -> list[Way]:
    """Return the best way of each backend, the best of them first; of threads the fewest that are about as good."""
    found: dict[str, Way] = {}
    fastest_s, _, _ = rated[0]
    for way in rated:
        seconds, n_jobs, backend = way
        _, n_best, _ = found.setdefault(backend, way)
        if backend == "thread" and n_jobs < n_best and seconds <= FEWER_THREADS * fastest_s:
            found["thread"] = way
    return list(found.values())


def _steady(best: list[Way], rated: list[Way], profile: Profile, model: Model) -> list[Way]:
    """Return the best ways, with the one that ran last before all others, unless the first of them clearly gains."""
    ran = [(run.n_jobs, run.backend) for run in profile.runs[-1:]]
    before = next((way for way in rated if way[1:] in ran), None)
    if before is None or before == best[0] or _clearly_gains(best[0], before, profile, model):
        return best
    return [before, *[way for way in best if way[2] != before[2]]]


def _clearly_gains(way: Way, before: Way, profile: Profile, model: Model) -> bool:
    """Tell whether one way takes less time than another by `LEAST_GAIN`, wherever the mean item may lie."""
    (_, n_jobs, backend), (_, n_before, backend_before) = way, before
    return all(
        model.seconds(backend, item_s, n_jobs) <= (1 - LEAST_GAIN) * model.seconds(backend_before, item_s, n_before)
        for item_s in [profile.bound_s(z) for z in (-STANDARD_ERRORS, 0.0, STANDARD_ERRORS)]
    )


def loop_plan(reason: str, n_items: int | None, serial_s: float | None, rejected: tuple[Alternative, ...] = ()) -> Plan:
    """Return the plan of the caller's own loop."""
    return Plan(
        backend="serial",
        n_jobs=1,
        chunksize=n_items or 1,
        reason=reason,
        predicted_s=serial_s,
        serial_s=serial_s,
        alternatives=rejected,
    )


def _why_loop(n_items: int | None, limits: Limits) -> str | None:
    """Return why nothing but the loop needs to be looked at; None where it does."""
    if limits.backend == "serial":
        return 'backend="serial" was asked for'
    if limits.refusal is not None:
        return limits.refusal
    return "no item is left" if n_items == 0 else None


def _why_no_gain(
    profile: Profile, model: Model, expected: int, best: Way, elapsed_s: float, most_s: float
) -> str | None:
    """Return why workers would not clearly gain; None where they would."""
    best_s, n_jobs, backend = best
    item_s, start_s = profile.item.mean, model.start_s(n_jobs, backend)
    serial_s = expected * item_s
    if n_jobs == 1:
        return None if best_s <= (1 + TELLING_SHARE) * serial_s else MEMORY_FOR_ONE
    if backend == "process" and model.decode_s >= item_s:
        return f"an item takes {span(item_s)}, and receiving its result from another process {span(model.decode_s)}"
    if start_s > most_s:
        return (
            f"nobody knows how many items come: after {span(elapsed_s)} it is too early to start workers, which takes "
            f"{span(start_s)}"
        )
    if best_s >= serial_s:
        return f"too little work ({_compared(expected, item_s, best)})"
    if _lost_before(profile, backend, item_s, expected):
        return f"the last two runs with workers were slower than the loop: {items(expected)} of {span(item_s)}"
    if start_s <= NEGLIGIBLE_START * elapsed_s:
        return None
    low_s = max(profile.bound_s(-STANDARD_ERRORS), LEAST_SHARE * item_s)
    if expected * low_s - model.seconds(backend, low_s, n_jobs) <= START_MARGIN * start_s:
        doubt = span(expected * (item_s - low_s))
        return f"no clear gain, give or take {doubt} ({_compared(expected, item_s, best)})"
    return None


def _tells_memory(bound: str, profile: Profile, limits: Limits) -> bool:
    """Tell whether a single worker is worth its start, as it tells what memory an item needs: what the caller has seen
    may be what its first item loaded, which a forked worker shares; and heavy items may come no more."""
    is_told = not limits.guesses_memory and any(run.backend == "process" for run in profile.runs)
    return bound == MEMORY_FOR_ONE and not is_told and limits.start_method == "fork"


def _within_memory(plan: Plan, limits: Limits) -> str:
    if plan.n_jobs == 1 and not limits.isolate:
        return f"{plan.reason}; it tells what memory an item needs, of which there may be too little for two"
    return f"{plan.reason}; {MEMORY_FOR_ONE if plan.n_jobs == 1 else f'there is memory for {plan.n_jobs} only'}"


def _compared(n_items: int, item_s: float, way: Way) -> str:
    predicted_s, n_jobs, backend = way
    told = f"{items(n_items)} of {span(item_s)}: {workers(backend, n_jobs)} {span(predicted_s)}"
    return f"{told}, the plain loop {span(n_items * item_s)}"


def _lost_before(profile: Profile, backend: str, item_s: float, n_items: int) -> bool:
    """Tell whether the last two runs with workers, of as much work as this, were slower than the loop would have been.

    Runs in the loop push them out of the profile's memory: after some, workers get another chance.
    """
    runs = [run for run in profile.runs if run.backend == backend and run.n_jobs > 1][-2:]
    return len(runs) == 2 and all(run.measured_s > run.n_items * item_s and 2 * run.n_items >= n_items for run in runs)


def _asked_plan(backend: str, n_jobs: int, n_items: int | None, limits: Limits) -> Plan:
    """Return the plan where workers were asked for and nothing can be predicted."""
    return Plan(
        backend=backend,
        n_jobs=n_jobs,
        chunksize=_chunksize(n_items, n_jobs, limits),
        reason=f"workers were asked for; {NOTHING_KNOWN}",
        start_method=limits.start_method if backend == "process" else None,
        caller_computes=backend == "process" and not (limits.isolate or limits.feeds),
    )


def _worker_plan(way: Way, rated: list[Way], model: Model, item_s: float, n_items: int | None, limits: Limits) -> Plan:
    """Return the plan of one of the rated ways."""
    best_s, n_jobs, backend = way
    rejected = _rejected([each for each in rated if each != way], best_s)
    if limits.no_processes is not None:
        most, why_not = limits.n_jobs_ceiling, limits.no_processes
        rejected += (Alternative(backend="process", n_jobs=most, why_not=why_not),)
    if n_items is None:
        serial_s = predicted_s = None
        reason = f"items of {span(item_s)}, nobody knows how many: {workers(backend, n_jobs)} them"
    else:
        serial_s, predicted_s = n_items * item_s, best_s
        asked = limits.forces_workers
        reason = ("as asked for, " if asked else "") + _compared(n_items, item_s, way)
        why_not = "workers were asked for" if asked else "predicted to take longer"
        rejected += (Alternative(backend="serial", n_jobs=1, predicted_s=serial_s, why_not=why_not),)
    return Plan(
        backend=backend,
        n_jobs=n_jobs,
        chunksize=_chunksize(n_items, n_jobs, limits),
        reason=reason,
        predicted_s=predicted_s,
        serial_s=serial_s,
        start_method=limits.start_method if backend == "process" else None,
        caller_computes=backend == "process" and model.caller_computes,
        alternatives=rejected,
    )


def _rejected(rated: list[Way], best_s: float) -> tuple[Alternative, ...]:
    """Return what was rejected for something that takes `best_s` seconds."""
    whys = {True: "predicted to take longer", False: "gains too little"}
    return tuple(
        [
            Alternative(backend=backend, n_jobs=n_jobs, predicted_s=seconds, why_not=whys[seconds >= best_s])
            for seconds, n_jobs, backend in rated
        ]
    )


def _chunksize(n_items: int | None, n_jobs: int, limits: Limits) -> int:
    """Return the largest range that may be taken; how much is taken really follows from what items turn out to last."""
    if limits.chunksize is not None:
        return limits.chunksize
    return UNKNOWN_RANGE if n_items is None else ceil(n_items / (SHARES_LEFT * n_jobs))
