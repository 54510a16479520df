"""Hire fresh interpreters: for a call that has a plan for them, and ahead of calls that will.

    a plan for them ──> some are ready ──────────────────────> work
                    └─> launch, and go on in the loop ──> as soon as all are ready
                                                      └─> the loop was faster: they wait for the next call

Nobody waits for them: to import what a function needs may take longer than the loop. Where nothing may fork, beside
another thread, a loop of 0.1 s is over before any could gain anything, however often it comes again. Launched after it,
they wait for the next.
"""

from __future__ import annotations

from math import inf
from time import perf_counter

from amorsize.advice.clearance import note_unsendable
from amorsize.advice.plans import loads_later, n_warm
from amorsize.clocks import loaded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.advice.adviser import Adviser
    from amorsize.call import Call
    from amorsize.engine.held import Held
    from amorsize.engine.spawn.errand import Errand
    from amorsize.engine.spawn.warm import SpawnedCrew
    from amorsize.inline import Work
    from amorsize.records import Plan

POLL_S = 0.004
"""Seconds of the loop between two looks whether interpreters are ready, which take 30 us."""

MOST_IN_VAIN = 3
"""Launches for a function after which no more are made for loops that are not much longer, where it never had any that
was ready in time: they may crash while they load it, or its calls be too far from each other."""

MUCH_LONGER = 2.0
"""Such a loop is worth another try."""

MOST_NOTED = 256
"""Functions of which that is remembered."""

_in_vain: dict[str, list[float]] = {}  # digest of a function -> seconds of each loop for which none has been ready yet


def spawned_crew(adviser: Adviser, n_jobs: int, work: Work, held: Held) -> SpawnedCrew:
    """Return those who find fresh interpreters for a call that has a plan for so many of them; warn of what they would
    log nowhere, if they were asked for in spite of it."""
    if (missed := loaded("amorsize.advice.missed")) is not None:
        missed.are_used()
    from amorsize.engine.spawn.warm import SpawnedCrew
    from amorsize.identity.reach import reach

    if adviser.options.initializer is None and (loggers := reach(work.func).loggers):
        adviser.warn(
            f"{adviser.knowledge.function.name} logs with {loggers[0]}, whose handlers a fresh interpreter does not "
            "have: add them in initializer="
        )
    return SpawnedCrew(_errand(adviser, n_jobs, work), held)


class Launch:
    """Fresh interpreters that get ready while their caller goes on in its loop: so many at once as leave it a core.

    Args:
        adviser: of a call that has a plan for them.
        plan: that plan.
        work: what they are to run.

    Attributes:
        is_over: all are ready, or none is on its way.
        pause_s: seconds of the loop until the next look at them.
        took_s: seconds until the first were; None where that is not known: the caller, or a stream's consumer, may have
            been elsewhere for most of them.
    """

    def __init__(self, adviser: Adviser, plan: Plan, work: Work) -> None:
        from amorsize.engine.spawn import warm
        from amorsize.planning.planner import loop_plan

        self._plan, self._work = plan, work  # not the call: only a collection would find that it is garbage
        reason = f"over before fresh interpreters were ready: {plan.reason}"
        self._digest, self._name = adviser.knowledge.function.digest, adviser.knowledge.function.name
        self._n_launched, self._is_first = n_warm(self._name), not warm.are_there()
        self.took_s: float | None = None
        self._n_at_once = max(1, adviser.room.n_cores - 1)
        self._is_hopeless = self._is_first and _is_hopeless(self._digest, plan.serial_s)
        self.is_over = not self._is_hopeless and not self._launch(adviser)
        self.pause_s = inf if self._is_hopeless else POLL_S
        if not self.is_over:
            adviser.plan = loop_plan(reason, adviser.n_chosen_for, plan.serial_s)
        if self._is_first and not self._is_hopeless and plan.serial_s is not None:
            _in_vain.setdefault(self._digest, []).append(plan.serial_s)

    def _launch(self, adviser: Adviser) -> bool:
        """Launch as many more as go at once, up to those that the plan is for; tell whether all are on their way."""
        from amorsize.engine.spawn import warm

        n_jobs = self._plan.n_jobs
        self._n_launched = min(n_jobs, self._n_launched + self._n_at_once)
        self._began_s = self._looked_s = perf_counter()
        return warm.prepare(self._n_launched, _errand(adviser, n_jobs, self._work)) == self._n_launched

    def _launch_more(self, adviser: Adviser) -> bool:
        from amorsize.errors import BackendUnavailable

        try:
            return self._launch(adviser)
        except BackendUnavailable:  # since the first were told, an item has made something that cannot be sent
            return False
        except OSError as error:  # the system has no room for more: those that are ready do without
            if error.errno is None:  # a signal handler's
                raise
            return False

    def goes_on(self, adviser: Adviser) -> bool:
        """Tell whether the caller is to go on in its loop, as some are still not ready."""
        if self.is_over or self._is_hopeless:
            return self._is_hopeless
        looked_s, self._looked_s = self._looked_s, perf_counter()
        if n_warm(self._name) >= self._n_launched:
            _in_vain.pop(self._digest, None)
            is_just_so = self._looked_s - looked_s <= looked_s - self._began_s
            if self._is_first and is_just_so:  # else they were on their way when this call began, or ready long before
                self.took_s = self._looked_s - self._began_s
            self._is_first = False
            self.is_over = self._n_launched == self._plan.n_jobs or not self._launch_more(adviser)
        return not self.is_over


