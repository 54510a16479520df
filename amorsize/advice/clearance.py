"""Whether what a function shares, returns and needs lets other processes or threads join in."""

from __future__ import annotations

import sys

from amorsize.advice.plans import n_warm
from amorsize.advice.sending import inherit
from amorsize.engine.alive import n_native
from amorsize.planning.limits import WORKER_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from amorsize.calibration.profile import Profile
    from amorsize.inline import Timings
    from amorsize.options import Options
    from amorsize.records import Plan, Reach

    Sample = Callable[[], Sequence[object]]

HEAVY_FROM_S = 0.01
"""Seconds of an item from which on it may need memory that matters: to touch fresh memory takes 0.25 s a GB."""

MOST_UNSENDABLE = 256
"""Functions of which it is remembered that they cannot be sent; what is forgotten is found out once more."""

WITHOUT_THREADS = ("emscripten", "wasi")

OTHER_HASHES = "calls hash, which gives a text another number in a fresh interpreter unless PYTHONHASHSEED=0 is set"


class Clearance:
    """What one call has found out about whether workers may join, and how they are started.

    Args:
        func: what they would run; never called here.
        options: of the call.

    Attributes:
        stays: why the call stays in the caller, in words; None while it may leave.
        start_method: how processes are started.
        no_processes, no_threads: why they are left out; None where nothing is known against them.
    """

    def __init__(self, func: Callable[..., object], options: Options) -> None:
        self._func = func
        self._options = options
        self._looked_at: set[str] = set()
        self._n_native: int | None = None  # when a fork was looked at
        self._no_fork: str | None = None
        self.stays: str | None = "AMORSIZE_DISABLE is set" if options.disabled else None
        self.start_method = "spawn" if options.start_method == "spawn" else "fork"
        self.no_processes: str | None = None
        self.no_threads = None if options.seed is None else "seed= sets random generators that threads share"
        if sys.platform in WITHOUT_THREADS:
            self.no_threads = f"{sys.platform} has no threads to start"

    @property
    def verdict(self) -> tuple[str | None, str, str | None, str | None]:
        """What a plan follows from: why the call stays, how processes are started, why they or threads are left out."""
        return self.stays, self.start_method, self.no_processes, self.no_threads

    @property
    def allows_threads(self) -> bool:
        """Whether nothing is known against threads."""
        return self.stays is None and self.no_threads is None

    def covers(self, backend: str) -> bool:
        """Tell whether such workers have been looked at."""
        return backend in self._looked_at

    def renew(self) -> None:
        """Have a fork looked at again where items have left native threads since: a library starts its own with the
        first work that it is given."""
        if self._n_native is not None and (n_native() or 0) > self._n_native:
            self._looked_at.discard("process")

    def look(self, backend: str, name: str, results: Sequence[object], sample: Sample) -> tuple[str | None, str | None]:
        """Find out whether such workers may join: this process and what the function shares, with such items, decide.

        "auto" does without those that may not. What was asked for is warned about, or refused where none can be had.

        Args:
            backend: `process` or `thread`.
            name: of the function.
            results: some of those there are.
            sample: returns some items.

        Returns:
            Why workers that were asked for cannot be had, and what to warn of.
        """
        from amorsize.engine.safety import thread_refusal
        from amorsize.identity.reach import reach_with

        is_asked, warning = self._options.forces_workers, None
        reached = reach_with(self._func, () if is_asked else sample())
        if backend == "process":
            refusal = self._processes_refused(reached, results, sample)
        else:
            refusal = self.no_threads or (None if is_asked else thread_refusal())
        self._looked_at.add(backend)
        if refusal is None:
            how = self.start_method if backend == "process" else backend
            handle, lost, warning = objection(reached, name, how, sample, is_asked=is_asked)
            self.stays, refusal = handle or self.stays, handle or lost
        if is_asked:
            return refusal, warning
        if backend == "process":
            self.no_processes = refusal or _by_a_connection(self._func, sample())
        else:
            self.no_threads = refusal or no_threads(self._func, reached, sample())
        return None, warning

    def _processes_refused(self, reached: Reach, results: Sequence[object], sample: Sample) -> str | None:
        """Settle how processes are started, and have those that are forked know what they may have to send; return why
        none can be."""
        from amorsize.engine import safety

        if self._options.initializer is not None:  # which is where a worker is told where to log
            reached = reached.replace(loggers=())
        shared = (None, None) if self._options.forces_workers else (self._func, reached)
        self.start_method, self._no_fork, refusal = how_to_start(self._options.start_method, *shared)
        if self.start_method == "fork":
            self._n_native = safety.n_looked_at
            inherit(results, sample())
        return refusal

    def remarks_on(self, plan: Plan) -> Plan:
        """Return the plan, with those reasons for which some workers are left out of it that it does not name."""
        left_out = (
            ("process", self._no_fork, "processes would be fresh interpreters"),
            ("thread", self.no_threads, "threads are left out"),
        )
        for backend, why, what in left_out:
            if why is not None and why not in plan.reason and self.covers(backend):
                plan = plan.replace(reason=f"{plan.reason}; {what}, because {why}")
        return plan


