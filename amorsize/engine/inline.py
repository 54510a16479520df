"""The caller's own loop: the first microseconds of every call, and all of a small one.

Loaded before the first item runs, so it imports nothing heavier than `time`.
"""

from itertools import chain, islice
from time import perf_counter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from amorsize.engine.guard import Guard

BATCH_S = 0.0005
"""A batch grows until it lasts this long, in seconds.

The two clock readings and the bookkeeping of a batch cost about 1 us: 0.2 % of it. Shorter wastes more; longer delays
the moment when workers start, which a job of 4 ms feels.
"""

LONGEST_SHARE = 1 / 64
"""A batch may last this share of the time already spent: hours of a plain loop leave a few thousand timings, not
millions, and a change in the items' cost is still seen within 2 % of the run."""


SLICEABLE = frozenset((list, tuple, range, str, bytes))
"""Types whose slices hold exactly the items that a loop over them would meet. Of a subclass nobody knows."""

CONTAINERS = frozenset((dict, set, frozenset, type({}.keys()), type({}.values()), type({}.items())))
"""Types that hold all their items already: a list of them costs a reference each."""


def columns_of(iterables: "Sequence[Iterable[object]]") -> "tuple[Sequence[object], ...] | None":
    """Return the iterables as sequences that can be sliced; None where one of them can only be iterated."""
    columns: "list[Any]" = []  # Any: the test of its type makes each a sequence
    for iterable in iterables:
        kind = type(iterable)
        if kind in SLICEABLE or (kind.__module__ == "numpy" and kind.__name__ == "ndarray" and _has_axes(iterable)):
            columns.append(iterable)
        elif kind in CONTAINERS:
            columns.append(list(iterable))
        else:
            return None
    return tuple(columns)


def _has_axes(array: object) -> bool:
    return bool(getattr(array, "ndim", 0))


def check_iterables(iterables: "Sequence[object]") -> None:
    if not iterables:
        raise TypeError("pmap needs at least one iterable: func.pmap(items)")
    for iterable in iterables:
        if not hasattr(iterable, "__iter__") and not hasattr(iterable, "__getitem__"):
            raise TypeError(
                f"pmap takes iterables, got {iterable!r} ({type(iterable).__name__}): write func.pmap([...])"
            )


