"""Fresh interpreters that are hired after a call that could have done with some, for the next."""

from __future__ import annotations

import errno
import gc
import importlib
import os
import signal
import sys
import threading
import time
import warnings
import weakref
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

import amorsize.advice.adviser  # loaded, it is asked by every call
from amorsize import AmorsizeWarning, hiring, parallelizable, pimap, pmap
from amorsize.advice import clearance, knowledge, missed
from amorsize.calibration.costs import Costs
from amorsize.engine.spawn import errand, launch, warm
from amorsize.engine.spawn import hired as hired_workers
from amorsize.identity.function import function_key
from amorsize.identity.machine import capacity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from amorsize.engine.process import Status
    from amorsize.protocols import OptionArgs

FEW = range(4)
"""Items of `whose` for which no machine launches interpreters."""

needs_two_cores = pytest.mark.skipif(capacity(0.0).n_effective < 2, reason="on one core no call leaves the caller")

LONG_S = 30.0
"""What has not happened by then never will."""


STEPS = 20_000 if sys.version_info < (3, 15) else 60_000  # which takes a third of the time for one


def whose(n: int) -> int:
    """Compute for 0.3 ms; return who did."""
    sum(range(STEPS + n))
    return os.getpid()


whose_learned = parallelizable(whose)


class Unsendable:
    """Computes, and cannot be pickled."""

    def __call__(self, n: int) -> int:
        return whose(n)

    def __reduce__(self) -> Any:  # Any: it never returns
        raise TypeError("I stay")


@pytest.fixture(autouse=True)
def _nobody_is_there(nothing_left_behind: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have no interpreter before the test, and end those that it has hired before it is asked what it leaves behind."""
    monkeypatch.setattr(missed, "_missed_s", 0.0)
    monkeypatch.setattr(missed, "_price", 1)
    monkeypatch.setattr(missed, "_in_vain", set())
    monkeypatch.setattr(hiring, "_in_vain", {})
    monkeypatch.setattr(clearance, "_unsendable", {})
    monkeypatch.setattr(errand, "_steps", {})  # how a function has to be sent
    yield
    amorsize.shutdown()


@pytest.fixture
def hopes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have every call in the loop miss enough for two interpreters; return for how many items each was asked."""
    asked: list[int] = []

    def hoped_for(_digest: str, _known: object, _told: object, n_items: int, _loop_s: float) -> int:
        asked.append(n_items)
        return 2

    monkeypatch.setattr(missed, "hoped_for", hoped_for)
    return asked


def hired() -> set[int]:
    return {worker.process.pid for worker in warm._resting}


def looped(func: Callable[[int], int] = whose, **options: Any) -> None:  # Any: as of `pmap`
    assert set(pmap(func, FEW, start_method="spawn", **options)) == {os.getpid()}


def refused(_ahead: str) -> Any:  # Any: it never returns
    raise OSError(errno.EAGAIN, "Resource temporarily unavailable")


@pytest.mark.usefixtures("hopes")
def test_the_next_call_finds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    looped()
    before = hired()
    assert len(before) == 2
    monkeypatch.setattr(launch, "start", refused)
    found = pmap(whose, FEW, backend="process", start_method="spawn", n_jobs=2)
    assert len(found) == len(FEW)
    assert set(found) <= before
    assert hired() == before


@pytest.mark.usefixtures("hopes")
def test_another_function_finds_them_too() -> None:
    looped()
    before = hired()
    assert set(pmap(lambda n: whose(n), FEW, backend="process", start_method="spawn", n_jobs=2)) <= before


@pytest.mark.usefixtures("hopes")
def test_they_are_not_launched_again_while_they_are_there() -> None:
    looped()
    before = hired()
    looped()
    assert hired() == before


def test_a_call_whose_workers_run_an_initializer_hires_none_ahead(hopes: list[int]) -> None:
    looped(initializer=int)
    assert not hopes
    assert not hired()


def test_a_call_that_forks_or_may_not_leave_hires_none(hopes: list[int]) -> None:
    given: list[OptionArgs] = [{}, {"backend": "serial"}, {"backend": "thread", "n_jobs": 2}]
    for options in given:
        assert len(pmap(whose, FEW, **options)) == len(FEW)
    assert not hopes


@pytest.mark.usefixtures("hopes")
def test_where_none_can_be_launched_the_call_has_its_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "start", refused)
    looped()
    assert not hired()


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have interpreters read nothing once they are launched, until they are told to go on; return who they are."""

    def start(ahead: str) -> Any:  # Any: as of the real one
        end, process, lifeline = started(ahead)
        os.kill(process.pid, signal.SIGSTOP)
        pids.append(process.pid)
        return end, process, lifeline

    started, pids = launch.start, list[int]()
    monkeypatch.setattr(launch, "start", start)
    return pids


LARGE = os.urandom(10_000_000)


@pytest.mark.usefixtures("hopes")
def test_a_function_that_takes_long_to_be_sent_is_not_waited_for_but_sent_bit_by_bit(stopped: list[int]) -> None:
    func = partial(lambda n, data: whose(n) + 0 * len(data), data=LARGE)
    looped(func)
    assert hired() == set(stopped)
    assert warm.n_resting() == 0
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    until_they_are_ready(func)
    assert set(pmap(func, FEW, backend="process", start_method="spawn", n_jobs=2)) <= set(stopped)


@pytest.mark.usefixtures("hopes")
def test_who_has_half_of_a_function_and_hears_nothing_more_ends(
    stopped: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hired_workers, "IDLE_S", 0.2)
    monkeypatch.setattr(hired_workers, "SURE_S", -LONG_S)
    looped(partial(lambda n, data: whose(n) + 0 * len(data), data=LARGE))
    workers = list(warm._resting)
    assert {worker.process.pid for worker in workers} == set(stopped)
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    until_s = time.monotonic() + LONG_S
    while not all(worker.process.has_ended() for worker in workers) and time.monotonic() < until_s:
        time.sleep(0.001)
    assert all(worker.process.has_ended() for worker in workers)


def test_for_a_function_that_imports_in_its_body_none_are_hired(hopes: list[int]) -> None:
    def imports(n: int) -> int:
        import numpy as _  # noqa: F401 - what it would be

        return whose(n)

    looped(imports)
    assert not hopes


@pytest.mark.usefixtures("hopes")
def test_a_call_that_uses_them_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missed, "_price", 8)
    looped()
    assert getattr(missed, "_price") == 8  # noqa: B009
    pmap(whose, FEW, backend="process", start_method="spawn", n_jobs=2)
    assert getattr(missed, "_price") == 1  # noqa: B009


@pytest.mark.usefixtures("hopes")
def test_what_a_signals_handler_raises_meanwhile_is_raised_with_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_ahead: str) -> Any:  # Any: it never returns
        raise KeyboardInterrupt

    monkeypatch.setattr(launch, "start", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        looped()
    assert list(getattr(caught.value, "finished").values()) == [os.getpid()] * len(FEW)  # noqa: B009


@pytest.mark.usefixtures("hopes")
def test_a_function_that_cannot_be_sent_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looped(Unsendable())
    assert len(clearance._unsendable) == 1
    assert not hired()


@pytest.mark.usefixtures("hopes")
def test_those_that_may_still_be_starting_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    looped()
    statuses: list[Callable[[], Status]] = [worker.process.end for worker in warm._resting]
    amorsize.shutdown()
    assert [status() for status in statuses] == [(None, 9)] * 2


MODULE = """
import os, time

