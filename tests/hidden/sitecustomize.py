"""Take away what only Linux has, before all other imports: with this folder on PYTHONPATH, amorsize is the loop.

    PYTHONPATH=tests/hidden python -m pytest

Every interpreter that the tests start inherits it, so the whole suite runs as it would where there is no fork.
"""

import builtins
import os
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

HIDDEN_MODULES = ("fcntl", "resource")
HIDDEN_CALLS = ("fork", "forkpty", "memfd_create", "pidfd_open")

_import = builtins.__import__


def _import_without(
    name: str,
    globals: Mapping[str, object] | None = None,  # noqa: A002 - the names of the function that it replaces
    locals: Mapping[str, object] | None = None,  # noqa: A002
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    """Refuse the hidden modules to amorsize alone: psutil cannot be imported on Linux without them."""
    if name in HIDDEN_MODULES and str((globals or {}).get("__name__")).startswith("amorsize"):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return _import(name, globals, locals, fromlist, level)


builtins.__import__ = _import_without

for _name in HIDDEN_CALLS:
    for _where in (os, sys.modules["posix"]):
        if hasattr(_where, _name):
            delattr(_where, _name)