def how_to_start(asked: str, func: object, reached: Reach | None) -> tuple[str, str | None, str | None]:
    """Return how processes are started here; why not by a fork, where that was open; and why none can be started.

    Args:
        asked: `auto`, `fork` or `spawn`.
        func: what they are to run; None for anything.
        reached: what that shares with this process; None for nothing.
    """
    from amorsize.engine import safety

    no_workers, no_fork = safety.no_workers(), None
    if asked != "spawn" and no_workers is None:
        copied = reached.thread_handles[:1] if reached is not None else ()
        no_fork = safety.no_fork() or (f"it uses {copied[0]}, which a forked worker would share" if copied else None)
    if asked == "fork" or (asked == "auto" and no_fork is None):
        return "fork", None, no_workers or no_fork
    if no_workers is not None:
        return "spawn", None, no_workers
    no_spawn = _no_spawn() or (_known_unsendable(func) if _unsendable else None)
    if no_spawn is None and reached is not None:
        no_spawn = _only_here(reached)
    return "spawn", no_fork, no_spawn if no_fork is None or no_spawn is None else f"{no_fork}, and {no_spawn}"


def _only_here(reached: Reach) -> str | None:
    if reached.context:
        return f"it uses {reached.context[0]}, a context variable that has its value here only"
    if _hashes_otherwise(reached):
        return f"it {OTHER_HASHES}"
    if reached.loggers:
        return f"it logs with {reached.loggers[0]}, whose handlers are here only: add them in initializer= to have more"
    from amorsize.engine.safety import shallow_interpreters

    return _only_in_this_thread(reached) or shallow_interpreters()


def _hashes_otherwise(reached: Reach) -> bool:
    return reached.hashes and bool(sys.flags.hash_randomization)


def _only_in_this_thread(reached: Reach) -> str | None:
    return f"it uses {reached.brought[0]}, which this thread alone has" if reached.brought else None


def _no_spawn() -> str | None:
    try:
        from amorsize.engine.spawn import launch
    except OSError as error:  # no descriptor is left to load it with
        if error.errno is None:  # a signal handler's
            raise
        return f"no interpreter can be launched ({error})"
    return None if n_warm() else launch.refusal()


_unsendable: dict[str, str] = {}  # by likeness: why the function cannot be sent, which takes 0.1 s to find out


def note_unsendable(func: object, why: str) -> None:
    """Remember that a function, as it is now, cannot be sent to fresh interpreters."""
    from amorsize.identity.likeness import likeness

    if len(_unsendable) >= MOST_UNSENDABLE:
        _unsendable.clear()
    _unsendable[likeness(func)] = why


