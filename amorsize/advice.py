"""The adviser of one call: from what is known, and from what the call itself has shown, to a plan; and afterwards, to a
lesson.

Loaded once a call has lasted long enough for advice to pay.
"""

from __future__ import annotations

import sys
from time import perf_counter, time

from amorsize.calibration.profile import Profile
from amorsize.calibration.runs import TELLING_S, Run
from amorsize.engine.inline import Timings, Work, check_iterables, columns_of
from amorsize.identity.machine import capacity
from amorsize.knowledge import look_up
from amorsize.options import resolve
from amorsize.planning.limits import Limits
from amorsize.planning.planner import choose_plan, revise
from amorsize.records import RunReport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from amorsize.engine.feed import Feed
    from amorsize.engine.job import Job
    from amorsize.knowledge import Knowledge
    from amorsize.options import Options
    from amorsize.records import Evidence, Plan

SENT_ON_TRIAL = 64
"""Real results encoded and rebuilt before workers join: of fewer, a message's fixed cost would hide the price."""

TRIAL_BYTES = 1 << 20
"""Of large results as many as fit into this: about 1 ms of work."""

_warned: set[str] = set()


class Adviser:
    """Knows one function on one kind of input, and what one call may do.

    Args:
        func: the function; never called here.
        options: of the call.
        known: what is known about it with items of this kind.

    Attributes:
        plan: the latest plan.
        stays: why the call stays in the caller, in words; None while it may leave.
    """

    def __init__(self, func: Callable[..., object], options: Options, known: Knowledge) -> None:
        self._func = func
        self._options = options
        self._knowledge = known
        self._profile = self._knowledge.profile
        self._sending: dict[str, float] = {}
        self._is_cleared = False
        self._start_method = "spawn" if options.start_method == "spawn" else "fork"
        self._feeds = False
        self._chosen_at_s = perf_counter()
        self._n_chosen_for: int | None = None
        self._rss_bytes: int | None = None
        self._warnings: list[str] = []
        self.stays: str | None = "AMORSIZE_DISABLE is set" if options.disabled else None
        self.plan: Plan | None = None

    @property
    def item_s(self) -> float | None:
        """Seconds an item is expected to take; None where nothing is known."""
        return self._profile.item.mean if self._profile.is_known else None

    def choose(
        self,
        n_left: int | None,
        timings: Timings,
        results: Sequence[object],
        sample: Callable[[], list[object]] | None = None,
    ) -> Plan:
        """Choose how to run the items left; choose again where it turns out that workers cannot be used here.

        Args:
            n_left: items not yet computed; None for an unknown number.
            timings: what the caller has timed in this call.
            results: some of the results so far, to be sent on trial.
            sample: returns some items, to be sent on trial; None where workers will take their items themselves.
        """
        self._feeds = sample is not None
        self._profile = self._knowledge.profile.learn(self._seen(timings))
        plan = self._plan(n_left, timings)
        if plan.is_parallel and not self._is_cleared:
            self._clear(n_left, results, sample)
            self._profile = self._knowledge.profile.learn(self._seen(timings))  # now with the price of sending
            plan = self._plan(n_left, timings)
        self.plan = plan
        self._n_chosen_for = n_left
        self._chosen_at_s = perf_counter()
        return plan

    def _plan(self, n_left: int | None, timings: Timings) -> Plan:
        room, asked = capacity(perf_counter()), self._options
        self._rss_bytes = room.rss_bytes
        limits = Limits(
            n_jobs=asked.jobs_asked(room.n_cores),
            n_jobs_ceiling=asked.jobs_ceiling(room.n_cores, room.quota_cores),
            chunksize=None if asked.chunksize == "auto" else asked.chunksize,
            backend=asked.backend,
            refusal=self.stays,
            isolate=asked.isolate,
            feeds=self._feeds or self._start_method == "spawn",
            sends_items=self._start_method == "spawn" or n_left is None,
            start_method=self._start_method,
        )
        return choose_plan(self._profile, self._knowledge.costs, room, n_left, limits, elapsed_s=timings.total_s)

    def reconsider(self, evidence: Evidence) -> Plan | None:
        """Return a new plan where a run in progress shows that the old one does not hold."""
        assert self.plan is not None
        return revise(self.plan, evidence)

    def _seen(self, timings: Timings) -> Profile:
        seen = Profile.of(timings.batches, time(), starts_cold=not self._knowledge.has_run_here)
        return seen.replace(**self._sending) if self._sending else seen

    def _clear(self, n_left: int | None, results: Sequence[object], sample: Callable[[], list[object]] | None) -> None:
        """Find out whether and how workers may be started: this process, what the function shares, and some real items
        and results decide.

        "auto" then stays in the caller and tells why in its report; what was asked for explicitly is warned about, or
        refused where the caller must not run items.

        Raises:
            BackendUnavailable: for `isolate=True` where no process can be started.
        """
        self._is_cleared = True
        asked = self._options.backend == "process" or self._options.isolate
        refusal = self._find_start_method()
        if asked and refusal is not None:
            self.stay(refusal)
            return
        self.stays = refusal or (None if asked else self._shared() or self._not_sendable(results))
        if self.stays is None and (n_left is None or self._start_method == "spawn"):
            self.stays = self._not_givable(sample, asked=asked)

    def _find_start_method(self) -> str | None:
        """Settle how workers are started; return why none can be."""
        from amorsize.engine import safety

        refusal = safety.no_workers()
        if refusal is not None:
            return refusal
        if self._start_method == "fork":
            refusal = safety.no_fork()
            if refusal is None or self._options.start_method == "fork":
                return refusal
        from amorsize.engine import spawn

        self._start_method = "spawn"
        no_spawn = spawn.refusal()
        return no_spawn if refusal is None or no_spawn is None else f"{refusal}, and {no_spawn}"

    def stay(self, why: str) -> None:
        """Keep the call in the caller although workers were to run it, and say so.

        Raises:
            BackendUnavailable: for `isolate=True`, where the caller must not run items.
        """
        self.stays = why
        if self._options.isolate:
            from amorsize.errors import BackendUnavailable

            raise BackendUnavailable(f"isolate=True keeps items out of this process, but {why}")
        self.warn(f"{self._knowledge.function.name} runs as a plain loop although processes were to run it: {why}")

    def _shared(self) -> str | None:
        """Return which live handle the function shares with this process; warn of globals that it assigns."""
        from amorsize.identity.reach import reach

        name, reached = self._knowledge.function.name, reach(self._func)
        if reached.handles:
            why = f"it uses {reached.handles[0]}, which two processes must not share"
            self.warn(f"{name} runs as a plain loop: {why}. Open it inside the function to run in parallel.")
            return why
        if reached.writes:
            self.warn(
                f"{name} assigns the global {reached.writes[0]}, and what a worker assigns stays in the worker: "
                "return the value instead"
            )
        return None

    def _not_sendable(self, results: Sequence[object]) -> str | None:
        """Encode and rebuild some real results; note what that costs, or return why it cannot be done.

        Where no item has run yet, an earlier run on this machine has shown it.
        """
        from amorsize.engine.encoding import trial

        if not results:
            return None
        try:
            _, n_bytes = trial(list(results[-1:]))
            tried = list(results[-max(1, min(SENT_ON_TRIAL, TRIAL_BYTES // n_bytes)) :])
            send_s, n_bytes = trial(tried)
        except Exception as error:  # __reduce__ and __setstate__ may raise anything, and what they raise is the answer
            return f"its results cannot be sent between processes ({type(error).__name__}: {error})"
        self._sending = {"result_bytes": n_bytes / len(tried)}
        if send_s is not None:
            self._sending["send_s"] = send_s / len(tried)
        return None

    def _not_givable(self, sample: Callable[[], list[object]] | None, *, asked: bool) -> str | None:
        """Encode and rebuild a real item as `_not_sendable` does results; what was asked for is left to raise."""
        from amorsize.engine.encoding import trial

        items = [] if sample is None else sample()
        try:
            give_s, n_bytes = trial(items) if items else (None, 0)
        except Exception as error:  # as above
            return None if asked else f"its items cannot be sent to processes ({type(error).__name__}: {error})"
        self._sending["argument_bytes"] = n_bytes / max(1, len(items))
        if give_s is not None:
            self._sending["give_s"] = give_s / len(items)
        return None

    def warn(self, text: str) -> None:
        """Warn once per process, and in every report that it concerns."""
        self._warnings.append(text)
        if text in _warned:
            return
        import warnings

        from amorsize.errors import AmorsizeWarning

        _warned.add(text)
        frame, level = sys._getframe(1), 2
        while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("amorsize."):
            frame, level = frame.f_back, level + 1
        warnings.warn(text, AmorsizeWarning, stacklevel=level - 1)

    def report(self, n_items: int, timings: Timings, jobs: Sequence[Job | Feed], began_s: float) -> RunReport:
        """Return what happened in the call, after keeping what it taught.

        Args:
            n_items: items that came back.
            timings: what the caller timed alone.
            jobs: what was run with workers.
            began_s: when the call began, on the clock of `perf_counter`.
        """
        assert self.plan is not None
        plan, now_s = (jobs[-1].plan if jobs else self.plan), perf_counter()
        reasons = [plan.reason, *(job.retreat for job in jobs if job.retreat is not None)]
        is_one_run = self._n_chosen_for is not None and len(jobs) <= 1
        predicted_s = plan.predicted_s if is_one_run else None
        report = RunReport(
            function=self._knowledge.function.name,
            n_items=n_items,
            n_sampled=0 if self._knowledge.is_hit else timings.n_items,
            backend=plan.backend,
            n_jobs=plan.n_jobs,
            chunksize=plan.chunksize,
            measured_s=now_s - began_s,
            reason="; ".join(reasons),
            predicted_s=None if predicted_s is None else self._chosen_at_s - began_s + predicted_s,
            serial_s=timings.total_s + sum(job.timings.total_s for job in jobs),
            warnings=tuple(self._warnings),
        )
        run = None if predicted_s is None else self._run(plan, predicted_s, now_s - self._chosen_at_s)
        self._learn(timings, jobs, run, now_s - began_s)
        return report

    def _run(self, plan: Plan, predicted_s: float, measured_s: float) -> Run | None:
        """Return the run to be remembered; None where its figures are none that a store would take back."""
        assert self._n_chosen_for is not None
        try:
            return Run(
                backend=plan.backend,
                n_jobs=plan.n_jobs,
                chunksize=plan.chunksize,
                n_items=self._n_chosen_for,
                predicted_s=predicted_s,
                measured_s=measured_s,
            )
        except ValueError:
            return None

    def _learn(self, timings: Timings, jobs: Sequence[Job | Feed], run: Run | None, call_s: float) -> None:
        """Keep what caller and workers have timed; a run that was given up on tells of the machine, not the
        function."""
        if not jobs and timings.total_s < TELLING_S and self._knowledge.is_hit:
            return
        seen, costs = self._seen(timings), self._knowledge.costs
        for job in jobs:
            if job.retreat is None:
                seen = seen.merge(Profile.of(job.timings.batches, time(), starts_cold=False))
                if job.plan.start_method == "fork":
                    costs = costs.started(job.n_started, self._rss_bytes, job.start_s)
        self._knowledge.learn(seen if run is None else seen.ran(run), costs, call_s)


def explain(
    func: Callable[..., object],
    iterables: Sequence[Iterable[object]],
    given: Sequence[Mapping[str, object]],
    *,
    star: bool,
) -> Plan:
    """Return the plan that a call would begin with; never calls the function, and consumes nothing."""
    check_iterables(iterables)
    columns = columns_of(iterables)
    work = None if columns is None else Work(func, columns, star=star)
    options, sample = resolve(*given), work.sample() if work is not None and work.n_items else ()
    adviser = Adviser(func, options, look_up(func, sample, cache=options.cache))
    return adviser.choose(None if work is None else work.n_items, Timings(), ())
