"""The values that cross from one room to another. `None` always means "not known"."""

from amorsize.record import Record as Record
from amorsize.record import RunReport as RunReport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Scalar: TypeAlias = int | float | str | None
    Facts: TypeAlias = dict[str, Scalar | list[Scalar]]  # what a store keeps of a record: flat, and plain JSON


class FunctionKey(Record):
    """Who is asking: a function, as far as anything that it does depends on its code and what its code reaches.

    Attributes:
        digest: 32 hexadecimal digits; the same code on the same Python gives the same digest in every process.
        name: `module:qualname`, for people and for `amorsize cache clear FUNC`.
    """

    digest: str
    name: str


class Changes(Record):
    """What a function changes in place, so that what a worker process changes stays in it.

    Attributes:
        named: what outlives the call, as the user writes it: `results`, `self.n_seen`.
        assigned: names of the globals that it assigns, but for those that it only makes where they are missing.
        item: the parameter that holds the item, where a function that returns nothing changes that.
        is_silent: the function returns nothing.
    """

    named: tuple[str, ...] = ()
    assigned: tuple[str, ...] = ()
    item: str | None = None
    is_silent: bool = False


class Reach(Record):
    """What a function shares with the rest of the program through globals, cells, defaults and `self`.

    Attributes:
        handles: live handles that must not be used from a second process, as `variable (type)`.
        thread_handles: live handles that a `threading.local` holds: another thread opens its own, but a forked worker
            has the very same.
        context: context variables that have a value in the caller's context: a fresh interpreter does not know it.
        brought: what a `threading.local` holds and the function does not assign: no other thread, and no fresh
            interpreter, has it.
        hashes: whether the user's code calls `hash`, which a fresh interpreter answers otherwise for a text.
        loggers: those that it writes with to where this program has said: a fresh interpreter does not know where.
        changes: what the function changes in place.
    """

    handles: tuple[str, ...] = ()
    thread_handles: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    brought: tuple[str, ...] = ()
    hashes: bool = False
    loggers: tuple[str, ...] = ()
    changes: Changes = Changes()


class InputClass(Record):
    """What kind of item: items of one class are expected to cost about the same.

    Attributes:
        type_name: such as `int`, `numpy.ndarray[float64]`, `tuple[int,str]`, `mixed`.
        log2_size: floor(log2) of length, bytes or magnitude; None for items without one, and for the parent class.
    """

    type_name: str
    log2_size: int | None = None

    @property
    def parent(self) -> "InputClass | None":
        """The class of all sizes; None for a class that is a parent itself."""
        return None if self.log2_size is None else InputClass(type_name=self.type_name)

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
        rss_bytes: resident memory of this process's own; a fork copies its page tables.
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
        chunksize: of a `multiprocessing.Pool`; None for all others.
        predicted_s: seconds that it was predicted to take; None where it could not run at all.
        why_not: the reason, in words.
    """

    backend: str
    n_jobs: int
    chunksize: int | None = None
    predicted_s: float | None = None
    why_not: str


class Plan(Record):
    """How a call is to be run, and why.

    Attributes:
        backend: `serial`, `process` or `thread`.
        n_jobs: processes that compute at once, the caller included, or threads.
        chunksize: the largest range of items that a worker takes at once.
        predicted_s: predicted seconds for the items at hand; None where too little is known.
        serial_s: predicted seconds of the plain loop for the same items.
        reason: the decision in words.
        start_method: `fork` or `spawn` for processes, None for the loop and for threads.
        caller_computes: False where the caller runs no items: it only supervises long ones, or hands all of them out.
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
        n_left: items that nobody has taken yet; None where nobody knows.
        n_workers: workers alive.
        alone_s: seconds an item took while the caller computed alone.
        n_together: items finished by caller and workers since the workers were up.
        together_s: seconds since the workers were up.
        cores_used: CPU seconds of the items run since, a second: below 1 means that they wait, or that others use the
            cores.
    """

    n_left: int | None
    n_workers: int
    alone_s: float | None
    n_together: int
    together_s: float
    cores_used: float | None = None
