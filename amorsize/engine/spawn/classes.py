"""How a class that travels as code is made on the other side, with what cloudpickle leaves out.

slots: it makes classes without, and an object that has no `__dict__` here would have one there, and could not come back
enums: it makes members anew from their values, without aliases and without what `__init__` or `__new__` gives them
deletions: it sets attributes of the class that has come before, where what was deleted since would stay
annotations: since Python 3.14 a function makes them, which it leaves out
"""

from __future__ import annotations

from types import MemberDescriptorType
from weakref import WeakKeyDictionary

import cloudpickle.cloudpickle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_make_enum = cloudpickle.cloudpickle._make_skeleton_enum
_track = cloudpickle.cloudpickle._lookup_class_or_track
_set_state = cloudpickle.cloudpickle._class_setstate

OF_A_MEMBER = frozenset(("_name_", "_value_", "__objclass__", "_sort_order_"))
"""What the class itself gives each of its members."""

OF_A_PLAN = ("__init__", "__new_member__")
"""What a class that is made of plans is left with, besides what it is given afterwards."""

_given: WeakKeyDictionary[type, set[str]] = WeakKeyDictionary()
"""The attributes that a class came with."""


def whole(kind: Any, reduced: tuple[Any, ...]) -> tuple[Any, ...]:  # Any: as cloudpickle gives it
    """Return how to make a class: what cloudpickle says, and what it leaves out."""
    make, arguments, (attributes, _), *rest, _ = reduced
    attributes = {**_annotations(kind), **attributes}
    members: dict[str, dict[str, object]] = {}
    if make is _make_enum:
        plans = _plans(kind)
        if plans is not None:
            make, arguments = make_enum, (*arguments[:3], plans, *arguments[4:])
            attributes = {name: value for name, value in attributes.items() if name not in plans}
            members = {name: _own(kind[name]) for name in plans}
    elif "__slots__" in kind.__dict__:
        slots = [name for name, value in kind.__dict__.items() if type(value) is MemberDescriptorType]
        attributes = {name: value for name, value in attributes.items() if name not in slots}
        slots += [name for name in ("__dict__", "__weakref__") if name in kind.__dict__]
        if slots or arguments[2] == kind.__bases__:  # a NamedTuple sets its own
            arguments[3]["__slots__"] = tuple(slots)
    return make, arguments, (attributes, members), *rest, fill


def _annotations(kind: Any) -> dict[str, object]:
    if kind.__dict__.get("__annotate_func__") is None:
        return {}
    try:
        return {"__annotations__": kind.__annotations__}
    except Exception:  # of a name that is not known yet, or whatever code is there; given up: the annotations
        return {}


def fill(made: Any, state: tuple[dict[str, Any], dict[str, dict[str, object]]]) -> None:
    """Give a class its attributes and its members theirs, and take from it what it was given before and has no more."""
    attributes, members = state
    for name in _given.get(made, set()) - attributes.keys():
        if name in made.__dict__:
            type.__delattr__(made, name)
    _given[made] = set(attributes)
    _set_state(made, (attributes, {}))
    for name, own in members.items():
        made[name].__dict__.update(own)


def _own(member: Any) -> dict[str, object]:
    """Return what a member of an enum holds besides name and value."""
    return {name: value for name, value in member.__dict__.items() if name not in OF_A_MEMBER}


def _plans(kind: Any) -> dict[str, tuple[object, Any]] | None:
    """Return the value of each member by its names, and what the type that is mixed in is to be made of; None where
    nothing tells that."""
    plans = {name: (member.value, _made_of(member, kind._member_type_)) for name, member in kind.__members__.items()}
    return None if any(arguments is None for _, arguments in plans.values()) else plans


def _made_of(member: object, mixed_in: Any) -> Any:
    if mixed_in.__new__ is object.__new__:
        return ()
    if hasattr(mixed_in, "__getnewargs__"):
        return mixed_in.__getnewargs__(member)
    return None if mixed_in.__reduce__ is object.__reduce__ else mixed_in.__reduce__(member)[1]  # such as a date's


class _Plan:
    """Stands for a member in the body of an enum."""

    def __init__(self, value: object, arguments: tuple[object, ...]) -> None:
        self.value = value
        self.arguments = arguments


def make_enum(
    bases: tuple[Any, ...],
    name: str,
    qualname: str,
    plans: dict[str, tuple[object, Any]],
    module: str,
    number: str,
    _extra: object,
) -> Any:
    """Make an enum whose members have values, and nothing yet that code of its own would give them."""

    def new(cls: Any, plan: _Plan) -> Any:
        member = cls._member_type_.__new__(cls, *plan.arguments)
        member._value_ = plan.value
        return member

    meta: Any = type(bases[-1])
    body = meta.__prepare__(name, bases)
    body["__new__"], body["__init__"] = new, lambda *_: None
    for each, plan in plans.items():
        body[each] = _Plan(*plan)
    made = meta.__new__(meta, name, bases, body)
    for left in OF_A_PLAN:
        if left in made.__dict__:
            type.__delattr__(made, left)
    made.__module__, made.__qualname__ = module, qualname
    return _track(number, made)
