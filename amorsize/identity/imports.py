"""Read modules that code imports itself, such as in the body of a function, alike before and after it has done so.

    names ──> spec: of the loaded module, or ──> of a library ──> name, and its file's size and time
              found as `import` would        └─> of the user  ──> digest of its code, and of what that imports

Whether they are loaded depends on how many items had already run when somebody asked, so what they hold does not count:
their code does, all of it, and that of the user's modules that they import. Nothing is imported.
"""

from __future__ import annotations

import os
import sys

from amorsize.identity.code import CodeFacts, code_facts
from amorsize.identity.origin import library_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from importlib.machinery import ModuleSpec

# Modules read for one function: a bound on the time of a key. Code beyond it does not count.
_MAX_MODULES = 64

_specs: dict[tuple[str, ...], ModuleSpec] = {}
_read: dict[tuple[str, int, int], CodeFacts] = {}


def absolute(names: Iterable[str], namespace: Mapping[str, object]) -> list[str]:
    """Return the full names of modules that code with these globals imports, sorted."""
    package = namespace.get("__package__") or str(namespace.get("__name__")).rpartition(".")[0]
    return _absolute(names, str(package))


def _absolute(names: Iterable[str], package: str) -> list[str]:
    found = set()
    for name in names:
        rest = name.lstrip(".")
        level = len(name) - len(rest)
        found.add(f"{package.rsplit('.', level - 1)[0]}.{rest}".strip(".") if level else name)
    return sorted(found)


def import_tokens(names: list[str]) -> tuple[list[object], list[str]]:
    """Return what stands for these modules, and the names of those that no import would find.

    Args:
        names: full names, sorted; those of attributes of a module among them do no harm.
    """
    tokens: list[object] = []
    unknown: list[str] = []
    libraries: set[str] = set()
    queue = names[:_MAX_MODULES]
    for name in queue:  # grows while it is walked
        if name.rpartition(".")[0] in libraries:
            continue
        spec = _spec(name)
        if spec is None:
            unknown.append(name)
        elif (library := _library(spec)) is not None:
            libraries.add(name)
            tokens.append(library)
        elif (facts := _facts(spec)) is None:
            tokens.append(name)
        else:
            tokens.append(facts.digest)
            inner = [each for each in _absolute(facts.imports, spec.parent or "") if each not in queue]
            queue += inner[: _MAX_MODULES - len(queue)]
    return tokens, unknown


def _library(spec: ModuleSpec) -> str | None:
    """Name the library that a module belongs to; None for the user's own code, and for a package without a file."""
    if spec.has_location and spec.origin is not None:
        return library_at(spec.name, spec.origin)
    return None if spec.origin is None else spec.name  # built-in, frozen


def _spec(name: str) -> ModuleSpec | None:
    """Find a module as `import` would, its packages included, without importing any."""
    spec: ModuleSpec | None = getattr(sys.modules.get(name), "__spec__", None)
    if spec is not None:
        return spec
    parent, path = name.rpartition(".")[0], None
    if parent:
        package = _spec(parent)
        path = None if package is None else package.submodule_search_locations
        if path is None:
            return None
    place = name, *(sys.path if path is None else path)
    if place not in _specs:
        found = (finder.find_spec(name, path) for finder in sys.meta_path if hasattr(finder, "find_spec"))
        spec = next((each for each in found if each is not None), None)
        if spec is None:
            return None
        _specs[place] = spec
    return _specs[place]


def _facts(spec: ModuleSpec) -> CodeFacts | None:
    """Return the facts of a module's code; None where there is none, or where its loader does not hand that out."""
    file = spec.origin
    if file is None:
        return None
    try:
        stat = os.stat(file)
        place = file, stat.st_size, stat.st_mtime_ns
    except OSError:  # inside a zip archive
        place = file, 0, 0
    if place not in _read:
        try:
            code = spec.loader.get_code(spec.name)  # type: ignore[union-attr]  # a loader may have more than it must
        except Exception:  # no loader, no such method, no Python: the import tells; given up: all but the name
            code = None
        if code is None:
            return None
        _read[place] = code_facts(code)
    return _read[place]
