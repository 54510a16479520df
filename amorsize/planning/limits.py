"""How many processes may compute at all, and which numbers of them are worth a prediction."""

from __future__ import annotations

from math import ceil, sqrt

from amorsize.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.records import Capacity

MAX_FITTING = 2.0**53
"""More workers than any machine runs; a quotient may be infinite."""

MEMORY_SHARE = 0.8
"""Share of the free memory that workers may take; the rest is for results, and for programs that start meanwhile."""

WORKER_BYTES = 16 << 20
"""Memory of a worker apart from what items take: 4 MB when forked from a small program, 30 MB for a new interpreter
with NumPy. Only where memory is about to run out does it matter."""

MEMORY_FOR_ONE = "there is memory for one process only"
"""What bounds the number of processes where no second one fits."""

MOST_THREADS = 256
"""Threads on "auto" at most: a thousand would gain little, and open a thousand connections to somebody's server."""


class Limits(Record):
    """What a call was told, and what its surroundings allow.

    Attributes:
        n_jobs_ceiling: the most processes that may compute at once, the caller included; nothing exceeds it.
        n_jobs: processes asked for; None for "auto".
        chunksize: the largest range asked for; None for "auto".
        backend: `auto`, `serial`, `process` or `thread`.
        refusal: why no worker of any kind may be started here, in words; None where they may.
        isolate: whether the caller may run no item itself.
        feeds: whether the caller hands every item out, and then runs none either.
        sends_items: whether items are pickled on their way to a worker.
        start_method: how workers are started.
        n_warm: worker processes that wait for work already.
        n_resting: threads that do.
        no_processes: why no process may be started here although threads may, in words.
        no_threads: why no thread may be started here although processes may, in words.
        n_threads_ceiling: the most threads that may run at once.
        guesses_memory: whether what memory an item needs is known from items in the caller alone, where what the first
            one loads counts, and no worker has told.
        has_gil: whether threads have to take turns at running Python code.
    """

    n_jobs_ceiling: int
    n_jobs: int | None = None
    chunksize: int | None = None
    backend: str = "auto"
    refusal: str | None = None
    isolate: bool = False
    feeds: bool = False
    sends_items: bool = False
    start_method: str = "fork"
    n_warm: int = 0
    n_resting: int = 0
    no_processes: str | None = None
    no_threads: str | None = None
    n_threads_ceiling: int = MOST_THREADS
    guesses_memory: bool = False
    has_gil: bool = True

    @property
    def forces_workers(self) -> bool:
        """Whether workers were asked for, gain or not."""
        return self.isolate or self.backend in ("process", "thread")


def worker_limit_by_memory(memory_bytes: int | None, worker_bytes: float | None) -> int | None:
    """Return how many processes fit in memory, at least 1; None where either figure is not known."""
    if memory_bytes is None or not worker_bytes:
        return None
    return max(1, int(min(MEMORY_SHARE * memory_bytes / worker_bytes, MAX_FITTING)))


def most_jobs(worker_bytes: float | None, capacity: Capacity, n_items: int | None, limits: Limits) -> tuple[int, str]:
    """Return how many processes may compute at most; and what bounds them, in words that fit where it is one."""
    most, bound = limits.n_jobs_ceiling, "no second process may compute here"
    asked, n_effective = limits.n_jobs, capacity.n_effective
    if asked is not None:
        if asked <= most:
            most, bound = asked, "n_jobs=1 was asked for"
    elif n_effective <= most:
        most, bound = ceil(n_effective), f"usable cores: {n_effective:g}"
    fitting = worker_limit_by_memory(capacity.memory_bytes, worker_bytes)
    if fitting is not None and fitting < most:
        most, bound = fitting, MEMORY_FOR_ONE
    if n_items is not None and n_items < most:
        most, bound = n_items, "only one item is left"
    return max(1, most), bound


def memory_bound(worker_bytes: float | None, capacity: Capacity, n_items: int | None, limits: Limits) -> int | None:
    """Return how many processes fit in memory; None where as many do as may compute in any case."""
    fitting = worker_limit_by_memory(capacity.memory_bytes, worker_bytes)
    most, _ = most_jobs(None, capacity, n_items, limits)
    return fitting if fitting is not None and fitting < most else None


def candidates(serial_s: float, start_s: float, physical_cores: int | None, limits: Limits, most: int) -> list[int]:
    """Return the numbers of processes worth predicting, ascending.

    Up to four: each. Beyond: powers of two, the physical cores, all, and where the model has its minimum without tails:
    n workers started one by one end at serial_s / n + start_s n / 2.
    """
    least = min(most, 1 if limits.isolate else 2)
    if most <= 4:
        return list(range(least, most + 1))
    found = {least, 2, most, max(least, int(min(most, sqrt(2 * serial_s / start_s))))}
    n_jobs = 4
    while n_jobs < most:
        found.add(n_jobs)
        n_jobs *= 2
    if physical_cores is not None and least <= physical_cores < most:
        found.add(physical_cores)
    return sorted(found)
