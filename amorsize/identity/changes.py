"""Find what a function changes in place for others to look at: a worker process changes a copy, which nobody looks at.

    results.append(n)   counts[word] += 1   self.n_seen += 1    changes
    known[n] = work(n)                                          a memo, unless the function returns nothing, and neither
                                                                looks for it before nor uses it afterwards
    row["sum"] = 3                                              a step of what is returned, unless that is nothing
    stack.append(n); stack.pop()                                in use for a while
    if model is None: model = load()                            made where it is missing

Only what surely lies in the memory of one process counts: containers, and objects of the user's classes.
"""

from __future__ import annotations

from itertools import accumulate, islice, takewhile

from amorsize.identity.code import WRITERS, code_facts, returns_nothing
from amorsize.identity.loads import (
    FunctionType,
    MethodType,
    ModuleType,
    cells,
    class_of,
    defaults,
    globals_of,
    inner_parts,
    instance_attributes,
    is_class,
    named_in,
)
from amorsize.identity.origin import library, module_library
from amorsize.identity.uses import DELETED, ELEMENT, READ, STORED, TESTED, UPDATED, USED, uses
from amorsize.records import Changes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import CodeType
    from typing import Any, TypeAlias

    from amorsize.identity.code import CodeFacts
    from amorsize.identity.uses import Path, Use

    Own: TypeAlias = Mapping[str, tuple[str, object]]  # variable -> what the user calls the object in it, and that
    Objects: TypeAlias = Sequence[tuple[str, object, CodeFacts]]

_CONTAINERS = frozenset({
    "_io.BytesIO", "_io.StringIO", "array.array", "builtins.bytearray", "builtins.dict", "builtins.list",
    "builtins.set", "collections.deque", "numpy.ndarray",
})  # fmt: skip

# Modules of types that several processes may share, as may classes made from them; and types of memory that may be so.
_SHARING = frozenset({
    "_ctypes", "multiprocessing.managers", "multiprocessing.shared_memory", "multiprocessing.sharedctypes",
})  # fmt: skip
_MAPS = frozenset({"builtins.memoryview", "mmap.mmap"})

# Methods of containers that put something in for good, those that do so in a set or Counter alone (a dict that is
# updated may be a memo), and those that take something out.
_PUTS = frozenset({"add", "append", "appendleft", "extend", "extendleft", "insert"})
_COUNTS = frozenset({"subtract", "update"})
_TAKES = frozenset({"clear", "discard", "pop", "popitem", "popleft", "remove"})

# Those of a file that lies in memory, which use or drop what was written to it.
_READS = frozenset({"getvalue", "read", "truncate"})

# How it is found out whether a container has an element; or it is taken, and a KeyError caught.
_LOOKS = (TESTED, "get", "keys", "setdefault")

# Methods that are called on an item to change it.
_FILLS = _PUTS | _COUNTS | _TAKES | {"reverse", "setdefault", "sort"}

_MAX_WRAPPERS = 8

# Elements of a list, tuple or dict that are looked at: they are of a kind, or a job with what it is to fill.
_MAX_ELEMENTS = 16


# Bytes of code that are looked at for one function, from itself on: to read as many takes 10 ms, once.
_MAX_BYTES = 1 << 14


class _Unseen:
    """A value that is not looked at: what a container holds, or what nobody has assigned."""


_HELD, _MISSING = _Unseen(), _Unseen()


def changes(func: object, functions: Sequence[FunctionType], objects: Objects) -> Changes:
    """Return what a function, and the user's functions that it reaches, change in place; never calls, never raises.

    Takes 20 us where the code names what it could change, and once 0.3 ms for each code.

    Args:
        func: the function, or what else may be called.
        functions: the user's that it reaches, and that may change something.
        objects: what they reach, each with its path.
    """
    try:
        return _changes(func, functions, objects)
    except Exception:  # a class that fails when it is looked at; given up: a warning
        return Changes()


