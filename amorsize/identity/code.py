"""Read a code object: what it computes, which names it loads, what it assigns. Done once per code object.

    co_code, operands of constants blanked ─┐
    the constants, where they are loaded   ─┼─> digest
    names, free variables, exception table ─┘

A constant counts where an instruction loads it. A docstring is loaded by none, so it drops out, added or changed.
"""

from __future__ import annotations

import sys
from _blake2 import blake2b

from amorsize.identity.values import written

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType

CODE_TYPE = type((lambda: None).__code__)

# (opcodes that load a constant), (a global), (that change an element), then one each. `import opcode` has them too, but
# costs 0.7 ms in a fresh process: as much as all else here together. A test holds this table equal to that module; a
# newer Python asks it.
_Several = frozenset[int]
_Opcodes = tuple[_Several, _Several, _Several, int, int, int, int, int, int, int]
_OPCODES: dict[tuple[int, int], _Opcodes] = {
    (3, 11): (
        frozenset({100, 172}), frozenset({101, 116}), frozenset({60, 61}), 116, 144, 97, 138, 95, 108, 90,
    ),
    (3, 12): (
        frozenset({100, 121, 172}), frozenset({101, 116, 175}), frozenset({27, 60, 61}), 116, 144, 97, 138, 95, 108, 90,
    ),
    (3, 13): (
        frozenset({83, 103, 240}), frozenset({90, 91, 92}), frozenset({9, 38, 39}), 91, 71, 113, 109, 108, 75, 114,
    ),
    (3, 14): (
        frozenset({82}), frozenset({91, 92, 93}), frozenset({8, 37, 38}), 92, 69, 115, 111, 110, 73, 116,
    ),
    (3, 15): (
        frozenset({81}), frozenset({90, 91, 92}), frozenset({8, 35, 36}), 91, 67, 114, 110, 109, 72, 115,
    ),
}  # fmt: skip
_FROM_GLOBALS = ("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS")  # of them 3.11 has two
_TO_ITEMS = ("DELETE_SUBSCR", "STORE_SLICE", "STORE_SUBSCR")  # of them 3.11 has two
_NAMED = ("LOAD_GLOBAL", "EXTENDED_ARG", "STORE_GLOBAL", "STORE_DEREF", "STORE_ATTR", "IMPORT_NAME", "STORE_NAME")

# What a class body stores about itself that decides nothing; the last one's order changes with the hash seed.
_IDLE_NAMES = frozenset({"__doc__", "__firstlineno__", "__qualname__", "__module__", "__static_attributes__"})

# Methods that change a container in place, and functions of the standard library that put something into a list.
_MUTATORS = frozenset({
    "add", "append", "appendleft", "clear", "discard", "extend", "extendleft", "heappush", "insert", "insort",
    "insort_left", "insort_right", "pop", "popitem", "popleft", "remove", "setdefault", "sort", "subtract", "update",
})  # fmt: skip

# Those that change a file; of one that lies in memory, a worker has a copy.
WRITERS = frozenset({"write", "writelines"})

# Bits of an import's operand that say whether it is lazy; and how None is loaded where that takes no constant.
_IMPORT_BITS = 2 if sys.version_info >= (3, 15) else 0
_LOADS_NONE = tuple((lambda: None).__code__.co_code[-4:-2]) if sys.version_info >= (3, 15) else None

# How a code that returns something, and one that returns a constant, end; on some Pythons alike.
_RETURN_VALUE, _RETURN_CONST = (lambda x: x).__code__.co_code[-2], (lambda: None).__code__.co_code[-2]

# What stands before the None of `return x or None` and, in 3.11, of `return x if y else None`, where x jumps over it:
# one instruction; in 3.14 the one before that.
_JUMP_AT = 1 if sys.version_info >= (3, 14) else 0
_OR_NONE = [(lambda x: x or None).__code__, (lambda x: x and None).__code__, (lambda x: x if x else None).__code__]
_OVER_NONE = frozenset(code.co_code[-6 - 2 * _JUMP_AT] for code in _OR_NONE[: 3 - _JUMP_AT])

