"""cloudpickle's pickler, which names a class that the other side has instead of sending it again.

It also sends what pickle refuses or only names: what an `lru_cache` wraps, and what a `singledispatch` has cached. Code
is sent as marshal has it, because cloudpickle leaves out the file that a traceback is to name.
"""

from __future__ import annotations

import dataclasses
import functools
import marshal
import sys
import types
import typing
from types import CodeType, FunctionType
from weakref import WeakKeyDictionary

import cloudpickle.cloudpickle

from amorsize.engine.spawn.classes import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    import io
    from collections.abc import Callable
    from typing import Any

_number_of = cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS
_class_of = cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID
_Cached = type(functools.lru_cache(lambda: None))


def _is_found(obj: Any) -> bool:
    """Tell whether the worker will find under its name what is found here."""
    found = cloudpickle.cloudpickle._lookup_module_and_qualname(obj)
    return found is not None and found[0].__name__ not in cloudpickle.list_registry_pickle_by_value()


def _itself(value: Any) -> Any:
    return value


def _cached(func: Any, parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(func)


def _view_of(held: Any, form: Any, shape: Any) -> Any:  # Any: typeshed knows no form that is not written out
    """Return a view of memory of its own."""
    view = memoryview(held)
    return view.cast(form) if len(shape) == 1 else view.cast(form, shape)


def _viewed(view: memoryview) -> tuple[Any, ...]:
    held = view.tobytes()
    made = held if view.readonly else bytearray(held), view.format, view.shape
    _view_of(*made)  # raises where no view like it can be made
    return _view_of, made


def _without_lock(prop: Any) -> tuple[Any, ...]:
    own = {name: value for name, value in vars(prop).items() if name not in ("func", "lock")}
    return functools.cached_property, (prop.func,), own


def _marshalled(code: CodeType) -> bytes:
    """Version 2 writes equal code as equal bytes, but knows no slices, which are constants since Python 3.14."""
    try:
        return marshal.dumps(code, 2)
    except ValueError:
        return marshal.dumps(code)


_WAYS: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    CodeType: lambda code: (marshal.loads, (_marshalled(code),)),
    WeakKeyDictionary: lambda held: (WeakKeyDictionary, (dict(held),)),
    memoryview: _viewed,  # cloudpickle makes bytes of it: of numbers, other ones
    functools.cached_property: _without_lock,
    type(dataclasses.MISSING): lambda _: (getattr, (dataclasses, "MISSING")),  # `is` tells it from a default
}
_BY_NAME_WAYS: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    _Cached: lambda func: (_cached, (func.__wrapped__, func.cache_parameters())),
    typing.NewType: lambda new: (typing.NewType, (new.__name__, new.__supertype__), vars(new)),
}
"""How what cloudpickle refuses, or makes something else of, is made there; these where no name leads to them."""

if (_Lazy := getattr(types, "LazyImportType", None)) is not None:  # since 3.15: imported when it is first used
    _WAYS[_Lazy] = lambda lazy: (_itself, (lazy.resolve(),))


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle ships no types
    """Pickles one value.

    Args:
        file: where to.
        buffer_callback: asked for each buffer, as by pickle.
        is_told: whether the other side has the class of this number.
        keep: have the other side keep every class that is sent.
        in_main: have functions of `__main__` live in the other side's, where code looks for what they name, too.

    Attributes:
        sent: numbers of the classes that were sent as code.
    """

    def __init__(
        self,
        file: io.BytesIO,
        buffer_callback: Callable[..., object] | None,
        is_told: Callable[[str], bool],
        *,
        keep: bool,
        in_main: bool = False,
    ) -> None:
        super().__init__(file, 5, buffer_callback=buffer_callback)
        if in_main:
            self.globals_ref[id(_main())] = _Main()
        self._is_told = is_told
        self._keep = keep
        self.sent: set[str] = set()

    def dump_with(self, modules: tuple[str, ...], value: object) -> None:
        """Pickle a value, and what it uses of these modules as code; what the user has registered stays registered."""
        before = cloudpickle.list_registry_pickle_by_value()
        ours = [sys.modules[name] for name in modules if name in sys.modules and name not in before]
        for module in ours:
            cloudpickle.register_pickle_by_value(module)
        try:
            self.dump(value)
        finally:
            for module in ours:
                cloudpickle.unregister_pickle_by_value(module)

    def reducer_override(self, obj: Any) -> Any:  # Any: pickle's own signature
        """Reduce a class to its number, where that is enough."""
        if type(obj) in _WAYS:
            return _WAYS[type(obj)](obj)
        if type(obj) in _BY_NAME_WAYS and not _is_found(obj):
            return _BY_NAME_WAYS[type(obj)](obj)
        if not isinstance(obj, type):
            if isinstance(obj, FunctionType) and type(obj) is not FunctionType:
                return NotImplemented  # it passes for what it wraps (wrapt), which cloudpickle would send in its place
            return super().reducer_override(obj)
        number = _number_of.get(obj)
        if number is not None and self._is_told(number):
            return known, (number,)
        reduced = super().reducer_override(obj)
        number = _number_of.get(obj)
        if number is None or not isinstance(reduced, tuple):
            return reduced
        self.sent.add(number)
        reduced = whole(obj, reduced)
        if not self._keep:
            return reduced
        return keep_in_main if _main().get(obj.__name__) is obj else keep, reduced[:2], *reduced[2:]


kept: set[type] = set()
"""Classes that came as code, so that their number stays good for as long as this process lives."""


def keep(make: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:  # Any: as cloudpickle makes it
    """Make a class that came as code, and keep it; one that has come before is not made again: another one, although
    nobody uses it, would be among the subclasses of its base."""
    found: Any = _class_of.get(arguments[-2])
    made = make(*arguments) if found is None else found
    kept.add(made)
    return made


def keep_in_main(make: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Do so with one that `__main__` has by its name, so that pickle finds it here, too."""
    made = keep(make, arguments)
    _main()[made.__name__] = made
    return made


def _main(**names: object) -> dict[str, Any]:
    """Return the globals of `__main__`, which has these names from now on."""
    found = vars(sys.modules["__main__"])
    found.update(names)
    return found


class _Main:
    """Stands for the globals of `__main__`, and becomes them where it is rebuilt."""

    def __reduce__(self) -> Any:
        names = {name: value for name, value in _main().items() if name in ("__file__", "__package__", "__path__")}
        return functools.partial(_main, **names), ()


def known(number: str) -> Any:
    """Return the class of this number."""
    found = _class_of.get(number)
    if found is None:
        raise LookupError(f"the class of number {number} has been deleted in the meantime")
    return found
