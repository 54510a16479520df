"""The caller's own loop is the plain loop: every item once, in order, kept and timed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorsize import inline
from amorsize.inline import OUTLYING_FROM, Timings, Work, advance

if TYPE_CHECKING:
    from collections.abc import Sequence

FOR_EVER = float("inf")


def add(x: int, y: int) -> int:
    return x + y


@given(st.lists(st.integers(0, 1000), max_size=200), st.integers(1, 300), st.data())
def test_ranges_together_are_the_loop(items: list[int], size: int, data: st.DataObject) -> None:
    work = Work(abs, (items,))
    results: list[object] = []
    while len(results) < len(items):
        stop = min(len(items), len(results) + data.draw(st.integers(1, size)))
        work.run(len(results), stop, results)
    assert results == items


@given(st.lists(st.lists(st.integers(), max_size=20), min_size=2, max_size=3))
def test_several_columns_are_zipped_to_the_shortest(columns: list[list[int]]) -> None:
    work = Work(lambda *arguments: arguments, tuple(columns))
    results: list[object] = []
    work.run(0, work.n_items, results)
    assert results == list(zip(*columns, strict=False))


def test_star_unpacks_each_item() -> None:
    work = Work(add, ([(1, 2), (3, 4)],), star=True)
    results: list[object] = []
    work.run(0, 2, results)
    assert results == [3, 7]


@pytest.mark.parametrize("items", ["abc", b"abc", range(5, 8), (5, 6, 7)])
def test_slices_of_any_builtin_sequence_hold_its_items(items: Sequence[object]) -> None:
    work = Work(lambda item: item, (items,))
    results: list[object] = []
    work.run(1, 3, results)
    assert results == list(items)[1:3]


def test_a_stop_iteration_of_the_function_is_not_taken_for_the_end() -> None:
    def stop_at_two(item: int) -> int:
        if item == 2:
            raise StopIteration(item)
        return item

    results: list[object] = []
    with pytest.raises(StopIteration):
        Work(stop_at_two, (range(5),)).run(0, 5, results)
    assert results == [0, 1]


def test_the_sample_is_the_first_the_middle_and_the_last_item() -> None:
    assert Work(abs, (range(101),)).sample() == [0, 50, 100]
    assert Work(abs, (range(2),)).sample() == [0, 1]
    assert Work(abs, (range(1),)).sample() == [0]


def test_advance_goes_on_where_the_results_end() -> None:
    results: list[object] = [0, 1]
    timings = Timings()
    advance(Work(abs, (range(1000),)), results, timings, 1, FOR_EVER)
    assert results == list(range(1000))
    assert timings.n_items == 998
    assert timings.total_s > 0


def test_advance_stops_after_a_batch_once_its_time_is_over() -> None:
    results: list[object] = []
    advance(Work(abs, (range(1000),)), results, Timings(), 3, 0.0)
    assert results == [0, 1, 2]


def test_batches_of_quick_items_grow() -> None:
    size = advance(Work(abs, (range(100_000),)), [], Timings(), 1, FOR_EVER)
    assert size > 1


def test_a_batch_that_lasted_too_long_is_followed_by_a_smaller_one() -> None:
    def slow(_item: int) -> None:
        sum(range(20_000))  # about 0.3 ms: eight of them exceed a batch

    assert advance(Work(slow, (range(64),)), [], Timings(), 64, 0.0) < 64


def test_the_timings_of_a_long_run_stay_few_and_lose_nothing() -> None:
    timings = Timings()
    for _ in range(3 * Timings.LIMIT):
        timings.add(2, 0.5)
    assert len(timings.batches) < Timings.LIMIT
    assert sum(n_items for n_items, _ in timings.batches) == timings.n_items == 6 * Timings.LIMIT
    assert sum(seconds for _, seconds in timings.batches) == timings.total_s == 1.5 * Timings.LIMIT
    assert timings.mean_s == 0.25


def test_the_mean_of_nothing_is_not_known() -> None:
    assert Timings().mean_s is None


# ---- pauses of the machine


def paced(*batches: tuple[int, float]) -> Timings:
    timings = Timings()
    for n_items, seconds in batches:
        timings.batch(n_items, seconds, n_items)
    return timings


def test_a_pause_amid_many_short_items_is_left_out_once_the_next_ones_are_as_short_as_before() -> None:
    timings = paced((64, 64e-6), (256, 10e-3))
    assert timings.is_doubtful
    timings.batch(10, 10e-6, 10)
    assert timings.batches == [(64, 64e-6), (256, pytest.approx(256e-6)), (10, 10e-6)]
    assert timings.total_s == pytest.approx(330e-6)
    assert not timings.is_doubtful


def test_items_that_get_dear_are_believed_by_the_next_batch() -> None:
    timings = paced((64, 64e-6), (256, 25.6e-3), (10, 1e-3))
    assert timings.batches == [(64, 64e-6), (256, 25.6e-3), (10, 1e-3)]
    assert timings.total_s == pytest.approx(26.664e-3)


@pytest.mark.parametrize(
    "batches",
    [
        [(256, 10e-3)],  # the first
        [(64, 64e-6), (256, 0.4e-3)],  # no longer than any batch should last
        [(64, 64e-6), (32, 10e-3)],  # one of few may be the giant
        [(64, 6.4e-3), (256, 100e-3)],  # noise
    ],
)
def test_other_batches_stand_as_they_are(batches: list[tuple[int, float]]) -> None:
    timings = paced(*batches)
    assert not timings.is_doubtful
    timings.batch(10, 10e-9, 10)
    assert timings.batches[:-1] == batches


def test_a_pause_does_not_make_the_loop_end_before_the_next_items_have_told(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 64e-6, 192e-6, 48e-3, 48.01e-3])
    monkeypatch.setattr(inline, "perf_counter", lambda: next(clock))
    timings, results = Timings(), list[object]()
    advance(Work(abs, (range(1000),)), results, timings, OUTLYING_FROM, 10e-3)
    assert len(timings.batches) == 4
    assert not timings.is_doubtful
    assert timings.total_s < 10e-3
