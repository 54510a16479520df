"""Try a function on a few items: what they take, what they send, what they need, and what is in the way of a Pool.

Every sampled item is called once. Memory is read from the kernel's own account of this process: tracing allocations
would slow down what is timed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from operator import length_hint
from statistics import median
from time import perf_counter, process_time, time
from typing import TypeVar

from amorsize import footprint
from amorsize.advice.shares import queued_s
from amorsize.calibration.profile import Profile
from amorsize.engine import pools
from amorsize.engine.collect import attach, name_item
from amorsize.engine.failure import culprit
from amorsize.inline import CPU_TELLS_FROM_S
from amorsize.planning.limits import WORKER_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

X = TypeVar("X")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What trying some items has shown.

    Attributes:
        profile: their statistics.
        n_sampled: how many were tried.
        shortest_s: seconds of the shortest; 0 where none was tried.
        sending_s: median seconds to pickle and rebuild an item's argument and result; None where that cannot be done.
        peak_bytes: memory that trying them took at most; None too where the program had once held more before.
        refusal: which argument or result cannot be sent to another process, in words.
    """

    profile: Profile
    n_sampled: int
    shortest_s: float
    sending_s: float | None = None
    peak_bytes: int | None = None
    refusal: str | None = None


def take_sample(data: Iterable[X], sample_size: int) -> tuple[dict[int, X], Iterable[X], int | None]:
    """Return some items by index, the data with these items still in it, and its length where anything tells.

    From a sequence they are taken at equal distances, because inputs are often sorted; of anything else, the first.

    Raises:
        TypeError: for something that is not iterable.
    """
    if isinstance(data, Sequence):
        n_items = len(data)
        n_sampled = min(sample_size, n_items)
        return {index: data[index] for index in (k * n_items // n_sampled for k in range(n_sampled))}, data, n_items
    if not hasattr(data, "__iter__") and not hasattr(data, "__getitem__"):
        raise TypeError(f"optimize takes an iterable, got {data!r} ({type(data).__name__}): write optimize(f, [...])")
    rest: Iterator[X] = iter(data)
    head = list(islice(rest, sample_size))
    n_left = length_hint(rest, -1) if len(head) == sample_size else 0
    whole = chain(head, rest) if rest is data else data
    return dict(enumerate(head)), whole, None if n_left < 0 else len(head) + n_left


def try_items(func: Callable[[X], object], sample: dict[int, X]) -> Trial:
    """Call the function once with each item, and send each argument and result on a trial.

    Raises:
        BaseException: what the function raises, with a note that names the item.
    """
    held_bytes, highest_bytes = footprint.of() or (0, 0)
    cpu_began, queued_before_s = process_time(), queued_s() or 0.0
    batches, results = _run(func, sample)
    cpu_s, wall_s = process_time() - cpu_began, sum([seconds for _, seconds in batches])
    had_core_s = max(wall_s - ((queued_s() or 0.0) - queued_before_s), cpu_s)  # a busy machine is no waiting
    _, reached_bytes = footprint.of() or (0, 0)
    peak_bytes = reached_bytes - held_bytes if reached_bytes > highest_bytes else None
    profile = Profile.of(batches, time()).replace(
        cpu_share=cpu_s / had_core_s if wall_s >= CPU_TELLS_FROM_S else None,
        worker_bytes=float(WORKER_BYTES + (peak_bytes or 0)),
    )
    trial = Trial(
        profile=profile,
        n_sampled=len(sample),
        shortest_s=min([seconds for _, seconds in batches], default=0.0),
        peak_bytes=peak_bytes,
    )
    try:
        there_s, argument_bytes = _send("argument", sample)
        back_s, result_bytes = _send("result", results)
    except NotSendable as why:
        return replace(trial, refusal=str(why))
    sent = profile.replace(argument_bytes=argument_bytes, result_bytes=result_bytes)
    return replace(trial, profile=sent, sending_s=there_s + back_s)


class NotSendable(Exception):
    """A sampled value cannot travel between processes, in words."""


def _run(func: Callable[[X], object], sample: dict[int, X]) -> tuple[list[tuple[int, float]], dict[int, object]]:
    """Return a batch of (1, seconds) for each item, and the results by index."""
    batches: list[tuple[int, float]] = []
    results: dict[int, object] = {}
    for index, item in sample.items():
        began = perf_counter()
        try:
            results[index] = func(item)
        except BaseException as error:
            name_item(error, index, partial(sample.get, index))
            attach(error, results)
            raise
        batches.append((1, perf_counter() - began))
    return batches, results


def _send(what: str, values: dict[int, Any]) -> tuple[float, float]:
    """Return the median seconds and bytes of sending one of these values.

    Raises:
        NotSendable: for the first that cannot be sent.
    """
    trips: list[tuple[float, int]] = []
    for index, value in values.items():
        try:
            trips.append(pools.round_trip(value))
        except Exception as error:  # __reduce__ and __setstate__ may raise anything, and what they raise is the answer
            path, type_name = culprit(value, what)
            raise NotSendable(
                f"the {what} of item {index} cannot be sent to another process: {path} is a {type_name} "
                f"({type(error).__name__}: {error})"
            ) from error
    if not trips:
        return 0.0, 0.0
    base_s, _ = pools.round_trip(None)  # what a call of pickle takes: a Pool calls it once for a whole chunk
    seconds = max(0.0, median([seconds for seconds, _ in trips]) - base_s)
    return round(seconds, 7), median([float(n_bytes) for _, n_bytes in trips])  # below 0.1 us it is noise
