"""What this machine charges for running in parallel, apart from any function.

The defaults are medians of repeated measurements on a Linux server with 2 cores and Python 3.11; a store keeps what
this machine really took. A cost twice too high forgoes runs that would have gained a millisecond; one twice too low
starts some that lose one. Real runs correct them, and so does a probe.
"""

from __future__ import annotations

from amorsize.calibration.facts import check_numbers, is_count, is_number
from amorsize.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from amorsize.records import Facts

MIN_COST_S, MAX_COST_S = 1e-15, 100.0
"""What any price lies between; none is 0, because a price is learned by factors."""

RSS_UNKNOWN_BYTES = 64 * 2**20
"""Resident bytes assumed where nothing tells: a program with NumPy loaded. Too low and a large program pays for a fork
that it did not expect; too high and jobs of 2 ms stay in the loop."""

LEARNING_RATE = 0.25
"""Share of a new measurement, on a logarithmic scale: about four runs back are remembered."""

MAX_STEP = 4.0
"""Factor by which one measurement may be off and still count in full: a stalled machine must not set the price."""

SMT_YIELD = 1.3
"""Work that two hyper-threads of one core do in the time in which one alone does 1.0, where it was not measured.
Published gains lie between 1.2 and 1.4. Too low leaves threads idle that would help; too high starts workers that bring
little."""

MAX_CROWDING = 16
"""Different numbers of processes whose crowding is remembered: powers of two up to 32,768."""


