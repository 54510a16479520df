"""Whom a plan names: the engine's rooms by backend and start method, each loaded when it is first needed."""

from __future__ import annotations

import sys

from amorsize.garbage import uncollected

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from amorsize.advice.adviser import Adviser
    from amorsize.call import Call
    from amorsize.engine.job import Job
    from amorsize.inline import Work
    from amorsize.records import Plan

    Run = Callable[[Job], bool]


def leave(call: Call, plan: Plan, work: Work, results: list[object]) -> bool:
    """Run the items of a call that are left with the workers of a plan; results grow.

    Returns:
        False where no worker could be started, or is ready yet, and nothing was run.
    """
    takes_itself = plan.backend == "thread" or plan.start_method == "fork"
    if takes_itself and not call.options.is_supervised:
        return _together(call, plan, work, results)
    try:
        from amorsize.engine.fed.source import Sliced
        from amorsize.feeding import drained, fed_steps
        from amorsize.hiring import is_launching
    except OSError as error:  # no descriptor is left to load it with
        if error.errno is None:  # a signal handler's
            raise
        call.refuse(f"no worker could be started: {error}")
        return False
    if is_launching(call, plan, work):
        return False
    source = Sliced(work, len(results), inherited=takes_itself)
    return drained(fed_steps(call, plan, work, source, results))


def _together(call: Call, plan: Plan, work: Work, results: list[object]) -> bool:
    """Run what is left with forked workers or threads, which take their items themselves."""
    run = uncollected(lambda: _runner(plan))  # 1 ms less where it is loaded now
    from amorsize.advice.plans import alone_s, native_threads_of
    from amorsize.engine.collect import Collector
    from amorsize.engine.job import Job

    adviser = call.known_adviser
    collector = Collector(work, results)
    known = adviser.profile
    job = Job(
        work,
        collector,
        plan,
        adviser.reconsider,
        known.item_s,
        alone_s(call.options, plan, call.timings.mean_s, known),
        caller_may_run=not call.options.isolate,
    )
    job.progress = call.progress
    try:
        started = _limited(job, run, native_threads_of(adviser.asked[0], plan.n_jobs))
    except BaseException as error:
        collector.explain(error)
        _warn_of(adviser, job, error)
        raise
    if not started:
        call.refuse(job.shortage or "")
        return False
    call.jobs.append(job)
    try:
        collector.raise_failure()
    except BaseException as error:
        _warn_of(adviser, job, error)
        raise
    collector.ordered()
    _warn_of(adviser, job)  # at last: a filter may make an error of it
    return True


def _warn_of(adviser: Adviser, job: Job, error: BaseException | None = None) -> None:
    """Say what else went wrong, beside what an item raised; learn from the death of a worker."""
    from amorsize.engine.collect import add_note

    for trouble in filter(None, (job.shortage, job.left_behind, job.unsaid)):
        if error is not None:
            add_note(error, f"amorsize: {trouble}")
        adviser.warn(trouble, beside=error)
    if error is not None:
        from amorsize.advice.lesson import learn_death

        learn_death(adviser, job, error)


def _limited(job: Job, run: Run, n_threads: int | None) -> bool:
    """Run a job while native libraries use so many threads in each worker; tell whether any worker could be started."""
    if n_threads is None:
        return run(job)
    from amorsize.engine.native import limit

    give_back = job.unlimit = limit(n_threads)
    try:
        return run(job)
    finally:
        give_back()


def _runner(plan: Plan) -> Run:
    """Return who runs a job of such a plan, and tells whether any worker could be started."""
    if plan.backend == "thread":
        from amorsize.engine.thread import run as run_threads

        return run_threads
    if sys.platform == "linux":
        from amorsize.engine.supervise import run as run_processes

        return run_processes
    raise AssertionError(f"engine.safety.no_fork lets no plan for forks pass on {sys.platform}")
