"""Items one after the other: of an iterator, or of anything whose results are wanted as they come.

    the caller alone, batch by batch      until workers pay (at once where they were asked for)
    fed workers                           from there on; the caller pulls, sends and receives

`steps` is that story. It appends results to a list and pauses after each batch: `pmap` lets it run to the end, `Stream`
hands out what is there before it goes on.
"""

from __future__ import annotations

from amorsize.backends import feed_of
from amorsize.engine.collect import attach, name_item, name_iterable
from amorsize.engine.finished import Finished
from amorsize.engine.inline import Work, columns_of
from amorsize.engine.rows import Rows, advance_rows, item_of
from amorsize.engine.sink import OrderedSink, Sink
from amorsize.engine.source import Pulled, Sliced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from typing import Any, Self

    from amorsize.call import Call
    from amorsize.engine.source import Source
    from amorsize.records import Plan, RunReport

    Steps = Generator[None, None, None]


HANDED_OUT_S = 2e-3
"""Seconds of work in a batch of the caller's whose results somebody waits for. Less spends more on the hand-over (about
2 us); more makes a fast consumer wait, and holds more items at once."""


def run_stream(call: Call, iterables: Sequence[Iterable[object]], *, star: bool) -> list[object]:
    """Return the results of all items of iterators; several are zipped.

    Raises:
        BaseException: what the function raises, or, after the items before it are done, what an iterator raises.
    """
    results: list[object] = []
    run_out(steps(call, Rows(call.func, iterables, star=star, guard=call.guard), None, results))
    return results


def steps(
    call: Call,
    rows: Rows,
    work: Work | None,
    results: list[object],
    *,
    ordered: bool = True,
    hands_out: bool = False,
) -> Steps:
    """Run all items, and pause after each batch; results may be taken away in the pauses.

    Args:
        call: the call.
        rows: an iterator over the items.
        work: the same items, where they can be sliced.
        results: grow.
        ordered: False for results as they come.
        hands_out: somebody takes the results away in the pauses, and is not to wait for long.
    """
    while not rows.is_over:
        n_left = None if work is None else work.n_items - rows.n_done
        plan = call.ask(n_left, results, rows.peek, feeds=True) if call.is_time_to_ask else None
        if plan is not None and (yield from _leave(call, plan, rows, work, results, ordered=ordered)):
            return
        try:
            size, until_s = (_handed_out(call), 0.0) if hands_out else (call.size, call.alone_s)
            call.size = advance_rows(rows, results, call.timings, size, until_s)
        except BaseException as error:
            _blame(error, rows, rows.n_done, results)
            raise
        call.tell(rows.n_done, None if work is None else work.n_items)
        yield


def _handed_out(call: Call) -> int:
    """Return how many items to run before their results are handed out."""
    mean_s, window = call.timings.mean_s, call.options.buffersize
    size = min(call.size, max(1, int(HANDED_OUT_S / mean_s))) if mean_s else call.size
    return size if window == "auto" else min(size, window)


def _leave(
    call: Call, plan: Plan, rows: Rows, work: Work | None, results: list[object], *, ordered: bool
) -> Generator[None, None, bool]:
    """Leave the items that are left to fed workers."""
    source: Source
    if work is None:
        work, source = Work(rows.func, ((),), star=rows.star, guard=rows.guard), Pulled(rows.rows, rows.n_done)
    else:
        source = Sliced(work, rows.n_done, inherited=plan.start_method == "fork")
    return (yield from fed_steps(call, plan, work, source, results, ordered=ordered))


def _blame(error: BaseException, rows: Rows, index: int, results: list[object]) -> None:
    if rows.broken is error:
        name_iterable(error, index)
    else:
        name_item(error, index, lambda: item_of(error))
    attach(error, Finished([(index - len(results), results)]))


def fed_steps(
    call: Call, plan: Plan, work: Work, source: Source, results: list[object], *, ordered: bool = True
) -> Generator[None, None, bool]:
    """Run what is left with fed workers, and pause whenever there are results.

    Returns:
        False where no worker could be started, and nothing was run.
    """
    n_out, n_left = source.n_taken, source.n_left()
    n_items = None if n_left is None else n_out + n_left
    sink = (OrderedSink if ordered else Sink)(n_out, goes_on=call.goes_on)
    feed = feed_of(call, plan, work, source, sink)
    try:
        while not feed.is_over:
            feed.step(wait=not sink.ready)
            if sink.ready:
                n_out += len(sink.ready)
                results += sink.ready
                sink.ready.clear()
                call.tell(n_out, n_items)
                yield
        _raise_failure(sink, source, results, n_out)
    except OSError as error:
        if feed.n_started or sink.error is error:
            raise
        call.refuse(f"no worker could be started: {error}")
        return False
    finally:
        try:
            feed.close()
        finally:
            feed.close()  # where Ctrl-C came on the way into the first; else it finds nothing to do
    return True


def _raise_failure(sink: Sink, source: Source, results: list[object], n_out: int) -> None:
    error = sink.error
    if error is None:
        return
    if error is source.error:
        name_iterable(error, source.n_taken)
    attach(error, Finished([(n_out - len(results), results), *sink.waiting()]))
    raise error


def run_out(made: Generator[None, None, Any]) -> Any:
    """Run steps to their end, and return what they return.

    Raises:
        BaseException: what an item raised, as itself: no generator lets a StopIteration pass.
    """
    try:
        while True:
            next(made)
    except StopIteration as end:
        return end.value
    except RuntimeError as error:
        stopped = error.__cause__
        if isinstance(stopped, StopIteration) and "finished" in vars(stopped):  # of an item, and explained
            raise stopped from None
        raise


def stream_of(
    call: Call, iterables: Sequence[Iterable[object]], *, ordered: bool, keep: Callable[[RunReport], None]
) -> Stream:
    """Return the results of a call as they come; nothing is run and no item pulled before the first is asked for."""
    columns = columns_of(iterables)
    work = None if columns is None else Work(call.func, columns, guard=call.guard)
    rows = Rows(call.func, iterables if columns is None else columns, star=False, guard=call.guard)
    results: list[object] = []
    return Stream(call, steps(call, rows, work, results, ordered=ordered, hands_out=True), results, keep)


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
        n_items, error = 0, None
        try:
            while error is None:
                try:
                    next(made)
                except StopIteration:
                    break
                except BaseException as raised:  # after the results before it
                    error = raised
                batch = call.settle(list(results))
                n_items += len(batch)
                results.clear()
                yield from batch
            if error is not None:
                raise error
            keep(call.report(n_items))
        finally:
            made.close()
            call.end()

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
