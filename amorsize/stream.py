"""Items of an iterator: pulled by the caller alone, a bounded block at a time, each block run like a list."""

from __future__ import annotations

from itertools import islice

from amorsize.engine.collect import explain
from amorsize.engine.inline import Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from amorsize.call import Call

BLOCK_S = 0.2
"""An iterator of unknown length is pulled in blocks of about this many seconds of work for each core, so that starting
workers anew for every block (0.6 ms) costs less than 1 %."""

BLOCK_ITEMS = 65_536
"""A block holds at most this many items, however small: what is pulled ahead of the results stays bounded."""


def run_stream(call: Call, iterables: Sequence[Iterable[object]], *, star: bool) -> list[object]:
    """Return the results of all items; several iterables are zipped.

    Raises:
        BaseException: what the function raises, or, after the items before it are done, what an iterator raises.
    """
    rows: Iterator[object] = iter(iterables[0]) if len(iterables) == 1 else zip(*iterables, strict=False)
    star = star or len(iterables) > 1
    results: list[object] = []
    while True:
        wanted = _block_items(call)
        block, error = pull(rows, wanted)
        if block:
            results += call.block(Work(call.func, (block,), star=star, offset=len(results)), results)
        if error is not None:
            explain(error, None, len(results), dict(enumerate(results)))
            raise error
        if len(block) < wanted:
            return results


def pull(rows: Iterator[object], n_items: int) -> tuple[list[object], Exception | None]:
    """Return the next items, fewer at the end, and what the iterator raised instead of the rest."""
    block: list[object] = []
    try:
        block.extend(islice(rows, n_items))  # keeps what came before an exception
    except Exception as error:  # whatever the caller's iterator raises is passed on, after the items before it
        return block, error
    return block, None


def _block_items(call: Call) -> int:
    """Return how many items to pull: a batch for the caller, or enough that starting workers for them pays."""
    spent_s, adviser = call.timings.total_s, call.adviser
    if adviser is None or adviser.stays is not None or spent_s < call.look_at_s:
        return call.size
    plan, item_s = adviser.choose(None, call.timings, ()), adviser.item_s
    if item_s is None and call.jobs:  # isolated items: only workers have timed any
        item_s = call.jobs[-1].timings.mean_s
    if not plan.is_parallel or item_s is None:
        call.look_later()
        return call.size
    call.look_at_s = 0.0
    return max(plan.n_jobs, min(BLOCK_ITEMS, int(BLOCK_S * plan.n_jobs / max(item_s, 1e-9))))
