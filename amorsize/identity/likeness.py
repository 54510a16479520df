"""Tell whether two processes have the same function: the same code, and the same state for it to work with.

A profile may be shared by functions that differ a little; a worker must not run one that differs at all. So this digest
takes in what `function_key` leaves out: long texts and large containers, what containers hold that the code may change,
and what the objects in them hold. What the code itself assigns (a counter, a lazily made client) still does not count,
on the object that it is assigned on.

What can be sent and not be compared is unlike anything, also itself; what can be neither (a lock) is not looked into.
Equal things may be told apart (a set of texts, whose order changes with the hash seed): the function then travels as
code, which is slower and never wrong.
"""

from __future__ import annotations

import os
import sys
from _blake2 import blake2b
from itertools import islice

from amorsize.identity.code import NO_FACTS, CodeFacts, code_facts
from amorsize.identity.function import Walk
from amorsize.identity.loads import (
    CONSTRUCTORS,
    FunctionType,
    MethodType,
    ModuleType,
    cells,
    inner_parts,
    instance_attributes,
    is_class,
    is_code,
    named_in,
)
from amorsize.identity.naming import own_name
from amorsize.identity.origin import library, module_library, users_bases
from amorsize.identity.unchanged import while_unchanged
from amorsize.identity.uses import SELF, stores
from amorsize.identity.values import (
    CONTAINERS,
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_INT_BITS,
    MAX_TEXT,
    PLAIN,
    elements,
    value_token,
    written,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterator
    from typing import Any

    from amorsize.identity.loads import Named
else:
    from _collections import deque  # the C half is all that is needed; `collections` itself costs 2 ms

# As in a key, but a difference beyond it would be a wrong result: 10 ms, and what reaches more travels as code.
_MAX_REACHED = 2000

# Elements of one container that are looked at for functions and classes: 1 ms.
_MAX_LEAVES = 1000

_PLAIN_COPIES: dict[type, Callable[[Any], object]] = {
    dict: dict.copy,
    list: list.copy,
    set: lambda value: set(set.__iter__(value)),
    frozenset: lambda value: set(frozenset.__iter__(value)),
    bytearray: lambda value: bytes(memoryview(value)),
    bytes: lambda value: bytes(memoryview(value)),
    str: lambda value: str.__getitem__(value, slice(None)),
}
"""What an object of a user's own class of container or text holds, without asking any method of that class."""


@while_unchanged
def likeness(func: object) -> str:
    """Return a digest that is equal in another process only where the function is the same there; never raises.

    Example:
        >>> likeness(len) == likeness(len), likeness(len) == likeness(abs)
        (True, False)
    """
    try:
        said = _State(func).written_down()
    except Exception:  # a class that fails when it is looked at
        said = _unlike_anything()
    return blake2b(written((sys.implementation.cache_tag, said)), digest_size=16).hexdigest()


class _State(Walk):
    """One walk over all that a function reaches, and what that holds."""

    most = _MAX_REACHED

    def __init__(self, func: object) -> None:
        self.called: dict[int, set[str]] = {}  # id of an object -> what the code calls it
        self.stored: set[tuple[object, str]] = set()  # that, its class or its id; what the code assigns
        super().__init__(func)

    def _walk(self, func: object) -> None:
        """Read what is reached by name; then the methods that the code names of all classes met, whose objects it may
        have been given by anybody."""
        super()._walk(func)
        stored = self.stored.copy()
        n_read = 0
        while n_read < len(self.queue):
            n_read = len(self.queue)
            self._meet_methods()
            self._follow(n_read)
        self.stored = stored  # by the others it is not known that they are called

    def _meet_methods(self) -> None:
        reached = [each for each, _, _ in self.queue]
        codes = [each.__code__ for each in reached if type(each) is FunctionType and library(each.__globals__) is None]
        names = {name for code in codes for name in code_facts(code).names}
        for kind in filter(is_class, reached):
            for base in users_bases(kind):
                for name in sorted(names & base.__dict__.keys()):
                    self._meet_attribute(NO_FACTS, name, base.__dict__[name], kind)

    def written_down(self) -> bytes:
        """Return everything that counts as bytes."""
        return written((self.tokens, [(name, _token(value)) for _, name, value in self.values]))

    def _unread(self, reached: object) -> object:
        return _content(reached)

    def _is_kept(self, holder: object, name: str) -> bool:
        """Tell whether the code assigns this attribute of this object itself, as far as is known."""
        if not super()._is_kept(holder, name):
            return False
        said = (id(holder), *type(holder).__mro__, *self.called.get(id(holder), ()))
        return any((each, name) in self.stored for each in said)

    def _meet(self, facts: CodeFacts, name: str, value: object, owner: type | None = None) -> None:
        if type(value) not in PLAIN:
            self.called.setdefault(id(value), set()).add(name)
        super()._meet(facts, name, value, owner)
        if type(value) is FunctionType:
            self._meet_all_of(value, named_in(value.__dict__, facts))

    def _meet_all_of(self, holder: object, named: Named) -> None:
        for name, held in named:
            if not self._is_kept(holder, name):
                self._meet(NO_FACTS, name, held)

    def _read_function(self, function: FunctionType, owner: type | None) -> None:
        for name, value in cells(function):
            self.called.setdefault(id(value), set()).add(name)
        super()._read_function(function, owner)

    def _read_code(self, function: FunctionType, facts: CodeFacts, owner: type | None) -> None:
        super()._read_code(function, facts, owner)
        if function.__name__ in CONSTRUCTORS or facts.written <= facts.globals_written:
            return  # nearly always: to read instructions takes 3 ms the first time
        mine = owner if owner is None or not _takes_class(function, owner) else id(owner)
        self.stored |= {(mine if called == SELF else called, name) for called, name in stores(function.__code__)}

    def _enqueue(self, facts: CodeFacts, value: object, owner: type | None) -> int:
        place = super()._enqueue(facts, value, owner)
        if place < 0:
            self.tokens.append(_unlike_anything())
        return place

    def _meet_container(self, facts: CodeFacts, name: str, value: object) -> None:
        self.values.append((facts, name, value))
        for element in elements(value):
            self.tokens += (name, self._enqueue(facts, element, None))
        self._meet_code_in(facts, value)

    def _meet_code_in(self, facts: CodeFacts, container: object) -> None:
        """Take in the functions and classes of what is in a container of any size; what its objects hold is said by its
        content."""
        found = _leaves(container, MAX_DEPTH, _MAX_LEAVES)
        met = {id(code): code for code in [each if is_class(each) or is_code(each) else type(each) for each in found]}
        for each in sorted(met.values(), key=_title):
            self.tokens.append(self._enqueue(facts, each, None))

    def _read_object(self, value: object, facts: CodeFacts, owner: type | None) -> None:
        super()._read_object(value, facts, owner)
        if type(value) in (MethodType, FunctionType, ModuleType) or own_name(value) is not None:
            return
        if module_library(type(value).__module__) is not None:
            if not inner_parts(value):
                self.tokens.append(_content(value))
            self._meet_code_in(facts, value)
            return
        for base, copy_of in _PLAIN_COPIES.items():
            if base in type(value).__mro__:
                self.tokens.append(_content(copy_of(value)))
        self._meet_all_of(value, sorted(instance_attributes(value), key=lambda named: named[0]))

    def _read_attributes(self, value: object, *, is_root: bool) -> None:
        """Leave that to `_read_object`: all that an object holds counts, not only code."""


def _takes_class(function: FunctionType, owner: type) -> bool:
    """Tell whether a method is given the class instead of an object."""
    return any(classmethod in type(base.__dict__.get(function.__name__)).__mro__ for base in owner.__mro__)


def _leaves(container: object, deep: int, most: int) -> Iterator[object]:
    """Yield what is in a container, keys included, and neither plain nor a container itself.

    Args:
        container: of any size.
        deep: how deep to look into containers inside one another.
        most: elements that are looked at; of more, the first.
    """
    if not isinstance(container, dict | list | tuple | set | frozenset | deque):
        return
    found = list(islice(container, most))
    if isinstance(container, dict):
        found += islice(container.values(), most)
    if not PLAIN.issuperset(map(type, found)):
        for each in found:
            if type(each) in CONTAINERS and deep:
                yield from _leaves(each, deep - 1, MAX_ELEMENTS)
            elif type(each) not in PLAIN:
                yield each


def _token(value: object) -> object:
    token = value_token(value)
    try:
        is_whole = _is_whole(value, MAX_DEPTH)
    except Exception:  # a class that fails when it is looked at
        is_whole = False
    return token if is_whole else (token, _content(value))


def _is_whole(value: object, deep: int) -> bool:
    """Tell whether a value's token says all of it."""
    if isinstance(value, int):
        return value.bit_length() <= MAX_INT_BITS
    if isinstance(value, str | bytes):
        return len(value) <= MAX_TEXT
    if type(value) in PLAIN:
        return True
    if type(value) not in CONTAINERS:
        return deep < MAX_DEPTH  # inside a container: it was met on its own
    assert isinstance(value, dict | list | tuple | set | frozenset | bytearray)
    if len(value) > MAX_ELEMENTS or not deep:
        return False
    inside = (part for pair in value.items() for part in pair) if isinstance(value, dict) else iter(value)
    return all(_is_whole(element, deep - 1) for element in inside)


def _content(value: object) -> bytes:
    """Return a digest of all that is in a value; empty where it cannot be sent to another process at all."""
    import pickle

    buffers: list[pickle.PickleBuffer] = []
    try:
        head = pickle.dumps(value, 5, buffer_callback=buffers.append)
        digest = blake2b(head, digest_size=16)
        for buffer in buffers:
            digest.update(buffer.raw())
    except Exception:  # of a user's `__reduce__`, which may raise anything: a lambda, a lock, a client
        return _unlike_anything() if _travels_as_code(value) else b""
    return digest.digest()


def _travels_as_code(value: object) -> bool:
    import cloudpickle

    try:
        cloudpickle.dumps(value)
    except Exception:  # as above
        return False
    return True


def _title(code: object) -> str:
    return f"{getattr(code, '__module__', None)}:{getattr(code, '__qualname__', None)}"


def _unlike_anything() -> bytes:
    return os.urandom(16)
