"""What every store does, and the store in memory."""

from __future__ import annotations

from amorsize.store import rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Protocol

    from amorsize.records import Facts
    from amorsize.store.rows import Merge

    class Store(Protocol):
        """Facts by key. Key: 1 to 200 printable characters. Facts: flat, finite, at most 16 KB (`rows` has the limits).

        A row that is damaged, foreign or outside of the limits is a miss. `read` and `update`, which stand in the way
        of somebody's results, raise nothing for what a disk does; the others do all of it, or raise.
        """

        @property
        def problem(self) -> str | None:
            """Why nothing can be kept beyond this process, in words; None while it can."""
            ...

        def read(self, keys: Sequence[str]) -> dict[str, Facts]:
            """Return the facts of those keys that have any, what is still waiting to be written included."""
            ...

        def update(self, merges: Mapping[str, Merge]) -> bool:
            """Replace the facts of each key by `merge(facts)`, all in one transaction.

            `merge` gets None for a key without facts. It may be called more than once, and much later, so it must be
            pure. Facts outside of the limits are not kept: the row stays as it was.

            Returns:
                False where it could not be written now and is kept in memory for the next write.
            """
            ...

        def entries(self) -> Iterator[tuple[str, Facts]]:
            """Return every key with its facts.

            Raises:
                StoreError: where not all could be read.
            """
            ...

        def delete(self, keys: Iterable[str]) -> int:
            """Forget these keys; return how many there were.

            Raises:
                StoreError: where they are still there.
            """
            ...

        def clear(self) -> int:
            """Forget everything; return how many keys there were.

            Raises:
                StoreError: where it is still there.
            """
            ...


class MemoryStore:
    """A store that ends with the process."""

    problem: str | None = None

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def read(self, keys: Sequence[str]) -> dict[str, Facts]:
        return {key: facts for key in keys if (facts := rows.decode(key, self._texts.get(key))) is not None}

    def update(self, merges: Mapping[str, Merge]) -> bool:
        for key, merge in merges.items():
            text = rows.encode(key, merge(rows.decode(key, self._texts.get(key))))
            if text is not None:
                self._texts[key] = text
        return True

    def entries(self) -> Iterator[tuple[str, Facts]]:
        yield from self.read(list(self._texts)).items()

    def delete(self, keys: Iterable[str]) -> int:
        return sum(self._texts.pop(key, None) is not None for key in set(keys))

    def clear(self) -> int:
        return self.delete(list(self._texts))


class Patience:
    """How long one operation may still wait, all of its steps together."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until = clock() + seconds

    @property
    def left_s(self) -> float:
        """Seconds that are left, >= 0."""
        return max(0.0, self._until - self._clock())


class StoreError(Exception):
    """Something about the database on disk, in words; only who asks for all of it, or for its end, is told."""


class StoreLocked(StoreError):
    """Another process holds the database for longer than we wait."""


class StoreForeign(StoreError):
    """The database is damaged, or not as we make it: it is put aside and a new one begun."""


class StoreUnusable(StoreError):
    """Nothing can be written here, in words for a person; the rest of the process keeps its facts in memory."""
