"""What fresh interpreters are to run, and how it travels: by name where they find the same function, else as code.

    BY_NAME      plain pickle; the worker compares what it finds with what the caller has
    OWN_MODULE   the code of everything that lives in the function's own module; compared again
    ALL_MODULES  the code of everything that the user wrote; nothing is left that could differ

What lives in `__main__` travels as code at every step: a worker never imports that module.
"""

from __future__ import annotations

import marshal
import os
import sys
from _blake2 import blake2b

import amorsize
from amorsize.engine.collect import add_note
from amorsize.engine.spawn.by_value import Luggage
from amorsize.engine.spawn.names import name_of
from amorsize.errors import BackendUnavailable
from amorsize.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType
    from typing import Any, TypeAlias

    from amorsize.engine.guard import Guard

    # func, star, guard, identify, kinds
    Content: TypeAlias = tuple[Any, bool, Guard | None, Callable[[Any], str], tuple[type, ...]]

BY_NAME, OWN_MODULE, ALL_MODULES = 0, 1, 2

MOST_NOTED = 256
"""Functions of which it is remembered that their name was not enough: what is forgotten costs one more refusal."""

INSIDE = ("func", "__func__", "__wrapped__")
"""Under which names partials, methods and wrappers keep what they call."""

INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}", os.path.dirname(os.__file__) + os.sep)

OURS = os.path.dirname(os.path.abspath(amorsize.__file__)) + os.sep

MOST_LAYERS = 50
"""Wrappers around a function that are looked through; one that claims to wrap itself must not be looked at for ever."""

_steps: dict[bytes, int] = {}
_is_user_s: dict[object, bool] = {}
_files_when: tuple[dict[str, ModuleType], dict[str, str]] = {}, {}


class Errand(Record):
    """What is to be run.

    Attributes:
        func: called once an item.
        star: whether an item is a tuple of arguments.
        guard: given to `Work` in the worker, where it is to call its initializer once; can be pickled.
        identify: names a function by everything that decides what it does; can be pickled by its name. What it says in
            the worker of the function found there must equal what it says here.
        kinds: classes of items, which must be the same there, too.
        foreign: returns what libraries hold here that it uses, as marshal knows it; None for nothing.
        otherwise: tells in the worker what of that is not so there, or None; can be looked up by its name.
        n_threads: native threads that each library may use in a worker; None for any number.
        name: of the function, for who asks how many workers know it.
    """

    func: Callable[..., object]
    star: bool = False
    guard: Guard | None = None
    identify: Callable[[Any], str]
    kinds: tuple[type, ...] = ()
    foreign: Callable[[], Any] | None = None
    otherwise: Callable[[Any], str | None] | None = None
    n_threads: int | None = None
    name: str = ""

    @property
    def initializer(self) -> Callable[..., object] | None:
        """What every worker calls before its first item; None for nothing."""
        return None if self.guard is None else self.guard.initializer


class Packed:
    """An errand as bytes.

    Attributes:
        errand: what was packed.
        step: BY_NAME, OWN_MODULE or ALL_MODULES.
        content: what the worker rebuilds.
        is_named: content is nothing but names; else it is pickled.
        digest: what `identify` says here; None where nothing is to be compared.
        foreign: the name of what tells whether libraries are as here, and what they hold; None where they hold nothing.
        key: names these three, and native threads; equal keys mean the same function.
        modules: names of those whose classes and functions travel as code, from now on also in items.
        classes: which classes went along as code, as `by_value` names them.
    """

    __slots__ = ("_next", "classes", "content", "digest", "errand", "foreign", "is_named", "key", "modules", "step")

    def __init__(self, errand: Errand, step: int | None = None) -> None:
        """Pack an errand, at the step that has served before where none is named.

        Raises:
            BackendUnavailable: where something in it cannot travel at all.
        """
        self.errand = errand
        self._next: Packed | None = None
        self.step = step or (_steps.get(self._name(), BY_NAME) if _steps else BY_NAME)
        self.modules = modules_at(self.step, errand)
        names = _names(errand) if self.step == BY_NAME else None
        self.is_named = names is not None
        self.classes: set[str] = set()
        self.content = self._pickled() if names is None else names
        what = (errand.func, *errand.kinds) if errand.kinds else errand.func
        self.digest = errand.identify(what) if self.step != ALL_MODULES else None
        held = errand.foreign() if errand.foreign is not None else ()
        self.foreign = (name_of(errand.otherwise), held) if held else None
        beside = marshal.dumps((self.digest, self.foreign, errand.n_threads), 2)
        self.key = blake2b(self.content + beside, digest_size=16).digest()

    def _name(self) -> bytes:
        """Return what a function is remembered by: a partial or a wrapper together with what it calls."""
        names = [f"{getattr(func, '__module__', None)}:{title(func)}" for func in _layers(self.errand.func)]
        return " ".join(names).encode()

    def _pickled(self) -> bytes:
        errand = self.errand
        content: Content = errand.func, errand.star, errand.guard, errand.identify, errand.kinds
        luggage = Luggage(self.modules, in_main=True)
        try:
            pickled = luggage.dumps(content)
        except Exception as error:  # of pickling, which may raise anything
            raise BackendUnavailable(_refused(errand, error)) from error
        self.classes = luggage.told
        return pickled

    def next_step(self) -> Packed | None:
        """Return the errand packed so that less can differ in the worker; None where nothing is left to try."""
        if self.step != ALL_MODULES and self._next is None:
            if len(_steps) >= MOST_NOTED:
                _steps.clear()
            _steps[self._name()] = self.step + 1
            self._next = Packed(self.errand, self.step + 1)
        return self._next

    def not_rebuilt(self, why: str, lines: str) -> BackendUnavailable:
        """Return the error that says that a worker cannot run it, with the lines of the user's that it comes from."""
        error = BackendUnavailable(f"{title(self.errand.func)} cannot run in a fresh interpreter: {why}")
        if lines:
            add_note(error, f"amorsize: raised in the worker by\n{lines}")
        return error


