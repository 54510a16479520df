"""Streams: bounded look-ahead, endless input, ends that come early."""

from __future__ import annotations

import sys

assert sys.platform != "win32"  # before the imports: signals, named pipes and limits are those of POSIX

import functools
import os
import threading
from itertools import count, islice
from typing import TYPE_CHECKING

import pytest

from amorsize.testing.base import OVERLAP, Contract, only_where
from amorsize.testing.faults import fails_from, waits_at
from amorsize.testing.items import Calls, Gate, collect, double, noted

if TYPE_CHECKING:
    from collections.abc import Iterator

BUFFERSIZE = 8


class Pulls:
    """An endless iterator that knows how many items were pulled, and by whom."""

    def __init__(self) -> None:
        self.n_pulled = self.n_returned = self.most_ahead = 0
        self.who: set[tuple[int, int]] = set()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.n_pulled += 1
        self.most_ahead = max(self.most_ahead, self.n_pulled - self.n_returned)
        self.who.add((os.getpid(), threading.get_ident()))
        return self.n_pulled - 1


class Streams(Contract):
    """The part of the contract that is about streams."""

    @pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "as finished"])
    def test_no_more_items_are_pulled_than_the_buffer_allows(self, ordered: bool) -> None:
        pulls = Pulls()
        n_items = 10_000 if ordered else 2_000
        found = []
        with self.pimap(double, pulls, ordered=ordered, buffersize=BUFFERSIZE) as results:
            for result in islice(results, n_items):
                found.append(result)
                assert pulls.n_pulled - pulls.n_returned <= BUFFERSIZE
                pulls.n_returned += 1
        assert pulls.most_ahead <= BUFFERSIZE
        if ordered:
            assert found == list(range(0, 2 * n_items, 2))
        assert len(set(found)) == n_items

    def test_a_buffer_of_one_item_is_enough(self) -> None:
        pulls = Pulls()
        with self.pimap(double, pulls, buffersize=1) as results:
            for n in range(100):
                assert next(results) == 2 * n
                pulls.n_returned += 1
        assert pulls.most_ahead == 1

    def test_an_endless_iterator_is_welcome(self) -> None:
        results = self.pimap(double, count())
        assert list(islice(results, 500)) == list(range(0, 1000, 2))
        results.close()

    def test_items_are_pulled_by_the_caller_alone(self) -> None:
        pulls = Pulls()
        with self.pimap(double, pulls) as results:
            list(islice(results, 200))
        assert pulls.who == {(os.getpid(), threading.get_ident())}

    def test_nothing_is_pulled_before_a_result_is_asked_for(self) -> None:
        pulls = Pulls()
        results = self.pimap(double, pulls)
        assert pulls.n_pulled == 0
        results.close()
        assert pulls.n_pulled == 0

    @only_where(OVERLAP)
    def test_results_are_handed_out_as_they_are_finished_where_that_is_asked_for(self, gate: Gate) -> None:
        results = self.pimap_apart(functools.partial(waits_at, gate, 0), iter(range(40)), ordered=False, chunksize=1)
        assert next(results) == 2
        gate.open()
        assert sorted(results) == [2 * n for n in range(40) if n != 1]

    def test_a_closed_stream_is_over(self) -> None:
        results = self.pimap(double, count())
        assert next(results) == 0
        results.close()
        results.close()
        assert list(results) == []

    def test_leaving_a_with_block_ends_the_stream(self) -> None:
        with self.pimap(double, count()) as results:
            assert next(results) == 0
        assert list(results) == []
        with pytest.raises(ZeroDivisionError), self.pimap(double, count()) as results:
            raise ZeroDivisionError(next(results))

    def test_a_stream_that_is_dropped_ends(self) -> None:
        results = self.pimap(double, count())
        assert next(results) == 0
        del results

    def test_a_stream_that_was_never_asked_ends(self) -> None:
        results = self.pimap(double, count())
        del results

    def test_a_stream_is_over_after_an_error(self) -> None:
        results = self.pimap(functools.partial(fails_from, 20), count())
        found: list[int] = []
        with pytest.raises(ValueError, match="no 20"):
            collect(found, results)
        assert found == [2 * n for n in range(20)]
        assert list(results) == []

    def test_a_stream_s_last_results_come_although_the_next_item_fails(self) -> None:
        for lowest in (0, 1, 7):
            found: list[int] = []
            with pytest.raises(ValueError, match=rf"^no {lowest}\b"):
                collect(found, self.pimap(functools.partial(fails_from, lowest), count()))
            assert found == [2 * n for n in range(lowest)]

    def test_two_streams_run_side_by_side(self, calls: Calls) -> None:
        func = functools.partial(noted, calls)
        left, right = self.pimap(func, iter(range(60))), self.pimap(func, iter(range(100, 160)))
        found = list(zip(left, right, strict=True))
        assert found == [(2 * n, 2 * n + 200) for n in range(60)]
        assert sorted(calls.items()) == [*range(60), *range(100, 160)]

    def test_another_call_may_run_between_two_results(self) -> None:
        with self.pimap(double, count()) as results:
            assert next(results) == 0
            assert self.pmap(double, range(30)) == [2 * n for n in range(30)]
            assert list(islice(results, 50)) == [2 * n for n in range(1, 51)]
