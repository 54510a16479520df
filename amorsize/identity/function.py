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
  how many items had already run when somebody asked. A module that it imports itself counts by its file's code.
* A list, dict or set counts by its type only where the code may change containers in place, for the same reason.
* A global that had more than three values in this process counts by its type from then on.
"""

from __future__ import annotations

import sys
from _blake2 import blake2b
from itertools import islice

from amorsize.identity.code import NO_FACTS, CodeFacts, code_facts
from amorsize.identity.loads import (
    CONSTRUCTORS,
    FunctionType,
    MethodType,
    ModuleType,
    cells,
    class_of,
    defaults,
    inner_parts,
    instance_attributes,
    is_class,
    is_code,
    is_defined_by_a_module,
    named_in,
    special_methods,
)
from amorsize.identity.naming import function_name, own_name, own_value
from amorsize.identity.origin import library, module_library
from amorsize.identity.unchanged import while_unchanged
from amorsize.identity.values import CONTAINERS, MUTABLE, PLAIN, elements, value_token, written
from amorsize.records import FunctionKey

# Functions, classes, modules and objects read for one key: a bound on the time of a key (about 2 ms). Code beyond it
# does not count, so a change there is noticed only by its effect on the measured times.
_MAX_REACHED = 400

# Values of one global before it counts by its type: fewer would take a setting for a counter, and each further one
# costs a counter's owner one more run without tuning.
_MAX_VALUES = 3

# Keys remembered, so that an unchanged function is hashed once. One costs about 1 KB.
_MAX_KEYS = 1024

_keys: dict[tuple[str, bytes], FunctionKey] = {}


@while_unchanged
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
        name = function_name(func)
        walk = Walk(func)
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


class Walk:
    """One walk over all that a function reaches."""

    most = _MAX_REACHED

    def __init__(self, func: object) -> None:
        self.late_globals: set[str] = set()
        self.late_state: set[str] = set()
        self._walk(func)
        # Only now is it known what all of the code assigns. What was met before that is left out of a second walk.
        self.late_globals = self.globals_met & self.globals_written
        self.late_state = self.state_met & self.written
        if self.late_globals or self.late_state:
            self._walk(func)

    def _walk(self, func: object) -> None:
        self.queue: list[tuple[object, CodeFacts, type | None]] = []
        self.places: dict[tuple[int, int, int], int] = {}
        self.tokens: list[object] = []
        self.values: list[tuple[CodeFacts, str, object]] = []
        self.written: set[str] = set()
        self.globals_written: set[str] = set()
        self.globals_met: set[str] = set()
        self.state_met: set[str] = set()
        self.root_is_read = False  # the function asked about is read even where it belongs to a library
        self._meet(NO_FACTS, "", func)
        self._follow(0)

    def _follow(self, start: int) -> None:
        for reached, facts, owner in islice(self.queue, start, None):  # grows while it is walked
            try:
                self._read(reached, facts, owner)
            except Exception:  # a class that fails when it is looked at; given up: what stands behind it
                self.tokens.append(self._unread(reached))

    def _unread(self, _reached: object) -> object:
        """Return what stands for something that fails when it is looked at."""
        return ("?",)

    def _read(self, reached: object, facts: CodeFacts, owner: type | None) -> None:
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
        try:
            is_plain, is_container = kind in PLAIN, kind in CONTAINERS
        except Exception:  # a class that cannot be hashed; given up: telling its objects from others
            self.tokens += (name, self._unread(value))
            return
        if is_plain:
            self.values.append((facts, name, value))
        elif is_container:
            self._meet_container(facts, name, value)
        else:
            self.tokens += (name, self._enqueue(facts, value, owner))

    def _meet_container(self, facts: CodeFacts, name: str, value: object) -> None:
        """Take in a container, and the functions and objects in it: tables of functions are common."""
        is_filled = type(value) in MUTABLE and facts.mutates
        if is_filled:
            self.tokens += (name, type(value).__name__)
        else:
            self.values.append((facts, name, value))
        for element in elements(value):
            if not is_filled or is_defined_by_a_module(element):
                self.tokens += (name, self._enqueue(facts, element, None))

    def _enqueue(self, facts: CodeFacts, value: object, owner: type | None) -> int:
        """Return the place in the queue of something to be read; -1 for what is beyond the bound."""
        if type(value) is FunctionType:
            facts = NO_FACTS  # it brings its own
        spot = (id(value), id(facts), id(owner))
        place = self.places.get(spot, -1)
        if place < 0 and len(self.queue) < self.most:
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
        self.written |= facts.globals_written if function.__name__ in CONSTRUCTORS else facts.written
        self.globals_written |= facts.globals_written
        for name, value in named_in(function.__globals__, facts):
            if name not in facts.globals_written and name not in self.late_globals:
                self.globals_met.add(name)
                self._meet(facts, name, value)
        if facts.imports:
            self._read_imports(function, facts)
        for _, value in defaults(function):
            self._meet(facts, "", value)
        if owner is not None:
            self.tokens.append(self._enqueue(facts, owner, None))

    def _read_imports(self, function: FunctionType, facts: CodeFacts) -> None:
        from amorsize.identity.imports import absolute, import_tokens  # few functions need it

        tokens, unknown = import_tokens(absolute(facts.imports, function.__globals__))
        self.tokens += tokens
        for name in unknown:
            if name in sys.modules:  # made by hand: what it holds is all that there is
                self._meet(facts, name, sys.modules[name])

    def _read_module(self, module: ModuleType, facts: CodeFacts) -> None:
        origin = library(module.__dict__)
        self.tokens.append(origin)
        if origin is None:
            for name, value in named_in(module.__dict__, facts):
                is_imported = type(value) is ModuleType and f"{module.__name__}.{name}" in facts.imports
                if not (is_imported or self._is_kept(module, name)):  # what is imported is read anyway
                    self._meet(facts, name, value)

    def _read_class(self, kind: type, facts: CodeFacts) -> None:
        for base in kind.__mro__[:-1]:
            origin = module_library(base.__module__)
            self.tokens.append(base.__qualname__ if origin is None else f"{origin}:{base.__qualname__}")
            if origin is None:
                named = special_methods(base) if facts is NO_FACTS else named_in(base.__dict__, facts)
                for name, value in named:
                    self._meet_attribute(facts, name, value, kind)
        if facts is not NO_FACTS:
            self.tokens.append(self._enqueue(NO_FACTS, kind, None))
        elif type(kind) is not type:
            self.tokens.append(self._enqueue(NO_FACTS, type(kind), None))

    def _meet_attribute(self, facts: CodeFacts, name: str, value: object, kind: type) -> None:
        """Take in an attribute of a class."""
        if hasattr(type(value), "__get__") or not self._is_kept(kind, name):
            self._meet(facts, name, value, kind)

    def _is_kept(self, _holder: object, name: str) -> bool:
        """Tell whether an attribute is state that the code assigns, such as what it makes when that is first needed."""
        self.state_met.add(name)
        return name in self.late_state

    def _read_object(self, value: object, facts: CodeFacts, owner: type | None) -> None:
        """Read what is neither function, class nor module: its type, its name if it has one, and what it wraps."""
        kind = type(value)
        if type(value) is MethodType:
            owner = class_of(value.__self__)
        else:
            self.tokens += (self._enqueue(facts, kind, None), own_name(value), own_value(value))
        for name, part in inner_parts(value):
            self._meet(facts, name, part, owner)
        if tuple in kind.__mro__:  # a named one; `isinstance` would wake a lazy proxy
            self._meet_container(facts, "", tuple(tuple.__iter__(value)))  # type: ignore[arg-type]  # it is one
        elif type(value) is not MethodType and module_library(kind.__module__) is None:
            self._read_attributes(value, is_root=value is self.queue[0][0])

    def _read_attributes(self, value: object, *, is_root: bool) -> None:
        """Read what an object of the user's holds: code; of the object asked about plain values, too."""
        for name, held in instance_attributes(value):
            is_value = type(held) in PLAIN or type(held) in CONTAINERS
            if is_root if is_value else is_code(held):
                self._meet_attribute(NO_FACTS, name, held, type(value))
