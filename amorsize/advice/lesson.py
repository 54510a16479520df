"""What a call has taught: its report, and what is kept of it. Written after the results are ready."""

from __future__ import annotations

from math import sqrt
from time import perf_counter, time

from amorsize import footprint
from amorsize.advice.shares import believed_gil_free, lasting_share, own_batches, seen_by_workers
from amorsize.calibration.crowding import believed_crowding, seen_crowding, seen_lag
from amorsize.calibration.front import front_of
from amorsize.calibration.profile import Profile
from amorsize.calibration.runs import TELLING_S, Run
from amorsize.calibration.sending import believed_sending
from amorsize.engine.held import Held
from amorsize.errors import WorkerDied
from amorsize.planning.limits import WORKER_BYTES
from amorsize.planning.model import WARM_S
from amorsize.planning.planner import NOTHING_KNOWN
from amorsize.planning.streams import believed_length
from amorsize.planning.words import span
from amorsize.records import RunReport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from amorsize.advice.adviser import Adviser
    from amorsize.calibration.costs import Costs
    from amorsize.engine.job import Outcome
    from amorsize.inline import Timings
    from amorsize.records import Plan


def report_of(
    adviser: Adviser,
    n_items: int,
    timings: Timings,
    jobs: Sequence[Outcome],
    began_s: float,
    *,
    is_lazy: bool,
) -> RunReport:
    """Return what happened in the call, after keeping what it taught.

    Args:
        adviser: who planned it.
        n_items: items that came back.
        timings: what the caller timed alone.
        jobs: what was run with workers.
        began_s: when the call began, on the clock of `perf_counter`.
        is_lazy: much of its time may be its consumer's, so that it does not show how well it was predicted.
    """
    assert adviser.plan is not None
    crowding = _seen_crowding(timings, jobs)
    if crowding is not None:
        adviser.profile = adviser.profile.replace(crowding=crowding)
    plan, now_s = (jobs[-1].plan if jobs else adviser.plan), perf_counter()
    shortages = [job.shortage for job in jobs if job.shortage is not None]
    reasons = [plan.reason, *shortages, *(job.retreat for job in jobs if job.retreat is not None)]
    if not jobs and plan.reason == NOTHING_KNOWN:
        reasons.append(f"over after {span(now_s - began_s)}: too little to gain for workers to be considered")
    is_one_run = adviser.n_chosen_for is not None and len(jobs) <= 1 and not is_lazy and not shortages
    predicted_s = plan.predicted_s if is_one_run else None
    report = RunReport(
        function=adviser.knowledge.function.name,
        n_items=n_items,
        n_sampled=0 if adviser.knowledge.is_hit else timings.n_items,
        backend=plan.backend,
        n_jobs=plan.n_jobs,
        chunksize=plan.chunksize,
        measured_s=now_s - began_s,
        reason="; ".join(reasons),
        predicted_s=None if predicted_s is None else adviser.chosen_at_s - began_s + predicted_s,
        serial_s=timings.total_s + sum(seconds for job in jobs for _, seconds in own_batches(job, adviser.profile)),
        warnings=tuple(adviser.warnings),
    )
    if adviser.knowledge.is_hit and _tells_nothing(adviser, timings, jobs):
        return report
    run = None if predicted_s is None else _run(adviser, plan, predicted_s, now_s - adviser.chosen_at_s)
    return _taught(report, adviser, lambda: _learn(adviser, timings, jobs, run, crowding, report))


def _taught(report: RunReport, adviser: Adviser, learn: Callable[[], None]) -> RunReport:
    """Keep what a call has taught; return its report, with what stood in the way."""
    complaint = _complaint(adviser, learn)
    if complaint is None:
        return report
    adviser.warn(complaint)
    return report.replace(warnings=tuple(adviser.warnings))