class Costs(Record):
    """Prices in seconds, of this machine.

    Attributes:
        fork_s: start and reap a worker of an empty process.
        fork_s_per_byte: the same, for each resident byte whose page table entry is copied and given back: 30 us a MB.
        spawn_s: launch fresh interpreters, all at once, until they take items.
        join_s: from the last result published to the caller awake with it, once a run.
        range_s: take a range from the shared counter.
        publish_s: a worker encodes, writes and announces a range of no results.
        drain_s: the caller reads, decodes and places a range of no results.
        encode_s: a worker encodes one simple result; and copies its part of the page in which its item lies.
        decode_s: the caller decodes one simple result; and does the same. With half of it, items of 0.03 us are shared
            out, and take 1.1 to 1.6 times the loop; with twice as much, items of 0.15 us are not, which gain 1.25.
        byte_s: one byte of results on one side: 1 MB costs 0.2 ms to write and as much to read.
        thread_s: start a thread, give it its first turn at the GIL, and end it.
        wake_s: the same with a thread that rests. 61 that wait had all begun after 2.2 ms, new ones after 3.6.
        switch_s: hand the GIL from one thread that waits for it to the next.
        pool_s: start and join a multiprocessing.Pool without workers.
        pool_worker_s: the same, for each worker.
        pool_chunk_s: one chunk sent through a Pool and its results back.
        pool_item_s: one simple argument pickled there and one simple result back.
        crowding: pairs of (processes that compute at once, seconds of an item then over its seconds alone), ascending.
    """

    fork_s: float = 0.35e-3
    fork_s_per_byte: float = 0.03e-3 / 2**20
    spawn_s: float = 50e-3
    join_s: float = 50e-6
    range_s: float = 0.5e-6
    publish_s: float = 10e-6
    drain_s: float = 6e-6
    encode_s: float = 0.06e-6
    decode_s: float = 0.06e-6
    byte_s: float = 0.2e-9
    thread_s: float = 50e-6
    wake_s: float = 20e-6
    switch_s: float = 25e-6
    pool_s: float = 2.5e-3
    pool_worker_s: float = 1.4e-3
    pool_chunk_s: float = 40e-6
    pool_item_s: float = 0.2e-6
    crowding: tuple[tuple[int, float], ...] = ()

    def check(self) -> None:
        check_numbers(tuple([getattr(self, name) for name in _PRICES]), MIN_COST_S, MAX_COST_S)
        n_jobs = [n for n, _ in self.crowding]
        if n_jobs != sorted(set(n_jobs)) or len(n_jobs) > MAX_CROWDING or not all(is_count(n) for n in n_jobs):
            raise ValueError(f"crowding must be ascending in whole numbers of processes, got {self.crowding!r}")
        check_numbers(tuple([slower for _, slower in self.crowding]), 1.0, 2.0**16)

    def start_s(self, rss_bytes: int | None) -> float:
        """Return the seconds to start and reap one worker of a process with so much resident memory."""
        return self.fork_s + self.fork_s_per_byte * (RSS_UNKNOWN_BYTES if rss_bytes is None else rss_bytes)

    def thread_start_s(self, n_threads: int, n_resting: int) -> float:
        """Return the mean seconds to start one of so many threads, where so many rest.

        Where half of them do, the others are priced as if they did, too: one call starts them for all that follow.
        """
        n_waking = min(n_threads, 2 * n_resting)
        return (n_waking * self.wake_s + (n_threads - n_waking) * self.thread_s) / n_threads

    def pool_start_s(self, n_jobs: int) -> float:
        """Return the seconds to make a multiprocessing.Pool of so many workers, and end it."""
        return self.pool_s + n_jobs * self.pool_worker_s

    def slowdown(self, n_jobs: int, physical_cores: int | None) -> float:
        """Return an item's seconds with `n_jobs` processes computing over its seconds alone, >= 1.

        Measured where it was; else what fewer processes were seen to suffer, and at least what hyper-threads cost.
        """
        fewer = 1.0
        for n, slower in self.crowding:
            if n == n_jobs:
                return slower
            if n < n_jobs and slower > fewer:
                fewer = slower
        if physical_cores is None or n_jobs <= physical_cores:
            return fewer
        doubled = min(n_jobs - physical_cores, physical_cores)  # cores that run two threads
        shared = n_jobs / (physical_cores + doubled * (SMT_YIELD - 1))
        return max(fewer, shared)

    def started(self, n_workers: int, rss_bytes: int | None, seconds: float) -> Self:
        """Return the costs after `n_workers` took `seconds` to start and to reap."""
        if n_workers < 1 or not is_number(seconds, 1e-9, MAX_COST_S):
            return self
        factor = _step(seconds / n_workers / self.start_s(rss_bytes))
        return self.replace(
            fork_s=_price(self.fork_s * factor),
            fork_s_per_byte=_price(self.fork_s_per_byte * factor),
        )

    def threaded(self, n_threads: int, n_resting: int, seconds: float) -> Self:
        """Return the costs after it took `seconds` until the last of so many threads was started, each by the one
        before it, where so many had rested."""
        if n_threads < 1 or 0 < n_resting < n_threads or not is_number(seconds, 1e-9, MAX_COST_S):
            return self
        factor = _step(seconds / n_threads / (self.thread_start_s(n_threads, n_resting) + self.switch_s))
        if n_resting:
            return self.replace(wake_s=_price(self.wake_s * factor), switch_s=_price(self.switch_s * factor))
        return self.replace(thread_s=_price(self.thread_s * factor))

    def spawned(self, seconds: float) -> Self:
        """Return the costs after fresh interpreters took `seconds` until they took items."""
        if not is_number(seconds, 1e-6, MAX_COST_S):
            return self
        return self.replace(spawn_s=_price(self.spawn_s * _step(seconds / self.spawn_s)))

    def to_facts(self) -> Facts:
        """Return them as plain JSON values; `from_facts` turns them back."""
        return {
            **{name: getattr(self, name) for name in _PRICES},
            "crowding": [value for pair in self.crowding for value in pair],
        }

    @classmethod
    def from_facts(cls, facts: Any) -> Costs | None:  # Any: whatever the store held
        """Return the costs that these facts tell; None for anything else, however it was damaged or planted."""
        try:
            flat = facts["crowding"]
            pairs = tuple(zip(flat[::2], flat[1::2], strict=True))
            return cls(crowding=pairs, **{name: facts[name] for name in _PRICES}) if type(flat) is list else None
        except (KeyError, TypeError, ValueError):
            return None  # a store may hold anything: what does not read as costs is a miss


class Unmeasured(Exception):
    """Why not all prices could be measured, in words.

    Attributes:
        costs: those that could be, and the defaults in place of the others.
    """

    def __init__(self, why: str, costs: Costs) -> None:
        super().__init__(why)
        self.costs = costs


_PRICES = Costs._fields[:-1]


def _step(ratio: float) -> float:
    """Return by what a price changes when it was measured at `ratio` times its value."""
    return float(min(max(ratio, 1 / MAX_STEP), MAX_STEP) ** LEARNING_RATE)


def _price(seconds: float) -> float:
    return min(max(seconds, MIN_COST_S), MAX_COST_S)
