"""Say how to run a function with multiprocessing.Pool, after trying it on a few items.

trial of a few items -> Profile --.
prices of this machine -> Costs --+-> choose_pool_plan -> OptimizationResult
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from dataclasses import dataclass, replace
from functools import cache
from math import ceil
from time import perf_counter
from typing import Generic, TypeVar

from amorsize.advice.trial import take_sample, try_items
from amorsize.calibration.costs import Costs, Unmeasured
from amorsize.calibration.facts import SHORTEST_S
from amorsize.checks import count_from
from amorsize.engine import pools, safety
from amorsize.engine.failure import culprit, refusal
from amorsize.identity.function import function_key
from amorsize.identity.machine import capacity
from amorsize.identity.reach import reach
from amorsize.options import resolve
from amorsize.planning.limits import Limits, worker_limit_by_memory
from amorsize.planning.model import WAITS_BELOW
from amorsize.planning.pool import choose_pool_plan
from amorsize.planning.words import items as counted
from amorsize.planning.words import span
from amorsize.report.text import if_known, named, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from amorsize.advice.trial import Trial
    from amorsize.records import Plan

X = TypeVar("X")

WORTH_MEASURING_S = 2e-3
"""A loop that is over sooner cannot gain from a Pool, whose start alone takes longer anywhere: nothing is measured for
it. Lower would spend 0.2 s on measuring for nothing; higher would let the defaults decide where they may be wrong."""

EXPECTED_S = 10.0
"""An iterator that tells no length is planned for as many items as the loop would do in these seconds: whoever asks has
a job in mind that takes a while. The break-even tells from how many items on the answer holds."""

LENGTH_UNKNOWN = f"nobody knows how many items come, so {span(EXPECTED_S)} of work were assumed"

STREAM_CHUNK_S = 0.02
"""Seconds of a chunk where nobody knows how many items come. Sending one takes 0.1 ms; longer chunks would leave
workers without work if the items are fewer than expected."""

SENDS_FROM = 0.25
"""Share of an item's own seconds from which on sending it is worth a word: the caller does half of it, alone, so that
no number of workers gains more than eight times."""

SENDS_LEAST_S = 1e-5
"""Below these seconds there is nothing that could be left out: any small value takes some microseconds."""

MOST_ITEMS = 10**9
"""Where that many items would not gain, no number does."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class OptimizationResult(Generic[X]):
    """How to run a function over data with `multiprocessing.Pool(n_jobs).map(func, data, chunksize)`, and why.

    `None` is "not known". `print(result)` tells everything.

    Attributes:
        n_jobs: workers; 1 where the plain loop is as fast.
        chunksize: items that are sent at once.
        estimated_speedup: predicted seconds of the plain loop over those of the Pool with its start; 1 for the loop.
        reason: the decision in words.
        warnings: what was in the way, and what may go wrong.
        data: all items, those of an iterator that were tried included.
        n_items: how many these are.
        serial_s: predicted seconds of the plain loop.
        predicted_s: predicted seconds of what is recommended.
        chunk_s: seconds that a chunk keeps a worker busy; None for the loop.
        break_even_items: from how many items on a Pool is faster; None where it never is.
        jobs_by_cores: workers for which there are cores (or a CPU quota, or `AMORSIZE_N_JOBS` allows them).
        jobs_by_memory: workers for which there is memory.
        trial: what trying some items has shown.
    """

    n_jobs: int
    chunksize: int
    estimated_speedup: float
    reason: str
    warnings: tuple[str, ...]
    data: Iterable[X]
    n_items: int | None
    serial_s: float | None
    predicted_s: float | None
    chunk_s: float | None
    break_even_items: int | None
    jobs_by_cores: int
    jobs_by_memory: int | None
    trial: Trial

    @property
    def item_s(self) -> float | None:
        """Mean seconds of an item."""
        return self.trial.profile.item_s

    @property
    def result_bytes(self) -> float | None:
        """Median bytes of a pickled result."""
        return self.trial.profile.result_bytes

    def __repr__(self) -> str:
        return (
            f"OptimizationResult(n_jobs={self.n_jobs}, chunksize={self.chunksize}, "
            f"estimated_speedup={self.estimated_speedup:.2f}, reason={self.reason!r})"
        )

    def __str__(self) -> str:
        gain = f"{self.estimated_speedup:.2f} times as fast as the plain loop"
        advice = f"multiprocessing.Pool({self.n_jobs}), chunksize {self.chunksize:,}: {gain}"
        from_on = "no number of items makes a Pool faster"
        if self.break_even_items is not None:
            from_on = f"a Pool is faster from {counted(self.break_even_items)} on"
        by_memory = if_known(self.jobs_by_memory, ", {:,} by memory".format) or ""
        lines = named(
            [
                ("use", advice if self.n_jobs > 1 else "the plain loop"),
                ("because", self.reason),
                *_told(self.trial),
                ("plain loop", if_known(self.serial_s, span)),
                ("predicted", if_known(self.predicted_s, span)),
                ("a chunk", if_known(self.chunk_s, span)),
                ("break-even", from_on),
                ("workers", f"{self.jobs_by_cores} by cores{by_memory}"),
                *(("warning", warning) for warning in self.warnings if warning != self.reason),
            ]
        )
        return "\n".join(lines)