# Flags of what returns something to be awaited or iterated: generator, coroutine, both, asynchronous generator.
_LAZY_FLAGS = 0x20 | 0x80 | 0x100 | 0x200

# The flags that change what a call does: *args, **kwargs, generator, coroutine, asynchronous generator.
_CALL_FLAGS = 0x04 | 0x08 | 0x20 | 0x80 | 0x200

# Code objects remembered. One costs about 1 KB; too few would read big programs' code again at every call (30 us each).
_MAX_REMEMBERED = 4096


def _read_opcodes() -> _Opcodes:
    import opcode

    number = opcode.opmap
    of_global, extended, to_global, to_cell, to_attribute, imported, to_name = map(number.__getitem__, _NAMED)
    loading = frozenset(number[name] for name in _FROM_GLOBALS if name in number)
    to_item = frozenset(number[name] for name in _TO_ITEMS if name in number)
    constant = frozenset(opcode.hasconst)
    return constant, loading, to_item, of_global, extended, to_global, to_cell, to_attribute, imported, to_name


_CONSTANT, _LOADING, _TO_ITEM, _OF_GLOBAL, _EXTENDED, _TO_GLOBAL, _TO_CELL, _TO_ATTRIBUTE, _IMPORT, _TO_NAME = (
    sys.implementation.name == "cpython" and _OPCODES.get(sys.version_info[:2])
) or _read_opcodes()


class CodeFacts:
    """What a code object and the code nested in it say.

    Attributes:
        code: the code object; held, so that its id stays its own.
        digest: 16 bytes over everything that decides what it computes.
        names: every global or attribute name in it, in order of appearance, `__dunder__` names left out.
        globals_read: names of the globals that it loads, and of those that a class body in it may.
        imports: names of the modules that it imports itself, and of what it imports from them; dots before those of its
            own package.
        globals_written: names of the globals that it assigns.
        written: these, and the attributes and outer variables that it assigns.
        mutates: whether it may change a container in place.
        values_seen: name of a global -> the values it was seen with in this process.
        unsteady: names of globals that keep changing.
    """

    __slots__ = (
        "code", "digest", "globals_read", "globals_written", "imports", "mutates", "names", "unsteady", "values_seen",
        "written",
    )  # fmt: skip

    def __init__(self, code: CodeType) -> None:
        self.code = code
        nested = [code_facts(const) for const in code.co_consts if type(const) is CODE_TYPE]
        plain = [name for name in code.co_names if not (name[:2] == "__" == name[-2:])]
        self.names: tuple[str, ...] = tuple(dict.fromkeys(plain + [name for inner in nested for name in inner.names]))
        self.imports: set[str] = {name for inner in nested for name in inner.imports}
        self.globals_read: set[str] = {name for inner in nested for name in inner.globals_read}
        self.globals_written: set[str] = {name for inner in nested for name in inner.globals_written}
        self.written: set[str] = {name for inner in nested for name in inner.written}
        self.mutates: bool = not _MUTATORS.isdisjoint(self.names) or any(inner.mutates for inner in nested)
        self.values_seen: dict[str, set[object]] = {}
        self.unsteady: set[str] = set()
        blanked, constants = self._scan()
        called = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & _CALL_FLAGS)
        said = (blanked, constants, code.co_names, code.co_freevars, code.co_exceptiontable, called)
        self.digest: bytes = blake2b(written(said), digest_size=16).digest()

    @property
    def may_change(self) -> bool:
        """Whether it may change something that it has not made itself."""
        return self.mutates or bool(self.written) or not WRITERS.isdisjoint(self.names)

    def _scan(self) -> tuple[bytes, tuple[object, ...]]:
        """Note what the instructions assign; return them with blanked constants, and the constants."""
        code = self.code
        blanked = bytearray(code.co_code)
        constants: list[object] = []
        loaded: tuple[object, object] = (None, None)
        extended = 0
        for at in range(0, len(blanked), 2):
            operation, operand = blanked[at], blanked[at + 1] | extended
            extended = operand << 8 if operation == _EXTENDED else 0
            if operation in _CONSTANT:
                blanked[at + 1] = 0
                constants.append(_constant(code.co_consts[operand]))
                loaded = loaded[1], code.co_consts[operand]
            elif operation == _IMPORT:
                self._note_import(code.co_names[operand >> _IMPORT_BITS], *loaded)
            elif operation == _TO_NAME and code.co_names[operand] in _IDLE_NAMES:
                if blanked[at - 2] in _CONSTANT:
                    constants.pop()
                blanked[at - 2 : at] = b"\0\0"  # a small number's instruction may be another one than a large one's
            elif operation:
                self._note(operation, operand)
                # It may be the level of an import: newer Pythons load small numbers without a constant.
                loaded = loaded[1], operand
        return bytes(blanked), tuple(constants)

    def _note(self, operation: int, operand: int) -> None:
        code = self.code
        if operation in _LOADING:
            at = operand >> (operation == _OF_GLOBAL)  # its lowest bit says: to call it
            self.globals_read.add(code.co_names[at])
        elif operation == _TO_GLOBAL:
            self.globals_written.add(code.co_names[operand])
            self.written.add(code.co_names[operand])
        elif operation == _TO_ATTRIBUTE:
            self.written.add(code.co_names[operand])
        elif operation == _TO_CELL:
            # Free variables come last among the locals; an operand below them is a variable of this code itself.
            own = len(set(code.co_varnames + code.co_cellvars))
            if operand >= own:
                self.written.add(code.co_freevars[operand - own])
        elif operation in _TO_ITEM:
            self.mutates = True

    def _note_import(self, name: str, level: object, wanted: object) -> None:
        dotted = "." * level + name if type(level) is int else name
        self.imports.add(dotted)
        if type(wanted) is tuple:  # attributes of the module, or modules of the package
            self.imports.update(f"{dotted}.{each}" if name else f"{dotted}{each}" for each in wanted)


