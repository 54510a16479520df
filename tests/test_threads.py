"""Calls whose functions wait, or compute without the GIL: threads where they help, the loop where they do not."""

from __future__ import annotations

import asyncio
import decimal
import os
import random
import signal
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import amorsize
from amorsize import AmorsizeWarning, parallelizable, pmap
from amorsize.advice import adviser, knowledge
from amorsize.advice.shares import CpuShare
from amorsize.engine import bare, safety, thread, ticker
from amorsize.inline import advance as advance_alone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from amorsize.inline import Timings
    from amorsize.records import RunReport

WAIT_S = 30.0
"""A thread that is still missing after this long never comes; nothing waits for nearly as long where all is well."""


@parallelizable
def wait(n: int) -> tuple[int, int]:
    time.sleep(0.005)
    return n, threading.get_ident()


@parallelizable
def burn(n: int) -> tuple[int, int]:
    return sum(range(20_000)) * 0 + n, threading.get_ident()


LONG_ENOUGH = range(1000)
"""Items of `burn` for which fresh interpreters pay on any machine, and threads more."""


def report(func: Any = wait) -> RunReport:  # Any: a decorated function
    last: RunReport | None = func.last_run
    assert last is not None
    return last


def threads_of(results: list[tuple[int, int]]) -> set[int]:
    assert [n for n, _ in results] == list(range(len(results)))
    return {ident for _, ident in results}


pytestmark = pytest.mark.usefixtures("undisturbed")


