"""The story of one call, told once, in order.

run items in the caller          every call; a small one ends here and loads nothing else
ask the adviser for a plan       after 2.5 ms (at once where this process has asked before), then whenever the time
                                 spent has doubled: it looks up what is known and weighs it with what was just timed
run with workers                 where the plan is parallel: the caller computes too, or supervises
report, learn                    after the results are ready
"""

import sys
from time import perf_counter

from amorsize.engine.inline import Timings, Work, advance, check_iterables, columns_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
    from typing import Any

    from amorsize.advice import Adviser
    from amorsize.engine.feed import Feed
    from amorsize.engine.guard import Guard
    from amorsize.engine.held import Held
    from amorsize.engine.job import Job
    from amorsize.engine.sink import Sink
    from amorsize.engine.source import Source
    from amorsize.engine.table import Crew
    from amorsize.options import Options
    from amorsize.records import Plan, RunReport
    from amorsize.report.progress import Progress
    from amorsize.stream import Stream

    Given = Mapping[str, object]

FIRST_LOOK_S = 0.00025
"""The caller computes alone for this long before it considers anything, and again as long as it has computed so far.

Looking earlier makes a job of 0.3 ms pay for a decision; looking later delays the workers of a job of 4 ms."""

STORE_PAYS_S = 0.0025
"""In a process that has not looked before, the look (2-3 ms, imports included) waits for this much work.

Earlier, small scripts pay more for the look than for their work; later, a tuned run starts its workers later."""

NEVER = float("inf")


class Silence:
    """Told how many items are done, and says nothing.

    Attributes:
        every_s: seconds between two tellings, about.
    """

    every_s = NEVER

    def __call__(self, n_done: int, n_items: int | None = None) -> None:
        """Note that so many items are done, of so many where that is known."""

    def close(self) -> None:
        """Note that no more will be."""


_SILENT = Silence()


def refuse_hidden(func: "Callable[..., object]") -> None:
    """Raise TypeError where another decorator stands on top of ours: its work would silently be skipped.

    `functools.wraps` copies our methods to its wrapper, but they still run the function underneath. A name that was
    simply bound anew is none of our business.
    """
    qualname: str | None = getattr(func, "__qualname__", None)
    found: object = sys.modules.get(getattr(func, "__module__", None) or "")
    if qualname is None or found is None or "<locals>" in qualname:
        return
    for name in qualname.split("."):
        found = getattr(found, name, None)
    seen: set[int] = set()
    while found is not func and found is not None and id(found) not in seen:
        seen.add(id(found))
        found = getattr(found, "__wrapped__", None)
        if found is func:
            raise TypeError(
                f"{qualname} is wrapped by another decorator, which pmap would skip: put @parallelizable outermost"
            )


def run(
    func: "Callable[..., object]",
    iterables: "Sequence[Iterable[object]]",
    given: "Sequence[Given]",
    *,
    star: bool,
    keep: "Callable[[RunReport], None]",
) -> "list[object]":
    """Call the function with each item and return the results in input order.

    Args:
        func: called once an item.
        iterables: one for each argument, as for the builtin `map`.
        given: the options of decorator, view and call, each checked.
        star: items are tuples of arguments.
        keep: given the report when all is done.

    Raises:
        TypeError: for something that is not iterable.
        WorkerDied: where a worker ended in the middle of its work.
        ItemNotPicklable: where a worker's result cannot be sent back.
        BaseException: whatever the function or an iterator raises.
    """
    check_iterables(iterables)
    refuse_hidden(func)
    call = Call(func, given)
    columns = columns_of(iterables)
    try:
        if columns is None:
            from amorsize.stream import run_stream

            results = run_stream(call, iterables, star=star)
        else:
            results = call.block(Work(func, columns, star=star, guard=call.guard))
    finally:
        call.progress.close()
    results = call.settle(results)
    keep(call.report(len(results)))
    return results


def stream(
    func: "Callable[..., object]",
    iterables: "Sequence[Iterable[object]]",
    given: "Sequence[Given]",
    *,
    ordered: bool,
    keep: "Callable[[RunReport], None]",
) -> "Stream":
    """Return an iterator over the results; nothing is run and no item pulled before the first is asked for."""
    from amorsize.engine.inline import Rows
    from amorsize.stream import Stream, steps

    check_iterables(iterables)
    refuse_hidden(func)
    call = Call(func, given)
    columns = columns_of(iterables)
    work = None if columns is None else Work(func, columns, guard=call.guard)
    rows = Rows(func, iterables if columns is None else columns, star=False, guard=call.guard)
    results: list[object] = []
    return Stream(call, steps(call, rows, work, results, ordered=ordered), results, keep)


