"""How many items are taken at once."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorsize.planning.chunks import LONGEST_RANGE_S, fixed_size, range_size, target_s

seconds = st.floats(0, 1e7)


@given(st.integers(1, 5000), st.none() | seconds, st.integers(1, 128), st.none() | st.integers(1, 1000))
def test_ranges_taken_one_after_the_other_partition_the_items(
    n_items: int, item_s: float | None, n_jobs: int, chunksize: int | None
) -> None:
    taken: list[int] = []
    position = 0
    while position < n_items:
        size = range_size(item_s, n_items - position, n_jobs, chunksize)
        taken.extend(range(n_items)[position : position + size])
        position += size
    assert taken == list(range(n_items))


@given(st.none() | seconds, st.integers(0, 10**12), st.integers(1, 10**4), st.integers(1, 1000))
def test_a_range_keeps_within_the_size_asked_for(
    item_s: float | None, n_left: int, n_jobs: int, chunksize: int
) -> None:
    assert 1 <= range_size(item_s, n_left, n_jobs, chunksize) <= chunksize


@given(st.floats(1e-8, 1e-4), st.integers(1, 64))
def test_with_much_left_a_range_lasts_as_long_as_it_should(item_s: float, n_jobs: int) -> None:
    size = range_size(item_s, 10**12, n_jobs, None)
    assert LONGEST_RANGE_S - item_s <= size * item_s <= LONGEST_RANGE_S * (1 + 1e-9)


@given(st.floats(1e-8, 1e-4), st.integers(1, 10**7), st.integers(1, 256))
def test_it_lasts_as_long_as_the_model_believes(item_s: float, n_left: int, n_jobs: int) -> None:
    size = range_size(item_s, n_left, n_jobs, None)
    assert size <= max(1.0, target_s(n_jobs, n_left * item_s) / item_s * (1 + 1e-9))
    assert size >= min(n_left // (2 * n_jobs), int(target_s(n_jobs, n_left * item_s) / item_s * (1 - 1e-9)))


def test_the_less_is_left_the_shorter_are_the_ranges() -> None:
    sizes = [range_size(10e-6, n_left, 2, None) for n_left in (100_000, 3_200, 2_400, 1_600, 800, 100, 10)]
    assert sizes == [200, 200, 150, 100, 50, 25, 2]


@given(st.integers(1, 10**6), st.integers(1, 64))
def test_no_range_is_longer_than_half_a_fair_share_of_what_is_left(n_left: int, n_jobs: int) -> None:
    assert range_size(1e-9, n_left, n_jobs, None) <= max(1, n_left / (2 * n_jobs))


def test_an_unknown_function_is_tried_with_one_item() -> None:
    assert range_size(None, 1000, 2, None) == 1


def test_items_longer_than_a_range_are_taken_one_by_one() -> None:
    assert range_size(0.1, 1000, 2, None) == 1


def test_more_processes_take_longer_ranges_so_that_one_caller_can_read_them() -> None:
    assert [target_s(n_jobs, 0.0) for n_jobs in (2, 64)] == pytest.approx([0.5e-3, 1.92e-3])
    assert [target_s(n_jobs, 1e9) for n_jobs in (2, 64, 128)] == pytest.approx([2e-3, 2e-3, 3.84e-3])


@given(st.integers(1, 10**7), st.integers(1, 256), st.floats(1e-9, 1), st.floats(0, 1e3))
def test_a_fixed_chunk_is_at_least_one_item_and_at_most_a_fair_share(
    n_items: int, n_jobs: int, chunk_s: float, sd_s: float
) -> None:
    assert 1 <= fixed_size(n_items, n_jobs, chunk_s, sd_s) <= ceil(n_items / n_jobs)


def test_equal_items_need_one_chunk_a_process() -> None:
    assert fixed_size(1000, 4, 40e-6, sd_s=0.0) == 250


def test_a_fixed_chunk_is_the_optimum_of_kruskal_and_weiss() -> None:
    """(sqrt(2) x 10,000 x 40 us / (1 ms x 4 x sqrt(ln 4)))^(2/3) = 24.4"""
    assert fixed_size(10_000, 4, 40e-6, sd_s=1e-3) == 24


def test_the_more_items_differ_the_smaller_are_the_chunks() -> None:
    sizes = [fixed_size(10_000, 4, 40e-6, sd_s) for sd_s in (1e-5, 1e-4, 1e-3, 1e-2)]
    assert sizes == sorted(sizes, reverse=True)