def _changes(func: object, functions: Sequence[FunctionType], objects: Objects) -> Changes:
    first, given, item = _called(func)
    is_silent = first is not None and returns_nothing(first.__code__)
    filled = item if first is not None and is_silent and first in functions and _is_filled(first, item) else None
    named: list[str] = []
    assigned: set[str] = set()
    read_bytes = accumulate(len(function.__code__.co_code) for function in functions)
    for function, _ in takewhile(lambda each: each[1] <= _MAX_BYTES, zip(functions, read_bytes, strict=True)):
        is_first = function is first
        if not is_first and function.__name__[:2] == "__" == function.__name__[-2:]:
            continue  # it makes an object, which is new, or may never be called: no name says so
        own = given if is_first else _owner(function, objects)
        stores = is_silent and is_first
        if not stores and not _has_anything(function, own):
            continue  # nearly always: to read instructions takes 3 ms the first time
        assigned |= _assigned(function.__code__)
        for how, path in _lasting(function.__code__, is_silent=stores):
            called, value = _variable(function, path[0], own)
            if not (is_first and path[0] == item) and _is_kept(value, how, path):
                named.append(_written(called, path))
    return Changes(
        named=tuple(dict.fromkeys(named)), assigned=tuple(sorted(assigned)), item=filled, is_silent=is_silent
    )


def _has_anything(function: FunctionType, own: Own) -> bool:
    """Tell whether a function names what it could change, or assigns what is around it."""
    facts = code_facts(function.__code__)
    if facts.globals_written or not facts.written.isdisjoint(function.__code__.co_freevars):
        return True
    named = [value for _, value in [*globals_of(function, facts), *cells(function), *own.values()]]
    inner = [named_in(each.__dict__, facts) for each in named if type(each) is ModuleType or is_class(each)]
    named += [value for each in inner for _, value in each]
    return any(_may_be_changed(value, facts) for value in named)


def _may_be_changed(value: object, facts: CodeFacts) -> bool:
    if type(value) is FunctionType or type(value) is ModuleType or is_class(value):
        return bool(facts.written) and _is_users(value)
    return not _CONTAINERS.isdisjoint(_names_of(value)) or _is_users(value)


def _called(func: Any) -> tuple[FunctionType | None, Own, str | None]:
    """Return the function that a call begins with, its parameters that are the same in every call, and the one that
    is given the item."""
    given: list[object] = []
    by_name: dict[str, object] = {}
    for _ in range(_MAX_WRAPPERS):
        parts = dict(inner_parts(func))
        if type(func) is FunctionType:
            break
        if type(func) is MethodType:
            func, given = func.__func__, [func.__self__, *given]
        elif "keywords" in parts:
            func, given, by_name = parts["func"], [*func.args, *given], {**func.keywords, **by_name}
        elif "__wrapped__" in parts:
            func = parts["__wrapped__"]
        else:
            func, given = _member(type(func), "__call__"), [func, *given]
    if type(func) is not FunctionType:
        return None, {}, None
    names = func.__code__.co_varnames[: func.__code__.co_argcount]
    item = next(iter(names[len(given) :]), None)
    same = {**dict(defaults(func)), **by_name, **dict(zip(names, given, strict=False))}
    return func, {name: (name, value) for name, value in same.items() if name != item}, item


def _is_filled(first: FunctionType, item: str | None) -> bool:
    """Tell whether a function changes what is in one of its parameters."""
    found = [(how, path) for how, path in uses(first.__code__) if len(path) > 1 and path[0] == item]
    return any(how != READ or path[-1] in _FILLS for how, path in found)


def _assigned(code: CodeType) -> set[str]:
    """Return the globals that a code assigns, and not only where they are missing."""
    found = {path[0] for how, path in uses(code) if how in (STORED, UPDATED) and len(path) == 1}
    return found & code_facts(code).globals_written


def _lasting(code: CodeType, *, is_silent: bool) -> Iterator[Use]:
    """Yield what a code changes for good; what it stores, where it `is_silent`, as it returns nothing."""
    found = dict.fromkeys(uses(code))
    for how, path in found:
        holder, part = path[:-1], path[-1]
        if how == READ and holder and part in _PUTS | _COUNTS | WRITERS:
            taken = [(READ, (*holder, name)) for name in _TAKES | _READS] + [(DELETED, (*holder, ELEMENT))]
            if found.keys().isdisjoint(taken):
                yield how, path
        elif how == UPDATED or (how == STORED and is_silent and holder and not _is_memo(path, code, found)):
            yield how, path


