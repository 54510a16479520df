"""R21, R11 and R13: the process that calls is somebody's own, with children, signals, handles, threads and a parent.

The rest is held elsewhere. Locks, files and connections that a function over a list reaches, threads that live, nested
calls, two threads at once, workers of multiprocessing and of an executor: `tests/test_surroundings.py`. What is a live
handle: `tests/identity/test_reach.py`. Shares of pytest-xdist: `tests/identity/test_machine.py`. Calls inside calls and
beside each other on every backend: the contract's `Around`.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import gc
import importlib
import itertools
import multiprocessing
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import types
from typing import TYPE_CHECKING, Any

import pytest

from amorsize import AmorsizeWarning, BackendUnavailable, WorkerDied, errors, parallelizable, pimap, pmap
from amorsize.engine.spawn import warm
from amorsize.testing.faults import dies_at
from amorsize.testing.items import double

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Run = Callable[..., list[Any]]
    Start = Callable[..., subprocess.Popen[bytes]]
    Lines = Callable[[subprocess.Popen[bytes], int], list[str]]
    Watch = Callable[[int], Callable[[], bool]]

DOUBLES = [2 * item for item in range(30)]

LONG = [20_000] * 200
"""Items that are worth workers."""


@parallelizable
def burns(n: int) -> int:
    sum(range(n))
    return os.getpid()


# ---- children of the caller's own, and who takes their status


@pytest.fixture
def ignored_children() -> Iterator[None]:
    """Have the kernel take every child's status, as some programs do."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGCHLD, before)


@pytest.fixture
def foreign_reaper() -> Iterator[None]:
    """Have a handler take every child's status, as some programs do."""

    def take_all(_number: int, _frame: object) -> None:
        try:
            while os.waitpid(-1, os.WNOHANG)[0] != 0:
                pass
        except ChildProcessError:
            return

    before = signal.signal(signal.SIGCHLD, take_all)
    yield
    signal.signal(signal.SIGCHLD, before)


@pytest.mark.fault("R21")
@pytest.mark.usefixtures("ignored_children")
def test_a_program_that_ignores_its_children_gets_its_results(run: Run) -> None:
    assert run(double, range(30)) == DOUBLES


@pytest.mark.fault("R21")
@pytest.mark.usefixtures("ignored_children")
def test_a_death_in_a_program_that_ignores_its_children_is_told_without_a_status(run: Run) -> None:
    with pytest.raises(WorkerDied) as caught:
        run(functools.partial(dies_at, "exit", 3), range(30), chunksize=1)
    died = caught.value
    assert str(died) == "a worker ended (its exit code was taken by somebody else in this process) in item 3"
    assert (died.first, died.exitcode, died.signal) == (3, None, None)


@pytest.mark.fault("R21")
@pytest.mark.usefixtures("foreign_reaper")
def test_a_program_that_reaps_all_children_itself_gets_its_results(run: Run) -> None:
    for _ in range(3):
        assert run(double, range(30)) == DOUBLES


@pytest.mark.fault("R21")
@pytest.mark.usefixtures("foreign_reaper")
def test_a_death_beside_a_foreign_reaper_is_told_with_or_without_its_status(run: Run) -> None:
    for _ in range(3):
        with pytest.raises(WorkerDied) as caught:
            run(functools.partial(dies_at, "exit", 3), range(30), chunksize=1)
        assert caught.value.first == 3
        assert caught.value.exitcode in (7, None)


@pytest.mark.fault("R21")
@pytest.mark.parametrize("ends_before", [True, False], ids=["has ended", "goes on"])
def test_the_users_own_child_is_left_to_the_user(run: Run, *, ends_before: bool) -> None:
    child = subprocess.Popen(["/bin/sh", "-c", "read line; exit 7"], stdin=subprocess.PIPE)
    assert child.stdin is not None
    if ends_before:
        child.stdin.write(b"\n")
        child.stdin.flush()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert run(double, range(30)) == DOUBLES
    with pytest.raises(WorkerDied):
        run(functools.partial(dies_at, "kill", 3), range(30), chunksize=1)
    child.communicate(b"" if ends_before else b"\n")
    assert child.returncode == 7


