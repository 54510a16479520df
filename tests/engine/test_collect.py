"""Results are put in order, failures are told of the lowest item, and nothing is lost unseen."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorsize.engine.collect import Collector, explain, explain_alone, name_iterable
from amorsize.errors import WorkerDied
from amorsize.inline import Work


def collector_of(n_items: int, n_head: int = 0) -> Collector:
    return Collector(Work(abs, (range(n_items),)), list(range(n_head)))


@given(st.integers(1, 60), st.integers(0, 60), st.data())
def test_ranges_in_any_order_become_the_input_order(n_items: int, n_head: int, data: st.DataObject) -> None:
    n_head = min(n_head, n_items)
    collector = collector_of(n_items, n_head)
    cuts = sorted({n_head, n_items, *data.draw(st.lists(st.integers(n_head, n_items)))})
    ranges = list(itertools.pairwise(cuts))
    for start, stop in data.draw(st.permutations(ranges)):
        collector.add(start, list(range(start, stop)))
    assert collector.n_done == n_items
    assert collector.first_missing(n_items) is None
    assert collector.ordered() == list(range(n_items))


@pytest.mark.parametrize("missing", [0, 3, 9])
def test_a_lost_item_is_an_error_and_never_a_shorter_list(missing: int) -> None:
    collector = collector_of(10)
    for index in set(range(10)) - {missing}:
        collector.add(index, [index])
    assert collector.first_missing(10) == missing
    with pytest.raises(AssertionError, match="lost"):
        collector.ordered()


def test_a_range_that_came_twice_is_an_error() -> None:
    collector = collector_of(4)
    collector.add(0, [0, 1])
    collector.add(1, [1, 2, 3])
    with pytest.raises(AssertionError, match="twice"):
        collector.ordered()


@given(st.permutations(range(6)))
def test_of_several_failures_the_lowest_is_raised(order: list[int]) -> None:
    collector = collector_of(6)
    for index in order:
        collector.fail(index, ValueError(index))
    with pytest.raises(ValueError) as caught:
        collector.raise_failure()
    assert caught.value.args == (0,)


def test_nothing_is_raised_where_nothing_failed() -> None:
    collector_of(3).raise_failure()


def test_finished_results_are_told_by_their_index() -> None:
    collector = collector_of(10, 2)
    collector.add(5, [5, 6])
    assert collector.finished() == {index: index for index in (0, 1, 5, 6)}


def test_the_note_names_the_item_by_its_index_and_what_it_is() -> None:
    error = ValueError("no")
    explain(error, Work(abs, (["x", "y" * 500],)), 1, {})
    (note,) = error.__notes__
    assert "item 1" in note
    assert "'yyy" in note
    assert len(note) < 200


def test_an_item_whose_repr_fails_does_not_hide_the_error() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no name")

    error = ValueError("the real one")
    explain(error, Work(abs, ([Broken()],)), 0, {})
    assert any("item 0" in note for note in error.__notes__)


def test_an_error_without_an_item_to_blame_names_none() -> None:
    error = KeyboardInterrupt()
    explain(error, Work(abs, (range(3),)), None, {0: 0})
    assert not any("raised by item" in note for note in error.__notes__)
    assert vars(error)["finished"] == {0: 0}


def test_an_error_of_the_iterable_says_so() -> None:
    error = OSError("gone")
    name_iterable(error, 7)
    assert error.__notes__ == ["amorsize: raised by the iterable, in place of item 7"]


def test_a_dead_worker_carries_what_was_finished() -> None:
    died = WorkerDied("a worker died", first=2, stop=3)
    explain(died, Work(abs, (range(3),)), 2, {0: 0, 1: 1})
    assert died.finished == {0: 0, 1: 1}


def test_a_users_own_attribute_finished_is_left_alone() -> None:
    class Race(Exception):
        finished = "in third place"

    error = Race()
    explain(error, Work(abs, (range(3),)), 0, {1: 1})
    assert error.finished == "in third place"


@pytest.mark.parametrize(("n_done", "notes"), [(1, 2), (2, 1)])
def test_what_a_handler_raises_after_the_last_item_is_no_item_s(n_done: int, notes: int) -> None:
    error = KeyboardInterrupt()
    results: list[object] = [1, 2]
    explain_alone(error, Work(abs, ([1, 2],)), results[:n_done])
    assert len(error.__dict__["__notes__"]) == notes
    assert len(error.__dict__["finished"]) == n_done