def _constant(const: object) -> object:
    """Turn a constant into what `marshal` writes alike in every process."""
    if type(const) is CODE_TYPE:
        return code_facts(const).digest
    if type(const) is tuple:
        return tuple([_constant(inner) for inner in const])
    if type(const) is frozenset:  # its order depends on the hash seed
        return "frozenset", tuple(sorted(written(_constant(inner)) for inner in const))
    return repr(const) if type(const) is slice else const


def returns_nothing(code: CodeType) -> bool:
    """Tell whether a code returns None wherever it ends, as without any `return`; 1 us for 20 instructions."""
    if code.co_flags & _LAZY_FLAGS:
        return False
    instructions, extended, is_none, before = code.co_code, 0, False, (0, 0)
    for at in range(0, len(instructions), 2):
        operation, operand = instructions[at], instructions[at + 1] | extended
        extended = operand << 8 if operation == _EXTENDED else 0
        is_constant, is_nothing = operation in _CONSTANT, (operation, operand) == _LOADS_NONE
        if is_constant or is_nothing:
            is_none = is_nothing or code.co_consts[operand] is None
        if operation in (_RETURN_VALUE, _RETURN_CONST):
            if not is_none or (operation == _RETURN_VALUE and before[_JUMP_AT] in _OVER_NONE):
                return False
        elif operation not in (0, _EXTENDED) and not (is_constant or is_nothing):
            is_none, before = False, (operation, before[0])
    return True


_remembered: dict[int, CodeFacts] = {}


def code_facts(code: CodeType) -> CodeFacts:
    """Return the facts of a code object, read the first time it is asked about."""
    known = _remembered.get(id(code))
    if known is None:
        if len(_remembered) >= _MAX_REMEMBERED:
            _remembered.clear()
        known = _remembered[id(code)] = CodeFacts(code)
    return known


NO_FACTS = code_facts((lambda: None).__code__)
"""Of code that names nothing: for what is reached without a name."""