def whose(n):
    sum(range(20_000 + n))
    return os.getpid()

while "GATE" in os.environ and not os.path.exists(os.environ["GATE"]):
    time.sleep(0.001)
if "BROKEN" in os.environ:
    raise ImportError("not in a worker")
"""


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], int]:
    """Return a function of a module whose import waits or fails where the environment says so."""
    (tmp_path / "whose_elsewhere.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "whose_elsewhere", raising=False)
    found: Callable[[int], int] = importlib.import_module("whose_elsewhere").whose
    return found


def until_they_are_ready(func: Callable[[int], int] | None = None) -> None:
    name = None if func is None else function_key(func).name
    until_s = time.monotonic() + LONG_S
    while warm.n_resting(name) < 2 and time.monotonic() < until_s:
        time.sleep(0.001)
    assert warm.n_resting(name) == 2


@pytest.mark.usefixtures("hopes")
def test_those_that_are_still_loading_the_function_do_not_count(
    elsewhere: Callable[[int], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATE", str(tmp_path / "gate"))
    looped(elsewhere)
    assert len(hired()) == 2
    assert warm.n_resting() == 0
    (tmp_path / "gate").touch()
    until_they_are_ready()


@pytest.mark.usefixtures("hopes")
def test_those_that_are_still_loading_the_function_are_not_told_of_it_by_every_call(
    elsewhere: Callable[[int], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATE", str(tmp_path / "gate"))
    monkeypatch.setenv("LONG", "x" * 100_000)  # two of these fill a line
    looped(elsewhere)
    before = hired()
    for _ in range(5):
        looped(elsewhere)
    assert hired() == before
    (tmp_path / "gate").touch()
    until_they_are_ready(elsewhere)
    assert set(pmap(elsewhere, FEW, backend="process", start_method="spawn", n_jobs=2)) <= before


@pytest.mark.usefixtures("hopes")
def test_those_that_know_another_function_count_once_they_have_loaded_this_one_too(
    elsewhere: Callable[[int], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATE", str(tmp_path / "gate"))
    looped()
    until_they_are_ready(whose)
    name = function_key(elsewhere).name
    assert warm.n_resting(name) == 0
    looped(elsewhere)
    assert warm.n_resting(name) == 0
    (tmp_path / "gate").touch()
    until_they_are_ready(elsewhere)
    until_they_are_ready(whose)


@pytest.mark.usefixtures("hopes")
def test_those_that_will_not_be_hired_again_because_they_soon_end_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    looped()
    until_they_are_ready()
    monkeypatch.setattr(hired_workers, "IDLE_S", 0.0)
    assert warm.n_resting() == 0


@pytest.mark.usefixtures("hopes")
def test_those_that_have_run_a_function_are_told_from_those_that_know_it() -> None:
    looped()
    until_they_are_ready(whose)
    name = function_key(whose).name
    assert warm.n_resting(name, has_run=True) == 0
    pmap(whose, FEW, backend="process", start_method="spawn", n_jobs=2)
    assert warm.n_resting(name, has_run=True) > 0


@pytest.mark.usefixtures("hopes")
def test_those_that_are_loading_another_function_are_not_waited_for(
    elsewhere: Callable[[int], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATE", str(tmp_path / "gate"))
    looped()
    until_they_are_ready()
    looped(elsewhere)
    statuses: list[Callable[[], Status]] = [worker.process.end for worker in warm._resting]
    amorsize.shutdown()
    assert [status() for status in statuses] == [(None, 9)] * 2


@pytest.mark.usefixtures("hopes")
def test_what_they_have_refused_is_sent_to_them_in_another_way_by_the_next_call(
    elsewhere: Callable[[int], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKEN", "1")
    looped(elsewhere)
    until_they_are_ready()
    before = hired()
    assert set(pmap(elsewhere, FEW, backend="process", start_method="spawn", n_jobs=2)) <= before


# ---- beside the loop of a call that has a plan for them

MANY = range(300)


@pytest.fixture
def polls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have calls find that interpreters are not ready at first, and wait for them when they look for the fourth time;
    return how many there were at each look."""
    there: list[int] = []

    def n_ready(name: str) -> int:
        there.append(len(hired()))
        until_s = time.monotonic() + LONG_S
        while len(there) > 3 and warm.n_resting(name) < len(hired()) and time.monotonic() < until_s:
            time.sleep(0.001)
        return warm.n_resting(name) if len(there) > 3 else 0

    monkeypatch.setattr(hiring, "n_warm", n_ready)
    return there


