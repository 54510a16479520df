"""The results that were finished when a call failed, by index. Loaded only when something has gone wrong."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


class Finished(Mapping[int, object]):
    """A read-only view of results by index; pickles as a dict.

    A view, because a dict of two million results takes 0.4 s to build, and few who catch an error look into it.

    Args:
        parts: (first index, results) in any order; none overlap, and none may change any more.
    """

    def __init__(self, parts: Iterable[tuple[int, Sequence[object]]]) -> None:
        self._parts = sorted([part for part in parts if part[1]], key=lambda part: part[0])
        self._starts = [start for start, _ in self._parts]

    def __getitem__(self, index: int) -> object:
        at = bisect_right(self._starts, index) - 1
        if at >= 0 and index - self._starts[at] < len(self._parts[at][1]):
            return self._parts[at][1][index - self._starts[at]]
        raise KeyError(index)

    def __iter__(self) -> Iterator[int]:
        for start, results in self._parts:
            yield from range(start, start + len(results))

    def __len__(self) -> int:
        return sum([len(results) for _, results in self._parts])

    def through(self, change: Callable[[list[object]], list[object]]) -> Finished:
        """Return the view with each run of results changed; a change keeps their number."""
        return Finished([(start, change(list(results))) for start, results in self._parts])

    def __repr__(self) -> str:
        return repr(dict(self))

    def __reduce__(self) -> tuple[object, ...]:
        return dict, (dict(self),)
