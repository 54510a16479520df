"""How each contender maps here: two workers, and all items in them, as its documentation shows it.

amorsize keeps every item out of its caller (`isolate=True`), as the others do: where the caller computes too, an item
that crashes takes it along, as it does in a plain loop.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.faults.tasks import ENDLESS
from benchmarks.peers import Joblib, Mpire, Pmap, Pool, ProcessExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from benchmarks.peers import Func, Peer

N_JOBS = 2

CONTENDERS: dict[str, str | None] = {
    "amorsize": None,
    "Pool.map": None,
    "ProcessPoolExecutor.map": None,
    "joblib": "joblib",
    "mpire": "mpire",
}
"""Names, and the package that each needs beyond Python."""

_OPENED: dict[str, Callable[[], Peer]] = {
    "amorsize": lambda: Pmap(N_JOBS, isolate=True),
    "Pool.map": lambda: Pool(N_JOBS),
    "ProcessPoolExecutor.map": lambda: ProcessExecutor(N_JOBS),
    "joblib": lambda: Joblib(N_JOBS),
    "mpire": lambda: Mpire(N_JOBS),
}


def opened(name: str) -> Peer:
    """Open a contender."""
    return _OPENED[name]()


def map_inside(name: str, func: Func, items: Iterable[Any]) -> list[object]:
    """Map with a contender that is opened and closed here; for inside of an item."""
    peer = _OPENED[name]() if name != "amorsize" else Pmap(N_JOBS)
    try:
        return list(peer.map(func, items, None))
    finally:
        peer.close()


def gather(name: str, peer: Peer, func: Func, items: Iterable[Any], found: list[object]) -> None:
    """Put the results into `found`; where a contender gives them one by one, as they come."""
    if name == "ProcessPoolExecutor.map":
        executor: Any = peer._executor  # type: ignore[attr-defined]  # Any: its map is lazy in results, and `Peer.map` not
        for result in executor.map(func, items):
            found.append(result)
    else:
        found.extend(peer.map(func, items, None))


def stream(name: str, func: Func, items: Iterable[Any]) -> Iterator[object]:
    """Return the results of a contender as they come."""
    return _STREAMS[name](func, items)


def _amorsize(func: Func, items: Iterable[Any]) -> Iterator[object]:
    from amorsize import pimap

    yield from pimap(func, items, n_jobs=N_JOBS, isolate=True)


def _pool(func: Func, items: Iterable[Any]) -> Iterator[object]:
    import multiprocessing

    with multiprocessing.Pool(N_JOBS) as pool:
        yield from pool.imap(func, items, chunksize=100)


def _executor(func: Func, items: Iterable[Any]) -> Iterator[object]:
    from concurrent.futures import ProcessPoolExecutor

    more = {"buffersize": 1_000} if sys.version_info >= (3, 14) else {}
    with ProcessPoolExecutor(N_JOBS) as executor:
        yield from executor.map(func, items, chunksize=100, **more)


def _joblib(func: Func, items: Iterable[Any]) -> Iterator[object]:
    from joblib import Parallel, delayed

    yield from Parallel(n_jobs=N_JOBS, return_as="generator")(delayed(func)(item) for item in items)


def _mpire(func: Func, items: Iterable[Any]) -> Iterator[object]:
    from mpire.pool import WorkerPool

    with WorkerPool(N_JOBS) as pool:
        yield from pool.imap(func, items, iterable_len=ENDLESS, chunk_size=100)


_STREAMS: dict[str, Callable[[Func, Iterable[Any]], Iterator[object]]] = {
    "amorsize": _amorsize,
    "Pool.map": _pool,
    "ProcessPoolExecutor.map": _executor,
    "joblib": _joblib,
    "mpire": _mpire,
}


def spawned(name: str) -> Callable[[Func, Iterable[Any]], list[object]]:
    """Return how a contender maps in fresh interpreters."""
    return partial(_spawned, name)


def _spawned(name: str, func: Func, items: Iterable[Any]) -> list[object]:
    import multiprocessing

    if name == "amorsize":
        from amorsize import pmap

        return pmap(func, items, n_jobs=N_JOBS, isolate=True, start_method="spawn")
    if name == "Pool.map":
        with multiprocessing.get_context("spawn").Pool(N_JOBS) as pool:
            return pool.map(func, items)
    if name == "ProcessPoolExecutor.map":
        from concurrent.futures import ProcessPoolExecutor

        with ProcessPoolExecutor(N_JOBS, mp_context=multiprocessing.get_context("spawn")) as executor:
            return list(executor.map(func, items))
    if name == "mpire":
        from mpire.pool import WorkerPool

        with WorkerPool(N_JOBS, start_method="spawn") as mpire_pool:
            found: list[object] = mpire_pool.map(func, items)
            return found
    return list(opened(name).map(func, items, None))  # joblib's workers are fresh interpreters anyway
