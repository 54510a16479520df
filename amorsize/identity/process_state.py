"""Find what code uses that belongs to the whole process, and not to the thread that runs it: the working directory, the
seed of the global random generator, where `print` writes to, which figure is the current one.

    names of the code ──> is one of these among them? ──> its instructions ──> np.random.seed ──> numpy.random.seed
                          nearly always the end           once for each code   as written         as globals resolve it

A name alone tells nothing: `config.seed` sets nothing that is shared; `rng.seed` does where threads share that `rng`.
"""

from __future__ import annotations

import os
import sys

from amorsize.identity.code import CODE_TYPE, code_facts
from amorsize.identity.loads import ModuleType, cells, named_in
from amorsize.identity.origin import library

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from types import CodeType, FunctionType

    from amorsize.identity.code import CodeFacts

    Dotted = tuple[str, ...]

# Module -> what sets state of the process, or works in its main thread only.
_OF_THE_PROCESS = {
    "asyncio": "get_event_loop",
    "contextlib": "chdir redirect_stderr redirect_stdout",
    "duckdb": "execute executemany query read_csv read_json read_parquet sql table",  # by its default connection
    "locale": "setlocale",
    "matplotlib.pyplot": "figure gca gcf savefig subplot subplots",
    "numpy.random": "seed set_state",
    "os": "chdir fchdir fork forkpty putenv umask unsetenv",
    "random": "seed setstate",
    "signal": "alarm pthread_sigmask setitimer signal",
    "socket": "setdefaulttimeout",
    "sys": "setrecursionlimit",
    "time": "tzset",
    "torch": "manual_seed",
    "unittest.mock": "patch",
    "warnings": "catch_warnings",
}
_PATHS = frozenset(f"{module}.{name}" for module, names in _OF_THE_PROCESS.items() for name in names.split())
_NAMES = frozenset(path.rpartition(".")[2] for path in _PATHS) | {"environ"}

# What changes the environment, as methods and as "[...] =".
_CHANGES = frozenset({"[]=", "clear", "pop", "popitem", "setdefault", "update"})

# Type -> methods after which all who share such an object go on from somewhere else.
_MOVES = {
    "_io.BytesIO": "read readline seek truncate write",
    "_io.StringIO": "read readline seek truncate write",
    "mmap.mmap": "read readline seek write",
    "numpy.random.mtrand.RandomState": "seed set_state",
    "random.Random": "seed setstate",
}

# What an instruction does with the name that it has. Newer Pythons have one for two local variables.
_VERBS = {
    "COPY": "copy",
    "DELETE_SUBSCR": "item",
    "IMPORT_FROM": "from",
    "IMPORT_NAME": "import",
    "LOAD_ATTR": "attribute",
    "LOAD_DEREF": "cell",
    "LOAD_FROM_DICT_OR_GLOBALS": "global",
    "LOAD_GLOBAL": "global",
    "LOAD_METHOD": "attribute",
    "LOAD_NAME": "global",
    "STORE_ATTR": "assigned",
    "STORE_DEREF": "store",
    "STORE_GLOBAL": "store",
    "STORE_NAME": "store",
    "STORE_SUBSCR": "item",
}
_BY_PREFIX = {"LOAD_FAST": "local", "STORE_FAST": "store"}

# Instructions between an import and the assignment of what it has found.
_SHUFFLES = frozenset({"NOP", "POP_TOP", "SWAP"})

# In a coroutine the loop that runs it is meant, and any thread may have one.
_CO_ASYNC = 0x80 | 0x200

# Code objects whose dotted names are remembered.
_MAX_READ = 256

_read: dict[CodeType, tuple[Dotted, ...]] = {}


def process_state(
    functions: Iterable[FunctionType], objects: Iterable[tuple[str, object, CodeFacts]] = ()
) -> str | None:
    """Return the first name under which one of the functions uses state of the process, or an object that all threads
    share; None where none does.

    Takes 10 us; 0.2 ms more where code names such a thing, once, and 3 ms to load `dis` for the first such code.
    """
    known = {
        id(found): path
        for path in _PATHS
        if (found := getattr(sys.modules.get(path.rpartition(".")[0]), path.rpartition(".")[2], None)) is not None
    }
    for function in functions:
        for path in _used(function, known):
            return path
    return next((path for path, value, facts in objects if _is_moved(value, facts.names)), None)


def _is_moved(value: object, names: Collection[str]) -> bool:
    moves = _MOVES.get(f"{type(value).__module__}.{type(value).__qualname__}", "").split()
    is_hidden = value is getattr(sys.modules.get("random"), "_inst", None)  # behind functions, which tell more
    return not is_hidden and not set(moves).isdisjoint(names) and not getattr(value, "closed", False)


