"""Carry an exception from a worker to the caller, and say which part of a value pickle refuses.

Loaded only when something has gone wrong.
"""

from __future__ import annotations

import marshal
import pickle
import re
import signal
import traceback
from types import MemberDescriptorType

from amorsize.engine import encoding
from amorsize.engine.collect import add_note, without_ours
from amorsize.engine.encoding import REFUSALS
from amorsize.engine.finished import Finished
from amorsize.errors import ItemNotPicklable, RemoteError, WorkerDied, made_anew, with_args

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import CodeType, TracebackType
    from typing import TypeAlias

    from amorsize.engine.message import Message

    Link: TypeAlias = tuple[bytes | None, str, str, str]  # pickled, type name, repr, how the next one belongs to it

DEEPEST = 8
"""Levels of attributes and elements that the search for the culprit goes down; deeper ones are blamed on their
parent. Also the causes of an exception that travel with it."""

CAUSE, CONTEXT = "cause", "context"

ADDRESS = re.compile(" at 0x[0-9A-Fa-f]+")
"""In the repr of an object without one of its own, and never twice the same."""

BEGINNING = "Traceback (most recent call last):\n"

TOLD_BY_FRAMES = AttributeError, BaseExceptionGroup, ImportError, NameError
"""What Python prints of these is not only the lines of the traceback and then what they say: it looks into the frames
for names that were meant, or prints the parts."""

MOST_SHOWN = 64
"""Tracebacks whose lines are remembered."""

_shown: dict[tuple[tuple[CodeType, str, int, int], ...], str] = {}


def pack(error: BaseException) -> bytes:
    """Return what `unpack` needs: the exceptions that can travel, their descriptions, and the worker's traceback."""
    return marshal.dumps((_links(error), _traceback(error)))


def _traceback(error: BaseException) -> str:
    """Return the traceback as Python prints it; where the exception's own attributes keep it from that, its lines."""
    rest = without_ours(error)
    try:
        if isinstance(rest, TOLD_BY_FRAMES) or rest.__cause__ is not None or rest.__context__ is not None:
            return "".join(traceback.format_exception(rest))
        return "".join([BEGINNING, _lines(rest.__traceback__), *traceback.format_exception_only(rest)])
    except REFUSALS as failed:
        lines = "".join(traceback.format_tb(error.__traceback__))
        return f"{lines}{type(error).__qualname__}: cannot be printed ({_repr(failed)})\n"


def _lines(trace: TracebackType | None) -> str:
    """Return the lines of a traceback, remembered: most items that fail do so in the same place, and to read and mark
    its lines takes 0.2 ms, four times as long as all else that is sent."""
    place: list[tuple[CodeType, str, int, int]] = []
    step = trace
    while step is not None:
        code = step.tb_frame.f_code
        place.append((code, code.co_filename, step.tb_lasti, step.tb_lineno))
        step = step.tb_next
    key = tuple(place)
    text = _shown.get(key)
    if text is None:
        if len(_shown) >= MOST_SHOWN:
            _shown.clear()
        text = _shown[key] = "".join(traceback.format_tb(trace))
    return text


def unpack(content: tuple[list[Link], str]) -> BaseException:
    """Return the worker's exception with its causes, and the worker's traceback as a note.

    A RemoteError stands in for what cannot be rebuilt here.
    """
    links, traceback_text = content
    errors = [_rebuilt(link, traceback_text) for link in links]
    for (_, _, _, relation), error, cause in zip(links, errors, [*errors[1:], None], strict=True):
        # Without asking a class that may be frozen; a cause that is None hides what an exception came from.
        BaseException.__setattr__(error, "__cause__" if relation == CAUSE else "__context__", cause)
    raised, *_ = errors
    if not isinstance(raised, RemoteError):
        add_note(raised, f"amorsize: traceback in the worker:\n{traceback_text}")
    return raised


def _links(error: BaseException) -> list[Link]:
    """Describe an exception and what it came from, cause by cause, each with how the next one belongs to it."""
    links: list[Link] = []
    link: BaseException | None = error
    while link is not None and len(links) < DEEPEST:
        if type(link.__dict__.get("finished")) is Finished:
            del link.__dict__["finished"]  # of a call inside the item: as large as its results, and not the caller's
        hidden = link.__suppress_context__ or link.__cause__ is not None
        following, relation = (link.__cause__, CAUSE) if hidden else (link.__context__, CONTEXT)
        links.append((_travelling(link), type(link).__qualname__, _repr(link), relation))
        link = following
    return links


def _rebuilt(link: Link, traceback_text: str) -> BaseException:
    pickled, type_name, text, _ = link
    why = "it does not survive pickling"
    if pickled is not None:
        try:
            error: BaseException = pickle.loads(pickled)
            return error
        except REFUSALS as failed:  # a class that only the worker has, or an __init__ that fails here
            why = f"{type(failed).__name__}: {failed}"
    return RemoteError(
        f"a worker raised {text}, which cannot be rebuilt in this process ({why})\n\n{traceback_text}",
        type_name=type_name,
        text=text,
        traceback_text=traceback_text,
    )


def _travelling(error: BaseException) -> bytes | None:
    """Return the pickled exception, or None where no way to pickle it gives the same one back.

    What `__init__` makes of other arguments than `args` is not made again: type, `args`, `__dict__` and the fields of
    its classes say it all. Where they do not, as it keeps more in C, what it says itself makes it, with other `args`.
    """
    for reduced in (error, _AsItIs(error), _AsItIs(error, says=True)):
        try:
            pickled = encoding.pickled(reduced, None)
            rebuilt = pickle.loads(pickled)
            if type(rebuilt) is type(error) and _words(rebuilt) == _words(error):
                return pickled
        except REFUSALS:  # its __reduce__ or __init__ may raise anything; a RemoteError tells of it then
            continue
    return None