class Call:
    """One top-level call, from its first item to its report.

    Attributes:
        timings: of the caller, computing alone.
        jobs: what was run with workers.
        size: items in the caller's next batch.
        look_at_s: seconds of computing alone after which a plan is considered.
        guard: what is put around each call of the function; None for nothing.
        progress: told how many items are done.
    """

    def __init__(self, func: "Callable[..., object]", given: "Sequence[Given]") -> None:
        self.began_s = perf_counter()
        self.func = func
        self.given = given
        self.timings = Timings()
        self.jobs: "list[Job | Feed]" = []
        self.adviser: "Adviser | None" = None
        self.guard: "Guard | None" = None
        self.progress: "Silence | Progress" = _SILENT
        self._options: "Options | None" = None
        self.size = 1
        self.look_at_s = 0.0 if "amorsize.advice" in sys.modules else STORE_PAYS_S
        if any(given) or "amorsize.options" in sys.modules:
            self.look_at_s = self._first_look_s()
            self._prepare(self.options)

    def _prepare(self, options: "Options") -> None:
        """Make what some options need; most calls have none of them."""
        if options.needs_guard:
            from amorsize.engine.guard import Guard

            self.guard = Guard(
                goes_on=options.on_error != "raise",
                retries=options.retries,
                retry_on=options.retry_on,
                seed=options.seed,
                initializer=options.initializer,
                initargs=options.initargs,
            )
        if options.progress:
            from amorsize.report.progress import Progress

            self.progress = Progress(options.progress)

    @property
    def options(self) -> "Options":
        """All that was set for this call; worked out when first needed, which a small call in a fresh process
        spares."""
        if self._options is None:
            from amorsize.options import resolve

            self._options = resolve(*self.given)
        return self._options

    @property
    def goes_on(self) -> bool:
        """Whether an item's exception is its result."""
        return self.guard is not None and self.guard.goes_on

    def settle(self, results: "list[object]") -> "list[object]":
        """Return the results as the caller is to see them."""
        if not self.goes_on:
            return results
        from amorsize.engine.guard import settled

        return settled(results, skips=self.options.on_error == "skip")

    def _first_look_s(self) -> float:
        if self.options.disabled or self.options.backend == "serial":
            return NEVER
        return 0.0 if self.options.isolate or self.options.backend == "process" else self.look_at_s

    @property
    def is_time_to_ask(self) -> bool:
        """Whether the caller has computed alone for long enough to consider a plan."""
        return self.timings.total_s >= self.look_at_s

    @property
    def alone_s(self) -> float:
        """Seconds for which the caller goes on alone before it looks again."""
        until_s = max(FIRST_LOOK_S, self.look_at_s - self.timings.total_s)
        return until_s if self.progress is _SILENT else min(until_s, self.progress.every_s)

    def block(self, work: Work) -> "list[object]":
        """Return the results of items that can be sliced."""
        results: "list[object]" = []
        while len(results) < work.n_items:
            plan = self._ask_for(work, results) if self.is_time_to_ask else None
            if plan is not None and self._leave(work, results, plan):
                break
            self._alone(work, results)
            self.progress(len(results), work.n_items)
        return results

    def _ask_for(self, work: Work, results: "list[object]") -> "Plan | None":
        n_left = work.n_items - len(results)
        return self.ask(n_left, results, work.sample, feeds=self.options.is_supervised)

    def _alone(self, work: Work, results: "list[object]") -> None:
        """Run items in the caller until it is time to look again."""
        try:
            self.size = advance(work, results, self.timings, self.size, self.alone_s)
        except BaseException as error:
            from amorsize.engine.collect import explain
            from amorsize.engine.finished import Finished

            explain(error, work, len(results), Finished([(0, results)]))
            raise

    def ask(
        self, n_left: int | None, results: "list[object]", sample: "Callable[[], list[object]]", *, feeds: bool
    ) -> "Plan | None":
        """Return the adviser's plan for the items left, None for the plain loop, and note when to ask again.

        Args:
            n_left: items not yet computed; None for an unknown number.
            results: some of those there are.
            sample: returns some items.
            feeds: workers will be fed by the caller, who then computes no items.
        """
        if self._first_look_s() == NEVER:
            self.look_at_s = NEVER
            return None
        if self.adviser is None:
            from amorsize.advice import Adviser
            from amorsize.knowledge import look_up

            known = look_up(self.func, sample(), cache=self.options.cache)
            self.adviser = Adviser(self.func, self.options, known)
        plan = self.adviser.choose(n_left, self.timings, results, sample if feeds else None)
        self._look_later()
        return plan if plan.is_parallel else None

    def _look_later(self) -> None:
        """Consider a plan again once the time spent has doubled; never, where the call is to stay in the caller."""
        if self.adviser is not None and self.adviser.stays is not None:
            self.look_at_s = NEVER
        else:
            self.look_at_s = 0.0 if self.options.isolate else max(2 * self.timings.total_s, FIRST_LOOK_S)

    def _leave(self, work: Work, results: "list[object]", plan: "Plan") -> bool:
        """Run what is left with workers; return whether that could be done, and nothing was run if not."""
        if plan.start_method == "fork" and not self.options.is_supervised:
            return self._together(work, results, plan)
        from amorsize.engine.source import Sliced
        from amorsize.stream import fed_steps

        source = Sliced(work, len(results), inherited=plan.start_method == "fork")
        return drained(fed_steps(self, plan, work, source, results))

    def _together(self, work: Work, results: "list[object]", plan: "Plan") -> bool:
        """Run what is left with forked workers that take their items themselves."""
        from amorsize.engine.collect import Collector
        from amorsize.engine.job import Job

        assert self.adviser is not None
        collector = Collector(work, results)
        item_s, alone_s = self.adviser.item_s, self.timings.mean_s
        job = Job(
            work, collector, plan, self.adviser.reconsider, item_s, alone_s, caller_may_run=not self.options.isolate
        )
        job.progress = None if self.progress is _SILENT else self.progress
        try:
            started = _supervise(job)
        except BaseException as error:
            collector.explain(error)
            raise
        if not started:
            self.refuse(job.shortage or "")
            return False
        self.jobs.append(job)
        if job.shortage is not None:
            self.adviser.warn(job.shortage)
        collector.raise_failure()
        collector.ordered()
        return True

    def feed(self, plan: "Plan", work: Work, source: "Source", sink: "Sink") -> "Feed":
        """Return a run of fed workers, which is to be closed."""
        from time import monotonic

        from amorsize.engine.feed import Feed
        from amorsize.engine.held import Held
        from amorsize.engine.job import Range
        from amorsize.engine.table import Rules, Table

        assert self.adviser is not None
        options, held = self.options, Held()
        rules = Rules(
            n_jobs=plan.n_jobs,
            window=None if options.buffersize == "auto" else options.buffersize,
            timeout_s=options.timeout,
            deadline_s=None if options.deadline is None else monotonic() + options.deadline - self.spent_s,
            retries=options.retries,
        )
        sizes = Range(plan.n_jobs, None if options.chunksize == "auto" else options.chunksize, self.adviser.item_s)
        feed = Feed(Table(source, sink, _crew(plan, work, held), rules), plan, sizes, held)
        self.jobs.append(feed)
        return feed

    @property
    def spent_s(self) -> float:
        """Seconds since the call began."""
        return perf_counter() - self.began_s

    def refuse(self, why: str) -> None:
        """Stay in the caller although workers were to run the items.

        Raises:
            BackendUnavailable: where the caller must not run items.
        """
        assert self.adviser is not None
        self.look_at_s = NEVER
        self.adviser.stay(why)

    def report(self, n_items: int) -> "RunReport":
        """Return what happened, and have it learned."""
        if self.adviser is not None:
            return self.adviser.report(n_items, self.timings, self.jobs, self.began_s)
        from amorsize.record import RunReport

        measured_s = perf_counter() - self.began_s
        if self._options is not None and self.options.disabled:
            reason = "AMORSIZE_DISABLE is set: the plain loop"
        elif self._options is not None and self.options.backend == "serial":
            reason = 'backend="serial": the plain loop, as asked for'
        else:
            reason = f"over after {measured_s * 1e3:.3g} ms: too short for workers to be considered"
        return RunReport(
            function=getattr(self.func, "__qualname__", type(self.func).__qualname__),
            n_items=n_items,
            n_sampled=None,
            backend="serial",
            n_jobs=1,
            chunksize=max(1, n_items),
            measured_s=measured_s,
            reason=reason,
            serial_s=self.timings.total_s,
        )


def drained(made: "Generator[None, None, bool]") -> bool:
    """Run steps to their end, and return what they return."""
    try:
        while True:
            next(made)
    except StopIteration as end:
        return bool(end.value)


def _supervise(job: "Job") -> bool:
    if sys.platform == "linux":
        from amorsize.engine.supervise import run

        return run(job)
    raise AssertionError(f"engine.safety.refusal lets no plan for forks pass on {sys.platform}")


def _crew(plan: "Plan", work: Work, held: "Held") -> "Crew[Any]":
    """Return those who find fed workers."""
    if plan.start_method == "fork":
        if sys.platform == "linux":
            from amorsize.engine.forked import ForkedCrew

            return ForkedCrew(work)
        raise AssertionError(f"engine.safety.refusal lets no plan for forks pass on {sys.platform}")
    from amorsize.engine.spawn import SpawnedCrew

    return SpawnedCrew(work, held)
