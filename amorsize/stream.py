"""Items one after the other: of an iterator, or of anything whose results are wanted as they come.

    the caller alone, batch by batch      until workers pay (at once where they were asked for)
    fed workers                           from there on; the caller pulls, sends and receives

`steps` is that story. It appends results to a list and pauses after each batch: `pmap` lets it run to the end, `Stream`
hands out what is there before it goes on.

A few items of an iterator must not pay for what only many need: without them it loads no more than the loop, which
takes a fresh process 2 ms instead of 8.
"""

from __future__ import annotations

import sys
from math import inf
from operator import length_hint

from amorsize.engine.fed.source import Pulled, Sliced
from amorsize.engine.rows import Rows, advance_rows, item_of
from amorsize.feeding import Raised, drained, fed_steps
from amorsize.inline import Work, columns_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from typing import Self

    from amorsize.call import Call
    from amorsize.engine.fed.source import Source
    from amorsize.records import Plan, RunReport

    Steps = Generator[None, None, None]

AHEAD_SHARE = 0.25
"""A stream is pulled ahead for this share of the seconds already spent at most: that bounds how much the items in hand
can hold, and for how long they wait where it is slow."""


def run_stream(call: Call, iterables: Sequence[Iterable[object]], results: list[object], *, star: bool) -> None:
    """Append the results of all items of iterators; several are zipped.

    Raises:
        BaseException: what the function raises, or, after the items before it are done, what an iterator raises.
    """
    drained(steps(call, Rows(call.func, iterables, star=star, guard=call.guard), None, results))


def steps(call: Call, rows: Rows, work: Work | None, results: list[object], *, ordered: bool = True) -> Steps:
    """Run all items, and pause after each batch; results may be taken away in the pauses.

    Args:
        call: the call.
        rows: an iterator over the items.
        work: the same items, where they can be sliced.
        results: grow.
        ordered: False for results as they come.
    """
    shown: list[object] = []  # the latest result, of those that may have been taken away
    while not rows.is_over:
        plan = _plan(call, rows, work, results, shown) if call.is_time_to_ask else None
        if plan is not None and (yield from _leave(call, plan, rows, work, results, ordered=ordered)):
            return
        try:
            call.size = _advance(call, rows, results)
        except BaseException as error:  # the item's or the iterable's own: raised again with its place on it
            _blame(error, rows, results)
            if isinstance(error, StopIteration):
                raise Raised(error) from None
            raise
        call.tell(rows.n_done, None if work is None else work.n_items)
        shown = results[-1:] or shown
        yield


def _plan(call: Call, rows: Rows, work: Work | None, results: list[object], shown: list[object]) -> Plan | None:
    """Return how workers are to run what is left; None for the plain loop, which also meets the end."""
    try:
        plan = _ask(call, rows, work, results or shown)
        return plan if plan is not None and rows.peek() else None
    except BaseException as error:
        if rows.broken is error:  # Ctrl-C, say, while an item was waited for
            _blame(error, rows, results)
        raise


def _ask(call: Call, rows: Rows, work: Work | None, results: list[object]) -> Plan | None:
    """Return the plan for what is left, None for the plain loop; `results` are some that are there already.

    Where nobody knows how much that is, and workers would pay for as many items as there were so far, these are pulled:
    if they come, workers may start. None are where each one destroys the one before.
    """
    if work is not None:
        return call.ask(max(0, work.n_items - rows.n_done), results, work.sample, feeds=True)
    looks_ahead = not call.is_lazy and call.options.buffersize == "auto"
    plan = call.ask(None, results, rows.peek, feeds=True, n_ahead=sys.maxsize if looks_ahead else 0)
    why = None if plan is None or call.options.buffersize == 1 else _in_the_way(call, rows)
    if why is not None:
        call.refuse(why)
        return None
    if plan is not None and looks_ahead:
        from amorsize.planning.streams import as_many_again

        spent_s = call.timings.total_s
        n_wanted = as_many_again(spent_s, call.known_adviser.profile.item_s or 0.0)
        n_ahead = len(rows.peek(n_wanted, AHEAD_SHARE * spent_s))
        plan = call.ask(None, results, rows.peek, feeds=True, n_ahead=n_ahead)
    return plan


def _in_the_way(call: Call, rows: Rows) -> str | None:
    """Return why no items can be pulled ahead, or why two of them must not be run side by side; None where they can."""
    if rows.overwrites():
        return "its iterable overwrites each item with the next, so that none can be pulled ahead"
    if call.options.forces_workers:
        return None
    from amorsize.identity.reach import shared_by

    if shared_by(rows.peek() * 2) is None:  # it holds nothing that another could hold, too
        return None
    found = shared_by(rows.peek(2, inf))
    return None if found is None else f"it uses {found}, which two workers must not share"


