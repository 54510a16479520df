"""Is what a run gave what a loop would give, or an error that says what has happened? Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amorsize import ItemNotPicklable, ItemTimeout, RemoteError, WorkerDied
from benchmarks.soak.kinds import InputError, OddError, looped
from benchmarks.soak.plans import Fault, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.soak.plans import Plan

_OF_KIND: dict[Kind, tuple[type[BaseException], ...]] = {
    Kind.RAISES: (ValueError,),
    Kind.ODD_ERROR: (OddError, RemoteError),
    Kind.NO_PICKLE: (ItemNotPicklable,),
    Kind.LEAVES: (SystemExit,),
    Kind.DIES: (WorkerDied,),
    Kind.DIES_ONCE: (),
    Kind.WAITS: (ItemTimeout,),
    Kind.INPUT_FAILS: (InputError,),
}
_MUST_FAIL = frozenset((Kind.RAISES, Kind.ODD_ERROR, Kind.LEAVES, Kind.DIES, Kind.WAITS))


def complaint(plan: Plan, found: Sequence[object], error: BaseException | None) -> str | None:
    """Say what is wrong with a run's outcome; None where nothing is.

    Args:
        plan: what was done.
        found: results that were given; of a call that failed, those of a stream before it did.
        error: what was raised; None where nothing was.
    """
    if error is not None and not isinstance(error, _raisable(plan)):
        return f"raised {type(error).__name__}: {error}"
    is_whole = error is None and plan.taken is None
    if is_whole and plan.kind is Kind.INPUT_FAILS:
        return "returned, though the input raises"
    if is_whole and plan.on_error == "raise" and plan.kind in _MUST_FAIL:
        return "returned, though an item fails"
    return _compared(plan, found, is_whole=is_whole)


def _raisable(plan: Plan) -> tuple[type[BaseException], ...]:
    """Return what may be raised."""
    allowed: tuple[type[BaseException], ...] = ()
    if plan.on_error == "raise" or plan.kind in (Kind.LEAVES, Kind.INPUT_FAILS):
        allowed = _OF_KIND.get(plan.kind, ())
    if plan.on_error == "raise":
        allowed += _by_fault(plan)
    return (*allowed, KeyboardInterrupt) if plan.fault is Fault.INTERRUPT else allowed


def _by_fault(plan: Plan) -> tuple[type[BaseException], ...]:
    """Return what may become of any item."""
    if plan.fault is Fault.KILL:
        return (WorkerDied,)
    if plan.fault is Fault.STALL and "timeout" in plan.options:
        return (ItemTimeout,)
    return ()


def _compared(plan: Plan, found: Sequence[object], *, is_whole: bool) -> str | None:
    """Compare results with the loop's; some may be missing where the run did not come to its end."""
    expected = looped(plan)
    if plan.is_stream and not plan.is_ordered:
        return _compared_unordered(plan, expected, found, is_whole=is_whole)
    index = 0
    for result in found:
        while index < plan.n_items and not _fits(plan, index, expected[index], result):
            if not _may_skip(plan, index):
                return f"result {index} is {_short(result)}, not {_short(expected[index])}"
            index += 1
        if index == plan.n_items:
            return f"one result too many: {_short(result)}"
        index += 1
    left = [n for n in range(index, plan.n_items) if not _may_skip(plan, n)]
    return f"{len(left)} results are missing, from item {left[0]} on" if is_whole and left else None


def _compared_unordered(plan: Plan, expected: list[object], found: Sequence[object], *, is_whole: bool) -> str | None:
    left = dict(enumerate(expected))
    strange = []
    for result in found:
        fitting = next((index for index, value in left.items() if _equal(value, result)), None)
        if fitting is None:
            strange.append(result)
        else:
            del left[fitting]
    odd = [result for result in strange if not isinstance(result, _returnable(plan))]
    if odd:
        return f"a result that is none: {_short(odd[0])}"
    n_skippable = sum(_may_skip(plan, index) for index in left)
    if is_whole and len(left) - len(strange) > n_skippable:
        return f"{len(left) - len(strange)} results are missing"
    return None


def _fits(plan: Plan, index: int, value: object, result: object) -> bool:
    if isinstance(result, WorkerDied):
        return _is_death_of(plan, index, result)
    if isinstance(result, BaseException):
        return isinstance(result, _returnable(plan) if index == plan.at else _by_fault(plan))
    must_fail = index == plan.at and plan.kind in _MUST_FAIL
    return not must_fail and _equal(value, result)


def _is_death_of(plan: Plan, index: int, died: WorkerDied) -> bool:
    """Tell whether an item may have been lost with its worker: without `retries`, nothing is called a second time to
    find out which of the items that were not yet back has done it.
    """
    if plan.on_error != "return":
        return False
    if died.first is None or died.stop is None:  # again and again before it could run anything: all of its items
        return plan.fault is Fault.KILL
    if not died.first <= index < died.stop:
        return False
    if plan.fault is Fault.KILL:
        return True
    is_alone = bool(plan.options.get("retries"))
    return plan.kind is Kind.DIES and (index == plan.at if is_alone else died.first <= plan.at < died.stop)


def _equal(value: object, result: object) -> bool:
    return type(value) is type(result) and value == result


def _returnable(plan: Plan) -> tuple[type[BaseException], ...]:
    if plan.on_error != "return":
        return ()
    return _OF_KIND.get(plan.kind, ()) + _by_fault(plan)


def _may_skip(plan: Plan, index: int) -> bool:
    takes_others_along = plan.kind is Kind.DIES and not plan.options.get("retries")
    fails_itself = (index == plan.at or takes_others_along) and bool(_OF_KIND.get(plan.kind))
    return plan.on_error == "skip" and (fails_itself or bool(_by_fault(plan)))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 80 else text[:77] + "..."
