"""How a record is made, and the one record that every call makes.

A record is frozen, compares by value and is changed only by `replace`. Records are small `__slots__` classes instead of
dataclasses because the first call of a process waits for this module: `import dataclasses` alone costs 13 ms in a fresh
process, `from __future__ import annotations` 0.2 ms, and the other records, which `amorsize.records` adds, 0.3 ms.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Self, dataclass_transform
else:

    def dataclass_transform(**_settings: object) -> "Callable[[type], type]":
        """Stand in for the marker that tells type checkers how `RecordType` makes its `__init__`."""
        return lambda decorated: decorated


def _annotated(body: "dict[str, Any]") -> tuple[str, ...]:
    """Return the names that a class body annotates; since Python 3.14 it holds a function that tells them, save where
    its module has them kept as text (`from __future__ import annotations`)."""
    annotate = body.get("__annotate_func__")  # asked for values: what helps with others, `annotationlib`, loads `ast`
    return tuple(body.get("__annotations__", ()) if annotate is None else annotate(1))


class RecordType(type):
    """Turn the annotations of a class body into slots, and its assigned values into defaults."""

    def __new__(mcs, name: str, bases: tuple[type, ...], body: "dict[str, Any]") -> "RecordType":
        fields = _annotated(body)
        defaults = {field: body.pop(field) for field in fields if field in body}
        body["__slots__"] = fields
        made = super().__new__(mcs, name, bases, body)
        inherited: tuple[str, ...] = getattr(made, "_fields", ())
        made._fields = inherited + fields
        made._names = frozenset(made._fields)
        made._defaults = {**getattr(made, "_defaults", {}), **defaults}
        return made

    _fields: tuple[str, ...]
    _names: frozenset[str]
    _defaults: "dict[str, Any]"


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Record(metaclass=RecordType):
    """A frozen value with named fields; fields are given by keyword.

    Raises:
        TypeError: for a field that is missing or unknown.
    """

    def __init__(self, **values: "Any") -> None:  # Any: each field's own type is checked statically
        kind = type(self)
        names = kind._names
        if len(values) != len(names):
            values = {**kind._defaults, **values}
        if values.keys() != names:
            wrong = ", ".join(sorted({**kind._defaults, **values}.keys() ^ names))
            raise TypeError(f"{kind.__name__} has the fields {', '.join(kind._fields)}; missing or unknown: {wrong}")
        put = object.__setattr__
        for field, value in values.items():
            put(self, field, value)
        self.check()

    def check(self) -> None:
        """Raise ValueError where the fields do not fit together; a record is checked where it is made."""

    def replace(self, **changes: "Any") -> "Self":
        """Return a copy with these fields changed."""
        return type(self)(**{**self._values(), **changes})

    def items(self) -> "Iterator[tuple[str, Any]]":
        """Yield (field, value) in the order of declaration."""
        yield from self._values().items()

    def _values(self) -> "dict[str, Any]":
        return {field: getattr(self, field) for field in type(self)._fields}

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: use replace({name}=...)")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self).__name__, *self.items()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{field}={value!r}' for field, value in self.items())})"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self._values())


def _rebuild(kind: "type[Record]", values: "dict[str, Any]") -> "Record":
    return kind(**values)


class RunReport(Record):
    """What really happened in one call.

    Attributes:
        function: `module:qualname`; of a call too short to look that up, `qualname` alone.
        n_items: items that came back.
        n_sampled: items timed because the store knew nothing: 0 on a hit, None where the call was over before a
            look into the store was worth its time.
        backend: `serial`, `process` or `thread`, as it was really run.
        n_jobs: processes that computed, the caller included, or threads.
        chunksize: the largest range that was taken at once.
        predicted_s: what the plan predicted, in seconds.
        serial_s: the estimated seconds of the plain loop: the sum of all items' own seconds.
        measured_s: seconds from call to return.
        reason: why it was run so.
        warnings: what was warned about.
    """

    function: str
    n_items: int
    n_sampled: int | None
    backend: str
    n_jobs: int
    chunksize: int
    measured_s: float
    reason: str
    predicted_s: float | None = None
    serial_s: float | None = None
    warnings: tuple[str, ...] = ()

    @property
    def speedup(self) -> float | None:
        """Estimated seconds of the plain loop over the measured ones; None where no item was timed."""
        return None if self.serial_s is None or not self.measured_s else self.serial_s / self.measured_s

    def __reduce__(self) -> tuple[object, ...]:
        """Stay in this process: a report is an attribute of its function, and pickled with it becomes None."""
        return type(None), ()


def report_of_loop(
    func: "Callable[..., object]", n_items: int, measured_s: float, serial_s: float, reason: str | None = None
) -> RunReport:
    """Return what happened in a call that never left the plain loop, and never looked into the store; by itself because
    it was too short for that."""
    return RunReport(
        function=getattr(func, "__qualname__", type(func).__qualname__),
        n_items=n_items,
        n_sampled=None,
        backend="serial",
        n_jobs=1,
        chunksize=max(1, n_items),
        measured_s=measured_s,
        reason=reason or f"over after {measured_s * 1e3:.3g} ms: too little to gain for workers to be considered",
        serial_s=serial_s,
    )


LEVELS = 150
"""Levels of recursion that a look at what is known may take: 75 in a fresh process, with all that it loads."""


def is_deep() -> bool:
    """Whether so little is left of the recursion limit that only the loop itself is sure to fit in; takes 0.3 us."""
    try:
        sys._getframe(max(0, sys.getrecursionlimit() - LEVELS))
    except ValueError:
        return False
    return True