@needs_two_cores
@pytest.mark.usefixtures("gaining")
@pytest.mark.parametrize("run_over", [pmap, pimap])
def test_a_call_goes_on_in_its_loop_until_they_are_ready(
    run_over: Any, polls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    prices: list[float] = []

    def spawned(costs: Costs, seconds: float) -> Costs:
        prices.append(seconds)
        return costs

    monkeypatch.setattr(Costs, "spawned", spawned)
    monkeypatch.setattr(hiring, "perf_counter", partial(next, count(0.0)))
    pids = list(run_over(whose, MANY, start_method="spawn"))
    assert len(pids) == len(MANY)
    assert pids[0] == os.getpid()
    assert set(pids) - {os.getpid()} <= hired()
    assert pids[-1] in hired()
    n_at_once = max(1, min(capacity(0.0).n_cores, len(hired())) - 1)  # they leave the caller a core
    assert polls[:4] == [0, 0, n_at_once, n_at_once]
    (price,) = prices
    assert price > 0


@needs_two_cores
@pytest.mark.usefixtures("gaining", "polls")
def test_where_the_caller_looks_long_after_they_may_have_been_ready_no_price_is_learned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Costs, "spawned", lambda *_: pytest.fail("the consumer of a stream may have paused for that"))
    monkeypatch.setattr(hiring, "perf_counter", partial(next, (10.0**k for k in count())))
    assert set(pimap(whose, MANY, start_method="spawn")) & hired()


