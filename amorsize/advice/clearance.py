"""Whether what a function shares, returns and needs lets other processes or threads join in."""

from __future__ import annotations

import sys

from amorsize.clocks import loaded, n_resting
from amorsize.identity.code import CODE_TYPE, code_facts
from amorsize.planning.limits import WORKER_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from amorsize.calibration.profile import Profile
    from amorsize.inline import Timings
    from amorsize.records import Reach

HEAVY_FROM_S = 0.01
"""Seconds of an item from which on it may need memory that matters: to touch fresh memory takes 0.25 s a GB."""

MOST_UNSENDABLE = 256
"""Functions of which it is remembered that they cannot be sent; what is forgotten is found out once more."""

OTHER_HASHES = "calls hash, which gives a text another number in a fresh interpreter unless PYTHONHASHSEED=0 is set"


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


def n_warm(name: str | None = None, *, has_run: bool = False) -> int:
    """Return how many fresh interpreters wait for work already: as `engine.spawn.warm.n_resting`."""
    spawn = loaded("amorsize.engine.spawn.warm")
    return 0 if spawn is None else spawn.n_resting(name, has_run=has_run)


def n_waiting(start_method: str, name: str, func: object, known: Profile) -> tuple[int, int]:
    """Return how many workers wait for work already: fresh interpreters that have loaded what a function needs, and
    threads.

    Args:
        start_method: how processes are started.
        name: of the function. Which others they know is no matter: 50 ms of items waited for an import of a second.
        func: the function.
        known: about it.
    """
    if start_method != "spawn":
        return 0, n_resting()
    return n_warm(name, has_run=bool(known.first_call_s) or loads_later(func)), n_resting()


def loads_later(func: object) -> bool:
    """Tell whether a function imports, in its body, what takes its first call in a process longer."""
    code = getattr(getattr(func, "__func__", func), "__code__", None)
    if not isinstance(code, CODE_TYPE):
        return False
    return any(name.partition(".")[0] not in sys.stdlib_module_names for name in code_facts(code).imports)


def objection(
    reached: Reach, name: str, how: str, sample: Callable[[], Sequence[object]], *, is_asked: bool
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


def _changed(reached: Reach, sample: Callable[[], Sequence[object]]) -> str | None:
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


def needs(timings: Timings, known: Profile) -> dict[str, float]:
    """Return the memory that one more worker takes, going by the items that the caller has run, where no worker has
    told and they were long enough to need any that matters; else nothing."""
    if known.worker_bytes is not None or (timings.mean_s or 0.0) < HEAVY_FROM_S:
        return {}
    from amorsize import footprint

    risen_bytes = footprint.risen()
    return {} if risen_bytes is None else {"worker_bytes": float(WORKER_BYTES + risen_bytes)}
