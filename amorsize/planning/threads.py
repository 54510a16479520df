"""How many threads are worth a prediction, and when it is worth finding out whether a function frees the GIL.

A function that waits gains from as many threads as its items wait for; one that computes without the GIL from as many
as there are cores; one that holds the GIL from none.
"""

from __future__ import annotations

from math import ceil

from amorsize.planning.limits import MOST_THREADS, WORKER_BYTES, worker_limit_by_memory
from amorsize.planning.model import WAITS_BELOW, held_share

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.calibration.profile import Profile
    from amorsize.planning.limits import Limits
    from amorsize.records import Capacity, Plan

MOST_HELD = 0.75
"""Share of its time in which a function may hold the GIL and still be considered: above, threads gain a third at most.
A ticker lets through a twentieth of one that never lets it go, and taking turns costs pure Python a tenth more."""

UNKNOWN_THREADS, UNKNOWN_THREADS_BESIDE_CORES = 32, 4
"""Threads where they were asked for and nothing is known: min(32, cores + 4), as `concurrent.futures` does."""

ROUNDS = 4
"""Numbers of threads are considered that end together after 1, 2, 3 or 4 items each, beside the powers of two."""

TICKER_S = 12e-3
"""Seconds of the caller's own work beside a ticker that tell whether it frees the GIL; a third of it does not tell a
third from nothing."""

UNDISTURBED = 0.9
"""CPU share of the caller's own items with which a ticker tells the truth. With less, others use the cores: whoever let
the GIL go for a tick waits for a core some ms, in which the ticker has the GIL to itself (a Python loop beside two
programs: a share of 0.43 in one of five looks, 0.05 in all that this leaves), and so becomes slower by that (a loop of
130 ms took 165)."""

TICKER_COSTS_S = 3e-3
"""What the ticker itself costs; 2 ms of it on an idle machine."""

TICKER_SHARE = 0.02
"""Finding out may cost this share of the run."""

TICKER_SHARE_BEFORE = 0.05
"""And this one of the runs before it: once for each function, kept in the store. With 2 % of them, functions that gain
a third from threads had not been found out after 15 calls of 0.16 s."""

TICKER_FROM_S = 1.5 * TICKER_S
"""In a shorter run nearly all would be over before anything is known."""

TICKER_PAYS = 0.1
"""What could be gained must be this share of the run."""


def thread_counts(profile: Profile, capacity: Capacity, n_items: int, limits: Limits) -> list[int]:
    """Return the numbers of threads worth predicting, ascending; none where threads cannot help or may not be.

    Args:
        profile: what is known about the function.
        capacity: how much of the machine may be used now.
        n_items: how many items to expect.
        limits: what was asked for, and what is allowed.
    """
    is_asked = limits.backend == "thread"
    if limits.isolate or limits.backend not in ("auto", "thread") or (limits.no_threads is not None and not is_asked):
        return []
    fitting = worker_limit_by_memory(capacity.memory_bytes, max(0.0, (profile.worker_bytes or 0.0) - WORKER_BYTES))
    most = min(limits.n_threads_ceiling, limits.n_jobs or MOST_THREADS, n_items, fitting or MOST_THREADS)
    if most < 2 or not (is_asked or held_share(profile, has_gil=limits.has_gil) <= MOST_HELD):
        return []
    if limits.n_jobs is not None:
        return [most]
    cpu_share = 1.0 if profile.cpu_share is None else profile.cpu_share
    if profile.is_known and cpu_share >= WAITS_BELOW:
        most = min(most, int(capacity.n_effective / cpu_share + 0.5))  # n_jobs x cores that an item keeps busy = cores
        if most < 2:
            return [2] if is_asked else []
    if not profile.is_known:
        return [min(most, UNKNOWN_THREADS, capacity.n_cores + UNKNOWN_THREADS_BESIDE_CORES)]
    found = {2, most}
    found.update([1 << k for k in range(1, most.bit_length())])
    found.update([max(2, min(most, ceil(n_items / k))) for k in range(1, ROUNDS + 1)])
    return sorted(found)


def worth_a_ticker(plan: Plan, hoped: Plan, before_s: float, n_untold: int) -> bool:
    """Tell whether to find out if the function frees the GIL, which delays the plan's workers meanwhile.

    Args:
        plan: for what is known.
        hoped: for a function that does free it.
        before_s: seconds that the function has run for, in earlier calls and in this one.
        n_untold: tickers that could not tell: so many more are to be expected.
    """
    if plan.predicted_s is None or hoped.predicted_s is None or hoped.backend != "thread":
        return False
    delay_s = TICKER_S * (1 - plan.predicted_s / plan.serial_s) if plan.serial_s else TICKER_S
    costs_s = TICKER_COSTS_S + (max(0.0, delay_s) if plan.is_parallel else 0.0)
    gain_s = plan.predicted_s - hoped.predicted_s
    may_cost_s = TICKER_SHARE * plan.predicted_s + TICKER_SHARE_BEFORE * before_s / (1 + n_untold)
    return gain_s >= TICKER_PAYS * plan.predicted_s and costs_s <= may_cost_s
