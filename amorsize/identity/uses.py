"""Read what code does with the objects that have a name in it: which attribute or element of which it reads or changes.

groups[n % 3].append(n)

groups   %  3              ──>   ("groups",)   None                   a path where a value has a name, else None
[...]                      ──>   ("groups", "[]")                     read
.append                    ──>   ("groups", "[]", "append")           read
"""

from __future__ import annotations

import sys

from amorsize.identity.code import CODE_TYPE

TYPE_CHECKING = False
if TYPE_CHECKING:
    import dis
    from collections.abc import Callable, Mapping
    from types import CodeType
    from typing import TypeAlias

    Path: TypeAlias = tuple[str, ...]  # a variable, then names of attributes, and "[]" for an element
    Use: TypeAlias = tuple[str, Path]  # what is done, and to which

READ, STORED, UPDATED, MADE, DELETED, USED = "read", "stored", "updated", "made", "deleted", "used"
"""What is done: `updated` is stored after it was computed from what was there, as by `+=`; `made` is stored in a name
around the code, only where that was found empty or full; `used` is read after it was stored."""

ELEMENT = "[]"

TESTED = "in"
"""Stands, as if it were an attribute, for whether a container has an element."""

SELF = ""
"""Stands for the first parameter, whatever that is called."""

# In a path: this was computed from what stands there; and where a dict's `get` has found its element.
_FROM, _GOT = "=", "get()"

# Instructions that leave what is on the stack, those that take from it alone, and those that put onto it alone. Of any
# other it is only known by how much the stack grows: what it puts there last may be anything.
_IDLE = frozenset({"CACHE", "EXTENDED_ARG", "KW_NAMES", "NOP", "NOT_TAKEN", "PRECALL", "RESUME", "TO_BOOL"})
_TAKING = ("DELETE_", "DICT_", "LIST_", "MAP_", "POP_", "SET_", "STORE_")
_PUSHING = ("LOAD_CLOSURE", "LOAD_COMMON_CONSTANT", "LOAD_CONST", "LOAD_SMALL_INT", "PUSH_NULL")

# Those after which a code does not go on.
_LEAVING = ("RAISE_", "RERAISE", "RETURN_")

# Functions of `heapq` and `bisect`, and the method of a list that does the same to their first argument.
_AS_METHODS = {
    "heappush": "append", "insort": "insert", "insort_left": "insert", "insort_right": "insert",
    "heappop": "pop", "heappushpop": "pop", "heapreplace": "pop",
}  # fmt: skip

# Code objects whose uses are remembered.
_MAX_READ = 256

_read: dict[CodeType, tuple[Use, ...]] = {}


def uses(code: CodeType) -> tuple[Use, ...]:
    """Return each use, in the order of a code and then of those nested in it, of its parameters, of variables around it
    and of globals, whatever else they are called meanwhile.

    Takes 0.3 ms for a code of 100 instructions, once, and 3 ms to load `dis` for the first.
    """
    if code not in _read:
        if len(_read) >= _MAX_READ:
            _read.clear()
        found: list[Use] = []
        n_given = code.co_argcount + code.co_kwonlyargcount
        _Reading(code, {name: (name,) for name in (*code.co_varnames[:n_given], *code.co_freevars)}, found)
        _read[code] = tuple(dict.fromkeys(found))
    return _read[code]


def stores(code: CodeType) -> frozenset[tuple[str, str]]:
    """Return what a code and those nested in it assign to objects that can be found again, each attribute with what its
    object is called: a global, a variable around it, an attribute, or its first parameter, as `SELF`.

        SETTINGS.n_calls += 1     (SETTINGS, n_calls)
        self.stats.n = 1          (stats, n)
        self.client = connect()   (SELF, client)
        made.width = 2            nothing, where `made` is what a call has returned, an item or another parameter
    """
    first, *others = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount] or (None,)
    found = [path for how, path in uses(code) if how != READ and len(path) > 1 and path[0] not in others]
    named = [(SELF if path[:-1] == (first,) else path[-2], path[-1]) for path in found]
    return frozenset(each for each in named if ELEMENT not in each)