@pytest.fixture
def another_thread() -> Iterator[None]:
    """A thread that lives beside the test, and makes every fork unsafe."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    yield
    done.set()
    thread.join()


def test_a_function_that_waits_is_run_by_many_threads() -> None:
    idents = threads_of(wait.pmap(range(60)))
    assert report().backend == "thread", report()
    assert len(idents) > 2
    assert "threads take" in report().reason


@pytest.mark.usefixtures("waiting")
def test_the_second_call_samples_nothing_and_runs_nothing_in_the_caller() -> None:
    wait.pmap(range(60))
    assert threading.get_ident() not in threads_of(wait.pmap(range(60))), report()
    assert (report().backend, report().n_sampled) == ("thread", 0)


@pytest.mark.needs_fork
def test_a_function_of_which_nothing_could_tell_if_it_waits_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as busy:
        busy.setattr(CpuShare, "look", lambda *_: None)
        threads_of(wait.pmap(range(150)))
        threads_of(wait.pmap(range(150)))
        assert report().backend == "process"

    def look(share: CpuShare, timings: Timings) -> None:
        share.value = 0.01 if timings.n_items else None

    monkeypatch.setattr(CpuShare, "look", look)
    threads_of(wait.pmap(range(150)))
    assert report().backend == "thread"


@pytest.mark.usefixtures("waiting")
def test_each_item_is_called_exactly_once() -> None:
    calls: list[int] = []

    def count(n: int) -> int:
        time.sleep(0.002)
        calls.append(n)
        return n

    for items in (range(60), iter(range(60))):
        calls.clear()
        assert pmap(count, items) == list(range(60))
        assert sorted(calls) == list(range(60))


@pytest.mark.fault("R11")
@pytest.mark.usefixtures("another_thread", "waiting")
def test_beside_other_threads_a_function_that_waits_still_gets_its_own() -> None:
    assert len(threads_of(wait.pmap(range(60)))) > 2


@pytest.mark.usefixtures("waiting")
def test_a_call_of_another_thread_inside_a_running_event_loop_gets_threads() -> None:
    async def call() -> list[tuple[int, int]]:
        return wait.pmap(range(60))

    found: list[list[tuple[int, int]]] = []
    caller = threading.Thread(target=lambda: found.append(asyncio.run(call())))
    caller.start()
    caller.join()
    assert len(threads_of(found[0])) > 2


def test_results_that_cannot_be_pickled_are_no_obstacle() -> None:
    def lock(_: int) -> Any:
        time.sleep(0.005)
        return threading.Lock()

    assert len(set(map(id, pmap(lock, range(40))))) == 40


LOCK = threading.Lock()


@pytest.mark.fault("R21")
@pytest.mark.usefixtures("waiting")
def test_a_lock_of_the_users_own_keeps_the_call_in_the_loop_and_is_named() -> None:
    def guarded(n: int) -> tuple[int, int]:
        with LOCK:
            return wait(n)

    with pytest.warns(AmorsizeWarning, match=r"LOCK \(_thread\.lock\), which two workers must not share"):
        assert threads_of(pmap(guarded, range(20))) == {threading.get_ident()}


@parallelizable
def seeded(n: int) -> float:
    random.seed(n)
    time.sleep(0.005)
    return random.random()


@pytest.mark.usefixtures("waiting")
@pytest.mark.parametrize("items", [range(60), iter(range(60))], ids=["list", "stream"])
def test_a_function_that_seeds_the_generator_of_all_threads_runs_in_none(items: Iterable[int]) -> None:
    assert seeded.pmap(items) == [random.Random(n).random() for n in range(60)]
    assert report(seeded).backend != "thread"
    assert "threads are left out, because it uses random.seed, which belongs to the process" in report(seeded).reason


def test_a_function_that_seeds_the_generator_of_all_threads_runs_in_them_where_asked() -> None:
    with amorsize.config(backend="thread", n_jobs=3):
        seeded.pmap(range(6))
    assert report(seeded).backend == "thread"
    assert "left out" not in report(seeded).reason


LOCAL = threading.local()


class Session:
    __module__ = "requests.sessions"


@parallelizable
def wait_with_its_own(n: int) -> tuple[int, int]:
    if not hasattr(LOCAL, "session"):
        LOCAL.session = Session()
    return wait(n)


@pytest.mark.usefixtures("waiting")
def test_what_each_thread_opens_for_itself_keeps_nobody_from_threads() -> None:
    wait_with_its_own(0)
    assert len(threads_of(wait_with_its_own.pmap(range(60)))) > 2


class Client:
    """Whose author thought of one thread."""

    @parallelizable
    def ask(self, n: int) -> int:
        self.asked = n
        wait(n)
        return self.asked


@pytest.mark.usefixtures("waiting")
def test_what_keeps_something_for_a_moment_where_threads_share_it_runs_in_none_unless_they_are_asked_for() -> None:
    client = Client()
    for _ in range(2):
        assert client.ask.pmap(range(60)) == list(range(60))
        assert report(client.ask).backend != "thread"
    assert client.ask.pmap(range(60), backend="thread", n_jobs=8) != list(range(60))


def test_a_debugger_keeps_the_call_in_the_loop() -> None:
    before = sys.gettrace()
    sys.settrace(lambda *_: None)
    try:
        assert threads_of(wait.pmap(range(20))) == {threading.get_ident()}
    finally:
        sys.settrace(before)


def nest(n: int) -> tuple[int, set[int], str]:
    time.sleep(0.005)
    return threading.get_ident(), threads_of(wait.pmap(range(20))), report().reason


@pytest.mark.fault("R13")
def test_a_call_inside_an_item_of_a_thread_runs_in_that_thread() -> None:
    for ident, inner, _ in pmap(nest, range(6), backend="thread", n_jobs=3):
        assert inner == {ident}


def test_threads_that_were_asked_for_are_used_whatever_the_cores_and_whatever_is_known() -> None:
    everybody = threading.Barrier(50)
    assert len(pmap(lambda _: everybody.wait(WAIT_S), range(50), backend="thread", n_jobs=50)) == 50


@pytest.mark.usefixtures("another_thread")
def test_under_a_clock_that_a_test_has_frozen_threads_give_their_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such tools put theirs in the place of `perf_counter` in every module that is loaded."""
    for name, module in [*sys.modules.items()]:
        if name.startswith("amorsize.") and hasattr(module, "perf_counter"):
            monkeypatch.setattr(module, "perf_counter", lambda: 1_577_836_800.0)
    assert pmap(abs, [-1, -2, -3], backend="thread", n_jobs=2) == [1, 2, 3]


