"""Name things: a function as people type it, and an object as what tells it from others of its type."""

from __future__ import annotations

import sys

from amorsize.identity.loads import FunctionType, ModuleType, inner_parts, instance_attributes, is_class, parts_of
from amorsize.identity.origin import module_library
from amorsize.identity.values import PLAIN, value_token

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

# Partials of partials that are opened to find a name.
_MAX_WRAPPERS = 8

# Characters of a name that people type; longer ones come from generated code.
_MAX_NAME = 200

# Types of the standard library whose objects are small values; `__reduce__` tells what they are made of.
_VALUES = frozenset({
    "builtins.range", "datetime.date", "datetime.datetime", "datetime.time", "datetime.timedelta", "decimal.Decimal",
    "fractions.Fraction", "operator.attrgetter", "operator.itemgetter", "operator.methodcaller",
    "pathlib.PosixPath", "pathlib.PurePosixPath", "pathlib.PureWindowsPath", "pathlib.WindowsPath",
})  # fmt: skip

# What makes a plain value of one of a class made from it.
_PLAINLY: tuple[tuple[type, Callable[[Any], object]], ...] = (
    (int, int.__int__),
    (float, float.__float__),
    (str, str.__str__),
    (bytes, lambda value: bytes.__getitem__(value, slice(None))),
)

_GetSetType = type(FunctionType.__dict__["__code__"])


def own_name(value: object) -> object:
    """Return what tells an object from others of its type: a C function's name, a pattern's text, an enum's member."""
    kind = type(value)
    for attribute in ("__qualname__", "__name__"):
        if any(type(base.__dict__.get(attribute)) is _GetSetType for base in kind.__mro__[:-1]):
            module = getattr(value, "__module__", None)
            return f"{module_library(module) or module}:{getattr(value, attribute)}", _name_of_owner(value)
    if kind.__qualname__ == "Pattern" and kind.__module__ == "re":
        return value_token((getattr(value, "pattern", None), getattr(value, "flags", None)))
    return next((held for name, held in instance_attributes(value) if name == "_name_" and type(held) is str), None)


def _name_of_owner(value: object) -> object:
    """Return the name of the object that a C function is bound to: `numpy.add` for `numpy.add.reduce`."""
    owner = getattr(value, "__self__", None)
    return None if type(owner) in PLAIN or type(owner) is ModuleType or is_class(owner) else own_name(owner)


def own_value(value: object) -> object:
    """Return what a small object is, such as a plain value of the user's own class, a range or a path; else None."""
    kind = type(value)
    for base, plainly in _PLAINLY:
        if base in kind.__mro__:
            return value_token(plainly(value))
    is_scalar = any(base.__name__ == "generic" and base.__module__ == "numpy" for base in kind.__mro__)
    if not is_scalar and f"{kind.__module__}.{kind.__qualname__}".replace("._local.", ".") not in _VALUES:
        return None
    made: Any = value.__reduce__()  # Any: the stub allows a text, for singletons
    return value_token(made[1])


def unnamed(values: Iterable[object]) -> list[type]:
    """List the classes of these values, and of what stands in those that are tuples or lists, to which no name leads;
    pickle finds none of them."""
    kinds = {id(type(part)): type(part) for part in parts_of(values)}
    return [kind for kind in kinds.values() if kind.__module__ != "builtins" and not _is_named(kind)]


def _is_named(kind: type) -> bool:
    found: object = sys.modules.get(str(kind.__module__))
    for name in kind.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is kind


def function_name(func: object) -> str:
    """Return `module:qualname` of a callable, of what it wraps, or of its type."""
    target = func
    for _ in range(_MAX_WRAPPERS):
        parts = [] if type(target) is FunctionType or is_class(target) else inner_parts(target)
        if not parts:
            break
        target = parts[0][1]
    qualname = _qualname(target)
    if not qualname:
        target, qualname = type(func), type(func).__qualname__
    module = getattr(target, "__module__", None) or "builtins"
    if module in ("__main__", "__mp_main__"):
        module = _main_name()
    return f"{module}:{qualname}"[:_MAX_NAME]


def _qualname(value: object) -> str:
    found = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    return found if isinstance(found, str) else ""


def _main_name() -> str:
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name).removesuffix(".__main__")
    file = getattr(main, "__file__", None) or "__main__"
    return str(file).replace("\\", "/").rpartition("/")[2].removesuffix(".py")