class _AsItIs:
    """Pickles as the exception that it holds, and is rebuilt without a call of `__init__`; so are those of a group. Or
    it is rebuilt as it `says` itself, and has its own `args` again."""

    def __init__(self, error: BaseException, *, says: bool = False) -> None:
        self._error, self._says = error, says

    def __reduce__(self) -> tuple[object, ...]:
        error, arguments = self._error, self._error.args
        if self._says:
            return with_args, (error, arguments)
        if isinstance(error, BaseExceptionGroup):
            arguments = error.message, [_AsItIs(inner) for inner in error.exceptions]
        return made_anew, (type(error), arguments, error.__dict__, _fields(error))


def _words(error: BaseException) -> list[str]:
    """Return what an exception says, and what its fields hold, without the places in memory of what that names."""
    return [ADDRESS.sub("", text) for text in (_repr(error, str), _repr(error.args), _repr(_fields(error)))]


def _fields(error: BaseException) -> dict[str, object]:
    """Return what an exception holds outside of its `__dict__` and can be sent: slots, `errno`, `filename`."""
    # What lacked an attribute may be of any size, the parts of a group are its `args`, and the last two have none.
    fieldless = (AttributeError, BaseExceptionGroup, BaseException, object)
    bases = [base for base in type(error).__mro__ if base not in fieldless]
    slots = [named for base in bases for named in base.__dict__.items() if type(named[1]) is MemberDescriptorType]
    found = {name: getattr(error, name, None) for name, _ in slots if name[:2] != "__"}
    return {name: value for name, value in found.items() if value is not None and refusal(value) is None}


def _repr(value: object, show: Callable[[object], str] = repr) -> str:
    try:
        return str.__str__(show(value))  # which may be of a subclass, and marshal takes none
    except REFUSALS as error:  # a user's broken __repr__ must not replace the error that is being reported
        return f"<{type(value).__qualname__}: repr failed with {type(error).__name__}>"


def not_picklable(what: str, values: Sequence[object], start: int, cause: BaseException) -> tuple[int, BaseException]:
    """Return the index of the first of these values that cannot be pickled, and its error.

    Args:
        what: `argument` or `result`.
        values: of the items `start`, `start + 1`, ...
        start: index of the first item.
        cause: what pickling all of them raised.
    """
    refused = ((start + k, value) for k, value in enumerate(values) if refusal(value) is not None)
    index, value = next(refused, (start, values[0] if values else None))
    if isinstance(cause, MemoryError):
        add_note(cause, f"amorsize: raised when the {what} of item {index} was to be pickled")
        return index, without_ours(cause)
    path, type_name = culprit(value, what)
    if what == "result":
        hence, cure = "so a worker cannot send it back", "Return what it was made from instead"
    else:
        hence, cure = "so it cannot be sent to a worker", "Send what it can be made from instead"
    error = ItemNotPicklable(
        f"the {what} of item {index} cannot be pickled, {hence}: "
        f'{path} is a {type_name} ({type(cause).__name__}: {cause}). {cure}, or run with backend="serial".',
        index=index,
        type_name=type_name,
        path=path,
    )
    error.__cause__ = without_ours(cause)
    return index, error


def refusal(value: object) -> BaseException | None:
    """Return what pickling and rebuilding this value raises, or None if it survives both."""
    try:
        pickle.loads(encoding.pickled(value, None))
    except REFUSALS as error:  # what __reduce__ or __setstate__ raises is the answer
        return error
    return None


def culprit(value: object, path: str) -> tuple[str, str]:
    """Return the path and type name of the innermost part that pickle refuses."""
    for _ in range(DEEPEST):
        inner = next(((step, part) for step, part in _parts(value) if refusal(part) is not None), None)
        if inner is None:
            break
        step, value = inner
        path += step
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
    if not isinstance(value, type):
        yield from [(f".{name}", part) for name, part in getattr(value, "__dict__", {}).items()]


def not_rebuilt(what: str, message: Message, cause: BaseException) -> BaseException:
    """Return the error for arguments or results that were pickled on one side and cannot be rebuilt on the other."""
    items = _items(message.start, message.start + message.count)
    where = "in a worker" if what == "argument" else "in this process"
    if isinstance(cause, MemoryError):
        add_note(cause, f"amorsize: raised when the {what}s of {items} were to be rebuilt {where}")
        return without_ours(cause)
    error = ItemNotPicklable(
        f"the {what}s of {items} cannot be rebuilt {where}: {type(cause).__name__}: {cause}",
        index=message.start,
        type_name=type(cause).__name__,
        path=what,
    )
    error.__cause__ = without_ours(cause)
    return error


def _items(first: int, stop: int) -> str:
    return f"item {first}" if stop - first == 1 else f"items {first} to {stop - 1}"


def worker_died(first: int, stop: int, status: tuple[int | None, int | None]) -> WorkerDied:
    """Return the error for a worker that ended in the middle of its work.

    Args:
        first: index of the first item that it may have been in.
        stop: index after the last such item.
        status: exit code and signal, as `Process.end` returns them.
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
    where = f"in {_items(first, stop)}" if first < stop else "outside of any item"
    return WorkerDied(
        f"a worker {how} {where}",
        first=first if first < stop else None,
        stop=stop if first < stop else None,
        exitcode=exitcode,
        signal=number,
    )