# ---- live handles in globals

HELD: Any = None
"""What the user's function reaches; a test puts something there."""


@parallelizable
def uses_it(n: int) -> int:
    assert HELD is not None
    sum(range(n))
    return os.getpid()


@pytest.fixture
def handle(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Put a live handle into the global, and return what it is called in a warning."""
    monkeypatch.setattr(errors, "_warned", set())
    kind: str = request.param
    made: dict[str, Callable[[], Any]] = {
        "socket.socket": socket.socket,
        "sqlite3.Connection": lambda: sqlite3.connect(":memory:"),
        "_thread.lock": threading.Lock,
        "_io.TextIOWrapper": lambda: (tmp_path / "log").open("w"),
    }
    monkeypatch.setattr(sys.modules[__name__], "HELD", made[kind]())
    yield f"HELD ({kind})"
    if hasattr(HELD, "close"):
        HELD.close()


HANDLES = ["socket.socket", "sqlite3.Connection", "_thread.lock", "_io.TextIOWrapper"]


@pytest.mark.fault("R21")
@pytest.mark.parametrize("handle", HANDLES, indirect=True)
@pytest.mark.usefixtures("gaining")
def test_a_global_handle_keeps_a_call_in_the_loop_with_one_warning_that_names_it(handle: str) -> None:
    with pytest.warns(AmorsizeWarning) as told:
        assert set(pmap(uses_it, LONG)) == {os.getpid()}
    assert set(pmap(uses_it, LONG)) == {os.getpid()}  # silently: a warning would be an error here
    (warning,) = told
    assert f"it uses {handle}, which two workers must not share" in str(warning.message)
    assert "Open or make it inside the function" in str(warning.message)


@pytest.mark.fault("R21")
@pytest.mark.slow
@pytest.mark.parametrize("run_over", [pmap, pimap])
@pytest.mark.parametrize("handle", HANDLES, indirect=True)
def test_so_it_is_with_an_input_of_unknown_length(handle: str, run_over: Run, recwarn: pytest.WarningsRecorder) -> None:
    items = itertools.takewhile(lambda _: not recwarn, itertools.repeat(100_000, 5_000))  # until workers would pay
    assert set(run_over(uses_it, items)) == {os.getpid()}
    (warning,) = recwarn
    assert f"it uses {handle}, which two workers must not share" in str(warning.message)


@pytest.mark.fault("R21")
@pytest.mark.slow
@pytest.mark.parametrize("handle", HANDLES, indirect=True)
def test_a_handle_that_a_fresh_interpreter_cannot_have_is_refused_with_the_cure(handle: str) -> None:
    with pytest.raises(BackendUnavailable, match="initializer"):
        pmap(uses_it, [1, 2], isolate=True, start_method="spawn")
    del handle


@pytest.mark.fault("R21")
@pytest.mark.usefixtures("gaining")
def test_what_cannot_be_sent_to_fresh_interpreters_stays_a_loop_unless_they_were_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library, n_launched = ctypes.CDLL(None), []
    monkeypatch.setattr(warm, "_launch", lambda n_workers, *_: n_launched.append(n_workers))

    def absolute(n: int) -> int:
        for _ in range(20_000):
            pass
        return int(library.abs(-n))

    with pytest.warns(AmorsizeWarning, match="absolute cannot run in a fresh interpreter"):
        assert pmap(absolute, range(2_000), start_method="spawn") == list(range(2_000))
    assert len(n_launched) == 1
    assert pmap(absolute, range(2_000), start_method="spawn") == list(range(2_000))
    assert len(n_launched) == 1  # found out once
    with pytest.raises(BackendUnavailable) as caught:
        pmap(absolute, range(2_000), start_method="spawn", backend="process")
    assert caught.value.finished == {}  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """Return an installed package whose tax the program has set."""
    package = tmp_path / "site-packages" / "shop_with_taxes"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from . import config\n\ndef price(n):\n    return n * config.TAX\n")
    (package / "config.py").write_text("TAX = 1\n")
    monkeypatch.syspath_prepend(package.parent)
    module = importlib.import_module(package.name)
    module.config.TAX = 2
    yield module
    for name in [name for name in sys.modules if name.partition(".")[0] == package.name]:
        del sys.modules[name]


@pytest.mark.fault("R21")
@pytest.mark.parametrize("make", [lambda n: range(n), lambda n: iter(range(n))])
@pytest.mark.usefixtures("gaining")
def test_what_a_program_has_set_in_a_library_keeps_its_function_in_the_caller(
    shop: types.ModuleType, make: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errors, "_warned", set())

    def price(n: int) -> Any:  # Any: what another module returns
        for _ in range(20_000):
            pass
        return shop.price(n)

    with pytest.warns(AmorsizeWarning, match=r"shop_with_taxes\.config\.TAX was set after its import"):
        assert pmap(price, make(2_000), start_method="spawn") == [2 * n for n in range(2_000)]
    with pytest.raises(BackendUnavailable, match=r"shop_with_taxes\.config\.TAX was set after its import"):
        pmap(price, range(20), start_method="spawn", backend="process")


@pytest.mark.fault("R21")
def test_what_an_initializer_sets_in_a_library_is_found_there(shop: types.ModuleType) -> None:
    found = pmap(
        shop.price,
        range(20),
        start_method="spawn",
        backend="process",
        isolate=True,
        initializer=setattr,
        initargs=(shop.config, "TAX", 2),
    )
    assert found == [2 * n for n in range(20)]


# ---- the caller's own garbage


class Forgotten:
    """Garbage that only the collector finds, and that ends whoever finalizes it where it was not made."""

    def __init__(self) -> None:
        self.owner, self.itself = os.getpid(), self

    def __del__(self) -> None:
        if os.getpid() != self.owner:
            os._exit(9)


forgets = False


def _forget() -> None:
    """Leave garbage that is collected as soon as anything is made: once in a hundred forks that happens by itself."""
    if forgets:
        Forgotten()
        gc.set_threshold(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_forget)


@pytest.fixture
def garbage(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the caller forget something just before each fork."""
    thresholds = gc.get_threshold()
    monkeypatch.setattr(sys.modules[__name__], "forgets", True)
    yield
    gc.set_threshold(*thresholds)


@pytest.mark.needs_fork
@pytest.mark.usefixtures("garbage")
@pytest.mark.parametrize("kind", [list, iter])
def test_what_the_caller_has_forgotten_is_not_finalized_in_its_workers(kind: Callable[..., Any]) -> None:
    assert pmap(double, kind(range(30)), isolate=True, n_jobs=2, start_method="fork") == DOUBLES


# ---- parents of other kinds

GUNICORN = """
import os, signal
from amorsize import pimap, pmap
from amorsize.testing.items import double, process_of

reaped = []
def reap(*_):
    try:
        while (child := os.waitpid(-1, os.WNOHANG))[0]:
            reaped.append(child)
    except ChildProcessError:
        return

read_end, write_end = os.pipe()
os.set_blocking(write_end, False)
signal.set_wakeup_fd(write_end)
signal.signal(signal.SIGCHLD, reap)
for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGHUP, signal.SIGWINCH):
    signal.signal(number, lambda *_: None)
"""


@pytest.mark.fault("R21")
def test_a_worker_forked_by_a_server_calls_as_it_likes_and_its_parent_reaps_its_own_child_only(start: Start) -> None:
    if not hasattr(os, "fork"):
        pytest.skip("needs os.fork, which this platform lacks or hides")
    program = start(
        GUNICORN
        + """
worker = os.fork()
if worker == 0:  # keeps the handlers, as servers have it, but for the one for children
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    options = {"isolate": True, "n_jobs": 2}
    found = [
        pmap(double, range(30)),
        pmap(double, range(30), start_method="fork", **options),
        pmap(double, iter(range(30)), start_method="fork", **options),
        pmap(double, range(30), start_method="spawn", **options),
        list(pimap(double, iter(range(30)), start_method="spawn", **options)),
    ]
    print([each == [2 * n for n in range(30)] for each in found], flush=True)
    raise SystemExit(3)
while not reaped:
    os.read(read_end, 1)
print([(pid == worker, os.waitstatus_to_exitcode(status)) for pid, status in reaped])
"""
    )
    told, errors = program.communicate()
    assert (told.decode(), errors.decode()) == (f"{[True] * 5}\n{[(True, 3)]}\n", "")


@pytest.mark.fault("R9", "R21")
@pytest.mark.needs_fork
@pytest.mark.parametrize("start_method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_a_server_s_worker_that_is_killed_for_being_slow_takes_its_workers_along(
    start_method: str, start: Start, lines_of: Lines, watch: Watch
) -> None:
    program = start(
        GUNICORN
        + f"""
def work(item):
    os.write(1, b"%d\\n" % os.getpid())
    sum(range(10**12))

worker = os.fork()
if worker == 0:
    pmap(work, iter(range(20)), isolate=True, n_jobs=2, start_method={start_method!r})
os.write(1, b"%d\\n" % worker)
while not reaped:
    os.read(read_end, 1)
print("alive", flush=True)
"""
    )
    worker, *pids = sorted(int(line) for line in lines_of(program, 3))
    ends = [watch(pid) for pid in pids]
    os.kill(worker, signal.SIGKILL)
    assert [end() for end in ends] == [True, True]
    told, errors = program.communicate()
    assert (told, errors) == (b"alive\n", b"")


@pytest.fixture
def celery(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look like a worker of Celery's pool: a process of billiard, its own multiprocessing."""
    process: Any = types.ModuleType("billiard.process")
    process.current_process = lambda: types.SimpleNamespace(name="ForkPoolWorker-1", daemon=True)
    monkeypatch.setitem(sys.modules, "billiard", types.ModuleType("billiard"))
    monkeypatch.setitem(sys.modules, "billiard.process", process)
    monkeypatch.setattr(errors, "_warned", set())


@pytest.mark.fault("R13", "R21")
@pytest.mark.usefixtures("celery")
def test_in_a_celery_worker_a_call_is_the_loop(auto: Run) -> None:
    assert set(auto(burns, LONG)) == {os.getpid()}


@pytest.mark.fault("R13", "R21")
@pytest.mark.usefixtures("celery")
def test_in_a_celery_worker_processes_that_were_asked_for_become_the_loop_with_one_warning(auto: Run) -> None:
    with pytest.warns(AmorsizeWarning, match="Celery worker") as told:
        assert set(auto(burns, LONG, backend="process")) == {os.getpid()}
    assert len(told) == 1


@pytest.mark.fault("R13", "R21")
@pytest.mark.usefixtures("celery")
def test_in_a_celery_worker_isolation_is_refused(auto: Run) -> None:
    with pytest.raises(BackendUnavailable, match="Celery worker"):
        auto(burns, LONG, isolate=True)


def _in_a_daemon(send: Callable[[object], None], options: dict[str, Any]) -> None:
    import warnings

    warnings.simplefilter("ignore", AmorsizeWarning)
    try:
        send((set(pmap(burns, LONG, **options)), os.getpid()))
    except BackendUnavailable as error:
        send(str(error))


def _in_a_thread_of_a_daemon(send: Callable[[object], None], options: dict[str, Any]) -> None:
    """Call where dask runs its tasks: a thread of a daemonic process."""
    thread = threading.Thread(target=_in_a_daemon, args=(send, options))
    thread.start()
    thread.join()


@pytest.mark.fault("R13")
@pytest.mark.needs_fork
@pytest.mark.parametrize("call", [_in_a_daemon, _in_a_thread_of_a_daemon], ids=["multiprocessing", "dask"])
@pytest.mark.parametrize("options", [{}, {"backend": "process"}, {"isolate": True}], ids=["auto", "process", "isolate"])
def test_a_daemonic_process_starts_no_workers(call: Callable[..., None], options: dict[str, Any]) -> None:
    context = multiprocessing.get_context("fork")
    reading, writing = context.Pipe(duplex=False)
    with reading, writing:
        process = context.Process(target=call, args=(writing.send, options), daemon=True)
        process.start()
        told = reading.recv()
        process.join()
    process.close()
    if "isolate" in options:
        assert "multiprocessing worker" in told
    else:
        pids, pid = told
        assert pids == {pid}


@pytest.mark.fault("R11", "R13", "R21")
def test_beside_the_threads_of_a_test_runner_s_worker_nothing_hangs(start: Start) -> None:
    """As pytest-xdist has it: a thread reads from the pipe to the parent, and the main thread runs the tests."""
    program = start(
        """
import os, sys, threading
os.environ.update(PYTEST_XDIST_WORKER="gw0", PYTEST_XDIST_WORKER_COUNT="2")
from amorsize import parallelizable, pimap, pmap
from amorsize.testing.items import double, process_of
import warnings
warnings.simplefilter("ignore")

reading, writing = os.pipe()
receiver = threading.Thread(target=os.read, args=(reading, 1))
receiver.start()
expected = [2 * n for n in range(300)]
print(pmap(double, range(300)) == expected, pmap(double, iter(range(300))) == expected)
print(pmap(double, range(300), backend="process", n_jobs=2) == expected)
print(len(set(pimap(process_of, iter(range(100)), isolate=True, n_jobs=2, chunksize=1)) - {os.getpid()}) in (1, 2))
os.write(writing, b".")
receiver.join()
"""
    )
    told, errors = program.communicate()
    assert (told.decode(), errors.decode()) == ("True True\nTrue\nTrue\n", "")


# ---- a running event loop


@pytest.mark.fault("R21")
def test_inside_a_running_event_loop_a_call_works_and_the_loop_goes_on(run: Run) -> None:
    async def main() -> tuple[list[Any], list[int]]:
        ticks: list[int] = []
        loop = asyncio.get_running_loop()
        loop.call_soon(ticks.append, 1)
        loop.add_signal_handler(signal.SIGUSR1, ticks.append, 2)
        found = run(double, range(30))
        with pytest.raises(WorkerDied):
            run(functools.partial(dies_at, "exit", 3), range(30), chunksize=1)
        signal.raise_signal(signal.SIGUSR1)
        while len(ticks) < 2:
            await asyncio.sleep(0)
        loop.remove_signal_handler(signal.SIGUSR1)
        return found, ticks

    found, ticks = asyncio.run(main())
    assert found == DOUBLES
    assert sorted(ticks) == [1, 2]


@pytest.mark.fault("R21")
def test_a_subprocess_of_the_event_loop_keeps_its_status() -> None:
    async def main() -> tuple[list[int], int | None]:
        child = await asyncio.create_subprocess_exec("/bin/sh", "-c", "read line; exit 7", stdin=subprocess.PIPE)
        found = pmap(double, range(30), isolate=True, n_jobs=2, start_method="spawn")
        await child.communicate(b"\n")
        return found, child.returncode

    assert asyncio.run(main()) == (DOUBLES, 7)


# ---- two threads at once


@pytest.mark.fault("R13")
def test_one_thread_s_crash_does_not_hurt_the_other_s_call() -> None:
    """Both calls have fresh interpreters: beside a second thread nothing is forked."""
    options: dict[str, Any] = {"isolate": True, "n_jobs": 2, "start_method": "spawn", "chunksize": 1}
    together = threading.Barrier(2)
    found: list[Any] = []

    def crash() -> None:
        together.wait()
        with pytest.raises(WorkerDied):
            pmap(functools.partial(dies_at, "kill", 3), range(30), **options)
        found.append("died")

    thread = threading.Thread(target=crash)
    thread.start()
    together.wait()
    for _ in itertools.repeat(None, 3):
        assert pmap(double, range(30), **options) == DOUBLES
    thread.join()
    assert found == ["died"]
