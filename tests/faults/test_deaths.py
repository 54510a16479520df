"""R1, R2 and R20: workers that die, items that kill again and again, items that take too long.

Here: in streams, between calls and between items, and deaths while values are pickled that are tried again. The rest is
held elsewhere. Every way to die at every moment, and that the next call works: `test_crash_matrix.py`. Every way over a
list and an iterator, what was finished, `retries`, `on_error`, `timeout` and `deadline`, for every backend: the
contract's `Deaths`. A task of many items of which one kills: `tests/engine/fed/test_feed.py`. Whoever dies whenever:
`test_chaos.py`.
"""

from __future__ import annotations

import functools
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from amorsize import ItemTimeout, WorkerDied, parallelizable, pimap, pmap
from amorsize.testing.faults import die, dies_at, dies_at_first, waits_at
from amorsize.testing.items import Calls, Gate, double, process_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from amorsize.protocols import OptionArgs, Stream

    Run = Callable[..., list[Any]]
    Streamed = Callable[..., Stream[Any]]

ORDERS = pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "as finished"])


@pytest.fixture(
    params=[pytest.param("fork", marks=pytest.mark.needs_fork), pytest.param("spawn", marks=pytest.mark.slow)]
)
def streamed(request: pytest.FixtureRequest) -> Streamed:
    """Return a function that gives a stream of results of two workers, by each start method."""
    given: dict[str, Any] = {"isolate": True, "n_jobs": 2, "start_method": request.param}

    def stream(func: Callable[..., Any], items: Any, **options: Any) -> Stream[Any]:
        return pimap(func, items, **{**given, **options})

    return stream


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    return Calls(tmp_path / "calls")


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with Gate(tmp_path / "gate") as gate:
        yield gate


# ---- R1, R2: in a stream


@pytest.mark.fault("R1", "R2")
@ORDERS
def test_an_item_of_a_stream_whose_worker_died_is_tried_again(streamed: Streamed, calls: Calls, ordered: bool) -> None:
    func = functools.partial(dies_at_first, calls, 2)
    found = list(streamed(func, iter(range(12)), retries=2, chunksize=1, ordered=ordered))
    assert sorted(found) == [2 * n for n in range(12)]
    assert calls.items().count(2) == 3


@pytest.mark.fault("R1", "R2")
@ORDERS
def test_an_item_of_a_stream_that_kills_again_and_again_takes_no_other_along(
    streamed: Streamed, calls: Calls, ordered: bool
) -> None:
    func = functools.partial(dies_at_first, calls, 99)
    found = list(streamed(func, iter(range(12)), retries=2, on_error="return", ordered=ordered))
    (died,) = [result for result in found if isinstance(result, WorkerDied)]
    assert (died.first, died.stop, died.signal) == (2, 3, signal.SIGKILL)
    assert sorted(result for result in found if result is not died) == [2 * n for n in range(12) if n != 2]
    assert calls.items().count(2) == 3
    assert not ordered or found.index(died) == 2


@pytest.mark.fault("R1")
def test_a_death_in_a_stream_is_left_out_where_that_is_asked_for(streamed: Streamed) -> None:
    func = functools.partial(dies_at, "exit", 3)
    found = list(streamed(func, iter(range(12)), on_error="skip", chunksize=1))
    assert found == [2 * n for n in range(12) if n != 3]


@pytest.mark.fault("R2")
@pytest.mark.needs_fork
@pytest.mark.parametrize("killed", [0, 1, 2])
def test_deaths_that_a_call_has_survived_are_in_its_report(calls: Calls, killed: int) -> None:
    func = parallelizable(lambda n: dies_at_first(calls, killed, n))
    assert func.pmap(range(12), isolate=True, n_jobs=2, retries=2, chunksize=1) == [2 * n for n in range(12)]
    assert func.last_run is not None
    told = [text.partition(" (SIGKILL)")[::2] for text in func.last_run.warnings]
    more = ", and 1 more died" if killed == 2 else ""
    why = ", which is also how the kernel ends a process when memory runs out, in item 2"
    again = "; what they were at was run again, as retries=2 allows"
    assert told == ([("a worker was ended by signal 9", why + more + again)] if killed else [])


# ---- R1, R2: while a result is sent


