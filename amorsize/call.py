"""The story of one call, told once, in order.

run items in the caller          every call; a short one ends here, in `amorsize.short`, and loads nothing else
ask the adviser for a plan       once a look pays (at once where this process has asked before), then whenever the time
                                 spent has doubled: it looks up what is known and weighs it with what was just timed
run with workers                 where the plan is parallel: the caller computes too, or supervises
report, learn                    after the results are ready
"""

import sys
from time import perf_counter

from amorsize.garbage import uncollected
from amorsize.inline import FIRST_LOOK_S, Timings, Work, advance, check_iterables, refuse_hidden
from amorsize.record import is_deep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from amorsize.advice.adviser import Adviser
    from amorsize.engine.guard import Guard
    from amorsize.engine.job import Outcome
    from amorsize.options import Options
    from amorsize.records import Plan, RunReport
    from amorsize.report.progress import Progress
    from amorsize.stream import Stream

    Given = Mapping[str, object]
    Sample = Callable[[], list[object]]

LOOK_S = 0.00025
"""The caller computes alone for this long before it considers anything, and again as long as it has computed so far.

Looking earlier makes a job of 0.3 ms pay for a decision; looking later delays the workers of a job of 4 ms."""

NEVER = float("inf")


def stream(
    func: "Callable[..., object]",
    iterables: "Sequence[Iterable[object]]",
    given: "Sequence[Given]",
    *,
    ordered: bool,
    keep: "Callable[[RunReport], None]",
) -> "Stream":
    """Return an iterator over the results; nothing is run and no item pulled before the first is asked for."""
    from amorsize.footprint import begin
    from amorsize.stream import stream_of

    check_iterables(iterables)
    refuse_hidden(func)
    begin(began_s := perf_counter())
    return stream_of(Call(func, given, Timings(), began_s), iterables, ordered=ordered, keep=keep)


