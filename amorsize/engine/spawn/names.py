"""Functions by their names, as pickle would send them, but without its import: 8 of a fresh worker's first 20 ms."""

from __future__ import annotations

import sys

from amorsize import inline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NO_CALLS = "a worker imports no module that calls pmap while it is imported"

_KINDS = (type(lambda: None), type(len))


def name_of(func: object) -> tuple[str, str] | None:
    """Return module and qualified name of a function that a worker can look up by them; None for anything else."""
    module = getattr(func, "__module__", None)
    if type(func) not in _KINDS or not isinstance(module, str) or module == "__main__" or module not in sys.modules:
        return None
    name = module, str(getattr(func, "__qualname__", ""))
    try:
        return name if found(name) is func else None
    except (AttributeError, ImportError):  # of a function in a function, or one that was replaced
        return None


def is_named(kind: type) -> bool:
    """Tell whether a class is what stands under its name here."""
    try:
        return found((kind.__module__, kind.__qualname__)) is kind
    except (AttributeError, ImportError):  # of a class in a function, or one that was replaced
        return False


def found(name: tuple[str, str]) -> Any:  # Any: whatever stands there
    """Return what has this name, and import its module where that is not loaded.

    Raises:
        BaseException: whatever the import of a user's module raises.
    """
    module, qualname = name
    if module not in sys.modules:
        __import__(module)
    value: Any = sys.modules[module]
    for part in qualname.split("."):
        value = getattr(value, part)
    return value


class Importing:
    """A context in which modules are imported only for what they define: a call of theirs has been made by the caller,
    whose items would all be called once more, by each worker, before it begins. The import fails there instead, and
    what was looked for travels as code."""

    def __enter__(self) -> None:
        inline.refused = NO_CALLS

    def __exit__(self, *_: object) -> None:
        inline.refused = ""
