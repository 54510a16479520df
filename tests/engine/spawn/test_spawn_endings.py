"""However a program, a call or a worker ends: nobody is left, nobody is surprised, and one traceback is enough."""

from __future__ import annotations

import gc
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import amorsize
from amorsize.engine.fed.link import Link
from amorsize.engine.held import Held
from amorsize.engine.message import REST, TASK
from amorsize.engine.spawn import hired, launch, warm
from amorsize.engine.spawn import worker as spawned
from amorsize.engine.spawn.errand import Errand
from amorsize.engine.spawn.line import Line
from amorsize.engine.spawn.windows import WindowsProcess
from amorsize.identity.likeness import likeness

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[[str], subprocess.Popen[bytes]]
    Lines = Callable[[subprocess.Popen[bytes], int], list[str]]
    Watch = Callable[[int], Callable[[], bool]]
    Feed = Callable[..., list[Any]]

FEEDING = str(Path(__file__).with_name("feeding.py"))

needs_pidfd = pytest.mark.skipif(
    not hasattr(os, "pidfd_open"), reason="deaths are awaited by pidfd, which is missing or hidden"
)


def pid(_item: object) -> int:
    return os.getpid()


def blocked(_item: object) -> frozenset[int]:
    return frozenset(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ())))


# ---- between calls


def test_workers_stay_for_the_next_call(feed: Feed) -> None:
    first = feed(pid, range(4))
    assert feed(lambda x: os.getpid(), range(4)) == first
    assert set(feed(pid, range(6), 3)) > set(first)


@needs_pidfd
def test_shutdown_ends_those_that_stay(feed: Feed, watch: Watch) -> None:
    ends = [watch(worker) for worker in feed(pid, range(2))]
    amorsize.shutdown()
    assert [end() for end in ends] == [True, True]
    amorsize.shutdown()


@needs_pidfd
def test_a_worker_that_hears_nothing_ends_itself(feed: Feed, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hired, "IDLE_S", 0.001)
    monkeypatch.setattr(hired, "SURE_S", 0.0)
    monkeypatch.setattr(hired, "monotonic", lambda: 0.0)  # by the caller's clock it has only begun to rest
    (first,) = feed(pid, [0], 1)
    (resting,) = warm._resting
    assert resting.process.pidfd is not None
    assert select.select([resting.process.pidfd], [], [], 10)[0]
    (second,) = feed(pid, [0], 1)
    assert second != first


@needs_pidfd
def test_a_new_worker_waits_for_its_first_word_however_short_the_program_s_sockets_wait() -> None:
    socket.setdefaulttimeout(0.001)
    try:
        worker = hired.SpawnedWorker(*launch.start(""))
    finally:
        socket.setdefaulttimeout(None)
    assert worker.process.pidfd is not None
    assert select.select([worker.process.pidfd], [], [], 0.5)[0] == []  # ten times as long as it takes to start
    worker.close()


def test_a_worker_that_is_about_to_end_is_not_hired(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hired, "SURE_S", hired.IDLE_S)
    assert feed(pid, [0], 1) != feed(pid, [0], 1)


@pytest.mark.fault("R1")
@needs_pidfd
def test_a_worker_that_was_killed_while_it_rested_is_replaced(feed: Feed, watch: Watch) -> None:
    (first,) = feed(pid, [0], 1)
    end = watch(first)
    os.kill(first, signal.SIGKILL)
    assert end()
    (second,) = feed(pid, [0], 1)
    assert second != first


def test_a_resting_worker_holds_no_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the worker's part is played here: nobody outside sees when it has begun to rest
    here, there = socket.socketpair()
    with here, there:
        Link(here).send(REST, seconds=30.0)
        here.shutdown(socket.SHUT_WR)
        spawned.Worker(Link(there)).serve()
    assert os.getcwd() == os.path.abspath(os.sep)


MEASURED = """
import glob, time
import coverage
from amorsize import pmap

def measure():
    kept = coverage.Coverage(data_suffix=True, config_file=False)
    kept.set_option("run:parallel", True)
    kept.start()

pmap(len, ["a", "bc"] * 10, backend="process", start_method="spawn", isolate=True, n_jobs=2, initializer=measure)
until_s = time.monotonic() + 20
while not glob.glob(".coverage.*") and time.monotonic() < until_s:
    time.sleep(0.01)
print(bool(glob.glob(".coverage.*")))
"""


def test_a_resting_worker_has_saved_its_coverage(fresh_python: Callable[..., str]) -> None:
    assert fresh_python("-c", MEASURED) == "True\n"


