"""Results wait until the consumer takes them, each once; in order, or as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorsize.engine.fed.sink import OrderedSink, Sink
from amorsize.engine.guard import Failed

if TYPE_CHECKING:
    from collections.abc import Sequence


def cut(sizes: Sequence[int], first: int) -> list[tuple[int, list[object]]]:
    """Cut the numbers from `first` on into parts of these sizes."""
    parts: list[tuple[int, list[object]]] = []
    for size in sizes:
        parts.append((first, list(range(first, first + size))))
        first += size
    return parts


@given(st.lists(st.integers(1, 4), max_size=12), st.integers(0, 5), st.data())
def test_in_whatever_order_parts_come_results_leave_in_input_order(
    sizes: list[int], first: int, data: st.DataObject
) -> None:
    sink, out = OrderedSink(first, goes_on=False), []
    for start, part in data.draw(st.permutations(cut(sizes, first))):
        sink.add(start, part)
        if data.draw(st.booleans()):
            out += sink.take()
    out += sink.take()
    assert out == list(range(first, first + sum(sizes)))
    assert sink.n_out == first + sum(sizes)
    assert list(sink.waiting()) == []


@given(st.lists(st.integers(1, 4), max_size=12), st.data())
def test_unordered_results_leave_as_they_came(sizes: list[int], data: st.DataObject) -> None:
    sink = Sink(0, goes_on=False)
    parts = data.draw(st.permutations(cut(sizes, 0)))
    for start, part in parts:
        sink.add(start, part)
    assert sink.take() == [result for _, part in parts for result in part]
    assert sink.take() == []
    assert sink.n_out == sum(sizes)


def test_what_came_early_is_told_with_its_index() -> None:
    sink = OrderedSink(0, goes_on=False)
    sink.add(0, ["a", "b"])
    sink.add(5, ["f"])
    assert sink.take() == ["a", "b"]
    assert sink.waiting() == [(5, ["f"])]
    assert sink.taken(["b"]) == [(1, ["b"])]


def test_nobody_knows_the_indexes_of_unordered_results() -> None:
    sink = Sink(0, goes_on=False)
    sink.add(3, ["d"])
    assert sink.taken(sink.take()) == []


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
@pytest.mark.parametrize("kind", [Sink, OrderedSink])
def test_of_two_failures_the_lower_counts(kind: type[Sink], order: tuple[int, int]) -> None:
    sink = kind(0, goes_on=False)
    for index in order:
        assert not sink.survive(index, ValueError(index))
        sink.fail(index, ValueError(index))
    assert (sink.failed_at, repr(sink.error)) == (1, "ValueError(1)")


@pytest.mark.parametrize("kind", [Sink, OrderedSink])
def test_where_the_call_goes_on_a_failure_is_a_result_but_nothing_else_is(kind: type[Sink]) -> None:
    sink = kind(0, goes_on=True)
    assert sink.survive(0, ValueError("no"))
    (result,) = sink.take()
    assert type(result) is Failed
    assert repr(result.error) == "ValueError('no')"
    assert not sink.survive(1, KeyboardInterrupt())
