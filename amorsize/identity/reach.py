"""Find what a function shares with the rest of the program: live handles that it can lay its hands on.

Walked: globals that the code names (through the user's functions, modules and classes), cells, defaults, `self`, the
arguments of partials, attributes, elements of containers, what an `lru_cache` or a `threading.local` holds. The walk is
bounded and runs before each fork, because a file may have been opened since; 5 to 30 us for a small function.
"""

from __future__ import annotations

import sys
from _contextvars import ContextVar, copy_context
from itertools import islice

from amorsize.identity import handles
from amorsize.identity.code import NO_FACTS, CodeFacts, code_facts
from amorsize.identity.loads import (
    CONSTRUCTORS,
    FunctionType,
    MethodType,
    ModuleType,
    calls_hash,
    cells,
    defaults,
    globals_of,
    inner_parts,
    instance_attributes,
    is_class,
    kinds_of,
    loggers_of,
    named_in,
    special_methods,
)
from amorsize.identity.origin import library, module_library, users_bases
from amorsize.identity.unchanged import while_unchanged
from amorsize.identity.values import PLAIN
from amorsize.records import Changes, Reach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from amorsize.identity.loads import Named

# Things looked at in one walk: a bound on its time, 1 to 10 ms, and 0.2 ms for an item, which is data nearly always. A
# handle beyond it goes unseen.
_MAX_SEEN, _MAX_SEEN_OF_AN_ITEM = 1000, 32

# Steps from a variable through attributes and elements: `self.client._pool._connections[0]._sock` has five.
_MAX_STEPS = 6

# Elements of one container that are looked at: a hundred equal connections are found by the first.
_MAX_ELEMENTS = 16

_CONTAINERS = frozenset({dict, list, tuple, set, frozenset})


@while_unchanged
def reach(func: object) -> Reach:
    """Return the live handles that `func` reaches and the globals that it assigns; never calls it, never raises.

    Example:
        >>> reach(print).handles
        ()
    """
    return _reached(func, _Walk(func))


def reach_with(func: object, items: Iterable[object]) -> Reach:
    """Return the same of a function with items like these: what it calls on them counts, too."""
    kinds = kinds_of(items)
    return _reached(func, _Walk(func, kinds=kinds)) if kinds else reach(func)


def _reached(func: object, walk: _Walk) -> Reach:
    changed = Changes()
    if changing := [each for each in walk.functions if code_facts(each.__code__).may_change]:
        from amorsize.identity.changes import changes

        changed = changes(func, changing, walk.objects)
    return Reach(
        handles=tuple(walk.handles.values()),
        thread_handles=tuple(walk.thread_handles.values()),
        context=tuple(walk.context),
        brought=tuple(walk.brought()),
        hashes=func is hash or any(calls_hash(each, code_facts(each.__code__)) for each in walk.functions),
        loggers=loggers_of(walk.functions, walk.objects),
        changes=changed,
    )


def shared_by(items: Iterable[object]) -> str | None:
    """Return a live handle that two of these items hold, as `item[0] (type)`; None where there is none.

    One that only a single item holds is its own, such as a file opened for it, and one worker alone will use it.
    Takes 0.3 us for a number, 1 us for a tuple of them, 10 us for an array or a small object.
    """
    met: dict[int, str] = {}
    for item in () if PLAIN.issuperset(map(type, items)) else items:
        found = {} if _is_plain(item) else _ItemWalk(item, "item").handles
        for handle in found:
            if handle in met:
                return found[handle]
        met |= found
    return None


def walked(func: object, items: Iterable[object]) -> tuple[list[FunctionType], list[tuple[str, object, CodeFacts]]]:
    """Return the user's functions that `func` reaches with items like these, and the objects, each with its path."""
    walk = _Walk(func, kinds=kinds_of(items))
    return walk.functions, walk.objects


