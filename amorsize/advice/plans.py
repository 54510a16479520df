"""The plan that follows from what is known, what there is, and what was asked for, found again where nothing of it has
changed; and how long it holds."""

from __future__ import annotations

import sys
from math import inf
from time import perf_counter

from amorsize.advice.sending import sends_items
from amorsize.advice.shares import may_be_native
from amorsize.clocks import loaded, n_resting
from amorsize.identity.code import CODE_TYPE, code_facts
from amorsize.identity.machine import HAS_GIL, capacity
from amorsize.inline import CPU_TELLS_FROM_S
from amorsize.planning.limits import MOST_THREADS, Limits, worker_limit_by_memory
from amorsize.planning.planner import choose_plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.calibration.costs import Costs
    from amorsize.calibration.profile import Profile
    from amorsize.options import Options
    from amorsize.records import Capacity, Plan

    Known = tuple[Profile, Costs, Capacity, Options]
    # items left, seconds so far, items ahead, interpreters and threads that wait, whether it feeds, whether memory is
    # guessed; why it stays, how processes start, why none may, why no thread may: as `_new_plan` takes them apart
    Told = tuple[int | None, float, int, tuple[int, int], bool, bool, str | None, str, str | None, str | None]

MOST_PLANS = 64
"""Plans kept for who asks again, at 2 KB. Short calls that teach nothing find theirs, for 1 us instead of 25; other
calls leave some that nobody will ask for."""

PAUSES, CHOICE_S = 32, 0.0005
"""Where function and number of items are known, so many times as long as a choice took, or this where it loaded
anything, passes before the next. With one at each doubling from 0.25 ms on they took 4 % of a loop of 70 ms that
returns large results."""

CLEARLY_LESS = 0.9
"""Share of a plan's seconds that another one is to take, so that it is worth to settle soon which of the two it is."""

ALONE_SHARE = 1 / 32
"""Share of a run with workers that it may be delayed by, to see first what an item takes alone."""

_plans: dict[tuple[object, ...], tuple[Known, Plan]] = {}


def room_now(start_method: str, name: str, known: Profile) -> Capacity:
    """Return how much of the machine a call may use now. Where memory is short, what warm interpreters hold that have
    run the function is as good as free: they need it no second time, and would keep each other out."""
    room = capacity(perf_counter(), forks=start_method == "fork")
    spawn = loaded("amorsize.engine.spawn.warm") if start_method == "spawn" else None
    if spawn is None:
        return room
    fitting = worker_limit_by_memory(room.memory_bytes, known.worker_bytes)
    if fitting is None or fitting >= room.n_cores:
        return room
    room = capacity(perf_counter(), forks=False, anew=True)  # what was free a second ago, they may have taken since
    return room.replace(memory_bytes=(room.memory_bytes or 0) + spawn.held_bytes(name))


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


def plan_for(known: Known, told: Told) -> Plan:
    """Return the plan that follows from this and nothing else; the same one where it was asked for just before.

    Of what is known only the very same objects count as the same: they are frozen, and kept as long as their ids.
    """
    key = (*map(id, known), *told)
    found = _plans.get(key)
    if found is None:
        if len(_plans) >= MOST_PLANS:
            _plans.clear()
        found = _plans[key] = known, _new_plan(known, told)
    return found[1]


def plan_if_warm(known: Known, told: Told, n_items: int) -> Plan:
    """Return the plan for so many items if as many fresh interpreters as anybody wants were waiting for them."""
    return _new_plan(known, (n_items, 0.0, 0, (sys.maxsize, told[3][1]), *told[4:]))


def native_threads_of(known: Known, n_jobs: int) -> int | None:
    """Return how many native threads each of so many workers may have, so that all of them fit on the cores; None for
    any number.

    Only where items may use native threads. To limit them takes 5 ms, the first time 13; workers whose threads fight
    for the cores took five times as long as the loop, and fresh interpreters 34 times.
    """
    profile, _, room, _ = known
    return max(1, room.n_cores // n_jobs) if may_be_native(profile.cpu_share) else None


def _new_plan(known: Known, told: Told) -> Plan:
    profile, costs, room, asked = known
    n_left, elapsed_s, n_ahead, n_ready, feeds, guesses, stays, start_method, no_processes, no_threads = told
    limits = Limits(
        n_jobs=asked.jobs_asked(room.n_cores),
        n_jobs_ceiling=asked.jobs_ceiling(room.n_cores, room.quota_cores),
        chunksize=None if asked.chunksize == "auto" else asked.chunksize,
        backend=asked.backend,
        refusal=stays,
        isolate=asked.isolate,
        feeds=feeds or start_method == "spawn",
        sends_items=sends_items(start_method, n_left),
        start_method=start_method,
        n_warm=n_ready[0],
        n_resting=n_ready[1],
        no_processes=no_processes,
        no_threads=no_threads,
        guesses_memory=guesses,
        n_threads_ceiling=asked.threads_ceiling(room.n_cores, MOST_THREADS),
        has_gil=HAS_GIL,
    )
    return choose_plan(profile, costs, room, n_left, limits, elapsed_s, n_ahead)


def pause_s(plan: Plan, total_s: float, item_s: float, choice_s: float) -> float:
    """Return for how long the caller is to compute alone before a plan is chosen again.

    As long as it has so far; where only doubt keeps it from a plan that is predicted to be faster, for an item more:
    12 items of 16 ms were run alone until the fifth, where the third settles it.

    Args:
        plan: what was chosen.
        total_s: seconds for which the caller has computed alone.
        item_s: seconds that an item is expected to take.
        choice_s: what the choice took; 0 where function or number of items were not known: the next will know more.
    """
    best_s = (plan.alternatives[0].predicted_s if plan.alternatives else None) or inf
    if plan.predicted_s is not None and best_s < CLEARLY_LESS * plan.predicted_s:
        return min(total_s, max(item_s, PAUSES * CHOICE_S))
    return max(total_s, PAUSES * min(choice_s, CHOICE_S))


def alone_s(asked: Options, plan: Plan, seen_s: float | None, known: Profile) -> float | None:
    """Return the seconds that an item takes in the caller alone, where a run is to be held against them.

    Of threads an earlier call may tell: a retreat from them costs nothing.

    Args:
        asked: the options.
        plan: who is to run.
        seen_s: what an item took in this call; None where the caller has run none.
        known: about the function.
    """
    return seen_s or known.item_s if plan.backend == "thread" and asked.backend == "auto" else seen_s


def alone_first_s(plan: Plan, known: Profile, n_timed: int) -> float:
    """Return for how long items alone show, for little, whether they wait, and by how much processes make them longer:
    where these are known to, or nobody could tell yet; else 0.

    Args:
        plan: what was chosen.
        known: about the function.
        n_timed: items that the caller has run alone in this call.
    """
    is_told = n_timed or (known.crowding == 0.0 and known.cpu_share is not None)
    if is_told or plan.backend != "process" or plan.serial_s is None:
        return 0.0
    delay_s = max(known.item.mean, CPU_TELLS_FROM_S) * (plan.n_jobs - 1) / plan.n_jobs
    return CPU_TELLS_FROM_S if delay_s <= ALONE_SHARE * plan.serial_s / plan.n_jobs else 0.0
