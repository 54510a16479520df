"""Tell code of the user from code of a library: the one is read, the other is known by its version."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_STDLIB = os.path.dirname(os.__file__) + os.sep
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_OURS = __name__.partition(".")[0]
_SOURCES = (".py", ".pyw", ".pyc", ".ipynb")

_libraries: dict[tuple[object, object], str | None] = {}


def library(namespace: Mapping[str, object]) -> str | None:
    """Name the library that a module's globals belong to, with its version; None for the user's own code.

    The standard library goes without a version: Python's own stands in every key. A compiled module of the user's
    counts as a library, by its file's size and time, because there is no code to read.
    """
    place = (namespace.get("__name__"), namespace.get("__file__"))
    try:
        return _libraries[place]
    except KeyError:
        pass
    except TypeError:  # unhashable: somebody's namespace made by hand
        return None
    name, file = place
    found = _libraries[place] = _find_library(name if isinstance(name, str) else "", file)
    return found


def module_library(name: str | None) -> str | None:
    """Name the library that the module of this name belongs to, with its version; None for the user's own code."""
    module = sys.modules.get(name or "builtins")
    return None if module is None else library(module.__dict__)


def users_bases(kind: type) -> list[type]:
    """List a class and what it is made from, as far as that is the user's."""
    return [base for base in kind.__mro__[:-1] if module_library(base.__module__) is None]


def library_at(name: str, file: str) -> str | None:
    """Name the library that a module of this name in this file belongs to, by what is there before it is imported, too.

    Its `__version__` is not; so its file's size and time stand for that.
    """
    top = name.partition(".")[0]
    return top if top == _OURS else _place(top, file, _by_file)


def _find_library(name: str, file: object) -> str | None:
    top = name.partition(".")[0]
    if top == _OURS:
        return top
    if not isinstance(file, str):
        return top if top in sys.builtin_module_names or _is_frozen(name) else None
    return _place(top, file, _versioned)


def _place(top: str, file: str, tell: Callable[[str, str], str]) -> str | None:
    if any(part in file for part in _INSTALLED):
        return tell(top, file)
    if file.startswith(_STDLIB):
        return top
    return None if file.endswith(_SOURCES) else tell(top, file)


def _is_frozen(name: str) -> bool:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return getattr(spec, "origin", None) == "frozen" and name in sys.stdlib_module_names


def _versioned(top: str, file: str) -> str:
    package = sys.modules.get(top)
    version = getattr(package, "__version__", None)
    if isinstance(version, str):
        return f"{top} {version}"
    return _by_file(top, getattr(package, "__file__", None) or file)


def _by_file(top: str, file: str) -> str:
    try:
        facts = os.stat(file)
    except OSError:  # inside a zip archive, or gone since: the name alone must do
        return top
    return f"{top} {facts.st_size} {facts.st_mtime_ns}"
