"""Those who are compared, each behind `map` and `close`.

    loop                a list comprehension
    pmap                amorsize with everything on "auto"
    pmap-processes      amorsize made to use every core
    pmap-threads        amorsize made to use threads
    pmap-spawn          amorsize made to use every core, by fresh interpreters
    pmap-in-parts       amorsize choosing by itself, and telling what its seconds go into
    pool, spawn-pool    `multiprocessing.Pool`
    executor            `concurrent.futures.ProcessPoolExecutor`
    threads             `concurrent.futures.ThreadPoolExecutor`
    joblib              `joblib.Parallel`, whose processes are loky's
    joblib-threads      the same, told to prefer threads
    loky                loky's reusable executor
    mpire               `mpire.WorkerPool`

Without `n_jobs` and `chunksize` each runs as its own documentation shows it. What a peer imports is imported when it is
opened: a cold call pays for it. A pool stays open from call to call.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence, Sized
    from typing import Any, Protocol

    Func = Callable[[Any], object]  # Any: each workload has items of its own

    class Peer(Protocol):
        """A way to call a function with every item."""

        def map(self, func: Func, items: Iterable[Any], chunksize: int | None) -> Sequence[object]: ...

        def close(self) -> None: ...


LONG = 5_000
"""Items from which on `ProcessPoolExecutor`'s documentation is taken at its word: "For very long iterables, using a
large value for chunksize can significantly improve performance compared to the default size of 1."."""


class Loop:
    """The plain loop."""

    def __init__(self, n_jobs: int | None = None) -> None:
        del n_jobs  # there is one

    def map(self, func: Func, items: Iterable[Any], chunksize: int | None) -> Sequence[object]:
        """Return the results in the items' order, as does `map` of every peer."""
        del chunksize
        return [func(item) for item in items]

    def close(self) -> None:
        """Leave nothing behind, as does `close` of every peer; here there is nothing."""


class Pmap:
    """amorsize, choosing by itself or told how.

    Attributes:
        predicted_s: the seconds that it predicted for the last call; None where it predicted none.
    """

    def __init__(self, n_jobs: int | None = None, **options: Any) -> None:  # Any: as of `pmap`
        from amorsize import pmap

        self._pmap: Any = pmap  # Any: options are whatever the peer's name stands for
        self._options = options if n_jobs is None else {**options, "n_jobs": n_jobs}
        self.predicted_s: float | None = None

    def map(self, func: Func, items: Iterable[Any], chunksize: int | None) -> Sequence[object]:
        chosen = {} if chunksize is None else {"chunksize": chunksize}
        wants_report = self._wants_report(func)
        results: list[object] = self._pmap(func, items, **self._options, **chosen)
        self.predicted_s = func.last_run.predicted_s if wants_report else None  # type: ignore[attr-defined]
        return results

    def _wants_report(self, func: Func) -> bool:
        """Give a plain function the place where a decorated one keeps its report."""
        try:
            func.last_run = None  # type: ignore[attr-defined]
        except AttributeError:
            return False  # a builtin, or another callable without room
        return True

    def close(self) -> None:
        """End workers that may stay warm; they exist from the version on that can end them."""
        import amorsize

        getattr(amorsize, "shutdown", lambda: None)()


class Pool:
    """`multiprocessing.Pool`."""

    def __init__(self, n_jobs: int | None = None, start_method: str | None = None) -> None:
        import multiprocessing

        self._pool = multiprocessing.get_context(start_method).Pool(n_jobs)

    def map(self, func: Func, items: Iterable[Any], chunksize: int | None) -> Sequence[object]:
        return self._pool.map(func, items, chunksize)

    def close(self) -> None:
        """End the workers, as the end of a `with` block does."""
        self._pool.terminate()
        self._pool.join()


class ProcessExecutor:
    """`concurrent.futures.ProcessPoolExecutor`, or loky's, which has the same interface."""

    def __init__(self, n_jobs: int | None = None, *, is_loky: bool = False) -> None:
        if is_loky:
            from loky import get_reusable_executor

            self._executor = get_reusable_executor(max_workers=n_jobs)
        else:
            from concurrent.futures import ProcessPoolExecutor

            self._executor = ProcessPoolExecutor(n_jobs)
        self._n_jobs = n_jobs

    def map(self, func: Func, items: Iterable[Any], chunksize: int | None) -> Sequence[object]:
        return list(self._executor.map(func, items, chunksize=chunksize or self._documented(items)))

    def _documented(self, items: Iterable[Any]) -> int:
        import os

        n_items = _length(items) or 0
        return 1 if n_items < LONG else n_items // (4 * (self._n_jobs or os.cpu_count() or 1))

    def close(self) -> None:
        self._executor.shutdown()


