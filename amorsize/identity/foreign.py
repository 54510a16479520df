"""List what a program may have set in libraries that a function uses: `shop.config.TAX = 5`, `json.dumps = mine`.

    what the user's code reaches of libraries ──> code of installed packages behind it, up to a bound ──┐
                                                                                                        │ names
    module, path in it, token of what is there  <── plain values, objects, code of the user's  <────────┘

A fresh interpreter imports a library and has what that begins with, however the function travels. There each of these
is looked up, and found alike or not. What the code that is read here assigns itself (a counter, a cache) does not
count. Of the standard library only what the user's code names is looked at.
"""

from __future__ import annotations

import sys

from amorsize.identity.code import CodeFacts, code_facts
from amorsize.identity.function import Walk, function_key
from amorsize.identity.loads import (
    CONSTRUCTORS,
    FunctionType,
    ModuleType,
    class_of,
    inner_parts,
    instance_attributes,
    is_class,
    named_in,
)
from amorsize.identity.origin import library, module_library
from amorsize.identity.uses import SELF, stores
from amorsize.identity.values import CONTAINERS, MUTABLE, PLAIN, value_token, written

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import CodeType
    from typing import Any

    Place = tuple[str, str]  # module, path in it
    Foreign = tuple[tuple[str, str, object], ...]  # module, path in it, token of what is there

# Functions, classes and modules of libraries that are read: a bound on the time, 2 ms, and once 7 ms. What lies beyond
# counts as alike.
_MAX_READ = 100

# Steps from a module's variable to an attribute: `shop.options.rates.tax` has two.
_MAX_STEPS = 2

# Functions of which it is remembered what they use.
_MAX_KNOWN = 256

_OF_THE_USER, _OF_A_LIBRARY = ("user",), ("library",)

_CODE = (FunctionType, type(len))

# Methods that are called without being named.
_UNNAMED = ("__init__", "__call__")

# Where pandas keeps its options. Some it sets itself, by whether it finds a terminal or a notebook around it: there a
# fresh interpreter would never be alike, and is made so.
_OPTIONS = {"pandas._config": "_global_config", "pandas._config.config": "_global_config"}

# Where matplotlib keeps how it draws, and what of that is about windows, which workers open none of.
_STYLE = "matplotlib", "rcParams"
_OF_WINDOWS = frozenset({"backend", "backend_fallback", "interactive", "toolbar"})

_known: dict[tuple[str, tuple[type, ...]], list[Place]] = {}


def foreign(func: object, kinds: tuple[type, ...] = ()) -> Foreign:
    """Return what libraries hold that a function uses, with items of these classes; never calls it, never raises.

    Takes 0.1 ms once it is known where to look.

    Example:
        >>> import string
        >>> foreign(lambda: string.digits)
        (('string', 'digits', '0123456789'),)
    """
    known = function_key(func).digest, kinds
    if known not in _known:
        if len(_known) >= _MAX_KNOWN:
            _known.clear()
        try:
            _known[known] = _Reading(Walk(func), kinds).places()
        except Exception:  # a class that fails when it is looked at; given up: what libraries hold
            _known[known] = []
    held = [(module, path, _token(_at(module, path))) for module, path in _known[known]]
    return tuple(each for each in held if each[2] != _OF_A_LIBRARY)  # it may be there once it is first needed


def otherwise(held: Foreign) -> str | None:
    """Return the full name of what is not so in this process; None where all is, also since it was set: an option."""
    for module, path, token in held:
        try:
            __import__(module)
        except (Exception, SystemExit):  # of a module that loads only once; given up: what it holds
            continue
        if _OPTIONS.get(module) == path:
            _set_options(_at(module, path), token)
        elif (module, path) == _STYLE:
            _set_style(_at(module, path), token)
        if written(_token(_at(module, path))) != written(token):  # as bytes, for what is not equal to itself
            return f"{module}.{path}"
    return None