class Work:
    """A function and the items to call it with.

    Args:
        func: called once an item.
        columns: one sequence an argument, each sliceable; only as many items as the shortest has.
        star: whether an item is a tuple of arguments (several columns always are).
        offset: index of the first item in the caller's whole input, for messages.
        guard: what is put around each call; None for nothing.
    """

    __slots__ = ("columns", "func", "guard", "n_items", "offset", "star")

    def __init__(
        self,
        func: "Callable[..., object]",
        columns: "tuple[Sequence[object], ...]",
        *,
        star: bool = False,
        offset: int = 0,
        guard: "Guard | None" = None,
    ) -> None:
        self.func = func
        self.columns = columns
        self.star = star or len(columns) > 1
        self.offset = offset
        self.guard = guard
        self.n_items = min(map(len, columns))

    def with_items(self, items: "Sequence[object]", first: int) -> "Work":
        """Return the same function with other items, which begin at index `first`; of several columns each item is a
        tuple already."""
        return Work(self.func, (items,), star=self.star, offset=self.offset + first, guard=self.guard)

    def batch(self, start: int, stop: int) -> "Iterable[object]":
        """Return the items of a range; for several columns, as tuples."""
        if len(self.columns) == 1:
            return self.columns[0][start:stop]
        return zip(*(column[start:stop] for column in self.columns), strict=False)

    def run(self, start: int, stop: int, results: list[object]) -> None:
        """Call the function with each item of a range and append each result as soon as it is there.

        Where an item raises, `results` has grown by the number of items before it: that is how its index is known
        without counting. (`list.extend(map(...))` would do the same, but takes a StopIteration for the end.)
        """
        if self.guard is not None:
            self.guard.run(self.func, self.batch(start, stop), self.offset + start, results, star=self.star)
        elif self.star:
            _call_starred(self.func, self.batch(start, stop), results)
        else:
            _call(self.func, self.batch(start, stop), results)

    def sample(self) -> list[object]:
        """Return the first, the middle and the last item, to tell what kind of items these are."""
        last = self.n_items - 1
        return [self.item(index) for index in sorted({0, last // 2, last})]

    def item(self, index: int) -> object:
        """Return one item, for a message."""
        for item in self.batch(index, index + 1):
            return item
        raise IndexError(index)


def _call(func: "Callable[..., object]", items: "Iterable[object]", results: list[object]) -> None:
    for item in items:
        results.append(func(item))


def _call_starred(func: "Callable[..., object]", items: "Iterable[Any]", results: list[object]) -> None:
    for item in items:
        results.append(func(*item))


LINE_OF_FOR = 1
"""Of both loops above, counted from `def`: what raises there is the iterable, and what raises below it the function."""


class Rows:
    """A function and an iterator of the items to call it with.

    Args:
        func: called once an item.
        iterables: one an argument, zipped as by the builtin `map`.
        star: whether an item is a tuple of arguments (several iterables always are).
        guard: what is put around each call; None for nothing.

    Attributes:
        rows: the iterator, which nobody else may pull meanwhile.
        is_over: nothing more comes.
        broken: what the iterator raised in place of an item.
    """

    __slots__ = ("broken", "func", "guard", "is_over", "rows", "star")

    def __init__(
        self,
        func: "Callable[..., object]",
        iterables: "Sequence[Iterable[object]]",
        *,
        star: bool,
        guard: "Guard | None" = None,
    ) -> None:
        self.func = func
        self.rows: "Iterator[Any]" = iter(iterables[0]) if len(iterables) == 1 else zip(*iterables, strict=False)
        self.star = star or len(iterables) > 1
        self.guard = guard
        self.is_over = False
        self.broken: BaseException | None = None

    def run(self, n_items: int, results: list[object]) -> None:
        """Pull items, call the function with each, and append the results; sets `is_over` where fewer came.

        Raises:
            BaseException: what the function raises; what the iterator raises is also noted as `broken`.
        """
        before = len(results)
        items = islice(self.rows, n_items)
        try:
            if self.guard is not None:
                self.guard.run(self.func, self._watched(items), before, results, star=self.star)
            elif self.star:
                _call_starred(self.func, items, results)
            else:
                _call(self.func, items, results)
        except BaseException as error:
            loop = error.__traceback__ and error.__traceback__.tb_next
            if loop is not None and loop.tb_lineno - loop.tb_frame.f_code.co_firstlineno == LINE_OF_FOR:
                self.broken = self.broken or (error if self.guard is None else None)
            raise
        self.is_over = len(results) - before < n_items

    def _watched(self, items: "Iterable[Any]") -> "Iterator[Any]":
        """Yield the items; note what their iterator raises."""
        try:
            yield from items
        except Exception as error:
            self.broken = error
            raise

    def peek(self) -> "list[Any]":
        """Return the next item without taking it; nothing at the end."""
        found = list(islice(self.rows, 1))
        self.rows = chain(found, self.rows)
        return found


def item_of(error: BaseException) -> object:
    """Return the item at which the function raised, from the loop that called it; the iterator may have no other.

    Raises:
        LookupError: where none of our loops is in the traceback.
    """
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code is _call.__code__ or code is _call_starred.__code__ or code.co_qualname == "Guard.run":
            return trace.tb_frame.f_locals["item"]
        trace = trace.tb_next
    raise LookupError("the item is gone")


class Timings:
    """What was timed: batches of (items, seconds); above 2,048 of them, neighbours are joined."""

    __slots__ = ("batches", "n_items", "total_s")

    LIMIT = 2048

    def __init__(self) -> None:
        self.batches: list[tuple[int, float]] = []
        self.n_items = 0
        self.total_s = 0.0

    @property
    def mean_s(self) -> float | None:
        """Mean seconds of an item; None before the first."""
        return self.total_s / self.n_items if self.n_items else None

    def add(self, n_items: int, seconds: float) -> None:
        """Note a batch."""
        self.batches.append((n_items, seconds))
        self.n_items += n_items
        self.total_s += seconds
        if len(self.batches) >= self.LIMIT:
            pairs = zip(self.batches[::2], self.batches[1::2], strict=True)
            self.batches = [(n + m, s + t) for (n, s), (m, t) in pairs]


def advance(work: "Work", results: list[object], timings: "Timings", size: int, until_s: float) -> int:
    """Run items, from where `results` ends, until `until_s` seconds have passed or none is left.

    Args:
        work: the items.
        results: the results of all items before; grows.
        timings: what was timed; grows.
        size: items in the first batch.
        until_s: seconds to go on for.

    Returns:
        The size that the next batch should have.
    """
    n_items = work.n_items
    began = last = perf_counter()
    while (start := len(results)) < n_items:
        stop = min(n_items, start + size)
        work.run(start, stop, results)
        if len(results) != stop:  # the function has made its own input shorter: the loop would end here, too
            work.n_items = len(results)
            break
        now = perf_counter()
        size = _timed(timings, stop - start, now - last, size)
        if now - began >= until_s:
            break
        last = now
    return size


def advance_rows(rows: "Rows", results: list[object], timings: "Timings", size: int, until_s: float) -> int:
    """Run items of an iterator; otherwise as `advance`."""
    began = last = perf_counter()
    while not rows.is_over:
        before = len(results)
        rows.run(size, results)
        now = perf_counter()
        if len(results) > before:
            size = _timed(timings, len(results) - before, now - last, size)
        if now - began >= until_s:
            break
        last = now
    return size


def _timed(timings: "Timings", n_items: int, seconds: float, size: int) -> int:
    """Note a batch, and return the size that the next one should have."""
    timings.add(n_items, seconds)
    batch_s = max(BATCH_S, timings.total_s * LONGEST_SHARE)
    if seconds < batch_s / 2:
        return size * (4 if seconds < batch_s / 16 else 2)
    return max(1, int(size * batch_s / seconds)) if seconds > batch_s else size
