"""cloudpickle's pickler, which names a class that the other side has instead of sending it again.

It also sends what pickle refuses or only names: what an `lru_cache` wraps, and what a `singledispatch` has cached. Code
is sent as marshal has it, because cloudpickle leaves out the file that a traceback is to name.
"""

from __future__ import annotations

import functools
import marshal
import sys
from types import CodeType
from weakref import WeakKeyDictionary

import cloudpickle.cloudpickle

TYPE_CHECKING = False
if TYPE_CHECKING:
    import io
    from collections.abc import Callable
    from typing import Any

_number_of = cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS
_class_of = cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID
_Cached = type(functools.lru_cache(lambda: None))


def _is_found(obj: Any) -> bool:
    """Tell whether the worker will find under its name what is found here."""
    found = cloudpickle.cloudpickle._lookup_module_and_qualname(obj)
    return found is not None and found[0].__name__ not in cloudpickle.list_registry_pickle_by_value()


def _cached(func: Any, parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(func)


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle ships no types
    """Pickles one value.

    Args:
        file: where to.
        buffer_callback: asked for each buffer, as by pickle.
        is_told: whether the other side has the class of this number.
        keep: have the other side keep every class that is sent.

    Attributes:
        sent: numbers of the classes that were sent as code.
    """

    def __init__(
        self,
        file: io.BytesIO,
        buffer_callback: Callable[..., object] | None,
        is_told: Callable[[str], bool],
        *,
        keep: bool,
    ) -> None:
        super().__init__(file, 5, buffer_callback=buffer_callback)
        self._is_told = is_told
        self._keep = keep
        self.sent: set[str] = set()

    def dump_with(self, modules: tuple[str, ...], value: object) -> None:
        """Pickle a value, and what it uses of these modules as code; what the user has registered stays registered."""
        before = cloudpickle.list_registry_pickle_by_value()
        ours = [sys.modules[name] for name in modules if name in sys.modules and name not in before]
        for module in ours:
            cloudpickle.register_pickle_by_value(module)
        try:
            self.dump(value)
        finally:
            for module in ours:
                cloudpickle.unregister_pickle_by_value(module)

    def reducer_override(self, obj: Any) -> Any:  # Any: pickle's own signature
        """Reduce a class to its number, where that is enough."""
        if type(obj) is CodeType:
            return marshal.loads, (marshal.dumps(obj, 2),)  # version 2: equal code gives equal bytes
        if type(obj) is _Cached and not _is_found(obj):
            return _cached, (obj.__wrapped__, obj.cache_parameters())
        if type(obj) is WeakKeyDictionary:
            return WeakKeyDictionary, (dict(obj),)
        if not isinstance(obj, type):
            return super().reducer_override(obj)
        number = _number_of.get(obj)
        if number is not None and self._is_told(number):
            return known, (number,)
        reduced = super().reducer_override(obj)
        number = _number_of.get(obj)
        if number is None or not isinstance(reduced, tuple):
            return reduced
        self.sent.add(number)
        return (keep, reduced[:2], *reduced[2:]) if self._keep else reduced


kept: set[type] = set()
"""Classes that came as code, so that their number stays good for as long as this process lives."""


def keep(make: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:  # Any: as cloudpickle makes it
    """Make a class that came as code, and keep it."""
    made = make(*arguments)
    kept.add(made)
    return made


def known(number: str) -> Any:
    """Return the class of this number."""
    found = _class_of.get(number)
    if found is None:
        raise LookupError(f"the class of number {number} has been deleted in the meantime")
    return found