def _known_unsendable(func: object) -> str | None:
    from amorsize.identity.likeness import likeness

    return _unsendable.get(likeness(func))


def objection(
    reached: Reach, name: str, how: str, sample: Sample, *, is_asked: bool
) -> tuple[str | None, str | None, str | None]:
    """Return which live handle keeps the call in the caller; else why no worker may join, as all that it did would be
    lost; and a warning of that, or of what else a worker would keep to itself.

    Args:
        reached: what the function reaches.
        name: of the function.
        how: how workers are started: `thread`, `fork` or `spawn`.
        sample: returns some items, which may hold a handle.
        is_asked: workers were asked for, whatever they share: there is a warning at most.
    """
    from amorsize.identity.reach import shared_by

    if not is_asked:
        found = reached.handles[0] if reached.handles else shared_by(sample())
        if found is not None:
            handle = f"it uses {found}, which two workers must not share"
            warning = f"{name} runs as a plain loop: {handle}. Open or make it inside the function to run in parallel."
            return handle, None, warning
    changed = _changed(reached, sample) if how != "thread" else None
    if changed is not None and reached.changes.is_silent and not is_asked:
        lost = f"it returns nothing and changes {changed}, of which a worker has a copy"
        cure = "Return the value instead, or ask for backend='process'."
        return None, lost, f"{name} is given no worker processes: {lost}. {cure}"
    stays = "stays in the worker (or, in threads, is overwritten by the next): return the value instead"
    if reached.changes.assigned:
        return None, None, f"{name} assigns the global {reached.changes.assigned[0]}, and what a worker assigns {stays}"
    if changed is None:
        return None, None, f"{name} {OTHER_HASHES}" if how == "spawn" and _hashes_otherwise(reached) else None
    warning = f"{name} changes {changed}, and what a worker changes stays in the worker: return the value instead"
    return None, None, warning


def _changed(reached: Reach, sample: Sample) -> str | None:
    """Return what the function changes that a worker has a copy of."""
    if reached.changes.named:
        return reached.changes.named[0]
    if reached.changes.item is None:
        return None
    from amorsize.identity.changes import holds_of_one_process

    return f"its argument {reached.changes.item}" if all(map(holds_of_one_process, sample())) else None


def no_threads(func: Callable[..., object], reached: Reach, items: Sequence[object]) -> str | None:
    """Return what the function uses, with items like these, that belongs to the process, so that threads would set it
    for each other, or to this thread, so that others lack it; or what it keeps where they would overwrite it."""
    from amorsize.identity.process_state import process_state
    from amorsize.identity.reach import walked
    from amorsize.identity.scratch import scratch

    if reached.brought:
        return _only_in_this_thread(reached)
    functions, objects = walked(func, items)
    found = process_state(functions, objects)
    if found is not None:
        return f"it uses {found}, which belongs to the process and not to a thread"
    found = scratch(functions, objects)
    return None if found is None else f"it stores {found} and loads it again, which threads would do for each other"


def _by_a_connection(func: Callable[..., object], items: Sequence[object]) -> str | None:
    """Return what the function does by the connection that DuckDB opens for a process, whose tables no other has."""
    if "duckdb" not in sys.modules:
        return None
    from amorsize.identity.process_state import process_state
    from amorsize.identity.reach import walked

    found = process_state(*walked(func, items))
    is_one = found is not None and found.startswith("duckdb.")
    return f"it uses {found}, whose connection this process alone has" if is_one else None


def needs(timings: Timings, known: Profile) -> dict[str, float]:
    """Return the memory that one more worker takes, going by the items that the caller has run, where no worker has
    told and they were long enough to need any that matters; else nothing."""
    if known.worker_bytes is not None or (timings.mean_s or 0.0) < HEAVY_FROM_S:
        return {}
    from amorsize import footprint

    risen_bytes = footprint.risen()
    return {} if risen_bytes is None else {"worker_bytes": float(WORKER_BYTES + risen_bytes)}
