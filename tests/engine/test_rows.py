"""The caller's own loop over an iterator: pulled like the plain loop's, and exact about what raised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorsize.engine.guard import Guard
from amorsize.engine.rows import Rows, advance_rows, item_of
from amorsize.inline import Timings

if TYPE_CHECKING:
    from collections.abc import Iterator

GUARDS: list[Any] = [pytest.param(None, id="plain"), pytest.param(Guard(), id="guarded")]
guards = pytest.mark.parametrize("guard", GUARDS)


def broken_after(n_items: int, error: BaseException) -> Iterator[int]:
    yield from range(n_items)
    raise error


@guards
@given(n_items=st.integers(0, 20), sizes=st.lists(st.integers(1, 6), max_size=12), peeks=st.booleans())
def test_every_item_is_called_once_and_in_order(
    guard: Guard | None, n_items: int, sizes: list[int], peeks: bool
) -> None:
    rows, results = Rows(lambda x: 10 * x, (iter(range(n_items)),), star=False, guard=guard), []
    for size in [*sizes, 21]:
        if peeks:
            assert rows.peek() in ([rows.n_done], [])
            ahead = rows.peek(size, 60.0)
            assert ahead == [*range(rows.n_done, n_items)][:size]
        taken: list[object] = []
        rows.run(size, taken)  # taken away each time, as a stream does
        results += taken
        assert rows.n_done == len(results)
    assert results == [10 * x for x in range(n_items)]
    assert rows.is_over


@guards
def test_several_iterables_are_zipped_and_the_shortest_ends_it(guard: Guard | None) -> None:
    rows, results = Rows(pow, (iter([2, 3, 4]), iter([5, 2])), star=False, guard=guard), list[object]()
    rows.run(9, results)
    assert results == [32, 9]
    assert rows.is_over


@guards
def test_the_index_that_a_seed_follows_counts_over_batches(guard: Guard | None) -> None:
    """Not over what happens to lie in the list at the moment: a stream takes results away."""
    rows = Rows(abs, (iter(range(9)),), star=False, guard=guard)
    for n_done in (3, 6):
        rows.run(3, [])
        assert rows.n_done == n_done


@guards
@pytest.mark.parametrize("error", [OSError("gone"), RecursionError("deep")])
@pytest.mark.parametrize("n_items", [0, 1, 5])
def test_what_the_iterator_raises_is_told_from_what_the_function_raises(
    guard: Guard | None, error: Exception, n_items: int
) -> None:
    rows, results = Rows(abs, (broken_after(n_items, error),), star=False, guard=guard), list[object]()
    with pytest.raises(type(error)) as caught:
        rows.run(9, results)
    assert rows.broken is caught.value is error
    assert results == list(range(n_items))


@guards
def test_what_the_function_raises_is_not_blamed_on_the_iterator(guard: Guard | None) -> None:
    rows, results = Rows(lambda x: 1 // (3 - x), (iter(range(9)),), star=False, guard=guard), list[object]()
    with pytest.raises(ZeroDivisionError) as caught:
        rows.run(9, results)
    assert rows.broken is None
    assert item_of(caught.value) == 3
    assert rows.n_done == 3


@guards
def test_an_iterator_that_raises_at_a_peek_raises_at_its_place(guard: Guard | None) -> None:
    error = OSError("gone")
    rows = Rows(abs, (broken_after(0, error),), star=False, guard=guard)
    assert rows.peek() == []
    with pytest.raises(OSError, match="gone"):
        rows.run(1, [])
    assert rows.broken is error


def test_what_comes_before_the_iterator_raises_is_seen_ahead_and_run() -> None:
    error = OSError("gone")
    rows, results = Rows(abs, (broken_after(3, error),), star=False), list[object]()
    assert rows.peek(9, 60.0) == [0, 1, 2]
    with pytest.raises(OSError, match="gone"):
        rows.run(9, results)
    assert results == [0, 1, 2]
    assert rows.broken is error


def test_who_has_met_the_end_does_not_ask_again() -> None:
    """`zip` would pull one more of the first iterator, which belongs to whoever goes on with it."""
    mine, results = iter(range(9)), list[object]()
    rows = Rows(max, (mine, range(3)), star=True)
    assert rows.peek(9, 60.0) == [(0, 0), (1, 1), (2, 2)]
    rows.run(9, results)
    assert rows.is_over
    assert results == [0, 1, 2]
    assert next(mine) == 4  # as after `map`, which pulls one before it sees that the other has ended


def test_ctrl_c_while_an_item_is_waited_for_is_the_iterators_and_does_not_wait() -> None:
    rows = Rows(abs, (broken_after(3, KeyboardInterrupt()),), star=False)
    with pytest.raises(KeyboardInterrupt) as caught:
        rows.peek(9, 60.0)
    assert rows.broken is caught.value


def test_an_exit_that_is_seen_ahead_comes_at_its_place() -> None:
    rows, results = Rows(abs, (broken_after(3, SystemExit(3)),), star=False), list[object]()
    assert rows.peek(9, 60.0) == [0, 1, 2]
    with pytest.raises(SystemExit):
        rows.run(9, results)
    assert results == [0, 1, 2]


def filled_anew(kind: type[list[int]] | type[bytearray]) -> Iterator[object]:
    """Yield one and the same object, which holds another number each time."""
    buffer = kind([0])
    for number in range(1, 5):
        buffer[0] = number
        yield buffer


@pytest.mark.parametrize("kind", [bytearray, list])
def test_an_iterator_that_overwrites_what_it_has_handed_out_is_known_and_loses_nothing(kind: Any) -> None:
    rows, results = Rows(lambda item: item[0], (filled_anew(kind),), star=False), list[object]()
    assert rows.overwrites()
    rows.run(9, results)
    assert results == [1, 2, 3, 4]


def test_so_is_one_beside_others() -> None:
    rows, results = Rows(lambda item, other: item[0] + other, (filled_anew(list), range(10)), star=True), list[object]()
    assert rows.overwrites()
    rows.run(9, results)
    assert results == [1, 3, 5, 7]


@pytest.mark.parametrize(
    "items",
    [
        pytest.param([[1], [2], [3]], id="new ones"),
        pytest.param([SHARED := [1], SHARED, SHARED], id="the same that stays"),
        pytest.param([[1]], id="only one"),
        pytest.param([], id="none"),
        pytest.param([lambda: 1, lambda: 2], id="what cannot be pickled"),
    ],
)
def test_items_that_stay_as_they_are_are_not_overwritten(items: list[object]) -> None:
    rows = Rows(id, (iter(items),), star=False)
    assert not rows.overwrites()
    assert [item is before for item, before in zip(rows.rows, items, strict=True)] == [True] * len(items)


class Once:
    """It can be pickled, and not be rebuilt, or pickled once only."""

    def __init__(self, n_times: int) -> None:
        self.n_times = n_times

    def __reduce__(self) -> tuple[Any, ...]:
        self.n_times -= 1
        if self.n_times < 0:
            raise TypeError("no more")
        return (int, ("none",)) if self.n_times else (int, ("7",))


def test_what_cannot_be_rebuilt_is_not_risked() -> None:
    items = iter([Once(9), Once(9)])
    assert not Rows(id, (items,), star=False).overwrites()
    assert len(list(items)) == 1


def test_what_can_no_longer_be_pickled_has_changed() -> None:
    rows = Rows(id, (iter([Once(1), Once(1)]),), star=False)
    assert rows.overwrites()
    assert next(rows.rows) == 7


def test_items_that_nobody_can_change_are_not_pulled_for_that() -> None:
    numbers = iter(range(9))
    assert not Rows(abs, (numbers,), star=False).overwrites()
    assert next(numbers) == 1


def test_an_iterator_that_fails_meanwhile_fails_at_its_place() -> None:
    def failing() -> Iterator[object]:
        yield [1]
        raise OSError("gone")

    rows, results = Rows(len, (failing(),), star=False), list[object]()
    assert not rows.overwrites()
    with pytest.raises(OSError, match="gone"):
        rows.run(9, results)
    assert results == [1]


def test_nothing_more_is_pulled_ahead_once_the_time_for_it_is_over() -> None:
    rows = Rows(abs, (iter(range(9)),), star=False)
    assert rows.peek(9, 0.0) == [0]
    assert next(rows.rows) == 0


def test_one_batch_is_run_where_no_time_is_given() -> None:
    rows, results = Rows(abs, (iter(range(100)),), star=False), list[object]()
    advance_rows(rows, results, Timings(), 7, 0.0)
    assert len(results) == 7
