"""Carry an exception from a worker to the caller, and say which part of a value pickle refuses.

Loaded only when something has gone wrong.
"""

from __future__ import annotations

import marshal
import pickle
import signal
import traceback

from amorsize.engine.collect import add_note
from amorsize.errors import ItemNotPicklable, RemoteError, WorkerDied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DEEPEST = 8
"""Levels of attributes and elements that the search for the culprit goes down; deeper ones are blamed on their
parent."""


def pack(error: BaseException) -> bytes:
    """Return what `unpack` needs: the exception itself if it survives the journey, and a description in any case."""
    text = "".join(traceback.format_exception(error))
    return marshal.dumps((_travelling(error), type(error).__qualname__, _repr(error), text))


def unpack(content: tuple[bytes | None, str, str, str]) -> BaseException:
    """Return the worker's exception, or the RemoteError that stands in for it, with the worker's traceback as a
    note."""
    pickled, type_name, text, traceback_text = content
    if pickled is None:
        return RemoteError(
            f"a worker raised {text}, which cannot be rebuilt in this process (it does not survive pickling)\n\n"
            f"{traceback_text}",
            type_name=type_name,
            text=text,
            traceback_text=traceback_text,
        )
    error: BaseException = pickle.loads(pickled)
    add_note(error, f"amorsize: traceback in the worker:\n{traceback_text}")
    return error


def _travelling(error: BaseException) -> bytes | None:
    """Return the pickled exception, or None unless it comes back as the same type."""
    try:
        pickled = pickle.dumps(error, 5)
        survives = type(pickle.loads(pickled)) is type(error)
    except Exception:  # its __reduce__ or __init__ may raise anything; a RemoteError tells of it then
        return None
    return pickled if survives else None


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # a user's broken __repr__ must not replace the error that is being reported
        return f"<{type(value).__qualname__}: repr failed with {type(error).__name__}>"


def not_picklable(results: Sequence[object], start: int, offset: int, cause: BaseException) -> ItemNotPicklable:
    """Return the error for the first of these results that cannot be pickled.

    Args:
        results: of the items `start`, `start + 1`, ...
        start: index within the block of items at hand.
        offset: index of the block's first item in the caller's whole input.
        cause: what pickling all of them raised.
    """
    refused = ((start + k, result) for k, result in enumerate(results) if refusal(result) is not None)
    index, result = next(refused, (start, results[0] if results else None))
    path, type_name = culprit(result, "result")
    return ItemNotPicklable(
        f"the result of item {offset + index} cannot be pickled, so a worker cannot send it back: "
        f'{path} is a {type_name} ({cause}). Return what it was made from instead, or run with backend="serial".',
        index=offset + index,
        type_name=type_name,
        path=path,
    )


def refusal(value: object) -> BaseException | None:
    """Return what pickling and rebuilding this value raises, or None if it survives both."""
    try:
        pickle.loads(pickle.dumps(value, 5))
    except Exception as error:  # __reduce__ and __setstate__ may raise anything, and what they raise is the answer
        return error
    return None


def culprit(value: object, path: str) -> tuple[str, str]:
    """Return the path and type name of the innermost part that pickle refuses."""
    for _ in range(DEEPEST):
        inner = next(((step, part) for step, part in _parts(value) if refusal(part) is not None), None)
        if inner is None:
            break
        path, value = path + inner[0], inner[1]
    return path, f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


def _parts(value: object) -> Iterator[tuple[str, object]]:
    """Yield the elements and attributes of a value, each with the step that leads to it."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield f"[{key!r}]", part
    elif isinstance(value, (list, tuple)):
        for k, part in enumerate(value):
            yield f"[{k}]", part
    elif isinstance(value, (set, frozenset)):
        for part in value:
            yield "{...}", part
    for name, part in getattr(value, "__dict__", {}).items():
        if not isinstance(value, type):
            yield f".{name}", part


def not_rebuilt(start: int, count: int, offset: int, cause: BaseException) -> ItemNotPicklable:
    """Return the error for results that were pickled in a worker and cannot be rebuilt here."""
    items = _items(start + offset, start + offset + count)
    return ItemNotPicklable(
        f"the results of {items} cannot be rebuilt in this process: {type(cause).__name__}: {cause}",
        index=start + offset,
        type_name=type(cause).__name__,
        path="result",
    )


def _items(first: int, stop: int) -> str:
    return f"item {first}" if stop - first == 1 else f"items {first} to {stop - 1}"


def worker_died(first: int, stop: int, offset: int, status: tuple[int | None, int | None]) -> WorkerDied:
    """Return the error for a worker that ended in the middle of its work.

    Args:
        first: index of the first item that it may have been in.
        stop: index after the last such item.
        offset: index of the block's first item in the caller's whole input.
        status: exit code and signal, as `ForkedWorker.end` returns them.
    """
    exitcode, number = status
    if number is not None:
        named = signal.Signals(number).name if number in set(signal.Signals) else "real-time"
        how = f"was ended by signal {number} ({named})"
        if named == "SIGKILL":
            how += ", which is also how the kernel ends a process when memory runs out,"
    elif exitcode is not None:
        how = f"ended itself with exit code {exitcode}"
    else:
        how = "ended (its exit code was taken by somebody else in this process)"
    first, stop = first + offset, stop + offset
    where = f"in {_items(first, stop)}" if first < stop else "between two items"
    return WorkerDied(
        f"a worker {how} {where}",
        first=first if first < stop else None,
        stop=stop if first < stop else None,
        exitcode=exitcode,
        signal=number,
    )
