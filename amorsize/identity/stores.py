"""Find whose attributes code assigns: those of a global, of a variable around it, of an attribute, or of its `self`.

    SETTINGS.n_calls += 1     (SETTINGS, n_calls)
    self.stats.n = 1          (stats, n)
    self.client = connect()   (SELF, client)
    made.width = 2            nothing, where `made` is what a call has returned, an item or a parameter

Only what has a name, or is `self`, can be state that is found again.
"""

from __future__ import annotations

from amorsize.identity.code import CODE_TYPE
from amorsize.identity.process_state import steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import CodeType

    Stores = frozenset[tuple[str, str]]  # what the object is called, and its attribute

SELF = ""
"""Stands for the first parameter, whatever that is called."""

# Code objects whose stores are remembered.
_MAX_READ = 256

_read: dict[CodeType, Stores] = {}


def stores(code: CodeType) -> Stores:
    """Return what a code and those nested in it assign, each attribute with what its object is called; 3 ms to load
    `dis` for the first."""
    if code not in _read:
        if len(_read) >= _MAX_READ:
            _read.clear()
        _read[code] = frozenset(_stores_in(code, dict.fromkeys(code.co_varnames[: bool(code.co_argcount)], SELF)))
    return _read[code]


def _stores_in(code: CodeType, around: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """Yield these.

    Args:
        code: read from its first to its last instruction, as if it never jumped.
        around: variable -> what the object in it is called; None for nothing.
    """
    bound = dict(around)
    called: str | None = None  # what is on top of the stack
    updated: list[str | None] = []  # the objects whose attribute is being computed from its value
    before = ""
    for verb, name in steps(code):
        if verb == "assigned":
            holder = called if before or not updated else updated.pop()
            if holder is not None:
                yield holder, name
        elif verb == "attribute":
            updated += [called] if before == "copy" else []
            called = name
        elif verb in ("global", "cell", "local"):
            called = bound.get(name, None if verb == "local" else name)
        elif verb == "store":
            bound[name] = called
        elif verb not in ("", "copy"):
            called = None
        before = verb
    for const in code.co_consts:
        if type(const) is CODE_TYPE:
            yield from _stores_in(const, {name: held for name, held in bound.items() if name not in const.co_varnames})
