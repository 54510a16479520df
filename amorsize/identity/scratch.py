"""Find what code keeps for a moment where all threads share it: on an object of its caller's, in a variable around it.

    self.reply = ask(url)       first a store ...
    return self.reply.text      ... then a load, and another thread may have stored its own reply between the two

Counters, memos and clients that are made when they are first needed load before they store. Whoever has a lock knows
about threads, and what happens while an object is made happens to nobody else's.
"""

from __future__ import annotations

from amorsize.identity.code import code_facts
from amorsize.identity.handles import LOCK, judge
from amorsize.identity.loads import FunctionType, inner_parts
from amorsize.identity.origin import users_bases
from amorsize.identity.uses import ELEMENT, READ, uses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import CodeType

    from amorsize.identity.code import CodeFacts
    from amorsize.identity.uses import Path

    Methods = dict[str, list[tuple[str, CodeType]]]  # by name: where the object is, and the code

# Methods that make an object ready, before anybody shares it or only once.
_MAKING = frozenset({"__del__", "__enter__", "__exit__", "__init__", "__new__", "__post_init__", "__setstate__"})


def scratch(functions: Sequence[FunctionType], objects: Sequence[tuple[str, object, CodeFacts]]) -> str | None:
    """Return the first name under which something is kept so; None for nothing.

    Args:
        functions: the user's, that asked about first.
        objects: what they reach, each with its path.
    """
    if any(judge(type(value)) == LOCK for _, value, _ in objects):
        return None
    methods = _methods_of(objects)
    paths = {code: path for each in methods.values() for path, code in each}
    pending = [function.__code__ for k, function in enumerate(functions) if not k or function.__code__ not in paths]
    met = set(pending)
    for code in pending:  # grows
        path = paths.get(code)
        found = _kept(code, None if path is None or not code.co_argcount else code.co_varnames[0], path)
        if found is not None:
            return found
        called = [each for name in code_facts(code).names for _, each in methods.get(name, ())]
        pending += dict.fromkeys(each for each in called if each not in met)
        met.update(called)
    return None


def _methods_of(objects: Iterable[tuple[str, object, CodeFacts]]) -> Methods:
    """Return the methods of the classes of these objects, those of libraries left out."""
    found: Methods = {}
    for path, value, _ in objects:
        members = [member for base in users_bases(type(value)) for member in base.__dict__.items()]
        for name, member in members:
            if name not in _MAKING:
                found.setdefault(name, []).extend([(path, code) for code in _codes_in(member)])
    return found


def _codes_in(member: object) -> list[CodeType]:
    if type(member) is staticmethod:  # which is given no object
        return []
    try:
        parts = [member, *[part for _, part in inner_parts(member)]]
    except Exception:  # a class that fails when it is looked at; given up: what such a member does
        return []
    return [part.__code__ for part in parts if type(part) is FunctionType]


def _kept(code: CodeType, shared: str | None, path: str | None) -> str | None:
    """Return what one code keeps.

    Args:
        code: read from its first to its last instruction, as if it never jumped.
        shared: its variable that holds the object; None where it is given none.
        path: of that object.
    """
    facts = code_facts(code)
    outer = facts.written.intersection(code.co_freevars) | facts.globals_written
    if not outer and (shared is None or not facts.written):
        return None  # nearly always: to read instructions takes 3 ms the first time
    is_first_a_store: dict[Path, bool] = {}
    for how, used in uses(code):
        *holder, name = used
        if (holder != [shared] and (holder or name not in outer)) or name == ELEMENT:
            continue
        is_asked_for = bool(holder) and name in code.co_consts  # by `hasattr`, as what is made when it is first needed
        if not is_asked_for and is_first_a_store.setdefault(used, how != READ) and how == READ:
            return f"{path}.{name}" if holder else name
    return None
