"""Put the parts in order, remember the first failure, account for every item."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from amorsize.engine.finished import Finished
    from amorsize.inline import Work


GRACE_S = 0.1
"""After a failure, workers that are above it may finish their item for this long before they are killed."""

LOWER_GRACE_S = 0.5
"""After a worker's death, workers below it may finish for this long: one of them may hold the lowest failure."""

OF_INITIALIZER = "amorsize: raised by initializer"
"""Begins the note on what an initializer raised: no item is to blame for that."""

OF_ITEM = "amorsize: raised by item"
"""Begins the note on what an item raised."""


class Failures:
    """Of all items that have failed the lowest, as in the plain loop.

    Attributes:
        failed_at: its index; None while none has failed.
        error: what it failed with.
    """

    failed_at: int | None = None
    error: BaseException | None = None

    def fail(self, index: int, error: BaseException) -> None:
        """Note that an item failed."""
        if self.failed_at is None or index < self.failed_at:
            self.failed_at, self.error = index, error


class Collector(Failures):
    """The results of one `Work`: what the caller ran first, then ranges in any order.

    Args:
        work: the items.
        head: results of the items 0, 1, 2, ... that the caller ran before anybody else took part.

    Attributes:
        n_done: results in hand.
    """

    def __init__(self, work: Work, head: list[object]) -> None:
        self.work = work
        self.head = head
        self._parts: dict[int, list[object]] = {}
        self._n_in_parts = 0

    @property
    def n_done(self) -> int:
        return len(self.head) + self._n_in_parts

    def add(self, start: int, results: list[object]) -> None:
        """Take the results of the items `start`, `start + 1`, ..."""
        if results:
            self._parts[start] = results
            self._n_in_parts += len(results)

    def first_missing(self, stop: int) -> int | None:
        """Return the lowest index below `stop` that has no result; None where all have."""
        position = len(self.head)
        for start, results in sorted(self._parts.items()):
            if start > position:
                break
            position = start + len(results)
        return position if position < stop else None

    def finished(self) -> Finished:
        """Return every result in hand by its index."""
        from amorsize.engine.finished import Finished

        return Finished([(0, self.head), *self._parts.items()])

    def ordered(self) -> list[object]:
        """Return all results in input order; the collector gives up what it holds.

        Raises:
            AssertionError: where a range is missing or came twice: a defect of the engine, never of the caller.
        """
        results, parts = self.head, self._parts
        for start in sorted(parts):
            if start != len(results):
                raise AssertionError(f"items {len(results)} to {start} were lost or came twice; please report this")
            results.extend(parts.pop(start))
        if len(results) != self.work.n_items:
            raise AssertionError(f"{self.work.n_items - len(results)} items were lost; please report this")
        return results

    def raise_failure(self) -> None:
        """Raise the failure, if there was one, with its item and the finished results on it."""
        if self.error is not None and self.failed_at is not None:
            self.explain(self.error)
            raise self.error

    def explain(self, error: BaseException) -> None:
        """Put on the error what is known about its item, and the finished results."""
        explain(error, self.work, self.failed_at if error is self.error else None, self.finished())


def explain(error: BaseException, work: Work, index: int | None, finished: Mapping[int, object]) -> None:
    """Put on the error a note that names its item, and the finished results as `error.finished`.

    Args:
        error: of the user's function, or ours.
        work: the items.
        index: which item; None where no single item is to blame.
        finished: results by index in the caller's whole input.
    """
    if index is not None:
        name_item(error, index, lambda: work.item(index))
    attach(error, finished)


def explain_alone(error: BaseException, work: Work, results: list[object]) -> None:
    """Put on the error of an item that the caller ran alone its place, and the results of all items before it.

    After the last one it is no item's: a signal's handler raised it.
    """
    from amorsize.engine.finished import Finished

    index = len(results) if len(results) < work.n_items else None
    explain(error, work, index, Finished([(0, results)]))


def without_ours(error: BaseException) -> BaseException:
    """Return an exception whose traceback begins at the user's own code: our frames tell nothing, and hold on to all of
    the call."""
    rest = error.__traceback__
    while rest is not None and _is_ours(rest.tb_frame.f_globals.get("__name__", "")):
        rest = rest.tb_next
    return BaseException.with_traceback(error, rest)


def _is_ours(module: str) -> bool:
    return module.startswith("amorsize.") and not module.startswith("amorsize.testing.")


def shorten(error: BaseException) -> None:
    """Leave our frames out of a traceback that goes on in the user's code, or of an exception that tells itself what
    came to which item. What else goes wrong is ours, and whoever mends it needs them."""
    from amorsize.errors import AmorsizeError

    whole, rest = error.__traceback__, without_ours(error).__traceback__
    if rest is None and not (isinstance(error, AmorsizeError) or _has_note(error, OF_ITEM)):
        BaseException.with_traceback(error, whole)


def name_item(error: BaseException, index: int, find: Callable[[], object]) -> None:
    """Note on an exception of the user's function, or what stands in for it, which item raised it; our other errors say
    so themselves.

    Args:
        error: the exception.
        index: of the item, in the caller's whole input.
        find: returns the item; may raise.
    """
    from amorsize.errors import AmorsizeError, RemoteError

    is_ours = isinstance(error, AmorsizeError) and not isinstance(error, RemoteError)
    if not is_ours and not _has_note(error, OF_INITIALIZER):
        add_note(error, f"{OF_ITEM} {index}: {_short(find)}")


def name_iterable(error: BaseException, index: int) -> None:
    """Note on an exception that the iterable itself raised it."""
    add_note(error, f"amorsize: raised by the iterable, in place of item {index}")


def attach(error: BaseException, finished: Mapping[int, object]) -> None:
    """Put the finished results on an error, as `error.finished`; where its class has such a name, it is left alone."""
    from amorsize.errors import WorkerDied

    if isinstance(error, WorkerDied) or not hasattr(type(error), "finished"):
        error.__dict__["finished"] = finished
    if finished:
        add_note(error, f"amorsize: its attribute `finished` holds {len(finished):,} finished results, by index")


def add_note(error: BaseException, note: str) -> None:
    """Add a note as `error.add_note` does, without asking the exception's own `__setattr__`: it may be frozen."""
    notes = error.__dict__.setdefault("__notes__", [])
    if isinstance(notes, list):
        notes.append(note)


def _has_note(error: BaseException, beginning: str) -> bool:
    return any(str(note).startswith(beginning) for note in error.__dict__.get("__notes__") or ())


def _short(find: Callable[[], object]) -> str:
    import reprlib

    try:
        return reprlib.repr(find())
    except Exception as error:  # a user's broken __repr__ must not replace the error that is being reported
        return f"<repr failed: {type(error).__name__}>"
