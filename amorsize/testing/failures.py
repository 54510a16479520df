"""Failures: an item's own exception, the iterable's, and what cannot be pickled."""

from __future__ import annotations

import sys

assert sys.platform != "win32"  # before the imports: signals, named pipes and limits are those of POSIX

import functools
import os
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from amorsize import AmorsizeWarning, ItemNotPicklable, RemoteError
from amorsize.testing.base import OVERLAP, PICKLING, Contract, both_kinds, only_where
from amorsize.testing.faults import (
    TwoArguments,
    Unpicklable,
    fails_at,
    fails_at_first,
    fails_before_others_end,
    fails_from,
    fails_late,
)
from amorsize.testing.items import Calls, Gate, collect, double, lock_of, noted, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def notes_of(error: BaseException) -> str:
    return "\n".join(getattr(error, "__notes__", []))


def breaks_at(n_items: int) -> Iterator[int]:
    yield from range(n_items)
    raise OSError("the disk is gone")


class Failures(Contract):
    """The part of the contract that is about failures."""

    @both_kinds
    def test_an_item_s_exception_comes_as_itself_and_names_the_item(self, kind: Callable[..., Any]) -> None:
        with pytest.raises(KeyError, match="lost") as caught:
            self.pmap(functools.partial(fails_at, KeyError, ("lost", 7), 37), kind(range(60)))
        assert type(caught.value) is KeyError
        assert caught.value.args == ("lost", 7)
        assert "item 37: 37" in notes_of(caught.value)

    @both_kinds
    def test_results_below_a_failure_are_in_hand(self, kind: Callable[..., Any]) -> None:
        with pytest.raises(ValueError, match="no 37") as caught:
            self.pmap(functools.partial(fails_from, 37), kind(range(60)))
        finished = caught.value.finished  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        assert [finished[index] for index in range(37)] == [2 * n for n in range(37)]
        assert 37 not in finished

    @both_kinds
    def test_the_lowest_failing_item_is_raised_as_in_the_loop(self, kind: Callable[..., Any]) -> None:
        for lowest in (0, 1, 20):
            with pytest.raises(ValueError, match=rf"^no {lowest}\b"):
                self.pmap(functools.partial(fails_from, lowest), kind(range(60)), chunksize=1)

    @only_where(OVERLAP)
    @both_kinds
    def test_a_lower_item_that_fails_later_is_raised(self, kind: Callable[..., Any], gate: Gate) -> None:
        with pytest.raises(ValueError, match=r"^no 0\b"):
            self.pmap_apart(functools.partial(fails_late, gate), kind(range(20)), chunksize=1)

    @both_kinds
    def test_after_a_failure_no_further_item_starts(
        self, kind: Callable[..., Any], calls: Calls, gate: Gate, tmp_path: Path
    ) -> None:
        with Gate(tmp_path / "left") as left, warnings.catch_warnings():
            warnings.simplefilter("ignore", AmorsizeWarning)  # where threads run the items, some are left behind
            func = functools.partial(fails_before_others_end, calls, gate, left, 5)
            with pytest.raises(ValueError, match="no 5"):
                self.pmap_apart(func, kind(range(500)), chunksize=1)
            above = [process for process, _, item in calls.lines() if int(item) > 5]
            assert len(above) <= 2  # one for each worker
            gate.open()
            left.take(above.count(os.getpid()))
        assert len(calls.items()) == 6 + len(above)

    @pytest.mark.parametrize(
        "kind", [SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError, RecursionError, StopIteration]
    )
    def test_even_what_usually_ends_a_program_comes_as_itself(self, kind: type[BaseException]) -> None:
        func = functools.partial(fails_at, kind, (3,), 3)
        for items in (range(20), iter(range(20))):
            with pytest.raises(kind) as caught:
                self.pmap(func, items)
            assert caught.value.args == (3,)

    def test_an_interrupt_comes_out_of_a_stream_and_waits_for_no_result(self) -> None:
        seen: list[int] = []
        with pytest.raises(KeyboardInterrupt):
            seen.extend(self.pimap(functools.partial(fails_at, KeyboardInterrupt, (3,), 3), iter(range(20))))
        assert seen == [0, 2, 4][: len(seen)]

    @pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, MemoryError, RecursionError])
    def test_even_what_usually_ends_a_program_comes_out_of_a_stream(self, kind: type[BaseException]) -> None:
        results = self.pimap(functools.partial(fails_at, kind, (3,), 3), iter(range(20)))
        assert [next(results), next(results), next(results)] == [0, 2, 4]
        with pytest.raises(kind):
            next(results)

    def test_an_exception_that_its_arguments_do_not_rebuild_comes_as_itself(self) -> None:
        with pytest.raises(TwoArguments, match="one and two") as caught:
            self.pmap(functools.partial(fails_at, TwoArguments, ("one", "two"), 3), range(20))
        assert (caught.value.first, caught.value.second) == ("one", "two")

    @only_where(PICKLING)
    def test_an_exception_that_cannot_be_pickled_is_told_in_words(self) -> None:
        with pytest.raises(RemoteError, match="busy") as caught:
            self.pmap_apart(functools.partial(fails_at, Unpicklable, ("busy",), 3), range(20))
        assert "Unpicklable" in caught.value.type_name
        assert "fails_at" in caught.value.traceback_text

    @only_where(PICKLING)
    def test_an_argument_that_cannot_be_pickled_is_named(self) -> None:
        items = [0, 1, 2, {"inner": [threading.Lock()]}, 4]
        with pytest.raises(ItemNotPicklable) as caught:
            self.pmap_apart(same, iter(items))
        error = caught.value
        assert (error.index, error.type_name) == (3, "_thread.lock")
        assert "inner" in error.path

    @only_where(PICKLING)
    @both_kinds
    def test_a_result_that_cannot_be_pickled_is_named(self, kind: Callable[..., Any]) -> None:
        with pytest.raises(ItemNotPicklable) as caught:
            self.pmap_apart(lock_of, kind(range(20)))
        error = caught.value
        assert (error.index, error.type_name) == (3, "_thread.lock")
        assert "lock" in error.path

    @pytest.mark.parametrize("n_items", [0, 1, 30])
    def test_an_iterable_that_breaks_raises_after_the_results_before_it(self, n_items: int) -> None:
        with pytest.raises(OSError, match="the disk is gone") as caught:
            self.pmap(double, breaks_at(n_items))
        assert dict(caught.value.finished) == {n: 2 * n for n in range(n_items)}  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        assert f"in place of item {n_items}" in notes_of(caught.value)

    @pytest.mark.parametrize("n_items", [0, 1, 30])
    def test_a_stream_whose_iterable_breaks_gives_the_results_before_it(self, n_items: int) -> None:
        found: list[int] = []
        with pytest.raises(OSError, match="the disk is gone"):
            collect(found, self.pimap(double, breaks_at(n_items)))
        assert found == [2 * n for n in range(n_items)]

    @both_kinds
    def test_exceptions_are_results_where_that_is_asked_for(self, kind: Callable[..., Any]) -> None:
        found = self.pmap(functools.partial(fails_at, KeyError, ("lost",), 3), kind(range(20)), on_error="return")
        assert type(found[3]) is KeyError
        assert found[:3] + found[4:] == [2 * n for n in range(20) if n != 3]

    @both_kinds
    def test_items_that_fail_are_left_out_where_that_is_asked_for(self, kind: Callable[..., Any]) -> None:
        func = functools.partial(fails_from, 13)
        assert self.pmap(func, kind(range(20)), on_error="skip") == [2 * n for n in range(13)]
        assert list(self.pimap(func, kind(range(20)), on_error="skip")) == [2 * n for n in range(13)]

    def test_what_ends_a_program_is_no_result(self) -> None:
        with pytest.raises(SystemExit):
            self.pmap(functools.partial(fails_at, SystemExit, (3,), 3), range(20), on_error="return")

    @both_kinds
    def test_an_item_is_tried_again_where_that_is_asked_for(self, kind: Callable[..., Any], calls: Calls) -> None:
        func = functools.partial(fails_at_first, calls, 2)
        found = self.pmap(func, kind(range(6)), retries=2, retry_on=ConnectionError)
        assert found == [2 * n for n in range(6)]
        assert sorted(calls.items()) == [0, 1, 2, 2, 2, 3, 4, 5]

    def test_an_item_that_fails_every_time_is_raised(self, calls: Calls) -> None:
        func = functools.partial(fails_at_first, calls, 9)
        with pytest.raises(ConnectionError):
            self.pmap(func, range(6), retries=2, retry_on=(ConnectionError, TimeoutError))
        assert calls.items().count(2) == 3

    def test_other_exceptions_are_not_tried_again(self, calls: Calls) -> None:
        with pytest.raises(ConnectionError):
            self.pmap(functools.partial(fails_at_first, calls, 9), range(6), retries=2, retry_on=KeyError)
        assert calls.items().count(2) == 1

    def test_the_next_call_works_after_a_failure(self, calls: Calls) -> None:
        with pytest.raises(ValueError, match="no 3"):
            self.pmap(functools.partial(fails_from, 3), range(20))
        assert self.pmap(functools.partial(noted, calls), range(20)) == [2 * n for n in range(20)]
        assert sorted(calls.items()) == list(range(20))
