"""The adviser of one call: from what is known, and from what the call itself has shown, to a plan; and afterwards, to a
lesson.

Loaded once a call has lasted long enough for advice to pay.
"""

from __future__ import annotations

import sys
from time import perf_counter, time

from amorsize.calibration.profile import Profile
from amorsize.calibration.runs import TELLING_S, Run
from amorsize.clearance import native_threads, sending, shared_handle
from amorsize.engine.inline import Timings, Work, check_iterables, columns_of
from amorsize.identity.machine import capacity
from amorsize.knowledge import look_up
from amorsize.options import resolve
from amorsize.planning.limits import MOST_THREADS, Limits
from amorsize.planning.planner import choose_plan, loop_plan
from amorsize.planning.retreat import revise
from amorsize.planning.threads import TICKER_FROM_S, worth_a_ticker
from amorsize.records import RunReport
from amorsize.shares import UNDISTURBED, CpuShare, own_batches, seen_by_workers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from amorsize.engine.job import Job
    from amorsize.knowledge import Knowledge
    from amorsize.options import Options
    from amorsize.records import Evidence, Plan

HAS_GIL: bool = getattr(sys, "_is_gil_enabled", lambda: True)()

_warned: set[str] = set()


class Adviser:
    """Knows one function on one kind of input, and what one call may do.

    Args:
        func: the function; never called here.
        options: of the call.
        known: what is known about it with items of this kind.

    Attributes:
        plan: the latest plan.
        wants_ticker: whether the caller is to run a ticker beside its next items.
        stays: why the call stays in the caller, in words; None while it may leave.
    """

    def __init__(self, func: Callable[..., object], options: Options, known: Knowledge) -> None:
        self._func = func
        self._options = options
        self._knowledge = known
        self._profile = self._knowledge.profile
        self._shown: dict[str, float] = {}
        self._cleared: set[str] = set()
        self._no_processes: str | None = None
        self._no_threads: str | None = None
        self._chosen_at_s = perf_counter()
        self._n_chosen_for: int | None = None
        self._rss_bytes: int | None = None
        self._warnings: list[str] = []
        self.stays: str | None = "AMORSIZE_DISABLE is set" if options.disabled else None
        self.plan: Plan | None = None
        self.wants_ticker = False
        self._has_ticked = False
        self._cpu_share = CpuShare()

    @property
    def item_s(self) -> float | None:
        """Seconds an item is expected to take; None where nothing is known."""
        return self._profile.item.mean if self._profile.is_known else None

    def choose(self, n_left: int | None, timings: Timings, results: Sequence[object]) -> Plan:
        """Choose how to run the items left; choose again where it turns out that workers cannot be used here.

        Args:
            n_left: items not yet computed; None for an unknown number.
            timings: what the caller has timed in this call.
            results: some of the results so far, to be sent on trial.
        """
        self._cpu_share.look(timings)
        plan = self._plan(n_left, timings)
        while plan.is_parallel and n_left is not None and plan.backend not in self._cleared:
            self._clear(plan.backend, results)
            plan = self._plan(n_left, timings)  # now with the price of sending
        plan = self._curious(plan, n_left, timings)
        self.plan = plan
        self._n_chosen_for = n_left
        self._cpu_share.begin()
        self._chosen_at_s = perf_counter()
        return plan

    def _plan(self, n_left: int | None, timings: Timings, **supposed: float) -> Plan:
        room, asked = capacity(perf_counter()), self._options
        self._rss_bytes = room.rss_bytes
        self._profile = self._knowledge.profile.learn(self._seen(timings))
        limits = Limits(
            n_jobs=asked.jobs_asked(room.n_cores),
            n_jobs_ceiling=asked.jobs_ceiling(room.n_cores, room.quota_cores),
            chunksize=None if asked.chunksize == "auto" else asked.chunksize,
            backend=asked.backend,
            refusal=self.stays,
            isolate=asked.isolate,
            no_processes=self._no_processes,
            no_threads=self._no_threads,
            n_threads_ceiling=asked.threads_ceiling(room.n_cores, MOST_THREADS),
            has_gil=HAS_GIL,
        )
        profile = self._profile.replace(**supposed) if supposed else self._profile
        return choose_plan(profile, self._knowledge.costs, room, n_left, limits, elapsed_s=timings.total_s)

    def _curious(self, plan: Plan, n_left: int | None, timings: Timings) -> Plan:
        """Return the plan, or the loop for as long as it takes to find out if the function waits or frees the GIL.

        That is looked for where threads would then clearly gain, and once a call.
        """
        self.wants_ticker = False
        if self._cpu_share.is_unsure and plan.backend == "process" and self._options.backend == "auto":
            return plan if self._options.isolate else loop_plan("finding out if it waits", n_left, plan.serial_s)
        known = self._profile.gil_free_share is not None or self._has_ticked or not HAS_GIL
        may_not = self._options.backend != "auto" or self.stays is not None or self._no_threads is not None
        is_disturbed = (self._cpu_share.value or 0.0) < UNDISTURBED
        if known or may_not or is_disturbed or n_left is None or (plan.predicted_s or 0.0) < TICKER_FROM_S:
            return plan
        self.wants_ticker = worth_a_ticker(plan, self._plan(n_left, timings, gil_free_share=1.0))
        if not self.wants_ticker:
            return plan
        return loop_plan("finding out whether it frees the GIL", n_left, plan.serial_s)

    def ticked(self, gil_free_share: float | None) -> None:
        """Take what a ticker has shown; None where it could not tell."""
        self._has_ticked, self.wants_ticker = True, False
        if gil_free_share is not None:
            self._shown["gil_free_share"] = gil_free_share

    def native_threads(self, plan: Plan) -> int | None:
        """Return how many native threads each of the plan's workers may have; None for any number."""
        return native_threads(plan, self._profile.cpu_share, capacity(perf_counter()).n_cores)

    def reconsider(self, evidence: Evidence) -> Plan | None:
        """Return a new plan where a run in progress shows that the old one does not hold."""
        assert self.plan is not None
        return revise(self.plan, evidence)

    def _seen(self, timings: Timings) -> Profile:
        seen = Profile.of(timings.batches, time(), starts_cold=not self._knowledge.has_run_here)
        share = self._cpu_share.value
        shown = self._shown if share is None else {**self._shown, "cpu_share": share}
        return seen.replace(**shown) if shown and seen.is_known else seen

    def _clear(self, backend: str, results: Sequence[object]) -> None:
        """Find out whether workers may join: this process, what the function shares, and some real results decide.

        "auto" then does without them and tells why in its report; what was asked for explicitly is warned about, or
        refused where the caller must not run items.

        Raises:
            BackendUnavailable: for `isolate=True` where no process can be started.
        """
        from amorsize.engine import safety

        self._cleared.add(backend)
        if self._options.backend == "thread":
            return
        if backend == "process" and (self._options.backend == "process" or self._options.isolate):
            refusal = safety.refusal()
            if refusal is not None:
                self.stay(refusal)
            return
        refusal = safety.refusal() if backend == "process" else safety.thread_refusal()
        if refusal is None and len(self._cleared) == 1:
            refusal = self._shared()
        if backend == "thread":
            self._no_threads = refusal
        elif refusal is None:
            price, self._no_processes = sending(results)
            self._shown.update(price)
        else:
            self._no_processes = refusal

    def _shared(self) -> str | None:
        """Return which live handle keeps the call in the caller, and say so; warn of globals that it assigns."""
        name = self._knowledge.function.name
        handle, writes = shared_handle(self._func, name)
        if handle is not None:
            self.stays = handle
            self.warn(f"{name} runs as a plain loop: {handle}. Open it inside the function to run in parallel.")
        if writes is not None:
            self.warn(writes)
        return handle

    def stay(self, why: str) -> None:
        """Keep the call in the caller although workers were to run it, and say so.

        Raises:
            BackendUnavailable: for `isolate=True`, where the caller must not run items.
        """
        self.stays = why
        if self._options.isolate:
            from amorsize.errors import BackendUnavailable

            raise BackendUnavailable(f"isolate=True keeps items out of this process, but {why}")
        self.warn(f"{self._knowledge.function.name} runs as a plain loop although workers were to run it: {why}")

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

    def report(self, n_items: int, timings: Timings, jobs: Sequence[Job], began_s: float) -> RunReport:
        """Return what happened in the call, after keeping what it taught.

        Args:
            n_items: items that came back.
            timings: what the caller timed alone.
            jobs: what was run with workers.
            began_s: when the call began, on the clock of `perf_counter`.
        """
        assert self.plan is not None
        cpu_share = self._profile.cpu_share
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
            serial_s=timings.total_s + sum(seconds for job in jobs for _, seconds in own_batches(job, cpu_share)),
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

    def _learn(self, timings: Timings, jobs: Sequence[Job], run: Run | None, call_s: float) -> None:
        """Keep what caller and workers have timed; a run that was given up on tells of the machine, not the
        function."""
        if not jobs and timings.total_s < TELLING_S and self._knowledge.is_hit:
            return
        seen, costs = self._seen(timings), self._knowledge.costs
        for job in jobs:
            if job.retreat is None:
                seen = seen.merge(seen_by_workers(job, self._profile.cpu_share, time()))
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