@needs_two_cores
@pytest.mark.usefixtures("gaining")
def test_a_loop_that_is_over_before_leaves_them_to_the_next_call(
    elsewhere: Callable[[int], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATE", str(tmp_path / "gate"))
    until_s = time.monotonic() + LONG_S
    while not hired() and time.monotonic() < until_s:
        assert set(pmap(elsewhere, MANY, start_method="spawn")) == {os.getpid()}
    before = hired()
    assert before
    (tmp_path / "gate").touch()
    name = function_key(elsewhere).name
    until_s = time.monotonic() + LONG_S
    while warm.n_resting(name) < len(before) and time.monotonic() < until_s:
        time.sleep(0.001)
    assert before & set(pmap(elsewhere, FEW, backend="process", start_method="spawn", n_jobs=2))


@needs_two_cores
@pytest.mark.usefixtures("gaining")
def test_the_report_of_such_a_loop_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hiring, "n_warm", lambda _: 0)
    assert set(whose_learned.pmap(MANY, start_method="spawn")) == {os.getpid()}
    run = whose_learned.last_run
    assert run is not None
    assert (run.backend, run.n_jobs, run.n_items) == ("serial", 1, len(MANY))
    assert run.reason.startswith("over before fresh interpreters were ready: ")


@needs_two_cores
@pytest.mark.usefixtures("gaining")
@pytest.mark.parametrize("run_over", [pmap, pimap])
def test_a_function_that_cannot_be_sent_any_more_when_the_first_are_ready_stays_in_the_loop(
    run_over: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[int, object] = {}

    def keeps(n: int) -> int:
        if len(warm._resting) and not made:
            made[n] = Unsendable()
        return whose(n)

    monkeypatch.setattr(hiring, "n_warm", lambda _: len(hired()) if made else 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of it, where workers are still wanted for what is left
        assert set(run_over(keeps, MANY, start_method="spawn", n_jobs=3)) == {os.getpid()}
    assert made


@needs_two_cores
@pytest.mark.usefixtures("gaining")
@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="there is no such signal here")
def test_a_time_limit_of_the_programs_that_is_over_while_one_is_launched_is_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(ahead: str) -> Any:  # Any: as of the real one
        signal.raise_signal(signal.SIGALRM)
        return started(ahead)

    def out_of_time(*_: object) -> None:
        raise TimeoutError("out of time")

    started, before = launch.start, signal.signal(signal.SIGALRM, out_of_time)
    monkeypatch.setattr(launch, "start", start)
    try:
        with pytest.raises(TimeoutError, match="out of time"):
            pmap(whose, MANY, start_method="spawn")
    finally:
        signal.signal(signal.SIGALRM, before)


class Item:
    """Something whose end can be noticed."""


@needs_two_cores
@pytest.mark.usefixtures("gaining")
def test_no_item_outlives_the_call_until_the_garbage_is_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hiring, "n_warm", lambda _: 0)
    items = [Item() for _ in MANY]
    last = weakref.ref(items[-1])
    gc.collect()
    gc.disable()
    try:
        pmap(lambda _: whose(0), items, start_method="spawn")
        del items
        assert hired()
        assert last() is None
    finally:
        gc.enable()


@needs_two_cores
@pytest.mark.usefixtures("gaining")
def test_where_they_are_never_ready_in_time_no_more_are_launched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hiring, "n_warm", lambda _: 0)
    monkeypatch.setattr(hiring, "MUCH_LONGER", 1000)  # whatever else the machine does meanwhile
    launched: list[int] = []
    for _ in range(hiring.MOST_IN_VAIN + 2):
        assert set(whose_learned.pmap(MANY, start_method="spawn")) == {os.getpid()}
        launched.append(len(hired()))
        amorsize.shutdown()  # as if they had crashed
    assert all(launched[: hiring.MOST_IN_VAIN])
    assert not any(launched[hiring.MOST_IN_VAIN :])
    monkeypatch.setattr(hiring, "MUCH_LONGER", 0)
    whose_learned.pmap(MANY, start_method="spawn")
    assert hired()  # what is much longer might be worth it


@needs_two_cores
@pytest.mark.usefixtures("gaining")
def test_whoever_asks_for_processes_waits_for_them(polls: list[int]) -> None:
    assert os.getpid() not in pmap(whose, FEW, backend="process", start_method="spawn", n_jobs=2)
    assert not polls


def run_once() -> str:
    """Run a loop that is too short to launch interpreters for, and long enough for a fork of a large process; return
    the backend."""
    whose_learned.pmap(range(150))
    assert whose_learned.last_run is not None
    return whose_learned.last_run.backend


@pytest.mark.usefixtures("computing")
def test_short_calls_beside_another_thread_have_them_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knowledge, "_costs", {})
    monkeypatch.setattr(knowledge, "_ASSUMED", Costs(spawn_s=0.1))
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        until_s = time.monotonic() + LONG_S
        while (backend := run_once()) != "process" and time.monotonic() < until_s:
            assert backend == "serial"
        assert backend == "process"
        assert hired()
    finally:
        done.set()
        thread.join()


@pytest.mark.usefixtures("gaining")
def test_a_call_that_workers_were_to_join_and_none_could_was_a_loop(
    hopes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "start", refused)
    with pytest.warns(AmorsizeWarning, match="although workers were to run it: no worker could be started"):
        whose_learned.options(start_method="spawn").pmap(range(400))
    run = whose_learned.last_run
    assert run is not None
    assert (run.backend, run.n_jobs, run.predicted_s) == ("serial", 1, None)
    assert run.reason.startswith("no worker could be started")
    known = knowledge.look_up(whose_learned, [1], cache=True)
    assert known.profile.is_known
    assert not known.profile.runs
    assert not hopes