def _advance(call: Call, rows: Rows, results: list[object]) -> int:
    """Run items in the caller until it is time to look again, or, where somebody waits for each, a few."""
    if not call.is_lazy:
        return advance_rows(rows, results, call.timings, call.size, call.until_look_s)
    most, mean_s = 1, call.timings.mean_s
    if call.options.buffersize != "auto":
        most = call.options.buffersize
    elif mean_s:
        from amorsize.engine.fed.give import TASK_S

        most = max(1, int(TASK_S / mean_s))
    return advance_rows(rows, results, call.timings, min(call.size, most), 0.0)


def _leave(
    call: Call, plan: Plan, rows: Rows, work: Work | None, results: list[object], *, ordered: bool
) -> Generator[None, None, bool]:
    """Leave the items that are left to fed workers."""
    from amorsize.hiring import is_launching

    source: Source
    if work is None:
        work, source = Work(rows.func, ((),), star=rows.star, guard=rows.guard), Pulled(rows.rows, rows.n_done)
    else:
        source = Sliced(work, rows.n_done, inherited=plan.start_method == "fork")
    if is_launching(call, plan, work):
        return False
    is_done = yield from fed_steps(call, plan, work, source, results, ordered=ordered)
    rows.rows = source.rest()
    rows.n_done = source.n_taken
    return is_done


def _blame(error: BaseException, rows: Rows, results: list[object]) -> None:
    from amorsize.engine.collect import attach, name_item, name_iterable
    from amorsize.engine.finished import Finished

    if rows.broken is error:
        name_iterable(error, rows.n_done)
    else:
        name_item(error, rows.n_done, lambda: item_of(error))
    attach(error, Finished([(rows.n_done - len(results), results)]))


def stream_of(
    call: Call, iterables: Sequence[Iterable[object]], *, ordered: bool, keep: Callable[[RunReport], None]
) -> Stream:
    """Return the results of a call as they come; nothing is run and no item pulled before the first is asked for."""
    columns = columns_of(iterables)
    work = None if columns is None else Work(call.func, columns, guard=call.guard)
    rows = Rows(call.func, iterables if columns is None else columns, star=False, guard=call.guard)
    results: list[object] = []
    call.is_lazy = True
    return Stream(call, steps(call, rows, work, results, ordered=ordered), results, keep)


class Stream:
    """The results of a call as they come: an iterator, and a context manager that ends it.

    Nothing runs but while somebody waits for the next result; then as many items are pulled as keep the workers busy,
    never more than `buffersize` beyond those whose results were taken.

    Args:
        call: the call.
        made: its steps.
        results: where they put results.
        keep: given the report when all is done.
    """

    def __init__(self, call: Call, made: Steps, results: list[object], keep: Callable[[RunReport], None]) -> None:
        self._results = self._hand_out(call, made, results, keep)

    @staticmethod
    def _hand_out(
        call: Call, made: Steps, results: list[object], keep: Callable[[RunReport], None]
    ) -> Generator[object, None, None]:
        n_items, batch = 0, iter(results)
        error: BaseException | None = None
        try:
            while error is None:
                try:
                    next(made)
                except StopIteration:
                    break
                except Raised as raised:
                    error = raised.error
                except KeyboardInterrupt:  # whoever pressed Ctrl-C does not wait for the results before it
                    raise
                except BaseException as raised:  # of an item or the iterable: after the results before it
                    error = raised
                settled = call.settle(results[:])
                n_items, batch = n_items + len(settled), iter(settled)
                if error is None:  # else they belong to its `finished`
                    results.clear()
                yield from batch
            if error is not None:
                raise error
            keep(call.report(n_items))
        except GeneratorExit:  # an endless stream has no other end, and teaches as much
            made.close()
            if n_items and not sys.is_finalizing():
                keep(call.report(n_items - length_hint(batch)))
            raise
        except BaseException as raised:
            error = raised
            raise
        finally:
            made.close()
            call.end(error)
            error = None  # its traceback holds this frame, and both would wait for the garbage collector

    def __iter__(self) -> Iterator[object]:
        return self

    def __next__(self) -> object:
        return next(self._results)

    def close(self) -> None:
        """End the call: workers are gone when it returns, and what they were at is given up."""
        self._results.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