def _is_hopeless(digest: str, loop_s: float | None) -> bool:
    """Tell whether a loop of so many seconds, None for an unknown number, is left alone after all that was in vain."""
    if len(_in_vain) > MOST_NOTED:
        _in_vain.clear()
    before = _in_vain.get(digest, [])
    return loop_s is not None and len(before) >= MOST_IN_VAIN and loop_s < MUCH_LONGER * max(before)


def is_launching(call: Call, plan: Plan, work: Work) -> bool:
    """Tell whether the caller is to go on in its loop: the fresh interpreters of a plan have just been launched, or
    cannot be."""
    adviser, options = call.known_adviser, call.options
    is_asked = options.forces_workers or options.is_supervised or options.initializer is not None
    if plan.start_method != "spawn" or is_asked or adviser.launch is not None:
        return False
    if n_warm(adviser.knowledge.function.name) >= plan.n_jobs:
        return False
    from amorsize.errors import BackendUnavailable

    try:
        adviser.launch = Launch(adviser, plan, work)
    except BackendUnavailable as error:
        note_unsendable(work.func, str(error))
        call.refuse(str(error))
        return True
    except OSError as error:
        if error.errno is None:  # a signal handler's
            raise
        call.refuse(f"no worker could be started: {error}")
        return True
    if adviser.launch.is_over:
        return False
    call.look_at_s = call.timings.total_s + adviser.launch.pause_s
    return True


def hire_ahead(adviser: Adviser, work: Work, loop_s: float) -> None:
    """Launch fresh interpreters where loops have missed more, for want of them, than launching costs.

    Args:
        adviser: of a call that has stayed in the loop.
        work: what it ran.
        loop_s: seconds that this has taken.
    """
    if adviser.launch is not None:
        adviser.launch.goes_on(adviser)  # where the first are ready, the next ones may be when they are needed
        return
    from amorsize.advice.missed import are_in_vain, hoped_for

    # An initializer belongs to a call's own workers.
    if adviser.options.initializer is not None or loads_later(work.func):
        return
    digest = adviser.knowledge.function.digest
    n_workers = hoped_for(digest, *adviser.asked, work.n_items, loop_s)
    if not n_workers:
        return
    from amorsize.engine.spawn import warm
    from amorsize.errors import BackendUnavailable

    try:
        if not warm.prepare(n_workers, _errand(adviser, n_workers, work)):
            are_in_vain(digest)
    except BackendUnavailable as error:
        note_unsendable(work.func, str(error))
    except OSError as error:  # the system has no room for them: the next call may find some
        if error.errno is None:  # a signal handler's
            raise


def _errand(adviser: Adviser, n_jobs: int, work: Work) -> Errand:
    """Return what so many fresh interpreters are to be told."""
    from amorsize.advice.plans import native_threads_of
    from amorsize.engine.spawn.errand import Errand
    from amorsize.engine.spawn.names import is_named
    from amorsize.identity.foreign import foreign, otherwise
    from amorsize.identity.likeness import likeness
    from amorsize.identity.loads import kinds_of

    guard = None if work.guard is None else work.guard.replace(prepared=set())  # the same for every call
    func, sample = work.func, work.sample()  # resting workers keep an errand, and must keep no items with it
    types = tuple(dict.fromkeys(map(type, sample)))
    return Errand(
        func=func,
        star=work.star,
        guard=guard,
        identify=likeness,
        kinds=tuple(filter(is_named, kinds_of(sample))),
        foreign=lambda: foreign(func, types),
        otherwise=otherwise,
        n_threads=native_threads_of(adviser.asked[0], n_jobs),
        name=adviser.knowledge.function.name,
    )
