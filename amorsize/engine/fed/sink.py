"""Where a feed's results go until the consumer takes them: in input order, or as they come."""

from __future__ import annotations

from amorsize.engine.collect import Failures
from amorsize.engine.guard import Failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Sink(Failures):
    """Results as they come, and the lowest failure.

    Args:
        first: index of the first item.
        goes_on: an item's exception is its result.

    Attributes:
        goes_on: the same.
        ready: results for the consumer.
        n_out: results that were taken, and the items before the first.
        unsaid: that what items printed is lost, and why, in words; None where nothing is.
    """

    def __init__(self, first: int, *, goes_on: bool) -> None:
        self.goes_on = goes_on
        self.n_out = first
        self.ready: list[object] = []
        self.unsaid: str | None = None

    def take(self) -> list[object]:
        """Hand out what is ready."""
        ready, self.ready = self.ready, []
        self.n_out += len(ready)
        return ready

    def add(self, start: int, results: list[object]) -> None:
        """Take the results of the items `start`, `start + 1`, ..."""
        self.ready += results

    def survive(self, index: int, error: BaseException) -> bool:
        """Take an item's failure as its result, where the call is to go on; return whether it is."""
        if not self.goes_on or not isinstance(error, Exception):
            return False
        self.add(index, [Failed(error)])
        return True

    def taken(self, results: list[object]) -> list[tuple[int, Sequence[object]]]:
        """Return (first index, results) of the latest that were taken; nothing where nobody knows their indexes."""
        return []

    def waiting(self) -> list[tuple[int, Sequence[object]]]:
        """Return (first index, results) of what is not ready yet."""
        return []


class OrderedSink(Sink):
    """Results in input order: what comes early waits for what is before it."""

    def __init__(self, first: int, *, goes_on: bool) -> None:
        super().__init__(first, goes_on=goes_on)
        self._early: dict[int, list[object]] = {}

    def add(self, start: int, results: list[object]) -> None:
        if start != self._next:
            self._early[start] = results
            return
        self.ready += results
        while self._next in self._early:
            self.ready += self._early.pop(self._next)

    @property
    def _next(self) -> int:
        return self.n_out + len(self.ready)

    def taken(self, results: list[object]) -> list[tuple[int, Sequence[object]]]:
        return [(self.n_out - len(results), results)]

    def waiting(self) -> list[tuple[int, Sequence[object]]]:
        return list(self._early.items())