class Call:
    """One top-level call, from its first item to its report.

    Attributes:
        timings: of the caller, computing alone.
        jobs: what was run with workers.
        size: items in the caller's next batch.
        look_at_s: seconds of computing alone after which a plan is considered.
        guard: what is put around each call of the function; None for nothing.
        progress: told how many items are done; None for nobody.
        is_lazy: its results are handed out as they come, and no further work is done than that takes.
    """

    def __init__(
        self, func: "Callable[..., object]", given: "Sequence[Given]", timings: Timings, began_s: float, size: int = 1
    ) -> None:
        self.began_s = began_s
        self.func = func
        self.given = given
        self.timings = timings
        self.jobs: "list[Outcome]" = []
        self.adviser: "Adviser | None" = None
        self.guard: "Guard | None" = None
        self.progress: "Progress | None" = None
        self.is_lazy = False
        self._options: "Options | None" = None
        self.size = size
        self.look_at_s = 0.0 if "amorsize.advice.adviser" in sys.modules else FIRST_LOOK_S
        if any(given) or "amorsize.options" in sys.modules:
            if self.options.why_loop is not None:
                self.look_at_s = NEVER
            elif self.options.forces_workers:
                self.look_at_s = 0.0
            self._prepare(self.options)

    def _prepare(self, options: "Options") -> None:
        """Make what some options need; most calls have none of them."""
        if options.needs_guard:
            from amorsize.engine.guard import Guard

            self.guard = Guard.of(options)
        if options.progress:
            from amorsize.report.progress import Progress

            self.progress = Progress(options.progress)

    def tell(self, n_done: int, n_items: int | None) -> None:
        """Tell whoever asked for it how many items are done, of how many."""
        if self.progress is not None:
            self.progress(n_done, n_items)

    def end(self, error: BaseException | None = None, results: "Sequence[object]" = ()) -> None:
        """Tell of the last item, unless an error is told of instead, which has the results of the first items then."""
        if error is not None and not is_deep():
            from amorsize.engine.guard import end_with

            end_with(error, results, goes_on=self.goes_on)
        if self.progress is not None:
            (self.progress.close if error is None else self.progress.leave)()

    @property
    def options(self) -> "Options":
        """All that was set for this call; worked out when first needed, which a small call is spared."""
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

    @property
    def is_time_to_ask(self) -> bool:
        """Whether the caller has computed alone for long enough to consider a plan."""
        return self.timings.total_s >= self.look_at_s

    @property
    def until_look_s(self) -> float:
        """Seconds for which the caller goes on alone before it looks again."""
        until_s = max(LOOK_S, self.look_at_s - self.timings.total_s)
        return until_s if self.progress is None else min(until_s, self.progress.every_s)

    def run(
        self,
        iterables: "Sequence[Iterable[object]]",
        work: Work | None,
        results: "list[object]",
        *,
        star: bool,
        keep: "Callable[[RunReport], None]",
    ) -> "list[object]":
        """Return the results of all items, in input order, and report.

        Args:
            iterables: one for each argument.
            work: the same items, where they can be sliced.
            results: of the items that are done already.
            star: items are tuples of arguments.
            keep: given the report when all is done.
        """
        try:
            if work is None:
                from amorsize.stream import run_stream

                run_stream(self, iterables, results, star=star)
            else:
                work.guard = self.guard
                self._block(work, results)
            self.end()
            settled = self.settle(results)
            keep(uncollected(lambda: self.report(len(settled))))
            if work is not None and self.adviser is not None and self.adviser.misses_interpreters:
                from amorsize.hiring import hire_ahead

                hire_ahead(self.adviser, work, self.timings.total_s)
        except BaseException as error:
            self.end(error, results)
            raise
        return settled

    def _block(self, work: Work, results: "list[object]") -> None:
        """Run the items left of those that can be sliced."""
        while len(results) < work.n_items:
            plan, n_left = None, work.n_items - len(results)
            if self.is_time_to_ask and (n_left > 1 or not results or self.options.forces_workers):
                plan = self.ask(n_left, results, work.sample, feeds=self.options.is_supervised)
            if plan is None or not self._leave(work, results, plan):
                self._alone(work, results)
            self.tell(len(results), work.n_items)

    def _leave(self, work: Work, results: "list[object]", plan: "Plan") -> bool:
        from amorsize.backends import leave

        return leave(self, plan, work, results)

    def _alone(self, work: Work, results: "list[object]") -> None:
        """Run items in the caller until it is time to look again."""
        try:
            if self.adviser is not None and self.adviser.wants_ticker:
                self._ticking(work, results, self.adviser)
            else:
                self.size = advance(work, results, self.timings, self.size, self.until_look_s)
        except BaseException as error:
            from amorsize.engine.collect import explain_alone

            explain_alone(error, work, results)
            raise

    def _ticking(self, work: Work, results: "list[object]", adviser: "Adviser") -> None:
        """Run items in the caller beside a ticker, then look again at once."""
        from amorsize.engine.ticker import advance_ticking
        from amorsize.planning.threads import TICKER_S

        self.size, share = advance_ticking(work, results, self.timings, self.size, TICKER_S)
        adviser.ticked(share)
        self.look_at_s = 0.0

    def ask(
        self, n_left: int | None, results: "list[object]", sample: "Sample", *, feeds: bool, n_ahead: int = 0
    ) -> "Plan | None":
        """Return the adviser's plan for the items left, None for the plain loop, and note when to ask again.

        Args:
            n_left: items not yet computed; None for an unknown number.
            results: some of those there are.
            sample: returns some items.
            feeds: workers will be fed by the caller, who then computes no items.
            n_ahead: items that are known to come where nobody knows how many do.
        """
        if self.options.why_loop is not None:
            self.look_at_s = NEVER
            return None
        if self.adviser is not None and self.adviser.launch is not None and self.adviser.launch.goes_on(self.adviser):
            self.look_at_s = self.timings.total_s + self.adviser.launch.pause_s
            return None
        if self.adviser is None and self.look_at_s:
            from amorsize.advice.worth import first_look_pays

            if is_deep() or not first_look_pays(self.func, self.timings, n_left, results):
                self._look_later()
                return None
        plan = uncollected(
            lambda: self._informed(sample).choose(n_left, self.timings, results, sample, feeds=feeds, n_ahead=n_ahead)
        )
        self._look_later()
        if plan.is_parallel and is_deep() and not self.options.forces_workers:
            self.adviser, self.look_at_s = None, NEVER
        return plan if plan.is_parallel and self.adviser is not None else None

    def _informed(self, sample: "Sample") -> "Adviser":
        """Return the adviser, who is told at first what is known about the function with such items."""
        if self.adviser is None:
            from amorsize.advice.adviser import Adviser
            from amorsize.advice.knowledge import look_up

            known = look_up(self.func, sample(), cache=self.options.cache)
            self.adviser = Adviser(self.func, self.options, known)
        return self.adviser

    def _look_later(self) -> None:
        """Consider a plan again once that pays; never, where the call is to stay in the caller."""
        if self.adviser is not None and self.adviser.clearance.stays is not None:
            self.look_at_s = NEVER
        else:
            pause_s = self.timings.total_s if self.adviser is None else self.adviser.pause_s
            self.look_at_s = 0.0 if self.options.isolate else max(LOOK_S, self.timings.total_s + pause_s)

    @property
    def known_adviser(self) -> "Adviser":
        """The adviser, of a call that has asked for a plan."""
        assert self.adviser is not None
        return self.adviser

    def refuse(self, why: str) -> None:
        """Stay in the caller although workers were to run the items.

        Raises:
            BackendUnavailable: where the caller must not run items.
        """
        self.look_at_s = NEVER
        self.known_adviser.stay(why)

    def report(self, n_items: int) -> "RunReport":
        """Return what happened, and have it learned."""
        if self.adviser is not None:
            from amorsize.advice.lesson import report_of

            return report_of(self.adviser, n_items, self.timings, self.jobs, self.began_s, is_lazy=self.is_lazy)
        from amorsize.record import report_of_loop

        reason = None if self._options is None else self._options.why_loop
        return report_of_loop(self.func, n_items, perf_counter() - self.began_s, self.timings.total_s, reason)
