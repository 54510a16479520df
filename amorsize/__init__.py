"""Decorate a hot function, call `func.pmap(data)`: the first run learns, every later run is tuned.

Example:
    >>> from amorsize import parallelizable
    >>> @parallelizable
    ... def score(x):
    ...     return x * x
    >>> score.pmap([1, 2, 3])
    [1, 4, 9]
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.api import parallelizable
    from amorsize.errors import (
        AmorsizeError,
        AmorsizeWarning,
        BackendUnavailable,
        ItemNotPicklable,
        ItemTimeout,
        RemoteError,
        WorkerDied,
    )
    from amorsize.functional import optimize, pimap, pmap, pstarmap, shutdown
    from amorsize.options import config

__version__ = "0.1.0"

__all__ = [
    "AmorsizeError",
    "AmorsizeWarning",
    "BackendUnavailable",
    "ItemNotPicklable",
    "ItemTimeout",
    "RemoteError",
    "WorkerDied",
    "config",
    "optimize",
    "parallelizable",
    "pimap",
    "pmap",
    "pstarmap",
    "shutdown",
]


_HOMES = {"config": "options", "parallelizable": "api"}
"""Where public functions live; the others are in `functional`, and what begins with a capital letter in `errors`."""


def __getattr__(name: str) -> object:
    """Load a public name when it is first used: importing the package alone costs next to nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'amorsize' has no attribute {name!r}")
    home = "errors" if name[0].isupper() else _HOMES.get(name, "functional")
    value: object = getattr(__import__(f"amorsize.{home}", fromlist=[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