def _told(trial: Trial) -> Iterator[tuple[str, str | None]]:
    """Yield what the trial has shown, line by line."""
    profile = trial.profile
    if profile.is_known:
        yield "an item", f"{span(profile.item.mean)} ({trial.n_sampled} tried, {span(profile.longest_s)} at most)"
    yield "first call", if_known(profile.first_call_s, lambda seconds: f"{span(seconds)} longer than the others")
    yield "computes", if_known(profile.cpu_share, "{:.0%} of its time".format)
    if trial.sending_s is not None:
        there, back = size(profile.argument_bytes or 0), size(profile.result_bytes or 0)
        yield "sends", f"{there} to a worker, {back} back; pickling takes {span(trial.sending_s)} an item"
    yield "memory", if_known(trial.peak_bytes, lambda n_bytes: f"{size(n_bytes)} at most, apart from the worker itself")


def optimize(func: Callable[[X], Any], data: Iterable[X], *, sample_size: int, verbose: bool) -> OptimizationResult[X]:
    """Try the function on some items and return how to run it with `multiprocessing.Pool`; see `amorsize.optimize`."""
    sample, whole, n_items = take_sample(data, count_from(1, "sample_size")(sample_size))
    result = advise(func, try_items(func, sample), whole, n_items)
    if verbose:
        print(result)  # noqa: T201 - what verbose=True asks for
    return result


def advise(func: Callable[[X], Any], trial: Trial, data: Iterable[X], n_items: int | None) -> OptimizationResult[X]:
    """Return how to run the function over so many items (None: nobody knows), after a trial; never calls it."""
    profile, room = trial.profile, capacity(perf_counter())
    item_s = profile.item.mean
    expected = min(MOST_ITEMS, ceil(EXPECTED_S / max(item_s, SHORTEST_S))) if n_items is None else n_items
    limits = Limits(
        n_jobs_ceiling=resolve({}, {}, {}).jobs_ceiling(room.n_cores, room.quota_cores),
        chunksize=max(1, int(STREAM_CHUNK_S / max(item_s, SHORTEST_S))) if n_items is None else None,
        refusal=_refusal(func) or trial.refusal,
    )
    costs, assumed = _costs(trial, limits, expected * item_s)

    def choose(n_items: int) -> Plan:
        return choose_pool_plan(profile, costs, room, n_items, limits, shortest_s=trial.shortest_s)

    plan = choose(expected)
    chunksize = plan.chunksize
    speedup = plan.serial_s / plan.predicted_s if plan.serial_s and plan.predicted_s else 1.0
    is_sized = n_items is not None and profile.is_known
    found = OptimizationResult(
        n_jobs=plan.n_jobs,
        chunksize=chunksize,
        estimated_speedup=speedup,
        reason=plan.reason if n_items is not None else f"{LENGTH_UNKNOWN}: {plan.reason}",
        warnings=(),
        data=data,
        n_items=n_items,
        trial=trial,
        serial_s=plan.serial_s if is_sized else None,
        predicted_s=plan.predicted_s if is_sized else None,
        chunk_s=chunksize * item_s if plan.is_parallel else None,
        break_even_items=break_even(choose) if profile.is_known else None,
        jobs_by_cores=min(limits.n_jobs_ceiling, ceil(room.n_effective)),
        jobs_by_memory=worker_limit_by_memory(room.memory_bytes, profile.worker_bytes),
    )
    return replace(found, warnings=(*assumed, *_warnings(func, found, limits)))


