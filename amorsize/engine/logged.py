"""What items of a forked worker log with handlers that are for the caller: pytest's `caplog`, unittest's `assertLogs`,
`MemoryHandler`, `QueueHandler`, and those of the program's own classes, of which nobody knows what they do.

A worker has copies of them. What they would handle there is sent, and handled by those of the caller; only what writes
to a file, a socket or a stream with a descriptor does so in the worker.
"""

from __future__ import annotations

import os
import sys
from _io import StringIO  # a test may have put mocks in the place of what `io` holds

from amorsize.engine.warned import NOTHING, packed_each, with_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Noted: TypeAlias = tuple[str, int, dict[str, Any]]  # name of a logger, position of its handler, a record's fields

WRITERS = frozenset(
    (
        "NullHandler",
        "StreamHandler",  # and with it those that write to files
        "handlers.HTTPHandler",
        "handlers.SMTPHandler",
        "handlers.SocketHandler",
        "handlers.SysLogHandler",
    )
)
"""Handlers that do in a worker what they would do in the caller; so do those that inherit from them."""

_noted: list[Noted] = []
_writes: dict[type, bool] = {}  # kinds of handlers


def take_over(tell: Callable[[], None]) -> None:
    """Have this forked worker note what is for its caller's handlers.

    Args:
        tell: sends at once what was noted, or nothing where that cannot be done now.
    """
    _noted.clear()
    logging: Any = sys.modules.get("logging")
    if not hasattr(logging, "LoggerAdapter"):  # not loaded, or only half
        return
    if not any(_is_for_caller(reference()) for reference in logging._handlerList):
        return
    for name, logger in (("", logging.root), *logging.root.manager.loggerDict.items()):
        for position, handler in enumerate(getattr(logger, "handlers", ())):
            if _is_for_caller(handler):
                logger.handlers[position] = _noting(logging, name, position, handler, tell)


def _is_for_caller(handler: Any) -> bool:
    kind = type(handler)
    if kind not in _writes:  # of 300 handlers, 0.4 ms
        names = [f"{each.__module__}.{each.__qualname__}".removeprefix("logging.") for each in kind.__mro__]
        _writes[kind] = not WRITERS.isdisjoint(names)
    return not _writes[kind] or isinstance(getattr(handler, "stream", None), StringIO)


def _noting(logging: Any, name: str, position: int, handler: Any, tell: Callable[[], None]) -> Any:
    """Return what stands for a handler."""
    noting, pid = logging.Handler(handler.level), os.getpid()

    def handle(record: Any) -> None:
        if os.getpid() != pid:  # in a child that an item has forked
            handler.handle(record)
            return
        try:
            _noted.append((name, position, _fields(logging, record)))
        except Exception:  # of arguments that do not fit their text: `logging` tells it on stderr
            noting.handleError(record)
        tell()

    noting.handle = handle
    return noting


def _fields(logging: Any, record: Any) -> dict[str, Any]:
    """Return what a record says, without what it was made of, as `QueueHandler.prepare` does."""
    told = {**record.__dict__, "msg": record.getMessage(), "args": None, "exc_info": None}
    if record.exc_info and not record.exc_text:
        told["exc_text"] = logging.Formatter().formatException(record.exc_info)
    return told


def take() -> tuple[str | None, bytes]:
    """Return that something is lost, or None; and what items have logged since it was last asked, pickled."""
    if not _noted:
        return NOTHING
    return packed_each(_noted, _described)


def _described(noted: Noted) -> str:
    name, _, fields = noted
    return f"logged with {name or 'root'!r} ({fields['msg']})"


def handle(payload: bytes) -> str | None:
    """Have this process's handlers handle what a worker has noted; return that something is lost, or None."""
    return with_each(payload, _handle, _described)


def _handle(noted: Noted) -> None:
    import logging

    name, position, fields = noted
    handler = logging.getLogger(name or None).handlers[position]
    if fields["levelno"] >= handler.level:
        handler.handle(logging.makeLogRecord(fields))
