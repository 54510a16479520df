"""Name a function by everything that decides what it does.

    function ──> queue: functions, classes, modules, objects that it reaches ──> tokens ─┐
                   │                                                                      ├─ marshal ─> digest
                   └───────────────────── plain values met on the way ──> value tokens ──┘

The queue is walked anew at every call, because a helper, a global, a cell or a default may have changed since; what
cannot change, the facts of each code object, is read once. 3 us for a small function, 3 to 6 us for each further one.

User code is read; a library is known by its version. Comments, docstrings, line numbers, file names and the
attributes that a function carries (except `__wrapped__`) do not count. A class met on the way counts with its
`__dunder__` methods and with those that the code names.

What must be equal in the next process decides three rules:

* A variable that the code itself assigns (a counter, a lazily made client) does not count at all: its value depends on
  how many items had already run when somebody asked.
* A list, dict or set counts by its type only where the code may change containers in place, for the same reason.
* A global that had more than three values in this process counts by its type from then on.
"""

from __future__ import annotations

import sys
from _blake2 import blake2b

from amorsize.identity.code import CodeFacts, code_facts
from amorsize.identity.loads import (
    FunctionType,
    MethodType,
    ModuleType,
    cells,
    class_attributes,
    defaults,
    inner_parts,
    instance_attributes,
    is_class,
    loaded_globals,
    module_attributes,
    special_methods,
)
from amorsize.identity.origin import library, module_library
from amorsize.identity.values import CONTAINERS, MAX_DEPTH, MAX_ELEMENTS, MUTABLE, PLAIN, value_token, written
from amorsize.records import FunctionKey

# Functions, classes, modules and objects read for one key: a bound on the time of a key (about 2 ms). Code beyond it
# does not count, so a change there is noticed only by its effect on the measured times.
_MAX_REACHED = 400

# Values of one global before it counts by its type: fewer would take a setting for a counter, and each further one
# costs a counter's owner one more run without tuning.
_MAX_VALUES = 3

# Keys remembered, so that an unchanged function is hashed once. One costs about 1 KB.
_MAX_KEYS = 1024

# Partials of partials that are opened to find a name.
_MAX_WRAPPERS = 8

# Characters of a name that people type; longer ones come from generated code.
_MAX_NAME = 200

# What these assign to an object stays as it is afterwards.
_CONSTRUCTORS = frozenset({"__init__", "__new__", "__post_init__", "__setstate__"})

_GetSetType = type(FunctionType.__dict__["__code__"])

_NO_FACTS = code_facts((lambda: None).__code__)

_keys: dict[tuple[str, bytes], FunctionKey] = {}


def function_key(func: object) -> FunctionKey:
    """Return who `func` is; never calls it, never raises.

    The digest is equal in every process and under every hash seed. The name is `module:qualname`; for a script it is
    the file's stem instead of `__main__`, under `python -m` the module's own name: what people type in
    `amorsize cache clear stdlib_complexity:branches`.

    Example:
        >>> function_key(len).name
        'builtins:len'
    """
    try:
        name = _name(func)
        walk = _Walk(func)
        said = walk.written_down()
        known = _keys.get((name, said))
        if known is not None:
            return known
        if walk.note_unsteady():
            said = walk.written_down()
    except Exception:  # a class that fails when it is looked at must not stop a pmap; given up: all but its name
        kind = type(func)
        name, said = f"{kind.__module__}:{kind.__qualname__}", b""
    if len(_keys) >= _MAX_KEYS:
        _keys.clear()
    digest = blake2b(written((sys.implementation.cache_tag, said or name)), digest_size=16).hexdigest()
    made = _keys[name, said] = FunctionKey(digest=digest, name=name)
    return made


def digest_of(func: object) -> str:
    """Return the digest alone: what two processes compare to know that they mean the same function."""
    return function_key(func).digest


