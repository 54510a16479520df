"""Read what code does with the objects that have a name in it: which attribute or element of which it reads or changes.

groups[n % 3].append(n)

groups   %  3              ──>   ("groups",)   None                   a path where a value has a name, else None
[...]                      ──>   ("groups", "[]")                     read
.append                    ──>   ("groups", "[]", "append")           read
"""

from __future__ import annotations

from amorsize.identity.code import CODE_TYPE

TYPE_CHECKING = False
if TYPE_CHECKING:
    import dis
    from collections.abc import Callable, Collection
    from types import CodeType
    from typing import TypeAlias

    Path: TypeAlias = tuple[str, ...]  # a variable, then names of attributes, and "[]" for an element
    Use: TypeAlias = tuple[str, Path]  # what is done, and to which

READ, STORED, UPDATED, DELETED = "read", "stored", "updated", "deleted"
"""What is done: `updated` is stored after it was computed from what was there, as by `+=`."""

ELEMENT = "[]"

# In a path: this was computed from what stands there; and where a dict's `get` has found its element.
_FROM, _GOT = "=", "get()"

# Instructions that leave what is on the stack, those that take from it alone, and those that put onto it alone. Of any
# other it is only known by how much the stack grows: what it puts there last may be anything.
_IDLE = frozenset({"CACHE", "EXTENDED_ARG", "KW_NAMES", "NOP", "NOT_TAKEN", "PRECALL", "RESUME"})
_TAKING = ("DELETE_", "DICT_", "LIST_", "MAP_", "POP_", "SET_", "STORE_")
_PUSHING = ("LOAD_CLOSURE", "LOAD_CONST", "LOAD_SMALL_INT", "PUSH_NULL")

# Code objects whose uses are remembered.
_MAX_READ = 256

_read: dict[CodeType, tuple[Use, ...]] = {}


def uses(code: CodeType) -> tuple[Use, ...]:
    """Return each use, by a function's code and those nested in it, of its parameters, of variables around it and of
    globals; a parameter that is assigned anew is none.

    Takes 0.3 ms for a code of 100 instructions, once, and 3 ms to load `dis` for the first.
    """
    if code not in _read:
        if len(_read) >= _MAX_READ:
            _read.clear()
        found: list[Use] = []
        n_given = code.co_argcount + code.co_kwonlyargcount
        _Reading(code, {*code.co_varnames[:n_given], *code.co_freevars}, found, _assigned(code))
        _read[code] = tuple(dict.fromkeys(found))
    return _read[code]


def _assigned(code: CodeType) -> set[str]:
    """Return the local variables that a code assigns, and those around it that the codes nested in it do."""
    from amorsize.identity.process_state import steps

    inner = [const for const in code.co_consts if type(const) is CODE_TYPE]
    around = {name for const in inner for name in _assigned(const) if name in const.co_freevars}
    return around | {name for verb, name in steps(code) if verb == "store" and name not in code.co_freevars}


class _Reading:
    """One reading of a code, from its first to its last instruction; where another one may jump to, nothing is known
    of the stack."""

    def __init__(self, code: CodeType, named: Collection[str], found: list[Use], assigned: Collection[str]) -> None:
        import dis

        self.named = {name for name in named if name not in assigned}
        self.outer = code.co_freevars
        self.found = found
        self.stack: list[Path | None] = []
        self.effect: Callable[..., int] = dis.stack_effect
        for instruction in dis.get_instructions(code):
            if instruction.is_jump_target:
                self.stack.clear()
            self.follow(instruction)
        for const in code.co_consts:
            if type(const) is CODE_TYPE:
                seen = self.named.intersection(const.co_freevars)
                _Reading(const, seen, found, ())

    def follow(self, instruction: dis.Instruction) -> None:
        kind, name = instruction.opname, instruction.argval
        if kind in _FOLLOWED:
            _FOLLOWED[kind](self, instruction)
        elif kind.startswith(("LOAD_FAST", "STORE_FAST")):
            names = name if type(name) is tuple else (name,)
            for word, each in zip([word for word in kind.split("_") if word in ("LOAD", "STORE")], names, strict=False):
                self.load(each) if word == "LOAD" else self.take(1)
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
        self.stack.append((name,) if name in self.named else None)

    def part(self, holder: Path | None, name: str) -> None:
        """Put an attribute or element of a value on the stack."""
        if holder is not None and _FROM not in holder:
            self.found.append((READ, (*holder, name)))
        self.stack.append(None if holder is None else (*holder, name))

    def store(self, value: Path | None, holder: Path | None, name: str) -> None:
        if holder is not None:
            self.found.append((UPDATED if value == (_FROM, *holder, name) else STORED, (*holder, name)))

    def on_global(self, instruction: dis.Instruction) -> None:
        n_pushed = self.effect(instruction.opcode, instruction.arg, jump=False)
        self.stack += [(instruction.argval,)] if n_pushed == 1 else [None] * n_pushed  # two: it is called

    def on_cell(self, instruction: dis.Instruction) -> None:
        self.load(instruction.argval)

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
        self.take(instruction.arg or 0)
        called = next((each for each in self.take(2) if each is not None), ("",))
        if called[-1] not in ("get", "setdefault"):
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
        (value,) = self.take(1)
        if instruction.argval in self.named and instruction.argval in self.outer:
            self.store(value, (), instruction.argval)

    def on_store_global(self, instruction: dis.Instruction) -> None:
        (value,) = self.take(1)
        self.store(value, (), instruction.argval)

    def on_delete_item(self, _: dis.Instruction) -> None:
        holder, _key = self.take(2)
        if holder is not None:
            self.found.append((DELETED, (*holder, ELEMENT)))

    def on_contains(self, _: dis.Instruction) -> None:
        _value, holder = self.take(2)
        self.part(holder, ELEMENT)
        self.take(1)
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
    "STORE_GLOBAL": _Reading.on_store_global,
    "STORE_SLICE": _Reading.on_store_slice,
    "STORE_SUBSCR": _Reading.on_store_item,
    "SWAP": _Reading.on_swap,
}