def _complaint(adviser: Adviser, learn: Callable[[], None]) -> str | None:
    """Keep something, and return what stood in the way, in words."""
    with Held():  # what a signal's handler raises is no error of ours
        try:
            learn()
            return adviser.knowledge.complaint
        except Exception:  # the results are there, and nobody is to lose them for it
            from traceback import format_exc

            return f"nothing was learned from this call; please report why: {format_exc()}"


def _seen_crowding(timings: Timings, jobs: Sequence[Outcome]) -> float | None:
    """Return by how much processes made each other's items longer in this call; None where it does not tell."""
    for job in jobs:
        if job.plan.backend == "process":
            seen = seen_crowding(timings.batches, job.timings.batches, job.plan.n_jobs)
            if seen is None and job.retreat is None:  # after one, the caller runs items alone
                seen = seen_lag(job.by_caller.batches, job.by_workers.batches, job.n_started + 1)
            return seen
    return None


def _run(adviser: Adviser, plan: Plan, predicted_s: float, measured_s: float) -> Run | None:
    """Return the run to be remembered; None where its figures are none that a store would take back."""
    assert adviser.n_chosen_for is not None
    try:
        return Run(
            backend=plan.backend,
            n_jobs=plan.n_jobs,
            chunksize=plan.chunksize,
            n_items=adviser.n_chosen_for,
            predicted_s=predicted_s,
            measured_s=measured_s,
        )
    except ValueError:
        return None


def _learn(
    adviser: Adviser,
    timings: Timings,
    jobs: Sequence[Outcome],
    run: Run | None,
    crowding: float | None,
    report: RunReport,
) -> None:
    """Keep what caller and workers have timed, and what that shows besides."""
    known, costs = adviser.knowledge.profile, _seen_costs(adviser, jobs)
    taken = [(job.taken.n_items, job.taken.n_messages, job.taken.seconds) for job in jobs]
    in_threads = [job for job in jobs if job.plan.backend == "thread"]
    shown: dict[str, float | None] = {
        "worker_bytes": _needed_bytes(adviser, jobs),
        "send_s": believed_sending(adviser.profile, costs, taken),
        "crowding": believed_crowding(known, crowding, run),
        "front": _front(adviser, timings, jobs),
    }
    if in_threads:
        shown["gil_free_share"] = believed_gil_free(in_threads, adviser.profile, adviser.room.n_effective)
    if adviser.n_chosen_for is None:
        shown["stream_items"] = believed_length(known.stream_items, report.n_items)
    seen = _timed(adviser, timings, jobs)
    seen = seen.replace(**{name: value for name, value in shown.items() if value is not None})
    adviser.knowledge.learn(seen if run is None else seen.ran(run), costs, report.measured_s)


def _timed(adviser: Adviser, timings: Timings, jobs: Sequence[Outcome]) -> Profile:
    """Return what caller and workers have timed; a run that was given up on tells of the machine, not the function."""
    seen = adviser.seen(timings)
    share = lasting_share(seen.cpu_share, adviser.knowledge.profile.cpu_share, timings.total_s)
    if share != seen.cpu_share:
        seen = seen.replace(cpu_share=share)
    if timings.n_items == 1 and not adviser.knowledge.has_run_here:
        seen = _less_warm_up(seen, timings, jobs)
    for job in jobs:
        if job.retreat is None:
            seen = seen.merge(seen_by_workers(job, adviser.profile, time()))
    return seen


def _front(adviser: Adviser, timings: Timings, jobs: Sequence[Outcome]) -> float | None:
    """Return what the first items of a call are believed to tell of the others; None where nothing shows it."""
    front = front_of([*timings.batches, *[batch for job in jobs for batch in own_batches(job, adviser.profile)]])
    return None if front is None else sqrt(front * (adviser.knowledge.profile.front or front))


def _needed_bytes(adviser: Adviser, jobs: Sequence[Outcome]) -> float | None:
    """Return what one more worker is believed to need; None where nobody knows."""
    found = [needed for job in jobs if (needed := _needed_in(adviser, job)) is not None]
    return max(found, default=None)


