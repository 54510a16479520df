"""Whom a plan names: the engine's rooms by backend and start method, each loaded when it is first needed."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from amorsize.advice import Adviser
    from amorsize.call import Call
    from amorsize.engine.feed import Feed
    from amorsize.engine.held import Held
    from amorsize.engine.inline import Work
    from amorsize.engine.job import Job
    from amorsize.engine.sink import Sink
    from amorsize.engine.source import Source
    from amorsize.engine.table import Crew
    from amorsize.records import Plan


def leave(call: Call, plan: Plan, work: Work, results: list[object]) -> bool:
    """Run the items of a call that are left with the workers of a plan; results grow.

    Returns:
        False where no worker could be started, and nothing was run.
    """
    takes_itself = plan.backend == "thread" or plan.start_method == "fork"
    if takes_itself and not call.options.is_supervised:
        return _together(call, plan, work, results)
    from amorsize.engine.source import Sliced
    from amorsize.stream import drained, fed_steps

    source = Sliced(work, len(results), inherited=takes_itself)
    return drained(fed_steps(call, plan, work, source, results))


def _together(call: Call, plan: Plan, work: Work, results: list[object]) -> bool:
    """Run what is left with forked workers or threads, which take their items themselves."""
    from amorsize.engine.collect import Collector
    from amorsize.engine.job import Job

    adviser = call.known_adviser
    collector = Collector(work, results)
    alone_s = _alone_s(call, plan)
    may_run = not call.options.isolate
    job = Job(work, collector, plan, adviser.reconsider, adviser.item_s, alone_s, caller_may_run=may_run)
    job.progress = call.progress
    try:
        started = _run(job)
    except BaseException as error:
        collector.explain(error)
        _warn_of(adviser, job)
        raise
    if not started:
        call.refuse(job.shortage or "")
        return False
    call.jobs.append(job)
    _warn_of(adviser, job)
    collector.raise_failure()
    collector.ordered()
    return True


def _warn_of(adviser: Adviser, job: Job) -> None:
    for trouble in (job.shortage, job.left_behind):
        if trouble is not None:
            adviser.warn(trouble)


def _run(job: Job) -> bool:
    if job.plan.backend == "thread":
        from amorsize.engine.thread import run as run_threads

        return run_threads(job)
    if sys.platform == "linux":
        from amorsize.engine.supervise import run as run_processes

        return run_processes(job)
    raise AssertionError(f"engine.safety.no_fork lets no plan for forks pass on {sys.platform}")


def feed_of(call: Call, plan: Plan, work: Work, source: Source, sink: Sink) -> Feed:
    """Return a run of workers that the caller feeds; it is to be closed."""
    from time import monotonic

    from amorsize.engine.feed import Feed
    from amorsize.engine.held import Held
    from amorsize.engine.job import Range
    from amorsize.engine.table import Rules, Table

    held, options = Held(), call.options
    rules = Rules(
        n_jobs=plan.n_jobs,
        window=_window(call),
        timeout_s=options.timeout,
        deadline_s=None if options.deadline is None else monotonic() + options.deadline - call.spent_s,
        retries=options.retries,
    )
    chunksize = None if options.chunksize == "auto" else options.chunksize
    adviser, alone_s = call.known_adviser, _alone_s(call, plan)
    sizes = Range(plan.n_jobs, chunksize, adviser.item_s)
    decide = None if options.isolate else adviser.reconsider
    return Feed(Table(source, sink, _crew(plan, work, held), rules), plan, sizes, held, decide, alone_s)


def _alone_s(call: Call, plan: Plan) -> float | None:
    """Return the seconds that an item takes in the caller alone, where a run is to be held against them.

    Of threads an earlier call may tell: a retreat from them costs nothing.
    """
    alone_s = call.timings.mean_s
    if plan.backend == "thread" and call.options.backend == "auto":
        return alone_s or call.known_adviser.item_s
    return alone_s


def _window(call: Call) -> int | None:
    """Return how far a call may look ahead; `pmap` as far as it likes, for it keeps all results anyway."""
    if call.options.buffersize != "auto":
        return call.options.buffersize
    return None if call.is_lazy else sys.maxsize


def _crew(plan: Plan, work: Work, held: Held) -> Crew[Any]:
    """Return those who find fed workers."""
    if plan.backend == "thread":
        from amorsize.engine.threaded import ThreadedCrew

        return ThreadedCrew(work)
    if plan.start_method == "spawn":
        return _spawned_crew(work, held)
    if sys.platform == "linux":
        from amorsize.engine.forked import ForkedCrew

        return ForkedCrew(work)
    raise AssertionError(f"engine.safety.no_fork lets no plan for forks pass on {sys.platform}")


def _spawned_crew(work: Work, held: Held) -> Crew[Any]:
    from amorsize.engine.errand import Errand
    from amorsize.engine.spawned_crew import SpawnedCrew
    from amorsize.identity.function import digest_of

    guard = work.guard
    initializer: Callable[..., object] | None = None
    initargs: tuple[object, ...] = ()
    if guard is not None:  # the initializer runs once a worker, which may live longer than the call
        initializer, initargs = guard.initializer, guard.initargs
        guard = guard.replace(initializer=None, initargs=(), prepared=None)
    errand = Errand(
        work.func, star=work.star, guard=guard, initializer=initializer, initargs=initargs, identify=digest_of
    )
    return SpawnedCrew(errand, held)