def _used(function: FunctionType, known: dict[int, str]) -> Iterator[str]:
    facts, namespace = code_facts(function.__code__), function.__globals__
    inner = dict(cells(function))
    held = [value for _, value in [*named_in(namespace, facts), *inner.items()]]
    assigns = facts.written and (facts.imports or any(type(value) is ModuleType for value in held))
    if not assigns and _NAMES.isdisjoint(facts.names) and not any(id(value) in known for value in held):
        return
    for how, root, *attributes in _dotted(function.__code__, facts.imports):
        value = sys.modules.get(root) if how == "import" else (inner if how == "cell" else namespace).get(root)
        path = root if value is None and how == "import" else ""
        found = _resolved(path, value, attributes, known)
        if found is not None:
            yield found.removesuffix("=")


def _resolved(path: str, value: object, attributes: list[str], known: dict[int, str]) -> str | None:
    """Follow attributes from a value as far as modules go, or by name where one is not loaded yet.

    Args:
        path: full name of a module that is not loaded; else empty.
        value: what the first name stands for.
        attributes: the names after it.
        known: id of a thing that belongs to the process -> its full name.
    """
    for n_followed, attribute in enumerate(("", *attributes)):
        if attribute[-1:] == "=" and type(value) is ModuleType:
            return f"{value.__name__}.{attribute}"
        if attribute:
            value = value.__dict__.get(attribute) if type(value) is ModuleType else None
            path = f"{path}.{attribute}"
        if type(value) is ModuleType and library(value.__dict__) is not None:
            path = value.__name__
        if value is os.environ:
            return "os.environ" if _CHANGES.intersection(attributes[n_followed : n_followed + 1]) else None
        if id(value) in known or path in _PATHS:
            return known.get(id(value), path)
    return None


def _dotted(code: CodeType, imports: Collection[str]) -> tuple[Dotted, ...]:
    """Return each dotted name in a code and those nested in it: how it is found, then its parts."""
    if code not in _read:
        if len(_read) >= _MAX_READ:
            _read.clear()
        _read[code] = tuple(dict.fromkeys(_names_in(code, imports, {}, code.co_freevars)))
    return _read[code]


def _names_in(
    code: CodeType, imports: Collection[str], bound: dict[str, str], free: Collection[str]
) -> Iterator[Dotted]:
    """Yield these names.

    Args:
        code: read from its first to its last instruction, as if it never jumped.
        imports: full names of the modules that it imports; a relative import is not one of them.
        bound: variable -> what was imported into it.
        free: variables of the function's surroundings.
    """
    place: list[str] = []
    before: list[str] = []
    module = target = ""
    for verb, name in steps(code):
        if place and verb in ("attribute", "assigned"):
            place.append(name if verb == "attribute" else f"{name}=")
            continue
        if place and not (code.co_flags & _CO_ASYNC and "get_event_loop" in place):
            yield tuple(place)
        if before and verb == "item":  # before the key of it
            yield *before, "[]="
        before, place = place, _start(verb, name, bound, free)
        if verb == "import":
            module = name if name in imports else ""
            target = module.partition(".")[0]
        elif verb == "from" and module:  # `import a.b as c` takes b from a.b, which is a.b itself
            target = module if module.endswith(f".{name}") else f"{module}.{name}"
        elif verb == "store":
            bound[name], target = target, ""
        elif verb:
            module = target = ""
    for const in code.co_consts:
        if type(const) is CODE_TYPE:
            seen = {name: held for name, held in bound.items() if name not in const.co_varnames}
            yield from _names_in(const, imports, seen, free)


def _start(verb: str, name: str, bound: dict[str, str], free: Collection[str]) -> list[str]:
    """Return what a dotted name that begins here begins with; nothing where its object is made by the code."""
    if verb not in ("global", "cell", "local"):
        return []
    if bound.get(name):
        return ["import", *bound[name].split(".")]
    return [verb, name] if verb == "global" or (verb == "cell" and name in free) else []


def steps(code: CodeType) -> Iterator[tuple[str, str]]:
    """Yield what each instruction does, and with which name; an empty verb stands for nothing."""
    import dis

    for instruction in dis.get_instructions(code):
        kind, name = instruction.opname, instruction.argval
        if type(name) is tuple:  # two local variables at once
            words = [word for word in kind.split("_") if word in ("LOAD", "STORE")]
            yield from [("local" if word == "LOAD" else "store", each) for word, each in zip(words, name, strict=False)]
        elif kind == "EXTENDED_ARG":
            continue
        elif kind in _SHUFFLES:
            yield "", ""
        else:
            prefix = "_".join(kind.split("_", 2)[:2])
            yield _VERBS.get(kind) or _BY_PREFIX.get(prefix, "other"), str(name)
