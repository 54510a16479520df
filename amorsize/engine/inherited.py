"""Send objects of classes that no name leads to: forked workers have these classes from the caller.

    before the fork    note: a class that pickle would not find  -->  its number
    since then         dumps: the class is sent as its number    -->  class_of: the class of the same number

A class made in a function is one, and one that `namedtuple` has made for somebody else, as pandas does for the rows of
`itertuples`. What is met only after the fork is not there in the workers, and pickle refuses it as ever.
"""

from __future__ import annotations

import io
import pickle
from itertools import count
from weakref import WeakValueDictionary

from amorsize.engine.encoding import beside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_classes: WeakValueDictionary[int, type] = WeakValueDictionary()
_numbers = count()


def note(kinds: Iterable[type]) -> None:
    """Give these classes numbers, which workers forked from now on know, too."""
    for kind in kinds:
        if _number_of(kind) is None:
            _classes[next(_numbers)] = kind


def _number_of(kind: type) -> int | None:
    return next((number for number, noted in _classes.items() if noted is kind), None)


def class_of(number: int) -> type:
    """Return the class of this number."""
    found = _classes.get(number)
    if found is None:
        raise LookupError(f"the class of number {number} has been deleted in the meantime")
    return found


def dumps(value: object, buffers: list[memoryview] | None) -> bytes:
    """Pickle a value as `encoding.plain` does, but for the classes that have numbers.

    Raises:
        Exception: whatever pickling raises.
    """
    file = io.BytesIO()
    _Pickler(file, 5, buffer_callback=None if buffers is None else beside(buffers)).dump(value)
    return file.getvalue()


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:  # Any: pickle's own signature
        number = _number_of(obj) if isinstance(obj, type) else None
        return NotImplemented if number is None else (class_of, (number,))
