"""What can go wrong with a store, and how long anybody waits for it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Patience:
    """How long one operation may still wait, all of its steps together."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self.renew()

    def renew(self) -> None:
        """Begin another operation, which may wait for as long."""
        self._until = self._clock() + self._seconds

    @property
    def left_s(self) -> float:
        """Seconds that are left, >= 0."""
        return max(0.0, self._until - self._clock())


class StoreError(Exception):
    """Something about the database on disk, in words; only who asks for all of it, or for its end, is told."""


class StoreMissing(StoreError):
    """There is no database yet."""


class StoreLocked(StoreError):
    """Another process holds the database for longer than we wait."""


class StoreForeign(StoreError):
    """The database is damaged, or not as we make it: it is put aside and a new one begun."""


class StoreUnusable(StoreError):
    """Nothing can be written here, in words for a person; the rest of the process keeps its facts in memory."""
