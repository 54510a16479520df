"""How a class that travels as code is made on the other side, with what cloudpickle leaves out.

It makes classes without their slots: an object that has no `__dict__` here would have one there, and could not be sent
back.
"""

from __future__ import annotations

from types import MemberDescriptorType

import cloudpickle.cloudpickle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_make_class = cloudpickle.cloudpickle._make_skeleton_class


def whole(kind: Any, reduced: tuple[Any, ...]) -> tuple[Any, ...]:  # Any: as cloudpickle gives it
    """Return how to make a class: what cloudpickle says, and what it leaves out."""
    make, arguments, (attributes, _), *rest = reduced
    if "__slots__" in kind.__dict__ and make is _make_class:
        slots = [name for name, value in kind.__dict__.items() if type(value) is MemberDescriptorType]
        attributes = {name: value for name, value in attributes.items() if name not in slots}
        slots += [name for name in ("__dict__", "__weakref__") if name in kind.__dict__]
        if slots or arguments[2] == kind.__bases__:  # a NamedTuple sets its own
            arguments[3]["__slots__"] = tuple(slots)
    return make, arguments, (attributes, {}), *rest
