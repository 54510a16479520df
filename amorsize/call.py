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
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from amorsize.advice import Adviser
    from amorsize.engine.collect import Collector
    from amorsize.engine.job import Job
    from amorsize.options import Options
    from amorsize.records import Plan, RunReport

    Given = Mapping[str, object]

FIRST_LOOK_S = 0.00025
"""The caller computes alone for this long before it considers anything, and again as long as it has computed so far.

Looking earlier makes a job of 0.3 ms pay for a decision; looking later delays the workers of a job of 4 ms."""

STORE_PAYS_S = 0.0025
"""In a process that has not looked before, the look (2-3 ms, imports included) waits for this much work.

Earlier, small scripts pay more for the look than for their work; later, a tuned run starts its workers later."""

NEVER = float("inf")


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
    if columns is None:
        from amorsize.stream import run_stream

        results = run_stream(call, iterables, star=star)
    else:
        results = call.block(Work(func, columns, star=star), [])
    keep(call.report(len(results)))
    return results


class Call:
    """One top-level call, from its first item to its report.

    Attributes:
        timings: of the caller, computing alone.
        jobs: what was run with workers.
        size: items in the caller's next batch.
        look_at_s: seconds of computing alone after which a plan is considered.
    """

    def __init__(self, func: "Callable[..., object]", given: "Sequence[Given]") -> None:
        self.began_s = perf_counter()
        self.func = func
        self.given = given
        self.timings = Timings()
        self.jobs: "list[Job]" = []
        self.adviser: "Adviser | None" = None
        self._options: "Options | None" = None
        self.size = 1
        self.look_at_s = 0.0 if "amorsize.advice" in sys.modules else STORE_PAYS_S
        if any(given) or "amorsize.options" in sys.modules:
            self.look_at_s = self._first_look_s()

    @property
    def options(self) -> "Options":
        """All that was set for this call; worked out when first needed, which a small call in a fresh process
        spares."""
        if self._options is None:
            from amorsize.options import resolve

            self._options = resolve(*self.given)
        return self._options

    def _first_look_s(self) -> float:
        if self.options.disabled or self.options.backend == "serial":
            return NEVER
        return 0.0 if self.options.isolate or self.options.backend in ("process", "thread") else self.look_at_s

    def block(self, work: Work, before: "list[object]") -> "list[object]":
        """Return the results of items that can be sliced; `before` are those of the items before them."""
        results: "list[object]" = []
        while len(results) < work.n_items:
            plan = self._ask(work, results) if self.timings.total_s >= self.look_at_s else None
            collector = self._together(work, results, before, plan) if plan is not None else None
            if collector is not None:
                return collector.ordered()
            self._alone(work, results, before)
        return results

    def _alone(self, work: Work, results: "list[object]", before: "list[object]") -> None:
        """Run items in the caller until it is time to look again."""
        until_s = max(FIRST_LOOK_S, self.look_at_s - self.timings.total_s)
        try:
            if self.adviser is not None and self.adviser.wants_ticker:
                self._ticking(work, results, self.adviser)
            else:
                self.size = advance(work, results, self.timings, self.size, until_s)
        except BaseException as error:
            from amorsize.engine.collect import explain

            explain(error, work, len(results), dict(enumerate(before + results)))
            raise

    def _ticking(self, work: Work, results: "list[object]", adviser: "Adviser") -> None:
        """Run items in the caller beside a ticker, then look again at once."""
        from amorsize.engine.ticker import advance_ticking
        from amorsize.planning.threads import TICKER_S

        self.size, share = advance_ticking(work, results, self.timings, self.size, TICKER_S)
        adviser.ticked(share)
        self.look_at_s = 0.0

    def _ask(self, work: Work, results: "list[object]") -> "Plan | None":
        """Return the adviser's plan for the items left, None for the plain loop, and note when to ask again."""
        if self._first_look_s() == NEVER:
            self.look_at_s = NEVER
            return None
        if self.adviser is None:
            from amorsize.advice import Adviser
            from amorsize.knowledge import look_up

            known = look_up(self.func, work.sample(), cache=self.options.cache)
            self.adviser = Adviser(self.func, self.options, known)
        plan = self.adviser.choose(work.n_items - len(results), self.timings, results)
        self.look_later()
        return plan if plan.is_parallel else None

    def look_later(self) -> None:
        """Consider a plan again once the time spent has doubled; never, where the call is to stay in the caller."""
        if self.adviser is not None and self.adviser.stays is not None:
            self.look_at_s = NEVER
        else:
            self.look_at_s = 0.0 if self.options.isolate else max(2 * self.timings.total_s, FIRST_LOOK_S)

    def _together(
        self, work: Work, results: "list[object]", before: "list[object]", plan: "Plan"
    ) -> "Collector | None":
        """Run what is left with workers; return None where none could be started, and nothing was run."""
        from amorsize.engine.collect import Collector
        from amorsize.engine.job import Job

        assert self.adviser is not None
        collector = Collector(work, results, before)
        item_s, alone_s = self.adviser.item_s, self.timings.mean_s
        if plan.backend == "thread" and self.options.backend == "auto":
            alone_s = alone_s or item_s  # what an earlier call has shown: a retreat from threads costs nothing
        job = Job(
            work,
            collector,
            plan,
            self.adviser.reconsider,
            item_s,
            alone_s,
            native_threads=self.adviser.native_threads(plan),
            caller_may_run=not self.options.isolate,
        )
        try:
            started = _run_with_workers(job)
        except BaseException as error:
            collector.explain(error)
            self._warn_of(job)
            raise
        if not started:
            self.adviser.stay(job.shortage or "")
            self.look_at_s = NEVER
            return None
        self.jobs.append(job)
        if job.shortage is not None:
            self.adviser.warn(job.shortage)
        self._warn_of(job)
        collector.raise_failure()
        return collector

    def _warn_of(self, job: "Job") -> None:
        if job.left_behind is not None and self.adviser is not None:
            self.adviser.warn(job.left_behind)

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


def _run_with_workers(job: "Job") -> bool:
    """Run what is left; tell whether any worker could be started."""
    if job.native_threads is None:
        return _run(job)
    from amorsize.engine.native import limit

    give_back = limit(job.native_threads)
    try:
        return _run(job)
    finally:
        give_back()


def _run(job: "Job") -> bool:
    if job.plan.backend == "thread":
        from amorsize.engine.thread import run as run_threads

        return run_threads(job)
    if sys.platform == "linux":
        from amorsize.engine.supervise import run as run_processes

        return run_processes(job)
    raise AssertionError(f"engine.safety.refusal lets no plan for processes pass on {sys.platform}")
