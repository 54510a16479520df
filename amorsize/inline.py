"""The caller's own loop: the first microseconds of every call, and all of a small one.

Loaded before the first item runs, so it imports nothing heavier than `time`.
"""

import sys
import time
from time import perf_counter, process_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from amorsize.engine.guard import Guard

thread_time: "Callable[[], float]" = getattr(time, "thread_time", process_time)  # WebAssembly has but one thread

BATCH_S = 0.0005
"""A batch grows until it lasts this long, in seconds.

The two clock readings and the bookkeeping of a batch cost about 1 us: 0.2 % of it. Shorter wastes more; longer delays
the moment when workers start, which a job of 4 ms feels.
"""

LONGEST_SHARE = 1 / 64
"""A batch may last this share of the time already spent: hours of a plain loop leave a few thousand timings, not
millions, and a change in the items' cost is still seen within 2 % of the run."""

FIRST_LOOK_S = 0.0025
"""A process that has not looked into the store before computes alone for this many seconds first.

Earlier, small scripts pay more for the look than for their work; later, a tuned run starts its workers later."""

FEW = 49
"""Of so many items, the first may be a large share: where they are known to be long, the look comes before it. Whether
they are takes a fresh process 0.5 ms to see, which many short items should not pay."""

SLICEABLE = frozenset((list, tuple, range, str, bytes))
"""Types whose slices hold exactly the items that a loop over them would meet. Of a subclass nobody knows."""

CONTAINERS = frozenset((dict, set, frozenset, type({}.keys()), type({}.values()), type({}.items())))
"""Types that hold all their items already: a list of them costs a reference each."""

refused = ""  # why no call may begin here now; a fresh interpreter says so while it imports what it is to run


def columns_of(iterables: "Sequence[Iterable[object]]") -> "tuple[Sequence[object], ...] | None":
    """Return the iterables as sequences that can be sliced; None where one of them can only be iterated."""
    columns: "list[Any]" = []  # Any: the test of its type makes each a sequence
    for iterable in iterables:
        kind = type(iterable)
        is_array = kind.__module__ == "numpy" and kind.__name__ == "ndarray"
        if kind in SLICEABLE or (is_array and getattr(iterable, "ndim", False)):
            try:
                len(iterable)  # type: ignore[arg-type]  # by the test above
            except OverflowError:  # of a range beyond what a list can hold: another iterable may be shorter
                return None
            columns.append(iterable)
        elif kind in CONTAINERS:
            columns.append(list(iterable))
        else:
            return None
    return tuple(columns)


def check_iterables(iterables: "Sequence[object]") -> None:
    if refused:
        raise RuntimeError(refused)
    if not iterables:
        raise TypeError("pmap needs at least one iterable: func.pmap(items)")
    for iterable in iterables:
        if not hasattr(iterable, "__iter__") and not hasattr(iterable, "__getitem__"):
            raise TypeError(
                f"pmap takes iterables, got {iterable!r} ({type(iterable).__name__}): write func.pmap([...])"
            )


def refuse_hidden(func: "Callable[..., object]") -> None:
    """Raise TypeError where another decorator stands on top of ours: its work would silently be skipped.

    `functools.wraps` copies our methods to its wrapper, but they still run the function underneath. A name that was
    simply bound anew is none of our business.
    """
    qualname: object = getattr(func, "__qualname__", None)  # of a proxy anything
    found: object = sys.modules.get(getattr(func, "__module__", None) or "")
    if not isinstance(qualname, str) or found is None or "<locals>" in qualname:
        return
    for name in qualname.split("."):
        found = getattr(found, name, None)
    seen: set[int] = set()
    while found is not func and found is not None and id(found) not in seen:
        seen.add(id(found))
        found = getattr(found, "__wrapped__", None)
        if found is func:
            raise TypeError(
                f"{qualname} is wrapped by another decorator, which pmap would skip: put @parallelizable outermost"
            )