def _needed_in(adviser: Adviser, job: Outcome) -> float | None:
    """Return the same after one run; None where it tells nothing. Forked workers share what the caller held when they
    began; of threads it shows that all together were within what the caller has ever held.

    What is more than was known is believed at once; of what is less, half: the heavy items may come again.
    """
    if job.plan.backend == "thread":
        known = adviser.profile.worker_bytes
        if known is None or (found := footprint.of()) is None:
            return known
        held_bytes, highest_bytes = found
        return min(known, (known + WORKER_BYTES + (highest_bytes - held_bytes) / job.plan.n_jobs) / 2)
    if job.heaviest_bytes is None:
        return None
    shared = adviser.room.rss_bytes or 0 if job.plan.start_method == "fork" else WORKER_BYTES
    needed, known = WORKER_BYTES + max(0.0, job.heaviest_bytes - shared), adviser.knowledge.profile.worker_bytes
    return needed if known is None else max(needed, (needed + known) / 2)


def learn_death(adviser: Adviser, job: Outcome, error: BaseException) -> None:
    """Keep what workers have needed of which one has died: it may have been for lack of memory, and the next call
    should not end like this."""
    if not isinstance(error, WorkerDied):
        return
    needed, seen = _needed_bytes(adviser, [job]), seen_by_workers(job, adviser.profile, time())
    if needed is None or not seen.is_known:
        return
    knowledge, seen = adviser.knowledge, seen.replace(worker_bytes=needed)
    complaint = _complaint(adviser, lambda: knowledge.learn(seen, knowledge.costs, 0.0))
    if complaint is not None:
        adviser.warn(complaint, beside=error)


def _seen_costs(adviser: Adviser, jobs: Sequence[Outcome]) -> Costs:
    """Return what starting workers costs, after those of this call."""
    costs = adviser.knowledge.costs
    for job in jobs:
        if job.retreat is not None:
            continue
        if job.plan.start_method == "fork":
            costs = costs.started(job.n_started, adviser.room.rss_bytes, job.start_s)
        elif job.plan.start_method == "spawn" and not adviser.n_warm and (first_s := job.first_s or 0.0) > WARM_S:
            costs = costs.spawned(first_s)
        elif job.plan.backend == "thread" and _starts_undisturbed(job, costs):
            costs = costs.threaded(job.n_started, adviser.n_resting, job.start_s)
    if adviser.launch is not None and adviser.launch.took_s is not None:
        costs = costs.spawned(adviser.launch.took_s)
    return costs


def _starts_undisturbed(job: Outcome, costs: Costs) -> bool:
    """Tell whether the items of threads let the GIL go at once, so that starts show what a start costs."""
    timed = job.cpu_timings
    return timed is not None and timed.n_items > 0 and timed.total_s / timed.n_items <= costs.thread_s


def _less_warm_up(seen: Profile, timings: Timings, jobs: Sequence[Outcome]) -> Profile:
    """Return what the caller has seen, less a first item so much longer than those of forked workers that it was a
    warm-up: what it has loaded, they found."""
    beside = [batch for job in jobs if job.plan.start_method == "fork" for batch in job.timings.batches]
    first_call_s = Profile.of([*timings.batches, *beside], time()).first_call_s
    return seen if first_call_s is None else seen.without_items().replace(first_call_s=first_call_s)


def _tells_nothing(adviser: Adviser, timings: Timings, jobs: Sequence[Outcome]) -> bool:
    """Tell whether a call was too short to correct what is known.

    One that workers have run tells that they lose, which counts unless they were asked for, and that items are no
    longer as long as expected.
    """
    if timings.total_s + sum([job.timings.total_s for job in jobs]) >= TELLING_S:
        return False
    serial_s = None if adviser.plan is None else adviser.plan.serial_s
    return not jobs or (adviser.options.forces_workers and serial_s is not None and serial_s < TELLING_S)
