"""Workers that die, and items that take too long."""

from __future__ import annotations

import sys

assert sys.platform != "win32"  # before the imports: signals, named pipes and limits are those of POSIX

import functools
import signal
from typing import TYPE_CHECKING, Any

import pytest

from amorsize import ItemTimeout, WorkerDied
from amorsize.testing.base import DEATHS, PICKLING, TIMEOUTS, WITHOUT_TIMEOUTS, Contract, both_kinds, only_where
from amorsize.testing.faults import PICKLED, UNPICKLED, Trap, dies_at, dies_at_first, sets_a_trap_at, waits_at
from amorsize.testing.items import Calls, Gate, double, same

if TYPE_CHECKING:
    from collections.abc import Callable

WAYS = {
    "exit": (7, None),
    "kill": (None, signal.SIGKILL),
    "segfault": (None, signal.SIGSEGV),
    "abort": (None, signal.SIGABRT),
}
"""How a worker ends: exit code, signal."""

SOON_S = 0.6
"""An item that waits for ever is given this long; the others take microseconds, and on a full machine as long as it
takes to get a core."""

DEADLINE_S = 0.3
"""A call that would last for ever is given this long."""


class Deaths(Contract):
    """The part of the contract that is about workers that die, and items that take too long."""

    @only_where(DEATHS)
    @both_kinds
    @pytest.mark.parametrize("how", WAYS)
    def test_a_worker_that_dies_is_told_with_its_item_and_status(self, how: str, kind: Callable[..., Any]) -> None:
        with pytest.raises(WorkerDied) as caught:
            self.pmap_apart(functools.partial(dies_at, how, 3), kind(range(20)), chunksize=1)
        died = caught.value
        assert (died.exitcode, died.signal) == WAYS[how]
        assert died.first is not None
        assert died.stop is not None
        assert died.first <= 3 < died.stop
        assert "item" in str(died)
        assert [died.finished[index] for index in range(died.first)] == [2 * n for n in range(died.first)]

    @only_where(DEATHS)
    def test_the_next_call_works_after_a_death(self) -> None:
        with pytest.raises(WorkerDied):
            self.pmap_apart(functools.partial(dies_at, "exit", 3), range(20))
        assert self.pmap_apart(double, range(20)) == [2 * n for n in range(20)]

    @only_where(DEATHS)
    @both_kinds
    def test_an_item_whose_worker_died_is_tried_again_where_that_is_asked_for(
        self, kind: Callable[..., Any], calls: Calls
    ) -> None:
        func = functools.partial(dies_at_first, calls, 2)
        assert self.pmap_apart(func, kind(range(12)), retries=2, chunksize=1) == [2 * n for n in range(12)]
        assert calls.items().count(2) == 3

    @only_where(DEATHS)
    @both_kinds
    def test_an_item_that_kills_again_and_again_takes_no_other_along(
        self, kind: Callable[..., Any], calls: Calls
    ) -> None:
        func = functools.partial(dies_at_first, calls, 99)
        found = self.pmap_apart(func, kind(range(12)), retries=2, on_error="return")
        assert isinstance(found[2], WorkerDied)
        assert (found[2].first, found[2].stop) == (2, 3)
        assert found[:2] + found[3:] == [2 * n for n in range(12) if n != 2]
        assert calls.items().count(2) == 3

    @only_where(DEATHS)
    def test_an_item_that_kills_again_and_again_is_raised(self, calls: Calls) -> None:
        with pytest.raises(WorkerDied) as caught:
            self.pmap_apart(functools.partial(dies_at_first, calls, 99), range(12), retries=1, chunksize=1)
        assert (caught.value.first, caught.value.signal) == (2, signal.SIGKILL)
        assert calls.items().count(2) == 2

    @only_where(DEATHS)
    @both_kinds
    def test_a_death_is_a_result_or_left_out_where_that_is_asked_for(self, kind: Callable[..., Any]) -> None:
        func = functools.partial(dies_at, "exit", 3)
        found = self.pmap_apart(func, kind(range(12)), on_error="return", chunksize=1)
        assert isinstance(found[3], WorkerDied)
        assert found[:3] + found[4:] == [2 * n for n in range(12) if n != 3]
        assert self.pmap_apart(func, kind(range(12)), on_error="skip", chunksize=1) == found[:3] + found[4:]

    @only_where(DEATHS)
    def test_a_death_in_a_stream_comes_after_the_results_before_it(self) -> None:
        results = self.pimap_apart(functools.partial(dies_at, "kill", 3), iter(range(20)), chunksize=1)
        assert [next(results), next(results), next(results)] == [0, 2, 4]
        with pytest.raises(WorkerDied):
            next(results)

    @only_where(DEATHS, PICKLING)
    def test_a_worker_that_dies_while_it_rebuilds_an_argument_is_told(self) -> None:
        with pytest.raises(WorkerDied) as caught:
            self.pmap_apart(same, iter([0, 1, 2, Trap("exit", UNPICKLED), 4]), chunksize=1)
        assert (caught.value.first, caught.value.exitcode) == (3, 7)

    @only_where(DEATHS, PICKLING)
    def test_a_worker_that_dies_while_it_sends_a_result_is_told(self) -> None:
        with pytest.raises(WorkerDied) as caught:
            self.pmap_apart(functools.partial(sets_a_trap_at, 3, "exit", PICKLED), range(20), chunksize=1)
        assert (caught.value.first, caught.value.exitcode) == (3, 7)

    @only_where(TIMEOUTS)
    @both_kinds
    def test_an_item_that_takes_too_long_is_ended_and_the_others_finish(
        self, kind: Callable[..., Any], gate: Gate
    ) -> None:
        func = functools.partial(waits_at, gate, 3)
        found = self.pmap(func, kind(range(12)), timeout=SOON_S, on_error="return")
        assert isinstance(found[3], ItemTimeout)
        assert (found[3].index, found[3].timeout_s) == (3, SOON_S)
        assert found[:3] + found[4:] == [2 * n for n in range(12) if n != 3]

    @only_where(TIMEOUTS)
    def test_an_item_that_takes_too_long_is_raised(self, gate: Gate) -> None:
        with pytest.raises(ItemTimeout, match="item 3") as caught:
            self.pmap(functools.partial(waits_at, gate, 3), range(12), timeout=SOON_S)
        assert (caught.value.index, caught.value.timeout_s) == (3, SOON_S)

    @only_where(TIMEOUTS)
    @both_kinds
    def test_a_call_that_takes_too_long_is_ended(self, kind: Callable[..., Any], gate: Gate) -> None:
        with pytest.raises(ItemTimeout, match="deadline") as caught:
            self.pmap(functools.partial(waits_at, gate, 0), kind(range(12)), deadline=DEADLINE_S)
        assert (caught.value.index, caught.value.timeout_s) == (0, None)

    @only_where(TIMEOUTS)
    def test_who_is_in_time_notices_nothing(self) -> None:
        assert self.pmap(double, range(50), timeout=30, deadline=60) == [2 * n for n in range(50)]
        assert list(self.pimap(double, iter(range(50)), timeout=30, deadline=60)) == [2 * n for n in range(50)]

    @only_where(WITHOUT_TIMEOUTS)
    @pytest.mark.parametrize("name", ["timeout", "deadline"])
    def test_a_time_limit_is_refused_where_no_item_can_be_ended(self, name: str) -> None:
        with pytest.raises(ValueError, match=name):
            self.pmap(double, range(5), **{name: 1.0})
