"""Those who are compared, each behind `map` and `close`.

    loop             a list comprehension
    pmap             amorsize with everything on "auto"
    pmap-processes   amorsize made to use every core
    pool             `multiprocessing.Pool()`, as its documentation shows it
    pool:CHUNKSIZE   the same with a chunk size found by search

What a peer imports is imported when it is opened: a cold call pays for it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    class Peer(Protocol):
        """A way to call a function with every item."""

        def map(self, func: Callable[[int], object], items: Sequence[int]) -> Sequence[object]: ...

        def close(self) -> None: ...


class Loop:
    """The plain loop."""

    def map(self, func: Callable[[int], object], items: Sequence[int]) -> Sequence[object]:
        """Return the results in the items' order."""
        return [func(item) for item in items]

    def close(self) -> None:
        """Leave nothing behind: there is nothing."""


class Pmap:
    """amorsize: choosing by itself, or told to use every core."""

    def __init__(self, *, every_core: bool = False) -> None:
        from amorsize import pmap

        self._pmap = pmap
        self._every_core = every_core

    def map(self, func: Callable[[int], object], items: Sequence[int]) -> Sequence[object]:
        """Return the results in the items' order."""
        if self._every_core:
            return self._pmap(func, items, backend="process", n_jobs=-1)
        return self._pmap(func, items)

    def close(self) -> None:
        """Leave nothing behind: no worker outlives a call."""


class Pool:
    """`multiprocessing.Pool`, with the chunk size that it takes by itself or with a given one."""

    def __init__(self, chunksize: int | None = None) -> None:
        import multiprocessing

        self._pool = multiprocessing.Pool()
        self._chunksize = chunksize

    def map(self, func: Callable[[int], object], items: Sequence[int]) -> Sequence[object]:
        """Return the results in the items' order."""
        return self._pool.map(func, items, self._chunksize)

    def close(self) -> None:
        """End the workers, as the end of a `with` block does."""
        self._pool.terminate()
        self._pool.join()


def open_peer(name: str) -> Peer:
    """Open a peer by its name.

    Raises:
        ValueError: for a name that is none of the above.
    """
    kind, _, setting = name.partition(":")
    if kind == "loop":
        return Loop()
    if kind in ("pmap", "pmap-processes"):
        return Pmap(every_core=kind == "pmap-processes")
    if kind == "pool":
        return Pool(int(setting) if setting else None)
    raise ValueError(f"a peer is loop, pmap, pmap-processes, pool or pool:CHUNKSIZE, got {name!r}")
