"""Whom a plan names: the engine's rooms by backend and start method, each loaded when it is first needed."""

from __future__ import annotations

import sys

from amorsize.inline import uncollected

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from amorsize.advice import Adviser
    from amorsize.call import Call
    from amorsize.engine.fed.feed import Feed
    from amorsize.engine.fed.sink import Sink
    from amorsize.engine.fed.source import Source
    from amorsize.engine.fed.table import Crew
    from amorsize.engine.held import Held
    from amorsize.engine.job import Job
    from amorsize.inline import Work
    from amorsize.records import Plan

    Run = Callable[[Job], bool]


def leave(call: Call, plan: Plan, work: Work, results: list[object]) -> bool:
    """Run the items of a call that are left with the workers of a plan; results grow.

    Returns:
        False where no worker could be started, and nothing was run.
    """
    takes_itself = plan.backend == "thread" or plan.start_method == "fork"
    if takes_itself and not call.options.is_supervised:
        return _together(call, plan, work, results)
    try:
        from amorsize.engine.fed.source import Sliced
    except OSError as error:  # no descriptor is left to load it with
        call.refuse(f"no worker could be started: {error}")
        return False
    source = Sliced(work, len(results), inherited=takes_itself)
    return drained(fed_steps(call, plan, work, source, results))


def _together(call: Call, plan: Plan, work: Work, results: list[object]) -> bool:
    """Run what is left with forked workers or threads, which take their items themselves."""
    run = uncollected(lambda: _runner(plan))  # 1 ms less where it is loaded now
    from amorsize.clearance import native_threads
    from amorsize.engine.collect import Collector
    from amorsize.engine.job import Job

    adviser = call.known_adviser
    collector = Collector(work, results)
    known, may_run = adviser.profile, not call.options.isolate
    n_native, expected = native_threads(plan, known.cpu_share), (known.item_s, _alone_s(call, plan))
    job = Job(work, collector, plan, adviser.reconsider, *expected, native_threads=n_native, caller_may_run=may_run)
    job.progress = call.progress
    try:
        started = _limited(job, run)
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
    _warn_of(adviser, job)
    collector.ordered()
    return True


def _warn_of(adviser: Adviser, job: Job, error: BaseException | None = None) -> None:
    """Say what else went wrong, beside what an item raised."""
    from amorsize.engine.collect import add_note

    for trouble in filter(None, (job.shortage, job.left_behind)):
        if error is not None:
            add_note(error, f"amorsize: {trouble}")
        adviser.warn(trouble, beside=error)


def _limited(job: Job, run: Run) -> bool:
    """Run a job while native threads leave the cores to its workers; tell whether any worker could be started."""
    if job.native_threads is None:
        return run(job)
    from amorsize.engine.native import limit

    give_back = job.unlimit = limit(job.native_threads)
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


FIRST_GROWTH_S = 0.005
"""Seconds that workers have computed before more of them are considered: it costs 0.1 ms."""


class Raised(Exception):
    """Carries a StopIteration out of a generator, where Python would make a RuntimeError of it.

    Args:
        error: what an item raised.
    """

    def __init__(self, error: StopIteration) -> None:
        self.error = error


def fed_steps(
    call: Call, plan: Plan, work: Work, source: Source, results: list[object], *, ordered: bool = True
) -> Generator[None, None, bool]:
    """Run what is left with fed workers, and pause whenever there are results.

    Returns:
        False where the caller has to go on: no worker could be started, or they were slower than the caller alone.
    """
    from amorsize.engine.fed.sink import OrderedSink, Sink

    n_left = source.n_left()
    n_items = None if n_left is None else source.n_taken + n_left
    sink = (OrderedSink if ordered else Sink)(source.n_taken, goes_on=call.goes_on)
    feed: Feed | None = None
    try:
        feed = _feed(call, plan, work, source, sink)
        while not feed.is_over:
            feed.step()
            _follow(call, feed, source)
            if sink.ready:
                results += sink.take()
                call.tell(sink.n_out, n_items)
                yield
        _raise_failure(sink, source, results)
        if feed.shortage is not None:
            call.known_adviser.warn(feed.shortage)
    except OSError as error:
        if sink.error is error or (feed is not None and feed.n_started):
            raise
        call.refuse(f"no worker could be started: {error}")
        return False
    except KeyboardInterrupt as error:
        if error is not sink.error:
            _attach_finished(error, sink, results)
        raise
    finally:
        if feed is not None:
            try:  # here: Ctrl-C on the way into a function of ours would be raised before that function's `try`
                feed.close()
            finally:
                feed.close()  # where Ctrl-C came on the way into the first; else it finds nothing to do
    if feed.retreat is None or source.n_left() == 0:  # pyright: ignore[reportOptionalMemberAccess]  # made, or it has raised
        return True
    call.look_at_s = float("inf")
    return False