class Work:
    """A function and the items to call it with.

    Args:
        func: called once an item.
        columns: one sequence an argument, each sliceable; only as many items as the shortest has.
        star: whether an item is a tuple of arguments (several columns always are).
        offset: index of the first item in the caller's whole input, for what is put around its call.
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

    @property
    def goes_on(self) -> bool:
        """Whether an item's exception is its result."""
        return self.guard is not None and self.guard.goes_on

    def with_items(self, items: "Sequence[object]", first: int) -> "Work":
        """Return the same function with other items, which begin at index `first`; of several columns each item is a
        tuple already."""
        return Work(self.func, (items,), star=self.star, offset=first, guard=self.guard)

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
            call_each_starred(self.func, self.batch(start, stop), results)
        else:
            call_each(self.func, self.batch(start, stop), results)

    def sample(self) -> list[object]:
        """Return the first, the middle and the last item, to tell what kind of items these are."""
        last = self.n_items - 1
        return [item for index in sorted({0, last // 2, last}) for item in self.batch(index, index + 1)]

    def item(self, index: int) -> object:
        """Return one item, for a message."""
        for item in self.batch(index, index + 1):
            return item
        raise IndexError(index)


def call_each(func: "Callable[..., object]", items: "Iterable[object]", results: list[object]) -> None:
    for item in items:
        results.append(func(item))


def call_each_starred(func: "Callable[..., object]", items: "Iterable[Any]", results: list[object]) -> None:
    for item in items:
        results.append(func(*item))


LINE_OF_FOR = 1
"""Of both loops above, counted from `def`: what raises there is the iterable, and what raises below it the function."""


CPU_TELLS_FROM_S = 0.001 if sys.platform != "win32" else 0.2
"""Seconds of items from which on their CPU time tells anything. Windows counts CPU time in steps of 16 ms."""

OUTLYING, OUTLYING_FROM = 8, 64
"""A batch of so many items that takes so many times as long as those before, and the next one does not, shows a pause:
the items of such a batch hide each other's length. The garbage collector went through a new list of 1,000,000 items for
10 ms, 341 pairs passed for items of 34 us, and workers made four times the loop of it."""


class Timings:
    """What was timed: batches of (items, seconds); above 2,048 of them, neighbours are joined.

    Attributes:
        is_doubtful: the last batch may have met a pause: the next one will tell.
        n_items: items in all batches.
        total_s: seconds of all batches.
        missed_s: what workers might have saved of them, as far as that is counted.
        window: of some late items the seconds, CPU seconds of the thread that ran them, and CPU seconds of all threads
            of the process; None while nothing tells.
    """

    __slots__ = ("batches", "is_doubtful", "missed_s", "n_items", "total_s", "window")

    LIMIT = 2048

    def __init__(self) -> None:
        self.batches: list[tuple[int, float]] = []
        self.is_doubtful = False
        self.n_items = 0
        self.total_s = self.missed_s = 0.0
        self.window: tuple[float, float, float] | None = None

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
            self.is_doubtful = False

    def _settle(self, n_items: int, seconds: float) -> None:
        """Leave the pause in the last batch out, if these next items show that it was one."""
        n_last, last_s = self.batches[-1]
        likely_s = n_last * seconds / n_items
        if last_s > OUTLYING * likely_s:
            self.batches[-1] = n_last, likely_s
            self.total_s -= last_s - likely_s

    def used(self, seconds: float, cpu_s: float, process_s: float) -> None:
        """Note the CPU time that some items took; the latest that tells counts: a first call may import things."""
        if seconds >= CPU_TELLS_FROM_S:
            self.window = seconds, cpu_s, process_s

    def batch(self, n_items: int, seconds: float, size: int) -> int:
        """Note a batch of the caller's, and return the size that its next one should have."""
        if self.is_doubtful:
            self._settle(n_items, seconds)
        mean_s = self.mean_s
        self.is_doubtful = (
            n_items >= OUTLYING_FROM and mean_s is not None and seconds > max(BATCH_S, OUTLYING * n_items * mean_s)
        )
        self.add(n_items, seconds)
        batch_s = max(BATCH_S, self.total_s * LONGEST_SHARE)
        if seconds < batch_s / 2:
            return size * (4 if seconds < batch_s / 16 else 2)
        return max(1, int(size * batch_s / seconds)) if seconds > batch_s else size


def advance(work: "Work", results: list[object], timings: "Timings", size: int, until_s: float) -> int:
    """Run items from where `results` ends until `until_s` seconds have passed or none is left; return the next size.

    Args:
        work: the items.
        results: the results of all items before; grows.
        timings: what was timed; grows.
        size: items in the first batch.
        until_s: seconds to go on for.
    """
    n_items = work.n_items
    cpu_s, process_s = thread_time(), process_time()
    began = last = now = perf_counter()
    while (start := len(results)) < n_items:
        stop = min(n_items, start + size)
        work.run(start, stop, results)
        if len(results) != stop:  # the function has made its own input shorter: the loop would end here, too
            work.n_items = len(results)
            break
        now = perf_counter()
        size = timings.batch(stop - start, now - last, size)
        if now - began >= until_s and not timings.is_doubtful:
            break
        last = now
    timings.used(now - began, thread_time() - cpu_s, all_threads_s(now - began) - process_s)
    return size


def all_threads_s(since_s: float) -> float:
    """Return the CPU seconds of all threads, up to now where a window ends that is long enough to tell anything.

    What it takes to load that is left out: 0.3 ms of an item of 1 ms would pass for another thread's.
    """
    own_s = 0.0
    if since_s >= CPU_TELLS_FROM_S:
        began_s = thread_time()
        from amorsize.clocks import count_now

        count_now()
        own_s = thread_time() - began_s
    return process_time() - own_s
