"""Predicted seconds: what N items of one function would take in each of the ways in which they can be run.

N items of mean mu, n processes that compute:

    T_serial   = N mu
    T_parallel = start + max(what the caller must do for the others, all work / lanes) + tail + join

    all work   = kappa(n) N mu + encoding and decoding of what workers send + taking and publishing of ranges
    lanes      = min(n / (1 + crowding (n - 1)), cores or quota / cores that one item keeps busy)
    tail       : until the last one is done: items are whole, and not of one length

n threads share one GIL. Whoever wakes up waits for those who woke before, so an item takes longer the more there are:

    T_thread   = max(what holds the GIL, start + max(CPU work / cores, N (mu + n switch / 2) / n) + tail) + join
"""

from __future__ import annotations

from math import ceil, log, sqrt

from amorsize.planning.chunks import SHARES_LEFT, target_s

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.calibration.costs import Costs
    from amorsize.calibration.profile import Profile
    from amorsize.planning.limits import Limits
    from amorsize.records import Capacity

SUPERVISES_FROM_S = 5e-3
"""Seconds of an item from which on the caller only supervises. Below, a caller between two items looks often enough
after its workers, and its core is worth using; above, trouble would wait for the end of an item, and a crash would take
the program with it."""

WAITS_BELOW = 0.5
"""CPU share below which a function is taken for one that waits. Higher, and one that was merely put aside by a busy
machine would be; lower keeps requests whose answers are parsed for long in the loop."""

WARM_S = 2e-3
"""Seconds until workers that wait already take items: they are sent the function and what surrounds it."""

NATIVE_FROM = 1.1
"""Cores in use by a program with one Python thread from which on native threads of a library must be at work."""

ALL_USED = 0.75
"""Share of the cores from which on native threads are taken to use all of them: beside another program, and beside
threads of BLAS that still spin, those that use two look like one and a half, and two processes seemed to gain by it."""

LEAST_CPU_SHARE = 1e-6
"""No item costs no CPU time at all; a coarse clock may say so."""