def _refusal(func: Callable[..., Any]) -> str | None:
    """Return why a Pool cannot run this function from here, in words; None where it can."""
    error = refusal(func)
    if error is None:
        return pools.refusal()
    path, type_name = culprit(func, "the function")
    what = path if path == "the function" else f"{path}, a {type_name}"
    return f"a Pool cannot be sent {what} ({type(error).__name__}: {error}): define it at the top of a module"


def _costs(trial: Trial, limits: Limits, serial_s: float) -> tuple[Costs, list[str]]:
    """Return what this machine charges for these items, measured where that can make a difference; and a warning where
    it could not be."""
    costs, method, assumed = Costs(), pools.start_method(), []
    if limits.refusal is None and limits.n_jobs_ceiling > 1 and serial_s >= WORTH_MEASURING_S:
        try:
            costs = measured()
        except Unmeasured as error:
            costs = error.costs
            assumed = [f"what a Pool costs is assumed, because trying one here failed ({error}): yours may fail, too"]
    if method != "fork":
        costs = costs.replace(pool_s=pools.ASSUMED_POOL_S[method])
    return costs.replace(pool_item_s=max(costs.pool_item_s, trial.sending_s or 0.0)), assumed


@cache
def measured() -> Costs:
    """Measure this machine, once in a process; the defaults stand where it may not fork.

    Raises:
        Unmeasured: where it fails to; the next call tries again.
    """
    if sys.platform != "linux" or safety.refusal() is not None:
        return Costs()
    from amorsize.engine import probe

    return probe.measure(capacity(perf_counter()))


def break_even(choose: Callable[[int], Plan]) -> int | None:
    """Return the least number of items for which a Pool is chosen; None where there is none."""
    most = 1
    while not choose(most).is_parallel:
        most *= 2
        if most > MOST_ITEMS:
            return None
    least = most // 2 + 1
    return least + bisect_left(range(least, most), True, key=lambda n_items: choose(n_items).is_parallel)


def _warnings(func: Callable[..., Any], found: OptimizationResult[X], limits: Limits) -> Iterator[str]:
    """Yield what was in the way of a Pool, and what may go wrong with one."""
    if limits.refusal is not None:
        yield limits.refusal
    name, reached, trial = function_key(func).name, reach(func), found.trial
    for handle in reached.handles + reached.thread_handles:
        yield f"{name} uses {handle}, which two processes must not share: open it inside the function"
    for assigned in reached.changes.assigned:
        yield f"{name} assigns the global {assigned}, and what a worker assigns stays there: return the value instead"
    for changed in [each for each in reached.changes.named if each not in reached.changes.assigned]:
        yield f"{name} changes {changed}, and what a worker changes stays there: return the value instead"
    if found.jobs_by_memory is not None and found.jobs_by_memory < found.jobs_by_cores:
        yield f"there are cores for {found.jobs_by_cores} workers, and memory for {found.jobs_by_memory} only"
    cpu_share = trial.profile.cpu_share
    if cpu_share is not None and cpu_share < WAITS_BELOW:
        yield f"{name} waits for {1 - cpu_share:.0%} of its time: many threads would gain more than a process a core"
    if trial.sending_s and trial.sending_s > max(SENDS_LEAST_S, SENDS_FROM * trial.profile.item.mean):
        yield (
            f"pickling an item's argument and result takes {span(trial.sending_s)}, the item itself "
            f"{span(trial.profile.item.mean)}: send less, such as a path instead of what is in the file"
        )
    if found.n_jobs > 1 and pools.start_method() != "fork":
        yield 'workers import the program anew: start it under if __name__ == "__main__"; their start was not measured'
