"""How a program has set up `logging`: a fresh interpreter would drop what it logs, or print it as nobody asked for.

Described are levels, and handlers of the kinds that write to standard streams or to the end of a file. A logger with
others is left as the program's modules make it.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from logging import Logger
    from typing import Any, TypeAlias

    # where to, encoding of a file, level, and of a formatter the format, that of dates, and the style
    Handled: TypeAlias = tuple[str, str | None, int, tuple[str, str | None, str] | None]
    # level, whether it propagates (or, of the root, up to which level all are off), whether it is off, handlers
    Told: TypeAlias = tuple[int, int, bool, list[Handled]]

STREAMS = ("stdout", "stderr", "__stdout__", "__stderr__")
NEW: Told = (0, True, False, [])
NEW_ROOT: Told = (30, 0, False, [])

_set: set[str] = set()  # names of the loggers that were set up as described


def told(logging: Any) -> dict[str, Told]:
    """Return what is not as in a new process and can be described, by the loggers' names."""
    found = {"": _told(logging, logging.root, logging.root.manager.disable)}
    for name, logger in dict(logging.root.manager.loggerDict).items():
        if isinstance(logger, logging.Logger) and not _is_new(logger):
            found[name] = _told(logging, logger, logger.propagate)
    return {name: facts for name, facts in found.items() if facts is not None and facts != (NEW if name else NEW_ROOT)}


def is_told(logging: Any, logger: Logger) -> bool:
    """Tell whether all that a logger does with records can be described."""
    return _told(logging, logger, logger.propagate) is not None


def set_up(logging: Any, wanted: dict[str, Told]) -> None:
    """Set `logging` up as described, and as in a new process what was described before; leave the rest alone."""
    here, names = told(logging), _set | wanted.keys()
    _set.clear()
    _set.update(wanted)
    for name in names:
        facts = wanted.get(name, NEW if name else NEW_ROOT)
        if facts == here.get(name):
            continue
        logger = logging.getLogger(name)
        level, further, logger.disabled, handlers = facts
        logger.setLevel(level)
        if name:
            logger.propagate = bool(further)
        else:
            logging.disable(further)
        for handler in [each for each in logger.handlers if _is_described(logging, each)]:
            logger.removeHandler(handler)
            handler.close()
        for each in handlers:
            logger.addHandler(_made(logging, *each))


def close_files() -> None:
    """Close the files of handlers; each opens its own again when it has something to write."""
    logging: Any = sys.modules.get("logging")
    if logging is None:
        return
    for logger in (logging.root, *dict(logging.root.manager.loggerDict).values()):
        for handler in getattr(logger, "handlers", ()):
            if type(handler) is logging.FileHandler:
                handler.close()


def _is_new(logger: Logger) -> bool:
    return not (logger.handlers or logger.level or logger.disabled or logger.filters) and logger.propagate


def _is_described(logging: Any, handler: object) -> bool:
    return type(handler) is logging.StreamHandler or type(handler) is logging.FileHandler


def _told(logging: Any, logger: Logger, further: int) -> Told | None:
    described = [_handled(logging, each) for each in logger.handlers if type(each) is not logging.NullHandler]
    handlers = [each for each in described if each is not None]
    if logger.filters or len(handlers) < len(described):
        return None
    return logger.level, further, logger.disabled, handlers


def _handled(logging: Any, handler: Any) -> Handled | None:
    """Describe a handler; None where that cannot be done."""
    is_plain = handler.formatter is None
    style = next((key for key in "%{$" if _has_style(logging, handler.formatter, key)), None)
    if handler.filters or not _is_described(logging, handler) or not (is_plain or style):
        return None
    how = handler.level, None if style is None else (handler.formatter._fmt, handler.formatter.datefmt, style)
    if type(handler) is logging.FileHandler:
        return (handler.baseFilename, handler.encoding, *how) if handler.mode == "a" else None
    stream = next((name for name in STREAMS if getattr(sys, name, None) is handler.stream), None)
    return None if stream is None else (stream, None, *how)


def _has_style(logging: Any, formatter: Any, key: str) -> bool:
    """Tell whether a formatter is one of logging's own, with a format in this style."""
    is_own = type(formatter) is logging.Formatter and "converter" not in formatter.__dict__
    return is_own and type(formatter._style) is logging._STYLES[key][0]


def _made(
    logging: Any, where: str, encoding: str | None, level: int, formatted: tuple[str, str | None, str] | None
) -> Any:
    if where in STREAMS:
        handler = logging.StreamHandler(getattr(sys, where))
    else:
        handler = logging.FileHandler(where, encoding=encoding, delay=True)
    handler.setLevel(level)
    if formatted is not None:
        handler.setFormatter(logging.Formatter(*formatted))
    return handler