def _names(errand: Errand) -> bytes | None:
    """Return an errand as marshalled names, where it consists of nothing else."""
    func, identify = name_of(errand.func), name_of(errand.identify)
    if func is None or identify is None or errand.guard is not None or errand.kinds:
        return None
    return marshal.dumps((func, errand.star, identify), 2)


def travels_as_code(errand: Errand) -> bool:
    """Tell, before it is packed, whether cloudpickle will most likely be needed."""
    name = str(getattr(errand.func, "__qualname__", ""))
    return "<" in name or "__main__" in {*_homes(errand.func), *_homes(errand.initializer)}


def title(func: object) -> str:
    """Return the name of a callable for a message."""
    return str(getattr(func, "__qualname__", None) or type(func).__qualname__)


def _refused(errand: Errand, error: Exception) -> str:
    from amorsize.engine import failure

    parts: dict[str, object] = {"the function": errand.func}
    if errand.guard is not None:
        parts |= {"the initializer": errand.guard.initializer, "initargs": errand.guard.initargs}
    refused = [what for what, part in parts.items() if failure.refusal(part) is not None]
    what = refused[0] if len(refused) == 1 else "the function, or what it uses,"
    return (
        f"{title(errand.func)} cannot run in a fresh interpreter: {what} cannot be sent there "
        f"({type(error).__name__}: {error}). "
        'Make what cannot be pickled in an initializer, or use start_method="fork" or backend="serial".'
    )


def modules_at(step: int, errand: Errand) -> tuple[str, ...]:
    """Return the modules that travel as code; `__main__` always does and is not named."""
    if step == BY_NAME:
        return ()
    names = {*_homes(errand.func), *_homes(errand.initializer), *[kind.__module__ for kind in errand.kinds]}
    if step == ALL_MODULES:
        names.update(user_modules())
    return tuple(sorted(filter(_is_users, names)))


def _is_users(name: str) -> bool:
    """Tell whether a module that is loaded here may be another in a fresh interpreter, and can be sent as code."""
    top = name.partition(".")[0]
    if name not in sys.modules or top in ("__main__", "amorsize") or top in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules[name], "__file__", None)
    return not isinstance(file, str) or not any(part in file for part in INSTALLED)


def _homes(func: object) -> Iterator[str]:
    """Yield the names of the modules that a callable, what it wraps, and the object that it belongs to live in."""
    for layer in _layers(func):
        for part in (layer, type(layer), type(getattr(layer, "__self__", None))):
            module = getattr(part, "__module__", None)
            if isinstance(module, str):
                yield module


def _layers(func: object) -> list[object]:
    """Return a callable, what it calls, what that calls, and so on."""
    layers = [func]
    for _ in range(MOST_LAYERS):
        inner = next((found for name in INSIDE if (found := getattr(layers[-1], name, None)) is not None), None)
        if inner is None or inner is layers[-1]:
            break
        layers.append(inner)
    return layers


def user_modules() -> dict[str, str]:
    """Return the files of the loaded modules that are neither Python's own, nor installed, nor ours; by name.

    Only modules that have come since the last time are looked at: 5 us a call, and 150 for all of a small program's.
    """
    global _files_when
    before, files = _files_when
    loaded = sys.modules.copy()
    if list(loaded) != list(before) or list(loaded.values()) != list(before.values()):
        files = {name: file for name, file in files.items() if loaded.get(name) is before[name]}
        files |= _files_of({name: module for name, module in loaded.items() if before.get(name) is not module})
        _files_when = loaded, files
    return files


def _files_of(modules: dict[str, ModuleType]) -> dict[str, str]:
    """Return the files of those modules that are the user's."""
    found: dict[str, str] = {}
    for name, module in modules.items():
        file: Any = getattr(module, "__file__", None)  # Any: text, where anything is found under it
        try:
            is_user_s = _is_user_s[file]
        except (KeyError, TypeError):  # TypeError: a file that is none, of a module made by hand
            is_user_s = isinstance(file, str) and _belongs_to_user(file)
        if is_user_s and name != "__main__":
            found[name] = file
    return found


def _belongs_to_user(file: str) -> bool:
    library = not file.endswith(".py") or file.startswith(OURS) or any(part in file for part in INSTALLED)
    _is_user_s[file] = not library
    return not library
