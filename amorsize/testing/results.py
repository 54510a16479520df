"""Results: those of the loop, in its order, each item called once."""

from __future__ import annotations

import sys

assert sys.platform != "win32"  # before the imports: signals, named pipes and limits are those of POSIX

import functools
import operator
import os
from collections import UserList
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

import amorsize
from amorsize.testing.base import OVERLAP, PROCESSES, Contract, both_kinds, only_where
from amorsize.testing.faults import waits_for_the_next
from amorsize.testing.items import Calls, Gate, Travels, add, double, many_bytes, noted, process_of, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MEGABYTE = 1 << 20

ITERABLES: dict[str, Callable[[], Iterable[Any]]] = {
    "list": lambda: [3, 1.5, "a", (2,)],
    "tuple": lambda: (3, 1, 2),
    "range": lambda: range(100, 0, -3),
    "str": lambda: "abcde",
    "bytes": lambda: b"abcde",
    "dict": lambda: {"one": 1, "two": 2, "three": 3},
    "values of a dict": lambda: {"one": 1, "two": 2}.values(),
    "set": lambda: {5, 3, 9, 7},
    "generator": lambda: (item for item in range(50)),
    "iterator": lambda: iter(range(50)),
    "map": lambda: map(abs, range(-20, 0)),
    "user's sequence": lambda: UserList(range(20)),
}


class Adder:
    """A callable object with a method."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __call__(self, item: int) -> int:
        return item + self.n

    def add(self, item: int) -> int:
        return item + self.n


def closure(n: int) -> Callable[[int], int]:
    return lambda item: item + n


FUNCTIONS: dict[str, Callable[[int], int]] = {
    "lambda": lambda item: item + 1,
    "closure": closure(1),
    "partial": functools.partial(operator.add, 1),
    "partial whose argument travels as another": functools.partial(add, Travels(1)),
    "bound method": Adder(1).add,
    "callable object": Adder(1),
    "builtin": (1).__add__,
}


class Results(Contract):
    """The part of the contract that is about results."""

    @pytest.mark.parametrize("make", ITERABLES.values(), ids=ITERABLES)
    def test_results_equal_the_loop_s_whatever_is_iterated_over(self, make: Callable[[], Iterable[Any]]) -> None:
        assert self.pmap(double, make()) == [double(item) for item in make()]
        assert list(self.pimap(double, make())) == [double(item) for item in make()]

    def test_results_equal_the_loop_s_over_arrays(self) -> None:
        numpy = pytest.importorskip("numpy")
        for array in (numpy.arange(40), numpy.arange(24.0).reshape(6, 4)):
            found = self.pmap(double, array)
            assert [(type(row), row.dtype) for row in found] == [(type(row), row.dtype) for row in array]
            assert numpy.array_equal(found, 2 * array)

    def test_several_iterables_are_zipped_to_the_shortest(self) -> None:
        assert self.pmap(add, range(50), [1] * 40) == [n + 1 for n in range(40)]
        assert self.pmap(add, iter(range(30)), [2] * 50) == [n + 2 for n in range(30)]
        assert list(self.pimap(add, range(50), iter([3] * 20))) == [n + 3 for n in range(20)]

    def test_pstarmap_unpacks_the_arguments(self) -> None:
        pairs = [(n, 10 * n) for n in range(40)]
        assert amorsize.pstarmap(add, pairs, **self.given) == [11 * n for n in range(40)]
        assert amorsize.pstarmap(add, iter(pairs), **self.given) == [11 * n for n in range(40)]

    @pytest.mark.parametrize("func", FUNCTIONS.values(), ids=FUNCTIONS)
    def test_every_kind_of_function_is_mapped(self, func: Callable[[int], int]) -> None:
        assert self.pmap(func, range(20)) == list(range(1, 21))

    def test_sizes_jobs_and_chunks_change_nothing(self) -> None:
        for n_items, n_jobs, chunksize in product((0, 1, 2, 5, 64), (1, 2), (1, 3, 100, "auto")):
            found = self.pmap(double, range(n_items), n_jobs=n_jobs, chunksize=chunksize)
            assert found == [2 * n for n in range(n_items)], (n_items, n_jobs, chunksize)

    def test_more_jobs_than_items_change_nothing(self) -> None:
        assert self.pmap(double, [1, 2, 3], n_jobs=5) == [2, 4, 6]
        assert list(self.pimap(double, iter([1, 2, 3]), n_jobs=5)) == [2, 4, 6]

    def test_nothing_comes_of_nothing(self) -> None:
        assert self.pmap(double, []) == self.pmap(double, iter(())) == []
        assert list(self.pimap(double, [])) == list(self.pimap(double, iter(()))) == []

    def test_one_item_gives_one_result(self) -> None:
        assert self.pmap(double, [4]) == self.pmap(double, iter([4])) == list(self.pimap(double, iter([4]))) == [8]

    @only_where(OVERLAP)
    def test_results_come_in_input_order_however_they_are_finished(self, gate: Gate) -> None:
        waits = functools.partial(waits_for_the_next, gate)
        assert self.pmap(waits, range(20), chunksize=1) == [2 * n for n in range(20)]

    @only_where(OVERLAP)
    def test_a_stream_s_results_come_in_input_order_however_they_are_finished(self, gate: Gate) -> None:
        waits = functools.partial(waits_for_the_next, gate)
        assert list(self.pimap(waits, iter(range(20)), chunksize=1)) == [2 * n for n in range(20)]

    @both_kinds
    def test_each_item_is_called_exactly_once(self, kind: Callable[..., Any], calls: Calls) -> None:
        func = functools.partial(noted, calls)
        assert self.pmap(func, kind(range(300))) == [2 * n for n in range(300)]
        assert sorted(calls.items()) == list(range(300))

    @pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "as finished"])
    def test_each_item_of_a_stream_is_called_exactly_once(self, calls: Calls, ordered: bool) -> None:
        found = list(self.pimap(functools.partial(noted, calls), iter(range(300)), ordered=ordered))
        assert sorted(found) == [2 * n for n in range(300)]
        assert not ordered or found == sorted(found)
        assert sorted(calls.items()) == list(range(300))

    def test_large_arguments_and_results_arrive_whole(self) -> None:
        items = [many_bytes(MEGABYTE + k) for k in range(6)]
        assert self.pmap(same, items) == items
        assert list(self.pimap(same, iter(items))) == items
        assert self.pmap(many_bytes, range(MEGABYTE, MEGABYTE + 6)) == items

    def test_large_arrays_arrive_whole(self) -> None:
        numpy = pytest.importorskip("numpy")
        items = [numpy.full((256, 512), float(k)) for k in range(6)]
        for found in (self.pmap(double, items), list(self.pimap(double, iter(items)))):
            assert all(numpy.array_equal(result, 2 * item) for result, item in zip(found, items, strict=True))
            found[0][0, 0] = -1.0  # a result is the caller's own, to be changed

    @only_where(PROCESSES)
    def test_no_item_runs_in_the_caller_s_process_where_that_is_asked_for(self) -> None:
        assert os.getpid() not in self.pmap_apart(process_of, range(50))
        assert os.getpid() not in self.pmap_apart(process_of, iter(range(50)))
        assert os.getpid() not in self.pimap_apart(process_of, iter(range(50)))

    def test_the_report_tells_who_ran_the_items(self) -> None:
        self.pmap(double, range(100), chunksize=5)
        assert double.last_run is not None
        assert (double.last_run.n_items, double.last_run.backend) == (100, self.runs_as or self.given.get("backend"))
        list(self.pimap(double, iter(range(50))))
        assert double.last_run.n_items == 50
