"""What goes on around a call: other calls inside it and beside it, other libraries' workers, the user's own handles."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import signal
import socket
import sqlite3
import sys
import threading
import types
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from amorsize import AmorsizeWarning, parallelizable, pmap

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG = [20_000] * 200
"""Items that are worth workers."""


pytestmark = pytest.mark.usefixtures("undisturbed")


@parallelizable
def whose(n: int) -> int:
    sum(range(n))
    return os.getpid()


def reason() -> str:
    assert whose.last_run is not None
    return whose.last_run.reason


def innermost(n: int) -> tuple[int, set[int]]:
    return os.getpid(), set(whose.pmap([n] * 50))


def middle(n: int) -> list[tuple[int, set[int]]]:
    return pmap(innermost, [n] * 3)


@pytest.mark.fault("R13")
@pytest.mark.needs_fork
def test_calls_three_deep_start_workers_only_outside() -> None:
    found = pmap(middle, [20_000] * 6, isolate=True, n_jobs=2)
    outer = {pid for triple in found for pid, _ in triple}
    assert os.getpid() not in outer
    for triple in found:
        for pid, inner in triple:
            assert inner == {pid}


@pytest.mark.fault("R13")
@pytest.mark.needs_fork
def test_a_call_inside_an_item_of_the_caller_runs_in_the_caller() -> None:
    def call_inside(n: int) -> tuple[int, set[int]]:
        return os.getpid(), set(whose.pmap([n] * 200))

    for pid, inner in pmap(call_inside, [20_000] * 10, backend="process", n_jobs=2):
        assert inner == {pid}


@pytest.mark.fault("R13")
@pytest.mark.needs_fork
def test_calls_of_two_threads_at_once_give_each_its_own_results() -> None:
    def work(n: int) -> int:
        return 3 * n + 0 * sum(range(5_000))

    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda at: pmap(work, range(at, at + 300)), range(4)))
    assert found == [[3 * n for n in range(at, at + 300)] for at in range(4)]


@pytest.mark.fault("R13")
@pytest.mark.needs_fork
def test_a_failing_call_of_one_thread_does_not_touch_the_other() -> None:
    def fail(n: int) -> int:
        if n == 100:
            raise ValueError(n)
        return n + 0 * sum(range(5_000))

    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        failing = threads.submit(pmap, fail, range(200))
        working = threads.submit(pmap, fail, range(90))
        assert working.result() == list(range(90))
        with pytest.raises(ValueError):
            failing.result()


def call_in_a_worker_of_somebody_else(_: int) -> tuple[int, set[int], str]:
    return os.getpid(), set(whose.pmap(LONG)), reason()


@pytest.mark.fault("R13")
@pytest.mark.needs_fork
@pytest.mark.usefixtures("gaining")
def test_in_a_worker_of_multiprocessing_a_call_is_the_loop() -> None:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map(call_in_a_worker_of_somebody_else, range(4))
        pool.close()
        pool.join()
    for pid, inner, why in found:
        assert inner == {pid}
        assert "multiprocessing worker" in why


@pytest.mark.fault("R13")
@pytest.mark.needs_fork
def test_in_a_worker_of_an_executor_a_call_is_the_loop() -> None:
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        pid, inner, _ = pool.submit(call_in_a_worker_of_somebody_else, 0).result()
    assert inner == {pid}


@pytest.mark.needs_fork
def test_a_process_that_the_user_forked_may_call_too() -> None:
    whose.pmap(LONG)
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            found = pmap(abs, range(-100, 0), isolate=True, n_jobs=2) == list(range(100, 0, -1))
            os.write(write_end, b"right" if found else b"wrong")
        finally:
            os._exit(0)
    os.close(write_end)
    assert os.read(read_end, 10) == b"right"
    os.close(read_end)
    os.waitpid(pid, 0)


@pytest.mark.fault("R11")
@pytest.mark.needs_fork
@pytest.mark.usefixtures("gaining")
def test_a_library_that_does_not_survive_a_fork_keeps_the_call_in_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", types.ModuleType("grpc"))
    assert set(whose.options(start_method="fork").pmap(LONG)) == {os.getpid()}
    assert "gRPC" in reason()


@pytest.mark.fault("R11")
@pytest.mark.needs_fork
@pytest.mark.usefixtures("gaining")
def test_a_thread_that_holds_a_lock_for_ever_hangs_nobody() -> None:
    lock, is_held, done = threading.Lock(), threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            is_held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait()

    def need_the_lock(n: int) -> bool:
        sum(range(n))
        return lock.acquire(blocking=False)

    try:
        with pytest.warns(AmorsizeWarning, match="lock"):
            assert not any(pmap(need_the_lock, LONG))
    finally:
        done.set()
        thread.join()


LOCK = threading.Lock()


@pytest.mark.fault("R21")
@pytest.mark.needs_fork
@pytest.mark.usefixtures("gaining")
def test_a_lock_of_the_users_own_keeps_the_call_in_the_loop_and_is_named() -> None:
    def guarded(n: int) -> int:
        with LOCK:
            return whose(n)

    with pytest.warns(AmorsizeWarning, match=r"LOCK \(_thread\.lock\)"):
        assert set(pmap(guarded, LONG)) == {os.getpid()}


@pytest.mark.fault("R21")
@pytest.mark.needs_fork
@pytest.mark.usefixtures("gaining")
def test_an_open_file_keeps_the_call_in_the_loop_and_is_named(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:

        def write(n: int) -> int:
            log.write("x")
            return whose(n)

        with pytest.warns(AmorsizeWarning, match=r"log \(_io\.TextIOWrapper\)"):
            assert set(pmap(write, LONG)) == {os.getpid()}
    assert (tmp_path / "log").read_text() == "x" * len(LONG)


class Table:
    """Rows of a database, behind a connection."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:")

    @parallelizable
    def look_up(self, n: int) -> int:
        self.connection.execute("select 1").fetchone()
        return whose(n)