class DiesSending:
    """A result that ends the first few workers that send it, and arrives as a number."""

    def __init__(self, calls: Calls, n_deaths: int) -> None:
        self.calls, self.n_deaths = calls, n_deaths

    def __reduce__(self) -> tuple[object, ...]:
        self.calls.note("sent")
        if len([item for _, _, item in self.calls.lines() if item == "sent"]) <= self.n_deaths:
            die("kill")
        return int, (3,)


@pytest.mark.fault("R1", "R2")
def test_an_item_whose_result_kills_while_it_is_sent_is_tried_again(run: Run, calls: Calls) -> None:
    def work(item: int) -> object:
        return DiesSending(calls, 2) if item == 3 else item

    assert run(work, range(12), retries=2, chunksize=1) == list(range(12))


@pytest.mark.fault("R1", "R2")
def test_an_item_whose_result_kills_whenever_it_is_sent_is_told_alone(run: Run, calls: Calls) -> None:
    def work(item: int) -> object:
        return DiesSending(calls, 99) if item == 3 else item

    found = run(work, range(12), retries=1, on_error="return")
    assert isinstance(found[3], WorkerDied)
    assert (found[3].first, found[3].stop) == (3, 4)
    assert found[:3] + found[4:] == [n for n in range(12) if n != 3]
    assert len(calls.lines()) == 2


# ---- R1: between calls and between items


@pytest.mark.fault("R1")
def test_workers_that_are_killed_while_they_rest_are_not_missed() -> None:
    options: OptionArgs = {"isolate": True, "n_jobs": 2, "start_method": "spawn", "chunksize": 1}
    for _ in range(3):
        for pid in set(pmap(process_of, range(20), **options)):
            os.kill(pid, signal.SIGKILL)  # and the next call comes at once
        assert pmap(double, range(20), **options) == [2 * n for n in range(20)]


@pytest.mark.fault("R1")
def test_workers_that_have_died_while_nothing_was_asked_of_them_are_not_missed(
    streamed: Streamed, watch: Callable[[int], Callable[[], bool]]
) -> None:
    results = streamed(process_of, iter(range(12)), buffersize=1)
    killed = set()
    for _ in range(4):
        pid = next(results)
        end = watch(pid)
        os.kill(pid, signal.SIGKILL)
        assert end()
        killed.add(pid)
    assert len(killed) == 4
    rest = list(results)
    assert len(rest) == 8
    assert not killed.intersection(rest)


# ---- R20: in a stream

SOON_S = 0.6
"""As in the contract: an item that waits for ever is given this long."""


@pytest.mark.fault("R20")
def test_an_item_of_a_stream_that_takes_too_long_is_ended_after_the_results_before_it(
    streamed: Streamed, gate: Gate
) -> None:
    results = streamed(functools.partial(waits_at, gate, 3), iter(range(12)), timeout=SOON_S)
    assert [next(results), next(results), next(results)] == [0, 2, 4]
    with pytest.raises(ItemTimeout, match="item 3") as caught:
        next(results)
    assert (caught.value.index, caught.value.timeout_s) == (3, SOON_S)


@pytest.mark.fault("R20")
@pytest.mark.slow
@ORDERS
def test_the_others_of_a_stream_finish_where_an_item_takes_too_long(
    streamed: Streamed, gate: Gate, ordered: bool
) -> None:
    func = functools.partial(waits_at, gate, 3)
    found = list(streamed(func, iter(range(12)), timeout=SOON_S, on_error="return", ordered=ordered))
    (late,) = [result for result in found if isinstance(result, ItemTimeout)]
    assert late.index == 3
    assert sorted(result for result in found if result is not late) == [2 * n for n in range(12) if n != 3]


@pytest.mark.fault("R20")
@pytest.mark.slow
def test_an_item_that_takes_too_long_is_ended_in_c_code_that_holds_the_gil(run: Run) -> None:
    def work(item: int) -> int:
        return sum(range(10**12)) if item == 3 else item

    found = run(work, range(12), timeout=SOON_S, on_error="return")
    assert isinstance(found[3], ItemTimeout)
    assert found[:3] + found[4:] == [n for n in range(12) if n != 3]


@pytest.mark.fault("R20")
@pytest.mark.slow
def test_a_stream_that_takes_longer_than_its_deadline_is_ended(streamed: Streamed, gate: Gate) -> None:
    with pytest.raises(ItemTimeout, match="deadline"):
        list(streamed(functools.partial(waits_at, gate, 3), iter(range(12)), deadline=SOON_S))