def _set_options(here: Any, token: Any, group: str = "") -> None:
    """Set those options that have another value here, by the library's own function for it.

    Args:
        here: name -> value, or such a group again.
        token: of the caller's.
        group: name of the group, with a dot at its end.
    """
    for name, value in token[1] if token[0] == "dict" and len(token) > 1 else ():
        if type(here) is not dict or here.get(name) == value:
            continue
        if type(value) is tuple:
            _set_options(here.get(name), value, f"{group}{name}.")
            continue
        try:
            sys.modules["pandas"].set_option(f"{group}{name}", value)
        except Exception:  # one that this library does not take, or warns of; given up: it, and the look finds that
            continue


def _set_style(here: Any, token: Any) -> None:
    """Have matplotlib draw as it does for the caller.

    Args:
        here: all settings.
        token: of the caller's.
    """
    wanted = dict(token[1])
    before = dict.fromkeys(name for name, _ in _style(here))
    for name in {**before, **wanted}:
        value = wanted.get(name, dict.get(sys.modules["matplotlib"].rcParamsDefault, name))
        try:
            here[name] = list(value) if type(value) is tuple else value
        except Exception:  # what no text says, such as the colours of an array; given up: it, and the look finds that
            continue


def _style(here: Any) -> tuple[tuple[str, Any], ...]:
    """Return what is not as matplotlib has it by itself, in words that it would understand; 0.1 ms."""
    by_itself = dict.items(sys.modules["matplotlib"].rcParamsDefault)
    there = {name: _words(value) for name, value in by_itself if name not in _OF_WINDOWS}
    found = {name: _words(dict.get(here, name)) for name in there}
    return tuple(sorted((name, words) for name, words in found.items() if words != there[name]))


def _words(value: Any) -> Any:
    if type(value) is list or type(value) is tuple:
        return tuple(each if type(each) in PLAIN else str(each) for each in value)
    return value if type(value) in PLAIN else str(value)


def _at(module: str, path: str) -> object:
    """Return what stands there, without asking any class for it."""
    value: object = sys.modules.get(module)
    for name in path.split("."):
        held = value.__dict__ if type(value) is ModuleType or is_class(value) else dict(instance_attributes(value))
        value = held.get(name)
    return value


def _token(value: object) -> object:
    """Return a stand-in: of a small value itself, of anything else whether it is code, or an object, of the user's."""
    if type(value) in PLAIN or type(value) in CONTAINERS:
        return value_token(value)
    if type(value).__name__ == "RcParams":
        return "style", _style(value)
    return _OF_THE_USER if _origin(value) is None else _OF_A_LIBRARY


def _origin(value: object) -> str | None:
    """Name the library that an object, or the code that it is, belongs to; None for the user's own."""
    if type(value) is FunctionType:
        return library(value.__globals__)
    if type(value) is ModuleType:
        return library(value.__dict__)
    parts = [] if is_class(value) else inner_parts(value)
    return _origin(parts[0][1]) if parts else module_library(class_of(value).__module__)


