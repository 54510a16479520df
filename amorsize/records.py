"""The values that cross from one room to another.

Every record is frozen, compares by value and is changed only by `replace`. `None` always means "not known".
They are small `__slots__` classes instead of dataclasses because this module is loaded before the first item runs:
`import dataclasses` alone costs 13 ms in a fresh process, and `from __future__ import annotations` 0.2 ms.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Self, TypeAlias, dataclass_transform

    Scalar: TypeAlias = int | float | str | None
    Facts: TypeAlias = dict[str, Scalar | list[Scalar]]  # what a store keeps of a record: flat, and plain JSON
else:

    def dataclass_transform(**_settings: object) -> "Callable[[type], type]":
        """Stand in for the marker that tells type checkers how `RecordType` makes its `__init__`."""
        return lambda decorated: decorated


def _annotated(body: "dict[str, Any]") -> tuple[str, ...]:
    """Return the names that a class body annotates; since Python 3.14 it holds a function that tells them."""
    if sys.version_info < (3, 14):
        return tuple(body.get("__annotations__", ()))
    import annotationlib

    annotate = annotationlib.get_annotate_from_class_namespace(body)
    return () if annotate is None else tuple(annotationlib.call_annotate_function(annotate, annotationlib.Format.STRING))


class RecordType(type):
    """Turn the annotations of a class body into slots, and its assigned values into defaults."""

    def __new__(mcs, name: str, bases: tuple[type, ...], body: "dict[str, Any]") -> "RecordType":
        fields = _annotated(body)
        defaults = {field: body.pop(field) for field in fields if field in body}
        body["__slots__"] = fields
        made = super().__new__(mcs, name, bases, body)
        inherited: tuple[str, ...] = getattr(made, "_fields", ())
        made._fields = inherited + fields
        made._defaults = {**getattr(made, "_defaults", {}), **defaults}
        return made

    _fields: tuple[str, ...]
    _defaults: "dict[str, Any]"


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Record(metaclass=RecordType):
    """A frozen value with named fields; fields are given by keyword.

    Raises:
        TypeError: for a field that is missing or unknown.
    """

    def __init__(self, **values: "Any") -> None:  # Any: each field's own type is checked statically
        fields = type(self)._fields
        if len(values) != len(fields):
            values = {**type(self)._defaults, **values}
        if values.keys() != set(fields):
            wrong = ", ".join(sorted(values.keys() ^ set(fields)))
            raise TypeError(f"{type(self).__name__} has the fields {', '.join(fields)}; missing or unknown: {wrong}")
        put = object.__setattr__
        for field, value in values.items():
            put(self, field, value)
        self.check()

    def check(self) -> None:
        """Raise ValueError where the fields do not fit together; a record is checked where it is made."""

    def replace(self, **changes: "Any") -> "Self":
        """Return a copy with these fields changed."""
        return type(self)(**{**dict(self.items()), **changes})

    def items(self) -> "Iterator[tuple[str, Any]]":
        """Yield (field, value) in the order of declaration."""
        for field in type(self)._fields:
            yield field, getattr(self, field)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: use replace({name}=...)")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return tuple(self.items()) == tuple(other.items())

    def __hash__(self) -> int:
        return hash((type(self).__name__, *self.items()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{field}={value!r}' for field, value in self.items())})"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), dict(self.items()))


def _rebuild(kind: "type[Record]", values: "dict[str, Any]") -> "Record":
    return kind(**values)


class FunctionKey(Record):
    """Who is asking: a function, as far as anything that it does depends on its code and what its code reaches.

    Attributes:
        digest: 32 hexadecimal digits; the same code on the same Python gives the same digest in every process.
        name: `module:qualname`, for people and for `amorsize cache clear FUNC`.
    """

    digest: str
    name: str


class Reach(Record):
    """What a function shares with the rest of the program through globals, cells, defaults and `self`.

    Attributes:
        handles: live handles that must not be used from a second process, as `variable (type)`.
        writes: names of the globals that the function assigns.
    """

    handles: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


class InputClass(Record):
    """What kind of item: items of one class are expected to cost about the same.

    Attributes:
        type_name: such as `int`, `numpy.ndarray[float64]`, `tuple[int,str]`, `mixed`.
        log2_size: floor(log2) of the length or bytes; None for items without one, and for the parent class.
    """

    type_name: str
    log2_size: int | None = None

    @property
    def parent(self) -> "InputClass | None":
        """The class of all sizes; None for a class that is a parent itself."""
        return None if self.log2_size is None else self.replace(log2_size=None)

    @property
    def label(self) -> str:
        """The class as one word: `str[2^10]`, `int`."""
        return self.type_name if self.log2_size is None else f"{self.type_name}[2^{self.log2_size}]"


class Machine(Record):
    """Where: everything that decides how fast code runs here, and none of what may change between two calls.

    Attributes:
        digest: 32 hexadecimal digits over CPU, OS, architecture, Python build and GIL state.
        description: one line for people.
    """

    digest: str
    description: str


class Capacity(Record):
    """How much of the machine this process may use now.

    Attributes:
        n_cores: cores usable by this process (affinity and the environment's ceilings applied), >= 1.
        quota_cores: CPU quota in cores, fractions included; None for no quota.
        physical_cores: cores without hyper-threads; None where nothing tells.
        memory_bytes: free memory within machine and cgroup; None where nothing tells.
        rss_bytes: resident memory of this process; a fork copies its page tables.
    """

    n_cores: int
    quota_cores: float | None = None
    physical_cores: int | None = None
    memory_bytes: int | None = None
    rss_bytes: int | None = None

    def check(self) -> None:
        if self.n_cores < 1:
            raise ValueError(f"n_cores must be >= 1, got {self.n_cores!r}")

    @property
    def n_effective(self) -> float:
        """Cores' worth of work that can be done at once: min(cores, quota)."""
        return self.n_cores if self.quota_cores is None else min(float(self.n_cores), self.quota_cores)


class Alternative(Record):
    """A way to run that was considered and rejected.

    Attributes:
        predicted_s: seconds that it was predicted to take; None where it could not run at all.
        why_not: the reason, in words.
    """

    backend: str
    n_jobs: int
    chunksize: int | None
    predicted_s: float | None
    why_not: str


class Plan(Record):
    """How a call is to be run, and why.

    Attributes:
        backend: `serial` or `process`.
        n_jobs: processes that compute at once, the caller included.
        chunksize: the largest range of items that a worker takes at once.
        predicted_s: predicted seconds for the items at hand; None where too little is known.
        serial_s: predicted seconds of the plain loop for the same items.
        reason: the decision in words.
        start_method: `fork` for processes, None for the loop.
        caller_computes: False where the caller only supervises (items longer than 5 ms, or `isolate=True`).
        alternatives: what was rejected.
    """

    backend: str
    n_jobs: int
    chunksize: int
    reason: str
    predicted_s: float | None = None
    serial_s: float | None = None
    start_method: str | None = None
    caller_computes: bool = True
    alternatives: "tuple[Alternative, ...]" = ()

    @property
    def is_parallel(self) -> bool:
        """Whether anything beside the caller computes."""
        return self.backend != "serial"


class Evidence(Record):
    """What a run in progress has shown so far; the engine hands it to `decide`.

    Attributes:
        n_left: items that nobody has taken yet.
        n_workers: workers alive.
        alone_s: seconds an item took while the caller computed alone.
        n_together: items finished by caller and workers since the workers were up.
        together_s: seconds since the workers were up.
        cpu_share: CPU seconds over wall seconds of the caller while it computed beside them; well below 1 means that
            others use the cores.
    """

    n_left: int
    n_workers: int
    alone_s: float | None
    n_together: int
    together_s: float
    cpu_share: float | None = None


class RunReport(Record):
    """What really happened in one call.

    Attributes:
        function: `module:qualname`.
        n_items: items that came back.
        n_sampled: items timed because the store knew nothing: 0 on a hit, None where the call was over before a
            look into the store was worth its time.
        backend: `serial` or `process`, as it was really run.
        n_jobs: processes that computed, the caller included.
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
