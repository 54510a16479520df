"""cloudpickle's pickler, which names a class that the other side has instead of sending it again."""

from __future__ import annotations

import cloudpickle.cloudpickle

TYPE_CHECKING = False
if TYPE_CHECKING:
    import io
    from collections.abc import Callable
    from typing import Any

_number_of = cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS
_class_of = cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID


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

    def reducer_override(self, obj: Any) -> Any:  # Any: pickle's own signature
        """Reduce a class to its number, where that is enough."""
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