class _Reading:
    """One reading of what libraries hold.

    Args:
        walk: over the user's code.
        kinds: classes of items.
    """

    def __init__(self, walk: Walk, kinds: Iterable[type]) -> None:
        self.found: dict[Place, object] = {}
        self.queue: list[tuple[object, CodeFacts]] = []
        self.seen: set[tuple[int, int]] = set()
        self.written: set[str] = set()
        self.constructors: list[CodeType] = []
        for value, facts, _ in walk.queue:
            if type(value) is ModuleType and _is_standard(value.__name__):
                self._note_code(value, facts)
            self._meet(value, facts)
        codes = [value.__code__ for value, _, _ in walk.queue if type(value) is FunctionType]
        for kind in kinds:
            for code in codes:
                self._meet(kind, code_facts(code))
        for value, facts in self.queue:  # grows while it is walked
            self._read(value, facts)
            if _home(value).partition(".")[0] == _STYLE[0]:
                self.found[_STYLE] = _at(*_STYLE)

    def places(self) -> list[Place]:
        """Return where to look, but for what the code that was read assigns, and what a look does not find there."""
        names = {path.rpartition(".")[2] for _, path in self.found}
        for code in self.constructors:
            if not names.isdisjoint(code_facts(code).written):  # hardly ever: to read instructions takes 3 ms at first
                self.written.update(name for called, name in stores(code) if called != SELF)
        kept = [place for place in self.found if place[1].rpartition(".")[2] not in self.written]
        return sorted(place for place in kept if _at(*place) is self.found[place])

    def _note_code(self, module: ModuleType, facts: CodeFacts) -> None:
        """Note plain values of a module of the standard library, and its code, in whose place may be the program's."""
        for name, held in named_in(module.__dict__, facts):
            if type(held) in PLAIN or type(held) in _CODE or is_class(held):
                self.found[module.__name__, name] = held

    def _meet(self, value: object, facts: CodeFacts) -> None:
        """Put a function, class or module of an installed package into the queue."""
        facts = code_facts(value.__code__) if type(value) is FunctionType else facts
        if type(value) not in (FunctionType, ModuleType) and not is_class(value):
            return
        home = _home(value)
        spot = id(value), id(facts)
        if len(self.queue) < _MAX_READ and spot not in self.seen and not (_origin(value) is None or _is_standard(home)):
            self.seen.add(spot)
            self.queue.append((value, facts))

    def _read(self, value: object, facts: CodeFacts) -> None:
        if type(value) is FunctionType:
            module = str(value.__globals__.get("__name__"))
            if value.__name__ in CONSTRUCTORS:
                self.written |= facts.globals_written
                self.constructors.append(value.__code__)  # which may count in its class how many it has made
            else:
                self.written |= facts.written
            self._note_all(module, "", value.__globals__, facts)
        elif type(value) is ModuleType:
            self._note_all(value.__name__, "", value.__dict__, facts)
        elif is_class(value):
            for base in value.__mro__[:-1]:
                self._read_class(value, base, facts)

    def _read_class(self, kind: type, base: type, facts: CodeFacts) -> None:
        self._note_all(base.__module__, f"{base.__qualname__}.", base.__dict__, facts)
        methods = [base.__dict__[name] for name in (*facts.names, *_UNNAMED) if name in base.__dict__]
        for part in [part for method in methods for part in _parts(method)]:
            self._meet(part, facts)
            if type(part) is FunctionType:  # what it names may be another attribute of its class
                self._meet(kind, code_facts(part.__code__))

    def _note_all(self, module: str, path: str, namespace: Mapping[str, object], facts: CodeFacts) -> None:
        if not _is_standard(module):
            for name, held in named_in(namespace, facts):
                self._note(module, path + name, held, facts, 0)

    def _note(self, module: str, path: str, held: object, facts: CodeFacts, steps: int) -> None:
        """Note what is no code of a library, and meet what is."""
        is_code = type(held) is FunctionType or type(held) is ModuleType or is_class(held)
        if not (type(held) in MUTABLE and facts.mutates):
            self.found[module, path] = held
        if type(held) in PLAIN or type(held) in CONTAINERS:
            return
        for part in (type(held), *_parts(held)):
            self._meet(part, facts)
        for name, inner in instance_attributes(held) if steps < _MAX_STEPS and not is_code else ():
            if name in facts.names:
                self._note(module, f"{path}.{name}", inner, facts, steps + 1)


def _home(value: Any) -> str:
    """Return the name of a module, or of the one that a function or class belongs to."""
    return value.__name__ if type(value) is ModuleType else str(value.__module__)


def _parts(value: object) -> list[object]:
    """List a value, and what stands inside of it where it is a wrapper."""
    return [value, *[part for _, part in (() if is_class(value) else inner_parts(value))]]


def _is_standard(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names
