"""Write a value as something that every process writes alike: small values as they are, all others as their type."""

from __future__ import annotations

from marshal import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PLAIN = frozenset({bool, int, float, complex, str, bytes, type(None), type(...)})
MUTABLE = frozenset({list, dict, set, bytearray})
CONTAINERS = MUTABLE | {tuple, frozenset}

# Elements up to which a container is read. More are data, not settings: reading them would cost more at each call
# (0.3 us an element) than the difference that they make is worth.
MAX_ELEMENTS = 32

# How deep containers are read inside one another.
MAX_DEPTH = 3

# Characters or bytes up to which text is taken whole; of longer text, the length and both ends.
MAX_TEXT = 1024
_TEXT_END = 256

# Bits up to which an integer is taken whole.
MAX_INT_BITS = 1024


def value_token(value: object, deep: int = MAX_DEPTH) -> object:
    """Return a hashable stand-in for a value, of nothing but what `marshal` knows."""
    if type(value) is int:
        bits = value.bit_length()
        return value if bits <= MAX_INT_BITS else ("int", bits)
    if type(value) is str or type(value) is bytes:
        n = len(value)
        return value if n <= MAX_TEXT else (type(value).__name__, n, value[:_TEXT_END], value[-_TEXT_END:])
    if type(value) in PLAIN:
        return value
    if type(value) in CONTAINERS and isinstance(value, list | tuple | dict | set | frozenset | bytearray):
        return _container_token(value, deep)
    return (type(value).__qualname__,)


def _container_token(
    container: list[object] | tuple[object, ...] | dict[object, object] | set[object] | frozenset[object] | bytearray,
    deep: int,
) -> tuple[object, ...]:
    kind = type(container)
    if len(container) > MAX_ELEMENTS or not deep:
        return (kind.__name__,)
    if isinstance(container, dict):  # the tuple is made in one step: another thread may be writing
        found = [(value_token(key, deep - 1), value_token(value, deep - 1)) for key, value in tuple(container.items())]
        return (kind.__name__, tuple(sorted(found, key=written)))
    tokens = [value_token(element, deep - 1) for element in tuple(container)]
    if kind is set or kind is frozenset:  # their order changes with the hash seed
        tokens.sort(key=written)
    return (kind.__name__, tuple(tokens))


def elements(container: object, deep: int = MAX_DEPTH) -> list[object]:
    """List what is neither plain nor a container in a small container; sets have no order to list it in."""
    if not isinstance(container, dict | list | tuple) or len(container) > MAX_ELEMENTS or not deep:
        return []
    found: list[object] = []
    for element in tuple(container.values() if isinstance(container, dict) else container):
        if type(element) in CONTAINERS:
            found += elements(element, deep - 1)
        elif type(element) not in PLAIN:
            found.append(element)
    return found


def written(token: Any) -> bytes:  # Any: marshal's own type is private
    """Return a token's bytes; version 2 of the format does not depend on how often an object is referred to."""
    return dumps(token, 2)
