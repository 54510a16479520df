"""List what a function can lay its hands on: what its code loads by name, its cells, its defaults.

Which name is loaded from where is not traced through the instructions. Every name in the code is looked up in every
namespace that the function uses: its globals, the user's modules and classes among them, the type of its object. That
finds a little more than the function really loads, and misses nothing that is loaded by name.
"""

from __future__ import annotations

import sys

from amorsize.identity.origin import module_library, users_bases
from amorsize.identity.values import PLAIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import FunctionType as FunctionType
    from types import MemberDescriptorType
    from types import MethodType as MethodType
    from types import ModuleType as ModuleType
    from typing import TypeGuard

    from amorsize.identity.code import CodeFacts

    Named = list[tuple[str, object]]
else:

    class _Sample:
        def method(self):
            """Lend its type: `import types` costs 0.3 ms."""

        __slots__ = ("member",)

    FunctionType = type(_Sample.method)
    MethodType = type(_Sample().method)
    ModuleType = type(sys)
    MemberDescriptorType = type(_Sample.member)

# Under which names the wrappers of functools, our own, NumPy's and Numba's keep what they wrap.
_WRAPPED_AS = ("__wrapped__", "func", "__func__", "pyfunc", "py_func")

# Elements of a tuple or list that are looked at, where it is an item.
_MAX_FIELDS = 16

# What these assign to an object stays as it is afterwards.
CONSTRUCTORS = frozenset({"__init__", "__new__", "__post_init__", "__setstate__"})

# What every class holds and calls nothing.
_IDLE = frozenset({"__annotations__", "__dict__", "__doc__", "__module__", "__qualname__", "__slots__", "__weakref__"})


def is_class(value: object) -> TypeGuard[type]:
    """Tell whether a value is a class; unlike `isinstance` it does not wake a lazy proxy by its `__class__`."""
    return type in type(value).__mro__


def class_of(value: object) -> type:
    """Return a class itself, and that of any other value."""
    return value if is_class(value) else type(value)


def named_in(namespace: Mapping[str, object], facts: CodeFacts) -> Named:
    """List what the code names in a namespace: the globals of a function, the attributes of a module or a class."""
    return [(name, namespace[name]) for name in facts.names if name in namespace]


def globals_of(function: FunctionType, facts: CodeFacts) -> Named:
    """List the globals that a function of that code reads, and no attribute that happens to have such a name."""
    return [named for named in named_in(function.__globals__, facts) if named[0] in facts.globals_read]


def calls_hash(function: FunctionType, facts: CodeFacts) -> bool:
    """Tell whether a function calls the builtin `hash` for its number, and not to say what that of its object is."""
    is_named = "hash" in facts.globals_read and "hash" not in function.__globals__
    return is_named and function.__name__ != "__hash__"


def loggers_of(functions: list[FunctionType], objects: Iterable[tuple[str, object, object]]) -> tuple[str, ...]:
    """Return what `logs` finds; where `logging` is not loaded, nothing is loaded to find that nothing logs."""
    if "logging" not in sys.modules:
        return ()
    from amorsize.identity.logs import logs

    return logs(functions, objects)


def special_methods(kind: type) -> Named:
    """List the `__dunder__` methods of one class, its bases apart: operators and calls reach them without a name."""
    found = [(name, value) for name, value in kind.__dict__.items() if name[:2] == "__" and name not in _IDLE]
    return sorted([named for named in found if type(named[1]) is FunctionType or _is_wrapper(named[1])])


def _is_wrapper(value: object) -> bool:
    return type(value) not in PLAIN and bool(inner_parts(value))


def cells(function: FunctionType) -> Named:
    """List the variables of enclosing functions that a function uses, the unset ones left out."""
    found: Named = []
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            found.append((name, cell.cell_contents))
        except ValueError:  # not assigned yet
            continue
    return found


def defaults(function: FunctionType) -> Named:
    """List the default values of a function's parameters."""
    code, values = function.__code__, function.__defaults__ or ()
    first = code.co_argcount - len(values)
    positional: Named = list(zip(code.co_varnames[first : code.co_argcount], values, strict=False))
    return positional + sorted((function.__kwdefaults__ or {}).items())


def instance_attributes(instance: object) -> Named:
    """List what an object holds in its `__dict__` and `__slots__`, without asking its class."""
    try:
        found = list(object.__getattribute__(instance, "__dict__").items())
    except AttributeError:  # it has slots only, or is written in C
        found = []
    for base in type(instance).__mro__:
        if "__slots__" in base.__dict__:
            found += _slot_values(instance, base)
    return found


def _slot_values(instance: object, base: type) -> Named:
    found: Named = []
    for name, slot in base.__dict__.items():
        if type(slot) is MemberDescriptorType:
            try:
                found.append((name, slot.__get__(instance)))
            except AttributeError:  # never assigned
                continue
    return found


def parts_of(items: Iterable[object]) -> list[object]:
    """List items, and in place of those that are tuples or lists what stands in them."""
    rows = [item[:_MAX_FIELDS] if type(item) is tuple or type(item) is list else (item,) for item in items]
    return [part for row in rows for part in row]


def kinds_of(items: Iterable[object]) -> list[type]:
    """List the user's classes of items, of what stands in those that are tuples or lists, and of what they hold."""
    if PLAIN.issuperset(map(type, items)):
        return []
    parts = [part for part in parts_of(items) if type(part) not in PLAIN]
    parts += [held for part in parts for held in _held_by(part)]
    kinds = {id(type(part)): type(part) for part in parts}
    return [base for kind in kinds.values() for base in users_bases(kind)]


def _held_by(item: object) -> list[object]:
    try:
        return [held for _, held in instance_attributes(item)]
    except Exception:  # a class that fails when it is looked at; given up: what such an item holds
        return []


def inner_parts(value: object) -> Named:
    """List what stands inside a wrapper: a partial, a bound, static or class method, a property, a `__wrapped__`."""
    bases = type(value).__mro__
    if MethodType in bases or staticmethod in bases or classmethod in bases:
        return _named(value, "__func__")
    if property in bases:
        return _named(value, "fget", "fset", "fdel")
    functools = sys.modules.get("functools")
    if functools is not None and (functools.partial in bases or functools.partialmethod in bases):
        return _named(value, "func", "args", "keywords")
    return [part for part in instance_attributes(value) if part[0] in _WRAPPED_AS]


def _named(value: object, *names: str) -> Named:
    return [(name, getattr(value, name)) for name in names]


def is_code(value: object) -> bool:
    """Tell whether a value is a function, a wrapper of one, or an object of the user's that can be called."""
    kind = type(value)
    if kind is FunctionType or _is_wrapper(value):
        return True
    can_be_called = any("__call__" in base.__dict__ for base in kind.__mro__)
    return can_be_called and not is_class(value) and module_library(kind.__module__) is None


def is_defined_by_a_module(value: object) -> bool:
    """Tell whether a value is a function that was there once its module was, and not made by another one since."""
    return type(value) is FunctionType and "<" not in value.__qualname__