@pytest.mark.fault("R21")
@pytest.mark.needs_fork
@pytest.mark.usefixtures("gaining")
def test_a_connection_of_a_methods_object_keeps_the_call_in_the_loop() -> None:
    table = Table()
    with pytest.warns(AmorsizeWarning, match=r"connection \(sqlite3\.Connection\)"):
        assert set(table.look_up.pmap(LONG)) == {os.getpid()}
    table.connection.close()


@pytest.mark.needs_fork
def test_who_asks_for_processes_gets_them_whatever_is_shared() -> None:
    left, right = socket.socketpair()

    def ask(n: int) -> int:
        assert left.fileno() > 0
        return whose(n)

    with left, right:
        assert set(pmap(ask, LONG, backend="process", n_jobs=2)) > {os.getpid()}


@pytest.mark.needs_fork
def test_a_global_that_changed_since_the_last_call_is_seen_by_workers() -> None:
    for value in (1, 2):
        SETTINGS["value"] = value
        assert pmap(read_setting, range(20), isolate=True, n_jobs=2) == [value] * 20


SETTINGS: dict[str, int] = {}


def read_setting(_: int) -> int:
    return SETTINGS["value"]


@pytest.fixture
def alarm() -> Iterator[list[int]]:
    """A timer of the user's own that ticks every 5 ms, and its ticks."""
    ticks: list[int] = []
    before = signal.signal(signal.SIGPROF, lambda *_: ticks.append(1))
    signal.setitimer(signal.ITIMER_PROF, 0.005, 0.005)
    yield ticks
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)


@pytest.mark.fault("R21")
@pytest.mark.needs_fork
def test_a_timer_of_the_users_own_goes_on_in_the_caller_and_harms_no_worker(alarm: list[int]) -> None:
    assert set(whose.pmap(LONG, backend="process", n_jobs=2)) > {os.getpid()}
    n_ticks = len(alarm)
    while len(alarm) == n_ticks:
        sum(range(1000))


def read_patched(path: str) -> tuple[str, int]:
    with open(path, encoding="utf-8") as file:
        return file.read(), whose(20_000)


@pytest.mark.parametrize("given", [{}, pytest.param({"backend": "process", "n_jobs": 2}, marks=pytest.mark.needs_fork)])
def test_a_mock_in_the_place_of_open_is_for_items_only(given: Any) -> None:
    with mock.patch("builtins.open", mock.mock_open(read_data="text")):
        results = pmap(read_patched, ["nowhere"] * 200, **given)
    assert {text for text, _ in results} == {"text"}
