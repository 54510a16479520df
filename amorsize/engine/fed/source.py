"""Where the items of a feed come from: an iterator that the caller alone pulls, or data that can be sliced."""

from __future__ import annotations

from itertools import chain, islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from amorsize.inline import Work

    class Source(Protocol):
        """Items in order, each given out once.

        Attributes:
            n_taken: items given out so far.
            error: what the input raised in place of its next item; None while it has not.
        """

        n_taken: int
        error: BaseException | None

        def take(self, n_items: int) -> Task | None:
            """Return the next items, at most so many; None where there are none."""

        def n_left(self) -> int | None:
            """Return how many items are left; None where nobody knows."""

        def give_back(self, tasks: list[Task]) -> None:
            """Take back the latest items that were given out, in order."""

        def rest(self) -> Iterator[object]:
            """Return an iterator over what was not taken."""
            ...

        def item(self, task: Task, index: int) -> object:
            """Return one item of a task, for a message."""


class Task:
    """Some items in a row that one worker runs.

    Attributes:
        start: index of the first that is not done.
        stop: index after the last.
        values: the items from `start` on; None where the workers have them already.
        n_bytes: bytes of arguments that were sent with it.
        n_deaths: workers that died in them.
    """

    __slots__ = ("n_bytes", "n_deaths", "start", "stop", "values")

    def __init__(self, start: int, stop: int, values: list[object] | None, n_deaths: int = 0) -> None:
        self.start = start
        self.stop = stop
        self.values = values
        self.n_bytes = 0
        self.n_deaths = n_deaths

    @property
    def n_left(self) -> int:
        """Items that are not done."""
        return self.stop - self.start

    def done(self, count: int) -> None:
        """Note that the first `count` items are done."""
        self.start += count
        if self.values is not None:
            del self.values[:count]

    def part(self, start: int, stop: int) -> Task:
        """Return the task of some of its items."""
        values = None if self.values is None else self.values[start - self.start : stop - self.start]
        return Task(start, stop, values, self.n_deaths)

    def singles(self) -> list[Task]:
        """Return a task for each of its items."""
        return [self.part(index, index + 1) for index in range(self.start, self.stop)]


class Sliced:
    """Items that can be sliced.

    Args:
        work: the items.
        first: index of the first that is not done.
        inherited: the workers have them already.
    """

    def __init__(self, work: Work, first: int, *, inherited: bool) -> None:
        self._work = work
        self._inherited = inherited
        self.n_taken = first
        self.error: BaseException | None = None

    def take(self, n_items: int) -> Task | None:
        start = self.n_taken
        stop = min(start + n_items, self._work.n_items)
        if start >= stop:
            return None
        values = None if self._inherited else list(self._work.batch(start, stop))
        if values is not None and len(values) < stop - start:  # a list that has become shorter: the loop would end, too
            self._work.n_items = stop = start + len(values)
        self.n_taken = stop
        return Task(start, stop, values) if start < stop else None

    def n_left(self) -> int | None:
        return self._work.n_items - self.n_taken

    def give_back(self, tasks: list[Task]) -> None:
        self.n_taken = tasks[0].start

    def rest(self) -> Iterator[object]:
        return iter(self._work.batch(self.n_taken, self._work.n_items))

    def item(self, task: Task, index: int) -> object:
        return self._work.item(index)


class Pulled:
    """Items of an iterator.

    Args:
        rows: the iterator; for several arguments, of tuples.
        first: index of its next item.
    """

    def __init__(self, rows: Iterator[object], first: int) -> None:
        self._rows = rows
        self._is_over = False
        self.n_taken = first
        self.error: BaseException | None = None

    def take(self, n_items: int) -> Task | None:
        values: list[object] = []
        if not self._is_over and n_items > 0:
            try:
                values.extend(islice(self._rows, n_items))  # keeps what came before an exception
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # whatever else the caller's iterator raises, after the items before it
                self.error = error
        if len(values) < n_items:
            self._is_over = True
        start = self.n_taken
        self.n_taken += len(values)
        return Task(start, self.n_taken, values) if values else None

    def n_left(self) -> int | None:
        return 0 if self._is_over else None

    def give_back(self, tasks: list[Task]) -> None:
        self.n_taken, self._is_over = tasks[0].start, False
        self._rows = chain(*[task.values or () for task in tasks], self._rows)

    def rest(self) -> Iterator[object]:
        return self._rows

    def item(self, task: Task, index: int) -> object:
        return (task.values or ())[index - task.start]