class _Reading:
    """One reading of a code, from its first to its last instruction; where another one may jump to, nothing is known
    of the stack."""

    def __init__(self, code: CodeType, called: Mapping[str, Path | None], found: list[Use]) -> None:
        import dis

        self.called = dict(called)  # variable -> what the object in it is called
        self.outer = code.co_freevars
        self.found = found
        self.stored: set[Path] = set()
        self.skipped: dict[Path, int] = {}  # where the code ends that is skipped when one is full, or empty
        self.at = 0
        self.stack: list[Path | None] = []
        self.effect: Callable[..., int] = dis.stack_effect
        kind = ""
        for instruction in dis.get_instructions(code):
            self.at = instruction.offset
            if instruction.is_jump_target:
                self.land(has_left=kind.startswith(_LEAVING))
            self.follow(instruction)
            kind = instruction.opname
        for const in code.co_consts:
            if type(const) is CODE_TYPE:
                _Reading(const, {name: self.called.get(name) for name in const.co_freevars}, found)

    def land(self, *, has_left: bool) -> None:
        """Begin anew where another instruction may jump to; alone that one, where the code before `has_left`."""
        self.stack.clear()
        if has_left:
            self.skipped.update({path: sys.maxsize for path, stop in self.skipped.items() if stop == self.at})

    def follow(self, instruction: dis.Instruction) -> None:
        kind, name = instruction.opname, instruction.argval
        if kind in _FOLLOWED:
            _FOLLOWED[kind](self, instruction)
        elif kind.startswith(("LOAD_FAST", "STORE_FAST")):
            words = [word for word in kind.split("_") if word in ("LOAD", "STORE")]  # two in newer Pythons
            for word, each in zip(words, name if type(name) is tuple else (name,), strict=False):
                self.load(each) if word == "LOAD" else self.bind(each)
        elif kind.startswith("POP_JUMP_"):
            (asked,) = self.take(1)
            if asked is not None:
                self.skipped[asked] = max(name, self.skipped.get(asked, 0))
        elif kind not in _IDLE:
            effect = self.effect(instruction.opcode, instruction.arg, jump=False)
            self.take(max(0, -effect))
            if not kind.startswith(_TAKING + _PUSHING):
                self.take(1)
                self.stack.append(None)
            self.stack += [None] * effect

    def take(self, n_values: int) -> list[Path | None]:
        """Take values from the stack, the uppermost last."""
        self.stack[:0] = [None] * (n_values - len(self.stack))
        first = len(self.stack) - n_values
        taken = self.stack[first:]
        del self.stack[first:]
        return taken

    def load(self, name: str) -> None:
        self.stack.append(self.called.get(name))

    def bind(self, name: str) -> None:
        (self.called[name],) = self.take(1)

    def part(self, holder: Path | None, name: str) -> None:
        """Put an attribute or element of a value on the stack."""
        path = None if holder is None or holder[0] == _FROM else (*holder, name)
        if path is not None:
            self.found.append((READ, path))
        if path in self.stored:
            self.found.append((USED, path))
        self.stack.append(path)

    def store(self, value: Path | None, holder: Path | None, name: str) -> None:
        if holder is not None and holder[:1] != (_FROM,):  # of a variable around the code, it is ()
            self.found.append((UPDATED if value == (_FROM, *holder, name) else STORED, (*holder, name)))
            self.stored.add((*holder, name))

    def on_global(self, instruction: dis.Instruction) -> None:
        name: str = instruction.argval
        self.found.append((READ, (name,)))
        pushed: list[Path | None] = [(name,)]
        if self.effect(instruction.opcode, instruction.arg, jump=False) > 1:  # it is called, or its attribute is
            pushed.insert(0 if instruction.argrepr.startswith("NULL") else 1, None)
        self.stack += pushed

    def on_cell(self, instruction: dis.Instruction) -> None:
        name: str = instruction.argval
        if name in self.outer:
            self.found.append((READ, (name,)))
        self.load(name)

    def on_attribute(self, instruction: dis.Instruction) -> None:
        (holder,) = self.take(1)
        self.part(holder, instruction.argval)
        if self.effect(instruction.opcode, instruction.arg, jump=False):  # a method, and what it is called on
            self.stack.append(None)

    def on_item(self, _: dis.Instruction) -> None:
        holder, _key = self.take(2)
        self.part(holder, ELEMENT)

    def on_operation(self, instruction: dis.Instruction) -> None:
        if instruction.argrepr == ELEMENT:
            self.on_item(instruction)
            return
        left, _right = self.take(2)
        if left is not None and left[-1] == _GOT:
            self.stack.append((_FROM, *left[:-1], ELEMENT))
        elif left is not None and (instruction.argrepr[-1:] == "=" or left[-1] != ELEMENT):
            self.stack.append((_FROM, *left))
        else:
            self.stack.append(None)

    def on_call(self, instruction: dis.Instruction) -> None:
        arguments = self.take(instruction.arg or 0)
        called = next((each for each in self.take(2) if each is not None), ("",))
        if called[-1] in _AS_METHODS and arguments:
            self.part(arguments[0], _AS_METHODS[called[-1]])
            self.take(1)
        if called[-1] not in ("get", "setdefault") or len(called) == 1:
            self.stack.append(None)
            return
        self.part(called[:-1], ELEMENT)
        if called[-1] == "get":
            self.stack[-1] = (*called[:-1], _GOT)

    def on_store_attribute(self, instruction: dis.Instruction) -> None:
        value, holder = self.take(2)
        self.store(value, holder, instruction.argval)

    def on_store_item(self, _: dis.Instruction) -> None:
        value, holder, _key = self.take(3)
        self.store(value, holder, ELEMENT)

    def on_store_slice(self, _: dis.Instruction) -> None:
        value, holder, _start, _stop = self.take(4)
        self.store(value, holder, ELEMENT)

    def on_store_cell(self, instruction: dis.Instruction) -> None:
        name = instruction.argval
        if name in self.outer:
            self.on_store_outer(instruction)
        else:
            self.bind(name)

    def on_store_outer(self, instruction: dis.Instruction) -> None:
        (value,) = self.take(1)
        path = (instruction.argval,)
        if value is None and self.at < self.skipped.get(path, 0):
            self.found.append((MADE, path))
        else:
            self.store(value, (), instruction.argval)

    def on_delete_item(self, _: dis.Instruction) -> None:
        holder, _key = self.take(2)
        if holder is not None:
            self.found.append((DELETED, (*holder, ELEMENT)))

    def on_contains(self, _: dis.Instruction) -> None:
        _value, holder = self.take(2)
        self.part(holder, ELEMENT)
        self.part(holder, TESTED)
        self.take(2)
        self.stack.append(None)

    def on_copy(self, instruction: dis.Instruction) -> None:
        values = self.take(instruction.arg or 1)
        self.stack += [*values, values[0]]

    def on_swap(self, instruction: dis.Instruction) -> None:
        first, *between, last = self.take(max(2, instruction.arg or 2))
        self.stack += [last, *between, first]


_FOLLOWED: dict[str, Callable[[_Reading, dis.Instruction], None]] = {
    "BINARY_OP": _Reading.on_operation,
    "BINARY_SUBSCR": _Reading.on_item,
    "CALL": _Reading.on_call,
    "CONTAINS_OP": _Reading.on_contains,
    "COPY": _Reading.on_copy,
    "DELETE_SUBSCR": _Reading.on_delete_item,
    "LOAD_ATTR": _Reading.on_attribute,
    "LOAD_DEREF": _Reading.on_cell,
    "LOAD_GLOBAL": _Reading.on_global,
    "LOAD_METHOD": _Reading.on_attribute,
    "LOAD_NAME": _Reading.on_global,
    "STORE_ATTR": _Reading.on_store_attribute,
    "STORE_DEREF": _Reading.on_store_cell,
    "STORE_GLOBAL": _Reading.on_store_outer,
    "STORE_SLICE": _Reading.on_store_slice,
    "STORE_SUBSCR": _Reading.on_store_item,
    "SWAP": _Reading.on_swap,
}