class Threads:
    """`concurrent.futures.ThreadPoolExecutor`."""

    def __init__(self, n_jobs: int | None = None) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self._executor = ThreadPoolExecutor(n_jobs)

    def map(self, func: Func, items: Iterable[Any], chunksize: int | None) -> Sequence[object]:
        del chunksize  # it has no effect on threads
        return list(self._executor.map(func, items))

    def close(self) -> None:
        self._executor.shutdown()


class Joblib:
    """`joblib.Parallel`, kept open as its documentation advises for repeated calls."""

    def __init__(self, n_jobs: int | None = None, *, prefer: str | None = None) -> None:
        from joblib import Parallel, delayed

        self._parallel, self._delayed = Parallel, delayed
        self._n_jobs, self._prefer = n_jobs or -1, prefer
        self._open: Any = None  # Any: joblib ships no types
        self._open_chunksize: int | None = None

    def map(self, func: Func, items: Iterable[Any], chunksize: int | None) -> Sequence[object]:
        if self._open is None or chunksize != self._open_chunksize:
            self.close()
            size: Any = "auto" if chunksize is None else chunksize  # Any: guessed from its default, it is a str
            self._open = self._parallel(n_jobs=self._n_jobs, prefer=self._prefer, batch_size=size).__enter__()
            self._open_chunksize = chunksize
        call = self._delayed(func)
        results: list[object] = self._open(call(item) for item in items)
        return results

    def close(self) -> None:
        if self._open is not None:
            self._open.__exit__(None, None, None)
            self._open = None


class Mpire:
    """`mpire.WorkerPool`, kept alive from call to call."""

    def __init__(self, n_jobs: int | None = None) -> None:
        from mpire.pool import WorkerPool

        self._pool = WorkerPool(n_jobs, keep_alive=True)

    def map(self, func: Func, items: Iterable[Any], chunksize: int | None) -> Sequence[object]:
        from mpire.utils import make_single_arguments

        n_items = _length(items)
        single = make_single_arguments(items, generator=True)  # or it would unpack items that are tuples
        results: list[object] = self._pool.map(
            func, single, iterable_len=n_items, chunk_size=chunksize, concatenate_numpy_output=False
        )
        return results

    def close(self) -> None:
        self._pool.stop_and_join()


def _length(items: Iterable[Any]) -> int | None:
    if TYPE_CHECKING:
        assert isinstance(items, Sized)
    return len(items) if hasattr(items, "__len__") else None


def _in_parts(n_jobs: int | None) -> Peer:
    from benchmarks.parts import PmapInParts

    return PmapInParts(n_jobs)


PEERS: dict[str, Callable[[int | None], Peer]] = {
    "loop": Loop,
    "pmap": Pmap,
    "pmap-processes": lambda n_jobs: Pmap(n_jobs or -1, backend="process"),
    "pmap-threads": lambda n_jobs: Pmap(n_jobs, backend="thread"),
    "pmap-spawn": lambda n_jobs: Pmap(n_jobs or -1, backend="process", start_method="spawn"),
    "pmap-in-parts": _in_parts,
    "pool": Pool,
    "spawn-pool": lambda n_jobs: Pool(n_jobs, "spawn"),
    "executor": ProcessExecutor,
    "threads": Threads,
    "joblib": Joblib,
    "joblib-threads": lambda n_jobs: Joblib(n_jobs, prefer="threads"),
    "loky": lambda n_jobs: ProcessExecutor(n_jobs, is_loky=True),
    "mpire": Mpire,
}


def open_peer(name: str, n_jobs: int | None) -> Peer:
    """Open a peer by its name.

    Raises:
        ValueError: for a name that is none of the above.
        ImportError: for a peer that is not installed.
    """
    if name not in PEERS:
        raise ValueError(f"a peer is one of {', '.join(PEERS)}, got {name!r}")
    return PEERS[name](n_jobs)
