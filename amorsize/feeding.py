"""Run what is left of a call with workers that the caller feeds: it hands out items, and takes in what comes back."""

from __future__ import annotations

import atexit
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from amorsize.call import Call
    from amorsize.engine.fed.feed import Feed
    from amorsize.engine.fed.sink import Sink
    from amorsize.engine.fed.source import Source
    from amorsize.engine.fed.table import Crew
    from amorsize.engine.held import Held
    from amorsize.inline import Work
    from amorsize.records import Plan

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

    n_items = None if (n_left := source.n_left()) is None else source.n_taken + n_left
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
        if _takes_back(call, feed, sink):
            return False
        _end(call, feed, sink, source)
        if feed.retreat is None or source.n_left() == 0:
            return True
        call.look_at_s = float("inf")
        return False
    except GeneratorExit:
        raise
    except BaseException as error:
        if error is not sink.error and _is_in_the_way(error, feed) and _goes_on_alone(call, error):
            return False
        _attach_finished(error, sink, results)
        if isinstance(error, StopIteration):
            raise Raised(error) from None
        raise
    finally:
        if feed is not None:
            try:  # here: Ctrl-C on the way into a function of ours would be raised before that function's `try`
                feed.close()
            finally:
                feed.close()  # where Ctrl-C came on the way into the first; else it finds nothing to do
            atexit.unregister(feed.close_at_exit)


def _is_in_the_way(error: BaseException, feed: Feed | None) -> bool:
    """Tell whether no worker has started because of an error; before one was to, an OSError without the system's number
    is a signal handler's."""
    from amorsize.errors import BackendUnavailable

    if not isinstance(error, (OSError, BackendUnavailable)):
        return False
    return getattr(error, "errno", None) is not None if feed is None else not feed.n_started


def _goes_on_alone(call: Call, error: BaseException) -> bool:
    """Stay in the caller, as no worker could be started, or none could be sent the function; return False for one that
    cannot be sent where workers were asked for: that is the call's error."""
    if isinstance(error, OSError):
        call.refuse(f"no worker could be started: {error}")
        return True
    if call.options.forces_workers:
        return False
    from amorsize.advice.clearance import note_unsendable

    note_unsendable(call.func, str(error))
    call.refuse(str(error))
    return True


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


def _warn_of(call: Call, feed: Feed, sink: Sink) -> None:
    adviser = call.known_adviser
    if feed.survived is not None:  # that was asked for: it is reported, and no warning
        adviser.warnings.append(feed.survived)
    for trouble in filter(None, (feed.shortage, sink.unsaid)):
        adviser.warn(trouble)


def _takes_back(call: Call, feed: Feed, sink: Sink) -> bool:
    """Take all that is left back into the caller where workers cannot run the function, and have begun nothing of it;
    tell whether that is so.

    Raises:
        BackendUnavailable: where workers were asked for.
    """
    error = sink.error
    if error is None:
        return False
    from amorsize.errors import BackendUnavailable

    if not isinstance(error, BackendUnavailable) or not feed.gives_back():
        return False
    call.jobs[:] = [job for job in call.jobs if job is not feed]
    if not _goes_on_alone(call, error):
        raise error
    return True


def _end(call: Call, feed: Feed, sink: Sink, source: Source) -> None:
    """Raise the failure, if there was one, with what is known about it; else warn."""
    error = sink.error
    if error is None:
        _warn_of(call, feed, sink)
        return
    from amorsize.advice.lesson import learn_death
    from amorsize.engine.collect import name_iterable

    if error is source.error:
        name_iterable(error, source.n_taken)
    learn_death(call.known_adviser, feed, error)
    raise error


def _attach_finished(error: BaseException, sink: Sink, results: list[object]) -> None:
    from amorsize.engine.collect import attach
    from amorsize.engine.finished import Finished

    results += sink.take()
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
    from time import monotonic, perf_counter

    from amorsize.advice.plans import alone_s
    from amorsize.engine.fed.feed import Feed
    from amorsize.engine.fed.table import Rules, Table
    from amorsize.engine.held import Held
    from amorsize.engine.job import Range

    held, options = Held(), call.options
    rules = Rules(
        n_jobs=plan.n_jobs,
        window=_window(call),
        timeout_s=options.timeout,
        deadline_s=None if options.deadline is None else monotonic() + options.deadline + call.began_s - perf_counter(),
        retries=options.retries,
    )
    chunksize = None if options.chunksize == "auto" else options.chunksize
    known, decide = call.known_adviser.profile, None if options.isolate else call.known_adviser.reconsider
    expected_s = alone_s(options, plan, call.timings.mean_s, known)
    table = Table(source, sink, _crew(call, plan, work, held), rules)
    feed = Feed(table, plan, Range(plan.n_jobs, chunksize, known.item_s), held, decide, expected_s)
    # For a stream that is left open: later, nothing that ends workers can be imported.
    atexit.register(feed.close_at_exit)
    return feed


def _window(call: Call) -> int | None:
    """Return how far a call may look ahead; `pmap` as far as it likes, for it keeps all results anyway."""
    if call.options.buffersize != "auto":
        return call.options.buffersize
    return None if call.is_lazy else sys.maxsize


def _crew(call: Call, plan: Plan, work: Work, held: Held) -> Crew[Any]:
    """Return those who find fed workers."""
    if plan.backend == "thread":
        from amorsize.engine.fed.threaded import ThreadedCrew

        return ThreadedCrew(work)
    adviser = call.known_adviser
    if plan.start_method == "spawn":
        from amorsize.hiring import spawned_crew

        return spawned_crew(adviser, plan.n_jobs, work, held)
    if sys.platform == "linux":
        from amorsize.advice.plans import native_threads_of
        from amorsize.engine.fed.forked import ForkedCrew

        return ForkedCrew(work, held, native_threads_of(adviser.asked[0], plan.n_jobs))
    raise AssertionError(f"engine.safety.no_fork lets no plan for forks pass on {sys.platform}")