class _Walk:
    """One walk over all that a function reaches."""

    __slots__ = ("places", "queue", "root_is_read", "tokens", "values", "written")

    def __init__(self, func: object) -> None:
        self.queue: list[tuple[object, CodeFacts, type | None]] = []
        self.places: dict[tuple[int, int, int], int] = {}
        self.tokens: list[object] = []
        self.values: list[tuple[CodeFacts, str, object]] = []
        self.written: set[str] = set()
        self.root_is_read = False  # the function asked about is read even where it belongs to a library
        self._meet(_NO_FACTS, "", func)
        for reached, facts, owner in self.queue:  # grows while it is walked
            if type(reached) is FunctionType:
                self._read_function(reached, owner)
            elif type(reached) is ModuleType:
                self._read_module(reached, facts)
            elif is_class(reached):
                self._read_class(reached, facts)
            else:
                self._read_object(reached, facts, owner)

    def written_down(self) -> bytes:
        """Return everything that counts as bytes that are equal in every process."""
        values = []
        for facts, name, value in self.values:
            if name in self.written:
                continue
            values.append((name, (type(value).__name__,) if name in facts.unsteady else value_token(value)))
        return written((self.tokens, values))

    def note_unsteady(self) -> bool:
        """Remember the values of globals; tell whether one of them has just shown that it keeps changing."""
        found = False
        for facts, name, value in self.values:
            if name in facts.names and name not in facts.unsteady:
                seen = facts.values_seen.setdefault(name, set())
                seen.add(value_token(value))
                if len(seen) > _MAX_VALUES:
                    del facts.values_seen[name]
                    facts.unsteady.add(name)
                    found = True
        return found

    def _meet(self, facts: CodeFacts, name: str, value: object, owner: type | None = None) -> None:
        """Take in a value that the code of `facts` finds under `name`."""
        kind = type(value)
        if kind in PLAIN:
            self.values.append((facts, name, value))
        elif kind in CONTAINERS:
            self._meet_container(facts, name, value)
        else:
            self.tokens += (name, self._enqueue(facts, value, owner))

    def _meet_container(self, facts: CodeFacts, name: str, value: object) -> None:
        """Take in a container, and the functions and objects in it: tables of functions are common."""
        if type(value) in MUTABLE and facts.mutates:
            self.tokens += (name, type(value).__name__)
            return
        self.values.append((facts, name, value))
        for element in _elements(value, MAX_DEPTH):
            self.tokens += (name, self._enqueue(facts, element, None))

    def _enqueue(self, facts: CodeFacts, value: object, owner: type | None) -> int:
        """Return the place in the queue of something to be read; -1 for what is beyond the bound."""
        if type(value) is FunctionType:
            facts = _NO_FACTS  # it brings its own
        spot = (id(value), id(facts), id(owner))
        place = self.places.get(spot, -1)
        if place < 0 and len(self.queue) < _MAX_REACHED:
            place = self.places[spot] = len(self.queue)
            self.queue.append((value, facts, owner))
        return place

    def _read_function(self, function: FunctionType, owner: type | None) -> None:
        facts = code_facts(function.__code__)
        origin = library(function.__globals__)
        if origin is not None and self.root_is_read:
            self.tokens.append(f"{origin}:{function.__qualname__}")
        else:
            self._read_code(function, facts, owner)
        self.root_is_read = True
        # A library's wrapper leads back to user code through these two.
        for name, value in cells(function):
            if name not in facts.written:
                self._meet(facts, "", value)
        wrapped = getattr(function, "__wrapped__", None)
        if wrapped is not None:
            self._meet(facts, "", wrapped)

    def _read_code(self, function: FunctionType, facts: CodeFacts, owner: type | None) -> None:
        self.tokens.append(facts.digest)
        self.written |= facts.globals_written if function.__name__ in _CONSTRUCTORS else facts.written
        for name, value in loaded_globals(function, facts):
            if name not in facts.globals_written:
                self._meet(facts, name, value)
        for _, value in defaults(function):
            self._meet(facts, "", value)
        if owner is not None:
            self.tokens.append(self._enqueue(facts, owner, None))

    def _read_module(self, module: ModuleType, facts: CodeFacts) -> None:
        origin = library(module.__dict__)
        self.tokens.append(origin)
        if origin is None:
            for name, value in module_attributes(module, facts):
                self._meet(facts, name, value)

    def _read_class(self, kind: type, facts: CodeFacts) -> None:
        for base in kind.__mro__[:-1]:
            origin = module_library(base.__module__)
            self.tokens.append(base.__qualname__ if origin is None else f"{origin}:{base.__qualname__}")
            if origin is None:
                named = special_methods(base) if facts is _NO_FACTS else class_attributes(base, facts)
                for name, value in named:
                    self._meet(facts, name, value, kind)
        if facts is not _NO_FACTS:
            self.tokens.append(self._enqueue(_NO_FACTS, kind, None))

    def _read_object(self, value: object, facts: CodeFacts, owner: type | None) -> None:
        """Read what is neither function, class nor module: its type, its name if it has one, and what it wraps."""
        kind = type(value)
        if type(value) is MethodType:
            owner = value.__self__ if is_class(value.__self__) else type(value.__self__)
        else:
            self.tokens += (self._enqueue(facts, kind, None), _own_name(value))
        for name, part in inner_parts(value):
            self._meet(facts, name, part, owner)
        if value is self.queue[0][0]:
            for name, held in instance_attributes(value):
                if type(held) in PLAIN or type(held) in CONTAINERS:
                    self._meet(_NO_FACTS, name, held)


def _elements(container: object, deep: int) -> list[object]:
    """List what is neither plain nor a container in a small container; sets have no order to list it in."""
    if not isinstance(container, dict | list | tuple) or len(container) > MAX_ELEMENTS or not deep:
        return []
    found: list[object] = []
    for element in tuple(container.values() if isinstance(container, dict) else container):
        if type(element) in CONTAINERS:
            found += _elements(element, deep - 1)
        elif type(element) not in PLAIN:
            found.append(element)
    return found


def _own_name(value: object) -> object:
    """Return what tells an object from others of its type: a C function's name, a pattern's text, an enum's member."""
    kind = type(value)
    for attribute in ("__qualname__", "__name__"):
        if any(type(base.__dict__.get(attribute)) is _GetSetType for base in kind.__mro__[:-1]):
            module = getattr(value, "__module__", None)
            return f"{module_library(module) or module}:{getattr(value, attribute)}"
    if kind.__qualname__ == "Pattern" and kind.__module__ == "re":
        return value_token((getattr(value, "pattern", None), getattr(value, "flags", None)))
    return next((held for name, held in instance_attributes(value) if name == "_name_" and type(held) is str), None)


def _name(func: object) -> str:
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