def test_threads_that_were_asked_for_are_used_where_nothing_may_fork_and_the_gil_is_held() -> None:
    for _ in range(2):
        assert threading.get_ident() not in threads_of(burn.pmap(range(60), backend="thread", n_jobs=3))
    assert (report(burn).backend, report(burn).n_jobs) == ("thread", 3)


def test_isolated_threads_are_refused_with_the_cure() -> None:
    with pytest.raises(ValueError, match='which threads are part of: write backend="process"'):
        pmap(abs, [1], backend="thread", isolate=True)


@pytest.mark.parametrize("is_error", [False, True])
def test_an_item_that_never_ends_is_left_behind_with_a_warning(is_error: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a filter makes an error of it, it does not take the place of what the item raised."""
    monkeypatch.setattr(thread, "GRACE_S", 0.01)
    hangs, done = threading.Event(), threading.Event()

    def hang(n: int) -> None:
        if n == 1:
            hangs.set()
            done.wait()
        if n == 0:
            assert hangs.wait(WAIT_S)
            raise ValueError(n)

    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("error" if is_error else "always")
            with pytest.raises(ValueError) as caught:
                pmap(hang, range(2), backend="thread")
    finally:
        done.set()
        while len(sys._current_frames()) - bare.n_resting() > 1:
            time.sleep(1e-4)
    told = [*caught.value.__notes__, *[str(each.message) for each in warned]]
    assert len([text for text in told if "hang went on when the call was over" in text]) == 2 - is_error


@pytest.mark.fault("R8")
@pytest.mark.skipif(sys.platform == "win32", reason="no process of Windows can be sent SIGINT alone")
def test_ctrl_c_ends_the_program_with_one_traceback(fresh_python: Callable[..., str]) -> None:
    source = f"""
import os, signal, sys, time
from amorsize import pmap, shutdown
signal.signal(signal.SIGINT, signal.default_int_handler)
def work(n):
    if n == 3:
        os.kill(os.getpid(), {int(signal.SIGINT)})
    time.sleep(0.01)
try:
    pmap(work, range(10 ** 6), backend="thread", n_jobs=8)
except KeyboardInterrupt as stopped:
    shutdown()
    print("stopped", len(stopped.finished) < 10 ** 4, len(sys._current_frames()))
"""
    assert fresh_python("-c", source).split() == ["stopped", "True", "1"]


# ---- the GIL


@pytest.fixture
def told(computing: None, monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """Have tickers, which are free, tell the shares on this list, the last one first; what no ticker took stays on
    it."""
    shares: list[float | None] = []

    def advance(*arguments: Any) -> tuple[int, float | None]:  # Any: those of `advance`
        return advance_alone(*arguments), shares.pop()

    monkeypatch.setattr(ticker, "advance_ticking", advance)
    amorsize.shutdown()  # fresh interpreters that are warm would start as quickly as threads
    monkeypatch.setattr(knowledge, "_costs", {})  # as would those of which other tests have learned
    monkeypatch.setattr(adviser, "TICKER_FROM_S", 0.0)
    monkeypatch.setattr(adviser, "worth_a_ticker", lambda *_: True)  # whatever the machine takes for an item now
    return shares


@pytest.mark.usefixtures("another_thread")
def test_a_function_that_frees_the_gil_gets_threads_where_nothing_may_fork(told: list[float | None]) -> None:
    told[:] = [1.0]
    assert len(threads_of(burn.pmap(LONG_ENOUGH))) > 1
    assert told == []
    if "back to the loop" not in report(burn).reason:  # as the function really holds the GIL
        assert report(burn).backend == "thread"


@pytest.mark.usefixtures("another_thread")
def test_a_function_that_holds_the_gil_runs_in_no_threads_where_nothing_may_fork(told: list[float | None]) -> None:
    told[:] = [0.02]
    burn.pmap(LONG_ENOUGH)
    assert told == []
    assert report(burn).backend != "thread"
    assert "fresh interpreters, because" in report(burn).reason


@pytest.mark.usefixtures("another_thread")
def test_what_a_ticker_has_told_is_known_to_the_next_call(told: list[float | None]) -> None:
    told[:] = [0.02]
    for _ in range(3):
        burn.pmap(LONG_ENOUGH)
    assert told == []


@pytest.mark.usefixtures("another_thread")
def test_a_ticker_that_could_not_tell_makes_the_next_less_likely(
    told: list[float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    untold: list[int] = []

    def is_worth_it(_plan: object, _hoped: object, _before_s: float, n_untold: int) -> bool:
        untold.append(n_untold)
        return True

    monkeypatch.setattr(adviser, "worth_a_ticker", is_worth_it)
    monkeypatch.setattr(adviser.Adviser, "_n_untold", 0)
    told[:] = [0.02, None]
    for _ in range(3):
        burn.pmap(LONG_ENOUGH)
    assert untold == [0, 1]


@pytest.mark.needs_fork
@pytest.mark.usefixtures("waiting")
def test_after_threads_a_fork_is_possible_at_once() -> None:
    while safety.refusal() is not None:  # the thread of an earlier test is still on its way out
        time.sleep(1e-3)
    for _ in range(5):
        wait.pmap(range(100))
        assert report().backend == "thread"
        assert os.getpid() not in pmap(lambda _: os.getpid(), range(20), isolate=True)


def test_a_fresh_process_that_runs_threads_does_not_load_threading(fresh_python: Callable[..., str]) -> None:
    source = (
        "import sys, time; bare = 'threading' in sys.modules; import amorsize\n"
        "print(len(amorsize.pmap(time.sleep, [0.005] * 40, cache=False)), bare or 'threading' not in sys.modules)"
    )
    assert fresh_python("-c", source).split() == ["40", "True"]


def test_config_holds_inside_items() -> None:
    def inner(_: int) -> list[int]:
        return pmap(abs, [-1], n_jobs=1)

    with amorsize.config(backend="thread"):
        assert pmap(inner, range(4), n_jobs=2) == [[1]] * 4


TENANT = threading.local()


@parallelizable
def of_tenant(n: int) -> str:
    time.sleep(0.005)
    return getattr(TENANT, "name", "nobody")


@pytest.mark.usefixtures("waiting", "another_thread")
def test_what_the_caller_has_put_into_a_thread_local_keeps_the_call_in_its_thread() -> None:
    TENANT.name = "acme"
    try:
        assert of_tenant.pmap(range(60)) == ["acme"] * 60
        assert "it uses TENANT.name, which this thread alone has" in report(of_tenant).reason
    finally:
        del TENANT.name


class Seeded:
    def __init__(self, seed: int) -> None:
        self.seed = seed

    def draw(self) -> float:
        random.seed(self.seed)
        time.sleep(0.005)
        return random.random()


@pytest.mark.usefixtures("waiting", "another_thread")
def test_items_whose_method_seeds_the_generator_of_all_threads_run_in_none() -> None:
    items = [Seeded(n) for n in range(60)]
    assert pmap(lambda item: item.draw(), items) == [random.Random(n).random() for n in range(60)]


def third(n: int) -> str:
    decimal.getcontext().prec = 5 + n % 20
    time.sleep(0.005)
    return str(decimal.Decimal(1) / 3)


@pytest.mark.parametrize("given", [{}, {"on_error": "return"}])
def test_each_thread_has_its_own_context_of_decimal(given: Any) -> None:
    with decimal.localcontext():
        found = pmap(third, range(60), backend="thread", n_jobs=8, **given)
    assert found == ["0." + "3" * (5 + n % 20) for n in range(60)]
