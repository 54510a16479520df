"""Tell whether two processes have the same function: the same code, and the same state for it to work with.

A profile may be shared by functions that differ a little; a worker must not run one that differs at all. So this digest
takes in what `function_key` leaves out: long texts and large containers, what containers hold that the code may change,
and what the objects in them hold. What the code itself assigns (a counter, a lazily made client) still does not count.

What can be sent and not be compared is unlike anything, also itself; what can be neither (a lock) is not looked into.
Equal things may be told apart (a set of texts, whose order changes with the hash seed): the function then travels as
code, which is slower and never wrong.
"""

from __future__ import annotations

import os
import sys
from _blake2 import blake2b

from amorsize.identity.code import NO_FACTS, CodeFacts
from amorsize.identity.function import Walk
from amorsize.identity.loads import FunctionType, MethodType, ModuleType, inner_parts, instance_attributes
from amorsize.identity.naming import own_name
from amorsize.identity.origin import module_library
from amorsize.identity.unchanged import while_unchanged
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
    from collections.abc import Callable
    from typing import Any

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

    __slots__ = ()

    def written_down(self) -> bytes:
        """Return everything that counts as bytes."""
        values = [(name, _token(value)) for _, name, value in self.values if name not in self.written]
        return written((self.tokens, values))

    def _unread(self, reached: object) -> object:
        return _content(reached)

    def _meet_container(self, facts: CodeFacts, name: str, value: object) -> None:
        self.values.append((facts, name, value))
        for element in elements(value):
            self.tokens += (name, self._enqueue(facts, element, None))

    def _read_object(self, value: object, facts: CodeFacts, owner: type | None) -> None:
        super()._read_object(value, facts, owner)
        if type(value) in (MethodType, FunctionType, ModuleType) or inner_parts(value) or own_name(value) is not None:
            return
        if module_library(type(value).__module__) is not None:
            self.tokens.append(_content(value))
            return
        for base, copy_of in _PLAIN_COPIES.items():
            if base in type(value).__mro__:
                self.tokens.append(_content(copy_of(value)))
        for name, held in sorted(instance_attributes(value), key=lambda named: named[0]):
            if name not in self.written:
                self._meet(NO_FACTS, name, held)


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
    if (
        not isinstance(value, dict | list | tuple | set | frozenset | bytearray)
        or len(value) > MAX_ELEMENTS
        or not deep
    ):
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


def _unlike_anything() -> bytes:
    return os.urandom(16)
