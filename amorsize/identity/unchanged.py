"""Tell, for 2 us, that a function is what it was when somebody last went through all that it reaches.

Going through takes longer, and a call asks three times: for its key, its likeness and its handles.
What a small function holds can be listed: its code, and the values of its defaults, cells and globals. Where those are
the very same objects, none of which can change, so is the answer.
"""

from __future__ import annotations

from _operator import is_  # `operator` itself takes 0.4 ms
from _weakref import ref

from amorsize.identity.code import code_facts
from amorsize.identity.loads import FunctionType, ModuleType
from amorsize.identity.origin import library
from amorsize.identity.values import PLAIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Any, Protocol, TypeVar

    T = TypeVar("T")
    T_co = TypeVar("T_co", covariant=True)

    class Question(Protocol[T_co]):
        """A question about a function, and what to look at it in, where it has no quick answer."""

        __qualname__: str

        def __call__(self, func: object, around: Callable[[], AbstractContextManager[None]] | None = None) -> T_co: ...


MOST_REMEMBERED = 64
"""Functions whose answer is remembered: who works with more at once asks anew."""

MOST_KEPT = 1 << 16
"""Characters or bytes of a text that is kept to be compared; a function that holds a longer one is gone through each
time, and the text goes when its owner lets it go."""

_NOTHING = object()
"""Stands for a global that is not there."""


def _held(func: object) -> list[object] | None:
    """Return what a function is made of and holds right now; None where that cannot be listed."""
    if type(func) is not FunctionType or "__wrapped__" in func.__dict__ or func.__kwdefaults__:
        return None
    if type(func.__globals__) is not dict:  # the user's own class, which may do anything
        return None
    held: list[object] = [func.__code__, func.__module__, func.__qualname__, func.__name__, *(func.__defaults__ or ())]
    try:
        facts, namespace = code_facts(func.__code__), func.__globals__
        held.append(len(facts.unsteady))
        held += [namespace.get(name, _NOTHING) for name in facts.names]
        held += [cell.cell_contents for cell in func.__closure__ or ()]
    except ValueError:  # a cell that is not set yet; given up: a quick answer
        return None
    return held


def _is_fixed(func: Any, held: list[object]) -> bool:
    """Tell whether nothing of what a function holds can change."""
    found, namespace = held[1:], func.__globals__
    try:
        loose = [value for value in found if type(value) not in PLAIN and value is not _NOTHING]
        is_all_libraries = all(_is_library(value, namespace) for value in loose)
    except Exception:  # a class that cannot be looked at; given up: a quick answer
        return False
    if not is_all_libraries or code_facts(func.__code__).imports:
        return False
    return not any(isinstance(value, str | bytes) and len(value) > MOST_KEPT for value in found)


def _is_library(value: object, namespace: dict[str, object]) -> bool:
    """Tell whether a value is the module of a library that is not the function's own: it is not looked into."""
    return type(value) is ModuleType and library(value.__dict__) is not None and library(namespace) is None


def _are_same(before: list[object], now: list[object]) -> bool:
    return len(before) == len(now) and all(map(is_, before, now))


def while_unchanged(answer: Callable[[object], T]) -> Question[T]:
    """Have a question about a function answered once for as long as nothing of it has changed."""
    known: dict[int, tuple[ref[object], list[object], T]] = {}

    def asked(func: object, around: Callable[[], AbstractContextManager[None]] | None = None) -> T:
        held, found = _held(func), known.get(id(func))
        if held is not None and found is not None:
            owner, before, said = found
            if owner() is func and _are_same(before, held):
                return said
        if around is not None:
            with around():
                return asked(func)
        if held is None or not _is_fixed(func, held):
            return answer(func)
        if len(known) >= MOST_REMEMBERED:
            known.clear()
        owner, said = ref(func), answer(func)
        known[id(func)] = owner, held, said
        return said

    for name in ("__module__", "__name__", "__qualname__", "__doc__"):  # as `functools.wraps`, without loading it
        setattr(asked, name, getattr(answer, name))
    return asked
