"""What a multiprocessing.Pool would do and cost here."""

from __future__ import annotations

import multiprocessing
import pickle
import sys
import warnings
from statistics import median
from time import perf_counter

from amorsize.engine.safety import WITHOUT_PROCESSES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from multiprocessing.pool import Pool

ASSUMED_POOL_S = {"spawn": 0.1, "forkserver": 0.03}
"""Seconds to start a Pool that does not fork, which cannot be tried without importing the program's `__main__` again.
Those of an empty program took 0.045 and 0.02; a program's own imports come on top. Too low and small jobs lose by
using a Pool; too high and they stay in the loop."""

STARTS = 4
"""Pools of one and of two workers that are started for the medians; each takes about 5 ms."""

N_CHUNKS, N_ITEMS = 200, 20_000
"""Items sent through a Pool one by one, and in few chunks: 7 ms and 3 ms."""

TIMES = 3
"""How often they are sent."""

LEAST_OF_WORKER, MOST_OF_WORKER = 0.2, 0.5
"""Share of starting a Pool of one that its worker may explain: the difference of two noisy figures needs bounds."""


def start_method() -> str:
    """Return how a Pool of this program starts its workers; chooses nothing that is not yet chosen."""
    return multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]


def refusal() -> str | None:
    """Return why this process cannot have a Pool, in words; None where it can."""
    if sys.platform in WITHOUT_PROCESSES:
        return f"{sys.platform} has no processes to start"
    if multiprocessing.current_process().daemon:
        return "this process is the worker of a Pool, which cannot start processes of its own"
    return None


def round_trip(value: object) -> tuple[float, int]:
    """Return the seconds to pickle and to rebuild a value as a Pool does, and the bytes in between.

    Raises:
        Exception: whatever its pickling or rebuilding raises.
    """
    began = perf_counter()
    pickled = pickle.dumps(value)
    pickle.loads(pickled)
    return perf_counter() - began, len(pickled)


def prices() -> dict[str, float]:
    """Return the fields of `Costs` that concern a Pool, by starting some that fork.

    Raises:
        OSError: where no process can be started.
    """
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork beside threads. Those that it may see here are the last Pool's, on their way out.
        warnings.simplefilter("ignore", DeprecationWarning)
        one_s = median(_start_s(1) for _ in range(STARTS))
        two_s = median(_start_s(2) for _ in range(STARTS))
        with _pool(2) as pool:
            chunk_s = median(_map_s(pool, N_CHUNKS, 1) for _ in range(TIMES)) / N_CHUNKS
            item_s = median(_map_s(pool, N_ITEMS, N_ITEMS // 8) for _ in range(TIMES)) / N_ITEMS
    worker_s = min(max(two_s - one_s, LEAST_OF_WORKER * one_s), MOST_OF_WORKER * one_s)
    return {
        "pool_s": one_s - worker_s,
        "pool_worker_s": worker_s,
        # Half of a price falls on either side; with two workers it is the caller's half that took so long.
        "pool_chunk_s": 2 * chunk_s,
        "pool_item_s": 2 * item_s,
    }


def _start_s(n_jobs: int) -> float:
    """Return the seconds from no Pool to one that has worked, and back."""
    began = perf_counter()
    with _pool(n_jobs) as pool:
        pool.map(abs, range(n_jobs), 1)
    return perf_counter() - began


def _map_s(pool: Pool, n_items: int, chunksize: int) -> float:
    began = perf_counter()
    pool.map(abs, range(n_items), chunksize)
    return perf_counter() - began


def _pool(n_jobs: int) -> Pool:
    return multiprocessing.get_context("fork").Pool(n_jobs)