def _follow(call: Call, feed: Feed, source: Source) -> None:
    """Note that workers have begun; consider more of them for a stream, of which nobody knows how long it is, whenever
    it has lasted twice as long.

    As many as so far is what is expected of it, and for that few workers are worth their start at first.
    """
    if feed.n_started and feed not in call.jobs:
        call.jobs.append(feed)
    computed_s = feed.timings.total_s
    if source.n_left() is None and feed.retreat is None and computed_s >= max(call.look_at_s, FIRST_GROWTH_S):
        feed.follow(call.known_adviser.more(call.timings, computed_s))
        call.look_at_s = 2 * computed_s


def _raise_failure(sink: Sink, source: Source, results: list[object]) -> None:
    """Raise the failure, if there was one, with what is known about it and the finished results on it."""
    from amorsize.engine.collect import name_iterable

    error = sink.error
    if error is None:
        return
    if error is source.error:
        name_iterable(error, source.n_taken)
    _attach_finished(error, sink, results)
    raise Raised(error) if isinstance(error, StopIteration) else error


def _attach_finished(error: BaseException, sink: Sink, results: list[object]) -> None:
    from amorsize.engine.collect import attach
    from amorsize.engine.finished import Finished

    attach(error, Finished([*sink.waiting(), *sink.taken(results)]))


def drained(made: Generator[None, None, bool | None]) -> bool:
    """Run steps to their end, and return what they return."""
    try:
        while True:
            next(made)
    except StopIteration as end:
        return bool(end.value)
    except Raised as raised:
        error = raised.error
    raise error


def _feed(call: Call, plan: Plan, work: Work, source: Source, sink: Sink) -> Feed:
    """Return a run of workers that the caller feeds; it is to be closed."""
    from time import monotonic

    from amorsize.engine.fed.feed import Feed
    from amorsize.engine.fed.table import Rules, Table
    from amorsize.engine.held import Held
    from amorsize.engine.job import Range

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
    sizes = Range(plan.n_jobs, chunksize, adviser.profile.item_s)
    decide = None if options.isolate else adviser.reconsider
    return Feed(Table(source, sink, _crew(plan, work, held), rules), plan, sizes, held, decide, alone_s)


def _alone_s(call: Call, plan: Plan) -> float | None:
    """Return the seconds that an item takes in the caller alone, where a run is to be held against them.

    Of threads an earlier call may tell: a retreat from them costs nothing.
    """
    alone_s = call.timings.mean_s
    if plan.backend == "thread" and call.options.backend == "auto":
        return alone_s or call.known_adviser.profile.item_s
    return alone_s


def _window(call: Call) -> int | None:
    """Return how far a call may look ahead; `pmap` as far as it likes, for it keeps all results anyway."""
    if call.options.buffersize != "auto":
        return call.options.buffersize
    return None if call.is_lazy else sys.maxsize


def _crew(plan: Plan, work: Work, held: Held) -> Crew[Any]:
    """Return those who find fed workers."""
    if plan.backend == "thread":
        from amorsize.engine.fed.threaded import ThreadedCrew

        return ThreadedCrew(work)
    if plan.start_method == "spawn":
        return _spawned_crew(work, held)
    if sys.platform == "linux":
        from amorsize.engine.fed.forked import ForkedCrew

        return ForkedCrew(work)
    raise AssertionError(f"engine.safety.no_fork lets no plan for forks pass on {sys.platform}")


def _spawned_crew(work: Work, held: Held) -> Crew[Any]:
    from amorsize.engine.spawn.crew import SpawnedCrew
    from amorsize.engine.spawn.errand import Errand
    from amorsize.identity.likeness import likeness

    guard = work.guard
    initializer: Callable[..., object] | None = None
    initargs: tuple[object, ...] = ()
    if guard is not None:  # the initializer runs once a worker, which may live longer than the call
        initializer, initargs = guard.initializer, guard.initargs
        guard = guard.replace(initializer=None, initargs=(), prepared=None)
    errand = Errand(
        work.func, star=work.star, guard=guard, initializer=initializer, initargs=initargs, identify=likeness
    )
    return SpawnedCrew(errand, held)
