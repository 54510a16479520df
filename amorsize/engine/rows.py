"""The caller's own loop over an iterator, which is pulled as the plain loop would pull it."""

from __future__ import annotations

from itertools import chain, groupby, islice
from math import inf
from time import perf_counter, process_time

from amorsize.inline import LINE_OF_FOR, all_threads_s, call_each, call_each_starred, thread_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from amorsize.engine.guard import Guard
    from amorsize.inline import Timings


GROUP = type(next(groupby((0,)))[1])
"""What `itertools.groupby` yields beside each key: it is empty as soon as the next one is pulled."""


class Rows:
    """A function and an iterator of the items to call it with.

    Args:
        func: called once an item.
        iterables: one an argument, zipped as by the builtin `map`.
        star: whether an item is a tuple of arguments (several iterables always are).
        guard: what is put around each call; None for nothing.

    Attributes:
        rows: the iterator, which nobody else may pull meanwhile.
        n_done: items that were called, and gave a result.
        is_over: nothing more comes.
        broken: what the iterator raised in place of an item.
    """

    __slots__ = ("broken", "func", "guard", "is_over", "n_done", "rows", "star")

    def __init__(
        self,
        func: Callable[..., object],
        iterables: Sequence[Iterable[object]],
        *,
        star: bool,
        guard: Guard | None = None,
    ) -> None:
        self.func = func
        self.rows: Iterator[Any] = iter(iterables[0]) if len(iterables) == 1 else zip(*iterables, strict=False)
        self.star = star or len(iterables) > 1
        self.guard = guard
        self.is_over = False
        self.n_done = 0
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
                self.guard.run(self.func, self._watched(items), self.n_done, results, star=self.star)
            elif self.star:
                call_each_starred(self.func, items, results)
            else:
                call_each(self.func, items, results)
        except BaseException as error:
            loop = error.__traceback__ and error.__traceback__.tb_next
            if loop is not None and loop.tb_lineno - loop.tb_frame.f_code.co_firstlineno == LINE_OF_FOR:
                self.broken = self.broken or (error if self.guard is None else None)
            raise
        finally:
            self.n_done += len(results) - before
        self.is_over = len(results) - before < n_items

    def _watched(self, items: Iterable[Any]) -> Iterator[Any]:
        """Yield the items; note what their iterator raises."""
        try:
            yield from items
        except Exception as error:
            self.broken = error
            raise

    def peek(self, n_items: int = 1, within_s: float = 0.0) -> list[Any]:
        """Return the next items without taking them: up to so many, but none that is pulled after so many seconds.

        At the end there are fewer, and where the iterator raises: it does so again when that item is taken.
        """
        found: list[Any] = []
        began_s, rest = perf_counter(), self.rows
        try:
            for item in islice(self.rows, n_items):
                found.append(item)
                if perf_counter() - began_s > within_s:
                    break
            else:
                if len(found) < n_items:
                    rest = iter(())  # who has met the end does not ask again: `zip` would pull one more of the first
        except KeyboardInterrupt as error:  # whoever pressed Ctrl-C does not wait for the items before it
            self.broken = error
            raise
        except BaseException as error:  # whatever the caller's iterator raises
            rest = _raising(error)
        self.rows = chain(found, rest)
        return found

    def overwrites(self) -> bool:
        """Tell whether to pull the next item changes the one before it, as where one buffer is filled again and again.

        The plain loop is done with an item before it pulls the next one. Of other items that cannot be pickled than
        those of `groupby` it is not known.
        """
        from amorsize.engine.encoding import SIMPLE, plain, unpickled

        found = self.peek()
        if not found or type(found[0]) in SIMPLE:
            return False
        if any(type(part) is GROUP for part in (found[0] if type(found[0]) is tuple else found)):
            return True
        try:
            before = plain(found[0])
            first = unpickled(before)
        except Exception:  # __reduce__ and __setstate__ may raise anything; given up: an answer. Nothing is pulled yet
            return False
        self.peek(2, inf)
        try:
            is_same = plain(found[0]) == before
        except Exception:  # it was pickled a moment ago, so it has changed
            is_same = False
        if is_same:
            return False
        next(self.rows)
        self.rows = chain((first,), self.rows)
        return True


def _raising(error: BaseException) -> Iterator[Any]:
    """Yield nothing, and raise; as no generator could raise a StopIteration, so no iterator can have raised one."""
    raise error
    yield


def item_of(error: BaseException) -> object:
    """Return the item at which the function raised, from the loop that called it; the iterator may have no other.

    Raises:
        LookupError: where none of our loops is in the traceback.
    """
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code is call_each.__code__ or code is call_each_starred.__code__ or code.co_qualname == "Guard.run":
            return trace.tb_frame.f_locals["item"]
        trace = trace.tb_next
    raise LookupError("the item is gone")


def advance_rows(rows: Rows, results: list[object], timings: Timings, size: int, until_s: float) -> int:
    """Run items of an iterator; otherwise as `advance`."""
    cpu_s, process_s = thread_time(), process_time()
    began = last = now = perf_counter()
    while not rows.is_over:
        before = len(results)
        rows.run(size, results)
        now = perf_counter()
        if len(results) > before:
            size = timings.batch(len(results) - before, now - last, size)
        if now - began >= until_s:
            break
        last = now
    timings.used(now - began, thread_time() - cpu_s, all_threads_s(now - began) - process_s)
    return size