class Model:
    """One call: a function, its items and this machine, with all that the predictions share looked up once.

    Attributes:
        caller_computes: whether the caller runs items beside its workers.
        encode_s: seconds a worker spends on sending one result, and on receiving its item where that is sent.
        decode_s: seconds the caller spends on the same.
    """

    def __init__(
        self,
        profile: Profile,
        costs: Costs,
        capacity: Capacity,
        n_items: int,
        limits: Limits,
    ) -> None:
        self._costs = costs
        self._n_items = n_items
        self._physical_cores = capacity.physical_cores
        self._n_warm = limits.n_warm
        self._n_resting = limits.n_resting
        self._is_spawned = limits.start_method == "spawn"
        self._worker_start_s = worker_start_s(costs, capacity, limits)
        self._n_effective = capacity.n_effective
        self._cpu_share = 1.0 if profile.cpu_share is None else max(profile.cpu_share, LEAST_CPU_SHARE)
        self._crowding = profile.crowding or 0.0
        self._held_share = held_share(profile, has_gil=limits.has_gil)
        self._lanes = self._n_effective / self._cpu_share
        if 1 < self._lanes < 1 / ALL_USED and self._cpu_share >= NATIVE_FROM:
            self._lanes = 1.0
        self._item_s, self._sd_s = profile.item.mean, profile.sd_s
        self._longest_s = profile.longest_of_s(n_items)
        self.caller_computes = not (limits.isolate or limits.feeds) and profile.item.mean < SUPERVISES_FROM_S
        # A caller that has run items itself forks workers that are warmed up already.
        starts_cold = limits.isolate or self._is_spawned
        self._first_call_s = profile.first_call_s or 0.0 if starts_cold else 0.0
        sent_s = costs.byte_s * (profile.result_bytes or 0.0)
        if profile.send_s is None:
            self.encode_s, self.decode_s = costs.encode_s + sent_s, costs.decode_s + sent_s
        else:
            self.encode_s = self.decode_s = max(profile.send_s / 2, costs.encode_s)
        if limits.sends_items:
            given_s = costs.encode_s + costs.byte_s * (profile.argument_bytes or 0.0)
            given_s = given_s if profile.give_s is None else profile.give_s / 2
            self.encode_s, self.decode_s = self.encode_s + given_s, self.decode_s + given_s
        self._pool_item_s = costs.pool_item_s + 2 * sent_s + 2 * costs.byte_s * (profile.argument_bytes or 0.0)

    def start_s(self, n_jobs: int, backend: str = "process") -> float:
        """Return the seconds by which starting workers delays the end of a run.

        They are started one after the other, and those already there compute meanwhile: what counts is how late all
        who compute are on average. Worker k of w begins after k starts, a computing caller after all w.
        """
        if backend == "thread":
            return self._costs.thread_start_s(n_jobs, self._n_resting) * (n_jobs + 1) / 2
        if self._is_spawned:  # all at once
            return WARM_S if n_jobs <= self._n_warm else self._worker_start_s + self._first_call_s
        if self.caller_computes:
            n_workers = n_jobs - 1
            return self._worker_start_s * n_workers * (n_workers + 3) / (2 * n_jobs)
        return self._worker_start_s * (n_jobs + 1) / 2 + self._first_call_s

    def seconds(self, backend: str, item_s: float, n_jobs: int) -> float:
        """Return the seconds for all items, of mean `item_s`, with `n_jobs` of `process` or `thread`."""
        return self.thread_s(item_s, n_jobs) if backend == "thread" else self.process_s(item_s, n_jobs)

    def thread_s(self, item_s: float, n_jobs: int) -> float:
        """Return the seconds for all items, of mean `item_s`, in `n_jobs` threads, their start included."""
        costs, n_items = self._costs, self._n_items
        n_starts, n_ranges = min(n_jobs, n_items), _n_ranges(n_items, item_s, n_jobs)
        slowed_s = item_s + costs.switch_s * n_jobs / 2 * n_ranges / n_items
        thread_s = costs.thread_start_s(n_starts, self._n_resting)
        held_s = n_starts * thread_s + n_items * item_s * self._held_share + n_ranges * costs.switch_s
        in_use = ceil(min(n_jobs * self._cpu_share, self._n_effective))
        slowdown = costs.slowdown(in_use, self._physical_cores)
        together_s = slowdown * max(n_items * item_s * self._cpu_share / self._n_effective, n_items * slowed_s / n_jobs)
        whole_s = self.start_s(n_jobs, "thread") + together_s + self._tail_s(item_s, n_jobs, 1)
        last_s = n_starts * (thread_s + costs.switch_s) + item_s  # of whoever is started last
        return max(whole_s, held_s, last_s) + costs.join_s

    def process_s(self, item_s: float, n_jobs: int) -> float:
        """Return the seconds for all items, of mean `item_s`, in `n_jobs` processes, their start included."""
        costs, n_items = self._costs, self._n_items
        n_ranges = _n_ranges(n_items, item_s, n_jobs)
        sent_share = (n_jobs - 1) / n_jobs if self.caller_computes else 1.0
        caller_s = sent_share * (n_items * self.decode_s + n_ranges * costs.drain_s)
        workers_s = sent_share * (n_items * self.encode_s + n_ranges * costs.publish_s)
        return (
            self.start_s(n_jobs)
            + self._all_s(item_s, n_jobs, caller_s, workers_s + n_ranges * costs.range_s)
            + self._tail_s(item_s, n_jobs, 1)  # ranges shrink to single items near the end
            + costs.join_s
        )

    def pool_s(self, item_s: float, n_jobs: int, chunksize: int) -> float:
        """Return the seconds for the same in a new multiprocessing.Pool, whose caller only sends and receives."""
        costs, n_items = self._costs, self._n_items
        # Half of what an item or a chunk costs falls on either side: one pickles what the other rebuilds.
        side_s = (n_items * self._pool_item_s + ceil(n_items / chunksize) * costs.pool_chunk_s) / 2
        all_s = self._all_s(item_s, n_jobs, side_s, side_s)
        return costs.pool_start_s(n_jobs) + all_s + self._tail_s(item_s, n_jobs, chunksize)

    def _all_s(self, item_s: float, n_jobs: int, caller_s: float, workers_s: float) -> float:
        """Return the seconds until everything is done, if all finish together; the caller may be what limits."""
        slowdown = self._costs.slowdown(n_jobs, self._physical_cores)
        lanes = min(self._lanes, n_jobs / (1 + self._crowding * (n_jobs - 1)))
        return max(caller_s, (slowdown * self._n_items * item_s + caller_s + workers_s) / lanes)

    def _tail_s(self, item_s: float, n_jobs: int, chunksize: int) -> float:
        """Return the seconds between the mean end and the last end of those who compute.

        Chunks are whole: somebody runs one more than the mean. Chunks differ: the longest of n sums of k items is about
        sigma sqrt(2 k ln n) above the mean (Kruskal & Weiss 1985). And never more than all but one waiting for the
        longest (Graham 1969). Where items are supposed to be shorter than they were seen to be, the longest is, too:
        else the first of ten long items would keep the second one alone.
        """
        shorter = item_s / self._item_s if self._item_s else 1.0
        n_chunks = ceil(self._n_items / chunksize)
        whole_s = (ceil(n_chunks / n_jobs) - n_chunks / n_jobs) * chunksize * item_s
        spread_s = shorter * self._sd_s * sqrt(2 * chunksize * log(n_jobs))
        longest_s = max(item_s, shorter * self._longest_s) + (chunksize - 1) * item_s
        return min(whole_s + spread_s, (1 - 1 / n_jobs) * longest_s)


def worker_start_s(costs: Costs, capacity: Capacity, limits: Limits) -> float:
    """Return the seconds that starting one worker process takes; fresh interpreters, all of them."""
    return costs.spawn_s if limits.start_method == "spawn" else costs.start_s(capacity.rss_bytes)


def held_share(profile: Profile, *, has_gil: bool) -> float:
    """Return the share of an item's time, 0 to 1, in which no other thread can run Python code.

    Where no ticker has measured it, an item that is known to wait for most of its time holds the GIL whenever it
    computes, and any other one all the time.
    """
    if not has_gil:
        return 0.0
    if profile.gil_free_share is not None:
        return 1.0 - profile.gil_free_share
    cpu_share = profile.cpu_share
    return 1.0 if cpu_share is None or cpu_share >= WAITS_BELOW else cpu_share


def _n_ranges(n_items: int, item_s: float, n_jobs: int) -> float:
    """Return about how many ranges are taken: of full length at first, then of a falling share of what is left."""
    shares = SHARES_LEFT * n_jobs
    size = n_items / shares
    seconds = target_s(n_jobs, n_items * item_s / 2)  # as when half of it is done
    if size * item_s > seconds:
        size = seconds / item_s
    if size <= 1:
        return float(n_items)
    full = (n_items - shares * size) / size
    return full + shares * (1 + log(size))