@needs_pidfd
def test_workers_that_owe_an_answer_are_ended(hire: Callable[..., Any], watch: Watch) -> None:
    workers = hire(sum, 2)
    ends = [watch(worker.process.pid) for worker in workers]
    for worker in workers:
        worker.link.send_values(TASK, 0, [range(10**12)])
    warm.release(workers)
    warm.release(workers)
    assert [end() for end in ends] == [True, True]
    assert warm._resting == []


@pytest.mark.fault("R8")
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_ctrl_c_behind_a_task_that_was_just_sent_is_nothing_to_the_next_call(
    nth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that rested with that task would answer it in the next call, in the place of another."""
    options: dict[str, Any] = {"backend": "process", "n_jobs": 2, "start_method": "spawn", "isolate": True}
    assert amorsize.pmap(abs, range(10), **options) == list(range(10))
    n_sent = 0

    def send(link: Line, kind: bytes, *arguments: Any, **named: Any) -> None:
        nonlocal n_sent
        Link.send(link, kind, *arguments, **named)
        n_sent += kind == TASK
        if kind == TASK and n_sent == nth:
            raise KeyboardInterrupt

    with monkeypatch.context() as interrupted:
        interrupted.setattr(Line, "send", send)
        with pytest.raises(KeyboardInterrupt):
            amorsize.pmap(abs, range(100, 400), **options)
    assert list(amorsize.pimap(bool, range(200), **options)) == [False, *[True] * 199]


def test_only_so_many_rest(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "MOST_RESTING", 1)
    feed(pid, range(2), 2)
    assert len(warm._resting) == 1


# ---- no room


@pytest.mark.fault("R14")
def test_as_many_are_hired_as_there_is_room_for(hire: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    start, rooms = launch.start, iter([True])

    def start_one(ahead: str) -> Any:
        if not next(rooms, False):
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return start(ahead)

    monkeypatch.setattr(launch, "start", start_one)
    workers = hire(pid, 3)
    assert len(workers) == 1
    warm.release(workers)
    workers = hire(pid, 3)  # the one that rests
    assert len(workers) == 1
    warm._end(workers)
    with pytest.raises(BlockingIOError):
        hire(pid, 3)


@pytest.mark.fault("R14")
def test_no_descriptors_left_means_fewer_workers(start: Start) -> None:
    call = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
workers = feeding["hire"](abs, 40)
print(0 < len(workers) < 10)
warm._end(workers)
print(os.listdir("/proc/self/fd") == ["0", "1", "2", "3"])
"""
    out, errors = start(program("return", call)).communicate()
    assert (out.decode(), errors.decode()) == ("True\nTrue\n", "")


@pytest.mark.fault("R14", "R19")
@pytest.mark.parametrize("nth", range(4))
def test_what_fails_in_a_launch_leaves_nothing_behind(nth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    name, owner = [("socketpair", vars(launch)["socket"]), ("pipe", os), ("posix_spawn", os), ("getcwd", os)][nth]

    def fail(*_: object, **__: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(owner, name, fail)
    if name == "getcwd":  # the directory was deleted: none of our business
        warm._end(warm.hire(1, Errand(func=abs, identify=likeness), Held()))
        return
    with pytest.raises(OSError, match="no room"):
        warm.hire(2, Errand(func=abs, identify=likeness), Held())


@pytest.mark.fault("R8", "R14")
def test_a_signal_in_the_middle_of_a_launch_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    start = launch.start

    def start_and_interrupt(ahead: str) -> Any:
        made = start(ahead)
        signal.raise_signal(signal.SIGINT)
        return made

    monkeypatch.setattr(launch, "start", start_and_interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            warm.hire(2, Errand(func=abs, identify=likeness), Held())
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(
    not hasattr(signal, "SIGUSR1"), reason="needs a signal that a program may send to all its processes"
)
@pytest.mark.fault("R8")
def test_a_signal_to_all_processes_that_the_caller_handles_ends_no_worker_that_is_still_starting(feed: Feed) -> None:
    start = launch.start

    def start_and_signal(ahead: str) -> Any:
        made = start(ahead)
        os.kill(made[1].pid, signal.SIGUSR1)
        return made

    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(launch, "start", start_and_signal)
            workers = feed(pid, range(4))
        for worker in set(workers):
            os.kill(worker, signal.SIGUSR1)
        assert feed(blocked, range(4)) == [frozenset()] * 4
        assert set(feed(pid, range(4))) == set(workers)
    finally:
        signal.signal(signal.SIGUSR1, before)


@needs_pidfd
def test_workers_that_nobody_knows_of_are_ended(hire: Callable[..., Any], watch: Watch) -> None:
    (worker,) = hire(abs, 1)
    end = watch(worker.process.pid)
    del worker
    gc.collect()
    assert end()


@pytest.mark.fault("R12")
def test_interpreters_are_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for executable in ("", None, "/nowhere/python", "/bin/sh"):
        monkeypatch.setattr(sys, "executable", executable)
        assert "embedded" in str(launch.refusal())
    monkeypatch.undo()
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert "frozen" in str(launch.refusal())


WITHOUT_PROC = """
import amorsize, warnings
warnings.simplefilter("always")
with warnings.catch_warnings(record=True) as told:
    assert amorsize.pmap(abs, range(50), backend="process", n_jobs=2, cache=False) == list(range(50))
assert ["/proc is not mounted" in str(warning.message) for warning in told] == [True]
try:
    amorsize.pmap(abs, range(50), isolate=True, cache=False)
except amorsize.BackendUnavailable as refused:
    print(refused)
"""


@pytest.mark.fault("R12")
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, nothing depends on /proc")
def test_interpreters_are_refused_where_no_proc_is_mounted() -> None:
    hide = 'mount -t tmpfs none /proc && exec "$0" -c "$1"'
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", hide, sys.executable, WITHOUT_PROC]
    if shutil.which("unshare") is None or subprocess.run([*command[:5], hide, "true"], capture_output=True).returncode:
        pytest.skip("to hide /proc needs unshare and the right to mount")
    root = str(Path(__file__).resolve().parents[3])
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, "")
    assert "/proc is not mounted" in done.stdout


SILENT = """
import amorsize, os, sys
assert sys.stdout is sys.stderr is None
for fd in (1, 2):  # as SQLite does, which keeps its own files off the numbers of standard streams
    os.set_inheritable(os.open(os.devnull, os.O_RDONLY), True)
def tell(item):
    for stream in (sys.stdout, sys.stderr):
        print("x" * 20_000, file=stream)
    return item
told = {"start_method": "spawn", "isolate": True, "n_jobs": 2, "cache": False}
sys.exit(0 if amorsize.pmap(tell, range(4), **told) == [0, 1, 2, 3] else 3)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the program is started by a shell")
def test_items_may_print_where_the_program_has_no_standard_streams() -> None:
    root = str(Path(__file__).resolve().parents[3])
    command = ["sh", "-c", 'exec "$0" -c "$1" >&- 2>&-', sys.executable, SILENT]
    assert subprocess.run(command, env={**os.environ, "PYTHONPATH": root}, timeout=50).returncode == 0


# ---- programs

PROGRAM = """
import os, runpy, sys, time
feeding = runpy.run_path(FEEDING)
from amorsize.engine.spawn import hired
feed, warm = feeding["feed"], feeding["warm"]

def announce(item):
    os.write(1, b"%d\\n" % os.getpid())

def work(item):
    announce(item)
    BUSY
"""

BUSY = {
    "in Python code": "while True: pass",
    "in C code that holds the GIL": "sum(range(10**12))",
    "in a system call": "time.sleep(600)",
}


def program(busy: str, call: str = "feed(work, range(2))") -> str:
    return PROGRAM.replace("FEEDING", repr(FEEDING)).replace("BUSY", busy) + call + "\n"


@pytest.mark.fault("R9")
@needs_pidfd
@pytest.mark.parametrize("busy", BUSY.values(), ids=BUSY.keys())
def test_workers_die_with_a_caller_that_is_killed(busy: str, start: Start, lines_of: Lines, watch: Watch) -> None:
    running = start(program(busy))
    ends = [watch(int(pid)) for pid in lines_of(running, 2)]
    os.kill(running.pid, signal.SIGKILL)
    assert [end() for end in ends] == [True, True]


@pytest.mark.fault("R9")
@needs_pidfd
def test_resting_workers_die_with_a_caller_that_is_killed(start: Start, lines_of: Lines, watch: Watch) -> None:
    running = start(program("return", "feed(work, range(2)); time.sleep(600)"))
    ends = [watch(int(pid)) for pid in lines_of(running, 2)]
    os.kill(running.pid, signal.SIGKILL)
    assert [end() for end in ends] == [True, True]


def test_resting_workers_end_with_a_program_that_ends(start: Start, lines_of: Lines, watch: Watch) -> None:
    running = start(program("return", "feed(work, range(2)); print('ready', flush=True); sys.stdin.read()"))
    out, errors = running.communicate()
    assert (len(out.splitlines()), errors) == (3, b"")  # standard output ends with the last process that holds it


def test_resting_workers_have_ended_before_the_program_does(start: Start) -> None:
    call = """
import atexit
workers = []
atexit.register(lambda: print([os.path.exists(f"/proc/{worker}") for worker in workers]))
workers += feed(lambda _: os.getpid(), range(2))
"""
    out, errors = start(program("return", call)).communicate()
    assert (out.decode(), errors.decode()) == ("[False, False]\n", "")


@pytest.mark.fault("R8")
def test_ctrl_c_to_the_group_gives_one_traceback(start: Start, lines_of: Lines) -> None:
    running = start(program("time.sleep(600)"))
    lines_of(running, 2)
    os.killpg(running.pid, signal.SIGINT)
    _, errors = running.communicate()
    assert errors.decode().count("Traceback") == 1
    assert errors.decode().strip().endswith("KeyboardInterrupt")


@pytest.mark.fault("R8")
def test_ctrl_c_to_the_group_while_workers_start_gives_one_traceback(start: Start, lines_of: Lines) -> None:
    call = "workers = feeding['hire'](work, 2); print('launched', flush=True)\nwhile True: time.sleep(0.1)"
    running = start(program("return", call))
    lines_of(running, 1)
    os.killpg(running.pid, signal.SIGINT)
    _, errors = running.communicate()
    assert errors.decode().count("Traceback") == 1


@pytest.mark.needs_fork
def test_a_forked_child_neither_uses_nor_ends_its_parent_s_workers(start: Start) -> None:
    call = """
first = feed(lambda _: os.getpid(), range(2))
if os.fork() == 0:
    assert warm._resting == [] and hired._open == {}
    assert not set(first) & set(feed(lambda _: os.getpid(), range(2)))
    sys.exit()
assert os.wait()[1] == 0
print(feed(lambda _: os.getpid(), range(2)) == first)
"""
    out, errors = start(program("return", call)).communicate()
    assert (out.decode(), errors.decode()) == ("True\n", "")


@pytest.mark.needs_fork
def test_a_forked_child_in_the_middle_of_a_call_leaves_the_workers_alone(start: Start) -> None:
    call = """
workers = feeding["hire"](lambda _: os.getpid())
if os.fork() == 0:
    warm.release(workers)
    del workers
    sys.exit()
assert os.wait()[1] == 0
print([worker.process.has_ended() for worker in workers])
warm.release(workers)
"""
    out, errors = start(program("return", call)).communicate()
    assert (out.decode(), errors.decode()) == ("[False, False]\n", "")


@pytest.mark.fault("R9")
@needs_pidfd
def test_a_forked_child_that_lives_on_does_not_keep_workers_alive(start: Start, lines_of: Lines, watch: Watch) -> None:
    call = "feed(work, range(2)); child = os.fork() or time.sleep(600); print(child, flush=True); time.sleep(600)"
    running = start(program("return", call))
    *workers, child = (int(pid) for pid in lines_of(running, 3))
    ends = [watch(worker) for worker in workers]
    os.kill(running.pid, signal.SIGKILL)
    assert [end() for end in ends] == [True, True]
    os.kill(child, signal.SIGKILL)


def test_what_workers_print_appears_once_and_with_its_results(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    call = "print('before'); feed(lambda x: print('item', x), range(2)); warm._end(warm._resting); print('after')"
    out, errors = start(program("return", call)).communicate()
    assert sorted(out.decode().splitlines()) == ["after", "before", "item 0", "item 1"]
    assert errors == b""


@pytest.mark.fault("R9")
def test_without_the_kernel_s_help_a_thread_waits_for_the_caller_s_end(start: Start) -> None:
    running = start("""
import os, time
from amorsize.engine.child import hold
read_end, write_end = os.pipe()
hold(read_end)
os.close(write_end)
time.sleep(600)
""")
    assert running.wait(10) == 1


def test_a_process_of_windows_can_be_watched_and_ended(start: Start) -> None:
    process = WindowsProcess(start("import time; print('ready', flush=True); time.sleep(600)"))
    assert not process.has_ended()
    process.close()
    process.close()
    assert process.has_ended()
    ended = WindowsProcess(start("raise SystemExit(3)"))
    assert ended.end() == (3, None)


def is_inherited(fd: int) -> bool:
    """Tell whether a descriptor, beside the standard streams, came from the parent and would go to children."""
    try:
        return fd > 2 and os.get_inheritable(fd)
    except OSError:  # what listed the directory
        return False


def test_nothing_else_of_the_caller_is_open_in_a_worker(feed: Feed) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    try:
        assert feed(lambda _: [fd for fd in map(int, os.listdir("/proc/self/fd")) if is_inherited(fd)], [0], 1) == [[]]
    finally:
        os.close(reading)
        os.close(writing)
