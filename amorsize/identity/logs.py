"""Find the loggers that code writes with to where no fresh interpreter could be told to: it would drop what is below a
warning, and write the rest to stderr."""

from __future__ import annotations

import sys

from amorsize.identity.code import code_facts
from amorsize.loggers import is_told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from types import FunctionType
    from typing import Any

# Method -> the level that it writes at. `log` is missing: that is what loggers are called themselves.
_LEVELS = {
    "critical": 50, "debug": 10, "error": 40, "exception": 40, "fatal": 50, "info": 20, "warn": 30, "warning": 30,
}  # fmt: skip


def logs(functions: Collection[FunctionType], objects: Iterable[tuple[str, object, object]]) -> tuple[str, ...]:
    """Return the names of these loggers.

    Args:
        functions: the user's.
        objects: what they reach: path, object, and more.
    """
    logging = sys.modules.get("logging")
    if not hasattr(logging, "LoggerAdapter"):  # not loaded, or only half
        return ()
    names = {name for function in functions for name in code_facts(function.__code__).names}
    levels = [level for name, level in _LEVELS.items() if name in names]
    found = _loggers(logging, functions, objects) if levels else ()
    return tuple(path for path, logger in found if any(map(logger.isEnabledFor, levels)) and _is_heard(logging, logger))


def _loggers(
    logging: Any, functions: Iterable[FunctionType], objects: Iterable[tuple[str, object, object]]
) -> Iterator[tuple[str, Any]]:  # Any: `logging` is loaded only where a program has done so
    for function in functions:
        if any(function.__globals__.get(name) is logging for name in code_facts(function.__code__).globals_read):
            yield "logging", logging.root
    for path, value, _ in objects:
        kind: type[Any] = type(value)  # `isinstance` would ask the object
        if issubclass(kind, logging.LoggerAdapter):
            yield path, value.logger  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # by the test above
        elif issubclass(kind, logging.Logger):
            yield path, value


def _is_heard(logging: Any, logger: Any) -> bool:  # Any: as above
    """Tell whether anything takes what is written with a logger that has to be here for it."""
    while logger is not None:
        if logger.handlers and not is_told(logging, logger):
            return True
        logger = logger.parent if logger.propagate else None
    return False
