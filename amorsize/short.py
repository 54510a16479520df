"""Where every call begins, and where a short one ends: the caller's loop, alone.

A short call must not pay for what only a long one needs, so this loads nothing but the loop itself. What goes on for
longer, or was told how to run, is a `Call`, which takes over with the results so far.
"""

import sys
from time import perf_counter

from amorsize.footprint import begin
from amorsize.inline import FEW, FIRST_LOOK_S, Timings, Work, advance, check_iterables, columns_of, refuse_hidden

# Loaded before there are results: what a module makes has the garbage collector go through a long new list.
from amorsize.record import is_deep, report_of_loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from amorsize.record import RunReport


def run(
    func: "Callable[..., object]",
    iterables: "Sequence[Iterable[object]]",
    given: "Sequence[Mapping[str, object]]",
    *,
    star: bool,
    keep: "Callable[[RunReport], None]",
) -> "list[object]":
    """Call the function with each item and return the results in input order.

    Args:
        func: called once an item.
        iterables: one for each argument, as for the builtin `map`.
        given: the options of decorator, view and call, each checked.
        star: items are tuples of arguments.
        keep: given the report when all is done.

    Raises:
        TypeError: for something that is not iterable.
        WorkerDied: where a worker ended in the middle of its work.
        ItemNotPicklable: where a worker's result cannot be sent back.
        BaseException: whatever the function or an iterator raises.
    """
    began_s = perf_counter()
    check_iterables(iterables)
    refuse_hidden(func)
    columns = columns_of(iterables)
    work = None if columns is None else Work(func, columns, star=star)
    results: "list[object]" = []
    timings, size = Timings(), 1
    begin(began_s)
    looks_now = work is not None and _looks_ahead(work)
    if work is not None and not looks_now and not any(given) and _is_plain():
        size, looks_now = _alone(work, results, timings), True
        if len(results) == work.n_items:
            keep(report_of_loop(func, len(results), perf_counter() - began_s, timings.total_s))
            return results
    from amorsize.call import Call

    call = Call(func, given, timings, began_s, size)
    if looks_now:  # it pays: not to be asked again
        call.look_at_s = 0.0
    return call.run(iterables, work, results, star=star, keep=keep)


def _is_plain() -> bool:
    """Whether nothing was set for all calls, and no earlier one has loaded what decides."""
    # Of a module that another thread is just loading there may be nothing yet; nothing was set by it, either.
    is_configured = getattr(sys.modules.get("amorsize.options"), "is_configured", None)
    return "amorsize.advice.adviser" not in sys.modules and (is_configured is None or not is_configured())


def _looks_ahead(work: Work) -> bool:
    """Whether the first look of a process comes before its first item: there are few, and they are long."""
    if not 1 < work.n_items <= FEW or "amorsize.advice.adviser" in sys.modules or is_deep():
        return False
    from amorsize.advice.ahead import are_long

    return are_long(work.func, work.n_items)


def _alone(work: Work, results: "list[object]", timings: Timings) -> int:
    """Run items until a look into the store pays, or all are done; return the size that the next batch should have."""
    try:
        size = advance(work, results, timings, 1, FIRST_LOOK_S)
        while len(results) < work.n_items and not _look_pays(work, results, timings):
            size = advance(work, results, timings, size, max(FIRST_LOOK_S, timings.total_s / 4))
    except BaseException as error:
        if not is_deep():  # what is to explain it would raise another
            from amorsize.engine.collect import explain_alone

            explain_alone(error, work, results)
        raise
    return size


def _look_pays(work: Work, results: "list[object]", timings: Timings) -> bool:
    if is_deep():
        return False
    from amorsize.advice.worth import first_look_pays

    return first_look_pays(work.func, timings, work.n_items - len(results), results)