class _Walk:
    """One walk; `own` tells whether the user's code holds a value, and not an object of a library."""

    most = _MAX_SEEN

    def __init__(self, root: object, path: str = "", kinds: Iterable[type] = ()) -> None:
        self.queue: list[tuple[str, object, CodeFacts, int, bool]] = []
        self.seen: set[tuple[int, int]] = set()
        self.handles: dict[int, str] = {}
        self.thread_handles: dict[int, str] = {}
        self.found = self.handles
        self.generators: list[tuple[str, object]] = []
        self.context: list[str] = []
        self.locals: list[tuple[str, Named, bool]] = []
        self.functions: list[FunctionType] = []
        self.kinds = {id(kind): kind for kind in kinds}
        self.objects: list[tuple[str, object, CodeFacts]] = []
        self.home: str | None = None
        self.meet(path, root, NO_FACTS, 0, own=True)
        while self.queue:
            self._follow()
            self.queue = []
            self._meet_methods()
        self._note_generators()
        if self.locals:
            self.found = self.thread_handles
            for path, named, _ in self.locals:  # a lock that one thread alone has is in nobody's way
                self._meet_all(path, named, NO_FACTS, 1, own=False)
            self._follow()

    def _follow(self) -> None:
        for path, value, facts, steps, own in self.queue:  # grows while it is walked
            try:
                self.read(path, value, facts, steps, own=own)
            except Exception:  # an object whose class fails when it is looked at; given up: what stands behind it
                continue

    def _meet_methods(self) -> None:
        """Put into the queue what the code names of all classes met: an object may have come to it from anywhere."""
        names = sorted({name for each in self.functions if self.kinds for name in code_facts(each.__code__).names})
        for kind in self.kinds.values():
            held = [(name, kind.__dict__[name]) for name in names if name in kind.__dict__]
            self._meet_all(kind.__name__, held, NO_FACTS)

    def _note_handle(self, path: str, value: object) -> None:
        if handles.is_live(value):
            self.found[id(value)] = f"{path} ({handles.type_name(value)})"

    def _note_generators(self) -> None:
        """Note the random generators that the code draws from: what nobody names, a model has kept from its start."""
        drawing = [function.__code__ for function in self.functions if function.__name__ not in CONSTRUCTORS]
        named = {name for code in drawing for name in code_facts(code).names}
        for path, value in self.generators:
            holder, _, name = path.partition("[")[0].rpartition(".")
            if not holder or not drawing or name in named:
                self._note_handle(path, value)

    def brought(self) -> list[str]:
        """List what a `threading.local` of the user's holds that the code does not assign: its caller did so."""
        facts = {function: code_facts(function.__code__) for function in self.functions if self.locals}
        if any("setattr" in each.names for each in facts.values()):
            return []
        made = {name for code, each in facts.items() for name in each.written - handles.constants_given(code).keys()}
        return [f"{path}.{name}" for path, named, own in self.locals for name, _ in named if own and name not in made]

    def meet(self, path: str, value: object, facts: CodeFacts, steps: int, *, own: bool) -> None:
        """Put a value that the code of `facts` reaches by `path` into the queue."""
        if type(value) in PLAIN or steps > _MAX_STEPS or len(self.queue) >= self.most:
            return
        spot = (id(value), id(facts) if is_class(value) or type(value) is ModuleType else 0)
        if spot not in self.seen:
            self.seen.add(spot)
            self.queue.append((path, value, facts, steps, own))

    def read(self, path: str, value: object, facts: CodeFacts, steps: int, *, own: bool) -> None:
        """Note a handle, or look into anything else."""
        if type(value) is FunctionType:
            self._read_function(value, own=own)
        elif type(value) is ModuleType:
            if self._is_ours(value.__dict__):
                self._meet_all(path, named_in(value.__dict__, facts), facts)
        elif is_class(value):
            self._read_class(value, facts)
        elif not _CONTAINERS.isdisjoint(type(value).__mro__):
            for name, element in _elements(value):
                self.meet(path + name, element, facts, steps + 1, own=own)
        elif type(value) is MethodType:
            self._read_method(value)
        else:
            self._read_object(path, handles.behind(value), facts, steps, own=own)

    def _is_ours(self, namespace: dict[str, object]) -> bool:
        """Tell whether code belongs to the user, or to the package of the function that was asked about."""
        if library(namespace) is None:
            return True
        package = str(namespace.get("__name__")).partition(".")[0]
        return package == self.home and package not in sys.stdlib_module_names

    def _meet_all(self, path: str, named: Named, facts: CodeFacts, steps: int = 0, *, own: bool = True) -> None:
        for name, value in named:
            self.meet(f"{path}.{name}" if path else name, value, facts, steps, own=own)

    def _read_function(self, function: FunctionType, *, own: bool) -> None:
        facts = code_facts(function.__code__)
        namespace = function.__globals__
        if self.home is None:
            self.home = str(namespace.get("__name__")).partition(".")[0]
        if self._is_ours(namespace):
            self.functions.append(function)
            named = globals_of(function, facts)
            if facts.imports:
                from amorsize.identity.imports import absolute

                named += [(name, sys.modules.get(name)) for name in absolute(facts.imports, namespace)]
            self._meet_all("", named, facts, own=library(namespace) is None)
            self._meet_all("", defaults(function), facts, own=own)
        self._meet_all("", cells(function), facts, own=own)
        self.meet("__wrapped__", getattr(function, "__wrapped__", None), facts, 0, own=own)

    def _read_class(self, kind: type, facts: CodeFacts) -> None:
        for base in users_bases(kind):
            self.kinds[id(base)] = base
            named = named_in(base.__dict__, facts) + special_methods(base)
            self._meet_all(base.__name__, named, facts)
            for _, value in named:
                if type(value) is FunctionType:  # what a method names may be another attribute of its class
                    self.meet("", kind, code_facts(value.__code__), 0, own=True)

    def _read_method(self, method: MethodType) -> None:
        code = getattr(method.__func__, "__code__", None)
        facts = NO_FACTS if code is None else code_facts(code)
        self.meet("", method.__func__, facts, 0, own=True)
        self.meet("self", method.__self__, facts, 0, own=True)

    def _read_object(self, path: str, value: object, facts: CodeFacts, steps: int, *, own: bool) -> None:
        if type(value) is ContextVar:
            if value in copy_context():
                self.context.append(path)
            return
        if own:
            self.objects.append((path, value, facts))
        verdict = handles.judge(type(value))
        if verdict == handles.GENERATOR and own:
            self.generators.append((path, value))
        elif verdict == handles.HANDLE or (verdict == handles.LOCK and own):
            self._note_handle(path, value)
        elif verdict == handles.LOCAL:
            self.meet(path, type(value), facts, steps, own=own)
            self.locals.append((path, handles.of_threads(value), own))
        elif verdict not in (handles.LOCK, handles.GENERATOR, handles.OPAQUE):
            own = own and module_library(type(value).__module__) is None
            if own:
                self.meet(path, type(value), facts, steps, own=own)
            parts = inner_parts(value)
            self._meet_all(path, parts, facts, steps + 1, own=True)
            # What else a library's wrapper keeps is bookkeeping: 1,000 things of one of Numba's took 10 ms a call.
            beside = _MAX_STEPS - 1 if parts and not own else 0
            self._meet_all(path, instance_attributes(value), facts, max(beside, steps + 1), own=own)
            for result in handles.cached(value) if verdict == handles.CACHE else ():
                self.meet(f"{path or 'cached'}()", result, facts, steps + 1, own=own)


class _ItemWalk(_Walk):
    """A walk over what an item holds; what its class may do is not known to be done to it."""

    most = _MAX_SEEN_OF_AN_ITEM

    def _read_class(self, kind: type, facts: CodeFacts) -> None:
        pass


def _is_plain(item: object) -> bool:
    """Tell at a glance that nothing stands behind an item."""
    return PLAIN.issuperset(map(type, item[:_MAX_ELEMENTS]) if type(item) is tuple else (type(item),))


def _elements(container: Any) -> Named:  # Any: a dict, list, tuple or set, or a subclass of one
    """List the first elements of a container, named as people would reach them; a subclass's own methods are not
    asked."""
    kind: Any = next(kind for kind in type(container).__mro__ if kind in _CONTAINERS)
    if kind is dict:
        found = list(islice(dict.items(container), _MAX_ELEMENTS))
        return [(f"[{key!r}]" if type(key) in PLAIN else "[...]", value) for key, value in found]
    return [(f"[{at}]", element) for at, element in enumerate(islice(kind.__iter__(container), _MAX_ELEMENTS))]
