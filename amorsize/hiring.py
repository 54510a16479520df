"""Hire fresh interpreters: for a call that has a plan for them, and ahead of calls that will.

Where nothing may fork, beside another thread, a loop of 0.2 s is over before interpreters that are launched for it have
gained anything, however often it comes again. Launched after it, they wait for the next: 0.2 s is then 0.1.
"""

from __future__ import annotations

from amorsize.clocks import loaded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.advice.adviser import Adviser
    from amorsize.engine.held import Held
    from amorsize.engine.spawn.crew import SpawnedCrew
    from amorsize.engine.spawn.errand import Errand
    from amorsize.inline import Work


def spawned_crew(adviser: Adviser, n_jobs: int, work: Work, held: Held) -> SpawnedCrew:
    """Return those who find fresh interpreters for a call that has a plan for so many of them."""
    if (missed := loaded("amorsize.advice.missed")) is not None:
        missed.are_used()
    from amorsize.engine.spawn.crew import SpawnedCrew

    return SpawnedCrew(_errand(adviser, n_jobs, work), held)


def hire_ahead(adviser: Adviser, work: Work, loop_s: float) -> None:
    """Launch fresh interpreters where loops have missed more, for want of them, than launching costs.

    Args:
        adviser: of a call that has stayed in the loop.
        work: what it ran.
        loop_s: seconds that this has taken.
    """
    from amorsize.advice.clearance import loads_later, note_unsendable
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
    return Errand(
        func=work.func,
        star=work.star,
        guard=guard,
        identify=likeness,
        kinds=tuple(filter(is_named, kinds_of(work.sample()))),
        foreign=lambda: foreign(work.func, tuple(dict.fromkeys(map(type, work.sample())))),
        otherwise=otherwise,
        n_threads=native_threads_of(adviser.asked[0], n_jobs),
        name=adviser.knowledge.function.name,
    )