def _is_memo(path: Path, code: CodeType, found: Mapping[Use, None]) -> bool:
    """Tell whether a code that stores something uses it, too: `values[n] = work(values[n])` does not."""
    if (USED, path) in found or (READ, path) not in found:
        return (USED, path) in found
    is_tested = any((READ, (*path[:-1], name)) in found for name in _LOOKS)
    return path[-1] != ELEMENT or is_tested or bool(code.co_exceptiontable)


def _owner(function: FunctionType, objects: Objects) -> Own:
    """Return the object whose method a function is, for its first parameter."""
    for path, value, _ in objects:
        if _member(type(value), function.__name__) is function:
            return dict.fromkeys(function.__code__.co_varnames[:1], (path, value))
    return {}


def _variable(function: FunctionType, name: str, own: Own) -> tuple[str, object]:
    """Return what a variable is called by the user, and its value."""
    if name in own:
        return own[name]
    if name in function.__code__.co_varnames:
        return name, _MISSING
    return name, dict(cells(function)).get(name, function.__globals__.get(name, _MISSING))


def _is_kept(value: object, how: str, path: Path) -> bool:
    """Tell whether what is done to a part of a value can be seen afterwards, in this process alone."""
    _, *parts = path
    if not parts:  # a variable around the function
        return True
    *holders, part = parts
    for name in holders:
        value = _part(value, name)
    if value is _HELD or value is _MISSING:
        return value is _HELD
    names = _names_of(value)
    if how == READ and part in _COUNTS:
        return not names.isdisjoint({"builtins.set", "collections.Counter"})
    if how == READ or part == ELEMENT:
        return not _CONTAINERS.isdisjoint(names) and is_of_one_process(value)
    return _is_users(value)


def _part(value: object, name: str) -> object:
    """Return an attribute, or what stands for an element, without asking the class."""
    if value is _HELD:
        return _HELD
    if name == ELEMENT and not _CONTAINERS.isdisjoint(_names_of(value)):
        return _HELD if holds_of_one_process(value) else _MISSING
    if type(value) is ModuleType:
        return value.__dict__.get(name, _MISSING) if _is_users(value) else _MISSING
    held = {} if is_class(value) else dict(instance_attributes(value))
    return held[name] if name in held else _member(class_of(value), name)


def _member(kind: type, name: str) -> Any:
    return next((base.__dict__[name] for base in kind.__mro__ if name in base.__dict__), _MISSING)


def _names_of(value: object) -> set[str]:
    return {f"{base.__module__}.{base.__qualname__}" for base in type(value).__mro__}


def is_of_one_process(value: object) -> bool:
    """Tell whether nothing says that a value lies in memory of several processes."""
    while "numpy.ndarray" in _names_of(value):  # a view tells whose memory it is
        value = getattr(value, "base", None)
    modules = {base.__module__ for base in class_of(value).__mro__}
    return _SHARING.isdisjoint(modules) and _MAPS.isdisjoint(_names_of(value))


def holds_of_one_process(value: Any) -> bool:
    """Tell the same of a value and what it holds."""
    held: tuple[object, ...] = ()
    if type(value) is list or type(value) is tuple:
        held = tuple(value[:_MAX_ELEMENTS])
    elif dict in type(value).__mro__:
        held = tuple(islice(dict.values(value), _MAX_ELEMENTS))
    return all(map(is_of_one_process, (value, *held)))


def _is_users(value: object) -> bool:
    if type(value) is ModuleType or type(value) is FunctionType:
        return library(value.__dict__ if type(value) is ModuleType else value.__globals__) is None
    return is_of_one_process(value) and module_library(class_of(value).__module__) is None


def _written(called: str, path: Path) -> str:
    """Return a path as the user would write it, without what is done to it."""
    is_attribute = path[-1] != ELEMENT and path[-1] not in _PUTS | _COUNTS | WRITERS
    parts = path[1:] if is_attribute else path[1:-1]
    return called + "".join("[...]" if part == ELEMENT else f".{part}" for part in parts)
