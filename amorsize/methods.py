"""`@parallelizable` on a method: a descriptor, so that `obj.method.pmap(items)` knows its object.

Loaded only where a class body uses the decorator.
"""

import sys
from types import MethodType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from functools import partial
    from inspect import Signature
    from types import FrameType
    from typing import Any

    BoundArguments = partial[Any]
    ClassMethod = classmethod[Any, ..., Any]
else:
    import _functools  # the C half: `functools` itself costs 1.9 ms

    BoundArguments = _functools.partial
    ClassMethod = classmethod


class BoundParallel(BoundArguments):
    """A decorated method bound to its object.

    A `partial` because that is called by C code: a Python `__call__` would cost twice as much.
    """

    __slots__ = ()

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]  # as of a method
        return self.func.__doc__

    @property
    def __signature__(self) -> "Signature":
        """The signature without `self`; `inspect` would take it for the function, whose attributes it offers."""
        import inspect

        return inspect.signature(MethodType(self.func, self.args[0]))

    @property
    def __self__(self) -> object:
        return self.args[0]

    @property
    def __func__(self) -> "Callable[..., Any]":
        return self.func

    def __getattr__(self, name: str) -> "Any":  # Any: whatever the function's attribute is
        """Offer the mapping methods, bound to the object; anything else is the function's own."""
        found = getattr(self.func, name)
        bound_to = getattr(getattr(found, "__self__", None), "bound_to", None)
        return found if bound_to is None else getattr(bound_to(self.args[0]), name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BoundParallel) and self.func is other.func and self.args[0] is other.args[0]

    def __hash__(self) -> int:
        return hash((self.func, id(self.args[0])))

    def __repr__(self) -> str:
        return f"<parallelizable {MethodType(self.func, self.args[0])!r}>"

    def __reduce__(self) -> tuple[object, ...]:
        return getattr, (self.args[0], self.func.__name__)


class ParallelMethod:
    """A decorated function in a class body."""

    __slots__ = ("__func__",)

    def __init__(self, func: "Callable[..., Any]") -> None:
        object.__setattr__(self, "__func__", func)

    def __get__(self, instance: object, owner: type | None = None) -> "Callable[..., Any]":
        return self.__func__ if instance is None else BoundParallel(self.__func__, instance)

    def __call__(self, *args: "Any", **kwargs: "Any") -> "Any":
        """Call the function as it stands: how `staticmethod` reaches it."""
        return self.__func__(*args, **kwargs)

    def __reduce__(self) -> tuple[object, ...]:
        """Travel with a class that travels as code: made anew, for without its function it has no attribute."""
        return ParallelMethod, (self.__func__,)

    def __getattr__(self, name: str) -> "Any":
        """Offer the function's attributes: its name, its docstring, its mapping methods."""
        return getattr(self.__func__, name)

    def __setattr__(self, name: str, value: object) -> None:
        """Let a decorator above mark the function, as `abstractmethod` does."""
        setattr(self.__func__, name, value)


class ParallelClassMethod(ClassMethod):
    """A decorated function below `@classmethod`, bound by what it wraps, as `classmethod` did before Python 3.13.

    Since then it makes a plain method of anything, whose `pmap` is the function's own and knows no class.
    """

    def __get__(self, instance: object, owner: type | None = None) -> "Any":
        return self.__func__.__get__(type(instance) if owner is None else owner)

    def __reduce__(self) -> tuple[object, ...]:
        """Travel with a class that travels as code."""
        return ParallelClassMethod, (self.__func__,)


class _ClassMethods:
    """Stands in a class body until its class is made, and then replaces each `classmethod` of a decorated function."""

    def __set_name__(self, owner: type, name: str) -> None:
        type.__delattr__(owner, name)
        for each, found in list(vars(owner).items()):
            if type(found) is classmethod and isinstance(found.__func__, ParallelMethod):
                type.__setattr__(owner, each, ParallelClassMethod(found.__func__))


def made_method(func: "Callable[..., Any]", body: "FrameType") -> ParallelMethod:
    """Return the descriptor of a function that is decorated in this class body."""
    place, _, _ = func.__qualname__.rpartition(".")
    if sys.version_info >= (3, 13) and body.f_locals.get("__qualname__") == place:
        body.f_locals["__amorsize__"] = _ClassMethods()
    return ParallelMethod(func)
