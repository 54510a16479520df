"""The adviser of one call: from what is known, and from what the call itself has shown, to a plan; and afterwards, to a
lesson.

Loaded once a call has lasted long enough for advice to pay.
"""

from __future__ import annotations

from math import sqrt
from time import perf_counter, time

from amorsize.advice.clearance import Clearance, needs
from amorsize.advice.plans import alone_first_s, n_waiting, pause_s, plan_for, room_now
from amorsize.advice.sending import prices, sends_items, unlike
from amorsize.advice.shares import CpuShare, may_be_native
from amorsize.calibration.front import is_expected
from amorsize.calibration.profile import Profile
from amorsize.engine.held import Held
from amorsize.identity.machine import HAS_GIL
from amorsize.inline import CPU_TELLS_FROM_S
from amorsize.planning.planner import STANDARD_ERRORS, loop_plan
from amorsize.planning.threads import TICKER_FROM_S, UNDISTURBED, worth_a_ticker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from amorsize.advice.knowledge import Knowledge
    from amorsize.advice.plans import Known, Told
    from amorsize.hiring import Launch
    from amorsize.inline import Timings
    from amorsize.options import Options
    from amorsize.records import Capacity, Evidence, Plan

    Sample = Callable[[], Sequence[object]]


class Adviser:
    """Knows one function on one kind of input, and what one call may do.

    Args:
        func: the function; never called here.
        options: of the call.
        known: what is known about it with items of this kind.

    Attributes:
        options: of the call.
        knowledge: what is known about it with items of this kind.
        clearance: whether workers may join.
        profile: the same, with what this call has shown.
        plan: the latest plan.
        asked: what it follows from; of a stream's, the first one. Nothing before a plan was chosen.
        room, n_warm, n_resting: of this, how much of the machine may be used; interpreters, threads that wait for work.
        chosen_at_s: when it was chosen, on the clock of `perf_counter`.
        n_chosen_for: for how many items; None for an unknown number.
        warnings: what was warned of.
        pause_s: for how long the caller is to compute alone before it asks again.
        wants_ticker: whether the caller is to run a ticker beside its next items.
        launch: fresh interpreters that were launched beside the caller's loop; None for none.
    """

    _n_untold = 0  # tickers of this process that could not tell

    def __init__(self, func: Callable[..., object], options: Options, known: Knowledge) -> None:
        self._func = func
        self.options = options
        self.knowledge = known
        self.profile = self.knowledge.profile
        self._shown: dict[str, float] = {}
        self.clearance = Clearance(func, options)
        self._feeds, self._n_ahead = False, 0
        self.chosen_at_s = perf_counter()
        self.n_chosen_for: int | None = None
        self.warnings: list[str] = []
        self.plan: Plan | None = None
        self.launch: Launch | None = None
        self.asked: tuple[Known, Told]
        self.room: Capacity
        self.n_warm = self.n_resting = 0
        self.pause_s = 0.0
        self.wants_ticker = False
        self._has_ticked = self._is_expected = False
        self._cpu_share = CpuShare(self.profile.cpu_share)

    def choose(
        self,
        n_left: int | None,
        timings: Timings,
        results: Sequence[object],
        sample: Sample,
        *,
        feeds: bool = False,
        n_ahead: int = 0,
        is_forecast: bool = False,
    ) -> Plan:
        """Choose how to run the items left; choose again where it turns out that workers cannot be used here.

        Args:
            n_left: items not yet computed; None for an unknown number.
            timings: what the caller has timed in this call.
            results: some of the results so far, to be sent on trial.
            sample: returns some items, to be sent on trial.
            feeds: the caller will hand every item out, and compute none.
            n_ahead: items that are known to come where nobody knows how many do.
            is_forecast: nothing will be run, not even to find something out first.
        """
        began_s, self._feeds, self._n_ahead = perf_counter(), feeds, n_ahead
        self._cpu_share.look(timings)
        self.clearance.renew()
        self._shown = {**unlike(results, self.knowledge), **self._shown, **needs(timings, self.knowledge.profile)}
        plan = self._plan(n_left, timings)
        while plan.is_parallel and not self.clearance.covers(plan.backend):
            if not is_forecast and self._awaits_result(plan, results):
                break
            if self._clears(plan.backend, n_left, results, sample):
                plan = self._plan(n_left, timings)  # now with the price of sending
        if self.clearance.stays is None and not is_forecast:
            plan = self._curious(plan, n_left, timings, results)
        plan = self.clearance.remarks_on(plan)
        self.plan, self.n_chosen_for = plan, n_left
        self._cpu_share.begin()
        self.chosen_at_s = perf_counter()
        if not self.pause_s:
            choice_s = self.chosen_at_s - began_s if self.knowledge.is_hit and n_left is not None else 0.0
            self.pause_s = pause_s(plan, timings.total_s, self.profile.item.mean, choice_s)
        return plan

    @property
    def misses_interpreters(self) -> bool:
        """Whether the call has stayed in the loop where none but fresh interpreters could have joined."""
        is_loop = self.clearance.stays is None and self.plan is not None and not self.plan.is_parallel
        return is_loop and self.clearance.start_method == "spawn"

    def more(self, timings: Timings, computed_s: float) -> Plan:
        """Return the plan for a stream that goes on: the same, with more workers where it has lasted long enough.

        Args:
            timings: what the caller has timed in this call.
            computed_s: seconds that workers have computed since.
        """
        assert self.plan is not None
        plan = self._plan(None, timings, computed_s)
        is_same = (plan.backend, plan.start_method) == (self.plan.backend, self.plan.start_method)
        if is_same and plan.n_jobs > self.plan.n_jobs:
            self.plan = plan
        return self.plan

    def _plan(self, n_left: int | None, timings: Timings, computed_s: float = 0.0, **supposed: float) -> Plan:
        start_method, name = self.clearance.start_method, self.knowledge.function.name
        room = room_now(start_method, name, self.knowledge.profile)
        seen = self.seen(timings)
        self._is_expected = is_expected(self.knowledge.profile, seen)
        self.profile = self.knowledge.profile.learn(seen.without_items() if self._is_expected else seen)
        profile = self.profile.replace(**supposed) if supposed else self.profile
        waiting = n_waiting(start_method, name, self._func, self.profile)
        own = waiting, self._feeds, "worker_bytes" in self._shown
        told: Told = (n_left, timings.total_s + computed_s, self._n_ahead, *own, *self.clearance.verdict)
        asked = (profile, self.knowledge.costs, room, self.options), told
        if not (supposed or computed_s):
            self.asked, self.room, (self.n_warm, self.n_resting) = asked, room, waiting
        return plan_for(*asked)

    def _awaits_result(self, plan: Plan, results: Sequence[object]) -> bool:
        """Tell whether an item has to run here first: no result was ever sent, as where they cannot be; or what the
        first one loads would be loaded by every worker of every call."""
        loads = self.clearance.start_method == "fork" and not self.knowledge.has_run_here and self.profile.first_call_s
        has_to = not results and (self.profile.result_bytes is None or bool(loads))
        return has_to and plan.backend == "process" and not self.options.forces_workers

    def _curious(self, plan: Plan, n_left: int | None, timings: Timings, results: Sequence[object]) -> Plan:
        """Return the plan, or the loop for as long as it takes to find out if the function waits or frees the GIL.

        That is looked for where threads would then clearly gain, and once a call; never by who hands items out.
        """
        self.wants_ticker = False
        if self._cpu_share.is_unsure and plan.backend != "thread" and self.options.backend == "auto":
            self.pause_s = CPU_TELLS_FROM_S
            return plan if self.options.isolate else loop_plan("finding out if it waits", n_left, plan.serial_s)
        self.pause_s = CPU_TELLS_FROM_S if self._awaits_result(plan, results) else 0.0
        if not (self.pause_s or self._feeds or self.options.forces_workers):
            self.pause_s = alone_first_s(plan, self.profile, timings.n_items)
        if self.pause_s:
            return loop_plan("finding out what an item takes alone", n_left, plan.serial_s)
        known = self.profile.gil_free_share is not None or self._has_ticked or not HAS_GIL
        may_not = self.options.backend != "auto" or self._feeds or not self.clearance.allows_threads
        is_disturbed = (self._cpu_share.value or 0.0) < UNDISTURBED
        if known or may_not or is_disturbed or n_left is None or (plan.predicted_s or 0.0) < TICKER_FROM_S:
            return plan
        hoped = self._plan(n_left, timings, gil_free_share=1.0)
        run_s = self.knowledge.profile.total_s + timings.total_s
        self.wants_ticker = worth_a_ticker(plan, hoped, run_s, Adviser._n_untold)
        return loop_plan("finding out if it frees the GIL", n_left, plan.serial_s) if self.wants_ticker else plan

    def ticked(self, gil_free_share: float | None) -> None:
        """Take what a ticker has shown; None where it could not tell."""
        self._has_ticked, self.wants_ticker = True, False
        if gil_free_share is None:
            Adviser._n_untold += 1
        else:
            self._shown["gil_free_share"] = gil_free_share

    def reconsider(self, evidence: Evidence) -> Plan | None:
        """Return a new plan where a run in progress shows that the old one does not hold."""
        from amorsize.planning.retreat import revise

        assert self.plan is not None
        if may_be_native(self.profile.cpu_share):  # they use cores up while they wait for each other
            evidence = evidence.replace(cores_used=None)
        if evidence.alone_s and self._is_expected:  # those of the first items tell nothing about the others
            longest_s = self.profile.item.mean + STANDARD_ERRORS * self.profile.sd_s / sqrt(max(1, evidence.n_together))
            evidence = evidence.replace(alone_s=longest_s)  # what so many of them may take by chance
        return revise(self.plan, evidence)

    def seen(self, timings: Timings) -> Profile:
        seen = Profile.of(timings.batches, time(), starts_cold=not self.knowledge.has_run_here)
        share = self._cpu_share.value
        shown = self._shown if share is None else {**self._shown, "cpu_share": share}
        return seen.replace(**shown) if shown and seen.is_known else seen

    def _clears(self, backend: str, n_left: int | None, results: Sequence[object], sample: Sample) -> bool:
        """Find out whether such workers may join, and what it costs to send them items and take in results; tell
        whether that may change the plan.

        Raises:
            BackendUnavailable: for `isolate=True` where no process can be started.
        """
        before, is_asked = (self.clearance.verdict, self._shown.copy()), self.options.forces_workers
        with Held():  # what a signal's handler raises is no error of what is looked at
            refusal, warning = self.clearance.look(backend, self.knowledge.function.name, results, sample)
            if warning is not None:
                self.warn(warning)
            if refusal is not None:
                self.stay(refusal)
            elif backend == "process" and not is_asked and self.clearance.no_processes is None:
                # What was asked for is neither priced nor refused: it raises where it cannot be sent.
                self.clearance.no_processes = self._price(n_left, results, sample)
        return (self.clearance.verdict, self._shown) != before

    def _price(self, n_left: int | None, results: Sequence[object], sample: Sample) -> str | None:
        """Send some real results, and items where they travel too, on trial; return why they cannot be sent."""
        sent = sample if sends_items(self.clearance.start_method, n_left) else None
        price, refusal = prices(results, sent, self.profile.send_s or 0.0, may_fail=self.options.on_error == "return")
        self._shown.update(price)
        return refusal

    def stay(self, why: str) -> None:
        """Keep the call in the caller although workers were to run it, and say so.

        Raises:
            BackendUnavailable: for `isolate=True`, or what implies it, where the caller must not run items.
        """
        self.clearance.stays = why
        if self.plan is not None:  # it has not come to what that said, which is no run to learn from
            self.plan = loop_plan(why, self.n_chosen_for, None)
        if self.options.isolate:
            from amorsize.errors import BackendUnavailable

            limits = {"timeout": self.options.timeout, "deadline": self.options.deadline}
            asked = [f"{name}={limit:g}" for name, limit in limits.items() if limit is not None] or ["isolate=True"]
            raise BackendUnavailable(f"{asked[0]} keeps items out of this process, but {why}")
        self.warn(f"{self.knowledge.function.name} runs as a plain loop although workers were to run it: {why}")

    def warn(self, text: str, beside: BaseException | None = None) -> None:
        """Warn once per process, and in every report that it concerns; never in the place of an error."""
        from amorsize.errors import warn_once

        self.warnings += [text] if text not in self.warnings else []
        warn_once(text, beside)
