"""What every test stands on: a home of its own, and proof that it left nothing behind.

A test starts with an empty HOME, cache and temp directory and without any setting in the environment. When it ends, no
child process, thread, descriptor, memory file, temp file or signal handler may be left that was not there before.
Programs that are to be interrupted or killed are started here, too.

`python -m pytest -m fault --fault-table` prints how each fault was met on every backend; with `-v`, which tests say so.
It takes minutes: most tests of fresh interpreters are slow ones, which `-m "fault and not slow"` leaves out.
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

import amorsize
from amorsize.clocks import count_now
from amorsize.testing import leaves_nothing_behind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent

CAN_FORK = hasattr(os, "fork") and hasattr(os, "memfd_create")

END_MS = 10_000
"""A process that is still there after this many ms is taken for one that never ends; the real bounds are far below."""

SETTINGS = ("AMORSIZE_", "PYTEST_XDIST_", "SLURM_", "XDG_", "PYTHON_CPU_COUNT")
"""Beginnings of the names of environment variables that change what amorsize does."""

FAULTS = {
    "R1": "a worker is killed, exits or crashes: WorkerDied names item, code and signal; the next call works",
    "R2": "an item kills again and again: as many more deaths as it has retries, and no other item is lost",
    "R3": "an argument or result cannot be pickled: ItemNotPicklable names index, type and path",
    "R4": "an exception cannot be pickled or rebuilt: as itself where it can be, else RemoteError tells it in words",
    "R5": "an item fails: its exception with a note, nothing above it starts, the lowest failing item is raised",
    "R6": "an item raises SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError, RecursionError: as itself",
    "R7": "the input raises: its exception, after the results before it",
    "R8": "Ctrl-C to all or to the caller, SIGTERM: one traceback at most, the user's handler stands, nobody is left",
    "R9": "the caller is killed: its workers die with it, in C code too, and leave nothing",
    "R10": "an endless input: never further ahead of the results than the window",
    "R11": "threads live in the caller, one holds a lock for ever: no bare fork, no hang",
    "R12": "no guard, -c, stdin, session, notebook, every kind of function: works, by its current definition",
    "R13": "calls inside calls, in two threads, in other libraries' workers: the loop or a share; no harm to the other",
    "R14": "descriptors, processes, memory files, memory, file sizes run out: fewer workers, one warning, right answer",
    "R15": "the store is damaged, locked, read-only, full or gone: right answer, nothing raised",
    "R16": "the store was planted: no code of theirs runs, no file outside is touched, bad values are a miss",
    "R17": "processes that keep the store are killed at random: no survivor's update is lost, the store opens",
    "R18": "random workers are killed in many runs: right or a typed error, no hang, nothing left behind",
    "R19": "the nth operation of the system fails, once or for ever: as R14 and R15",
    "R20": "an item takes too long: ItemTimeout, its worker is ended, the others finish",
    "R21": "handles, signals and children of the caller's own: the loop and a warning; nobody's child is reaped",
}
"""What a test does to amorsize, and what comes of it: a test that is marked with a name holds part of what it says."""

BACKENDS = {
    "fork": r"^(?!.*(iter|stream|pimap|fed/)).*fork|^tests/engine/test_(?!thread)",
    "fork, fed": r"fork",
    "spawn": r"spawn",
    "threads": r"testthreads|\bthreads?\b|test_threads?\.py",
    "loop": r"serial|the loop",
}
"""How a test's class, parameters or file tell the backend; the first that is found counts."""
OTHER = "other"
"""Where none is: what chooses by itself, or several in one test, or none at all, as in tests of the store."""

# A shared machine may stall for a second: a slow example is no failure. Nothing is kept between runs.
hypothesis.settings.register_profile("amorsize", deadline=None, database=None)
hypothesis.settings.load_profile("amorsize")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-table", action="store_true", help="print fault x backend at the end")


def pytest_configure() -> None:
    """Listen to Ctrl-C, which a shell has what it starts in the background ignore, with all that is started there."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs forked workers where there are none: Windows, macOS, and Linux with its own parts hidden."""
    if not CAN_FORK:
        skip = pytest.mark.skip(reason="needs os.fork and memory files, which this platform lacks or hides")
        for item in items:
            if item.get_closest_marker("needs_fork"):
                item.add_marker(skip)
    for item in items:
        for mark in item.iter_markers("fault"):
            if not FAULTS.keys() >= set(mark.args):
                raise pytest.UsageError(f"{item.nodeid} is marked with a fault that there is not: {mark.args}")
            item.user_properties += [("fault", row) for row in mark.args]


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what is there before the first test: a collection costs 1 ms, not 50."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what was asked for: for each fault and backend the number of tests passed, and seconds of the longest."""
    if not config.getoption("--fault-table"):
        return
    table = table_of(terminalreporter.stats)
    terminalreporter.section("fault x backend: tests passed, and seconds of the longest")
    terminalreporter.line(_line("", [*BACKENDS, OTHER]))
    for row, words in FAULTS.items():
        reports = table[row]
        cells = [_cell_of([each for each in reports if backend_of(each.nodeid) == name]) for name in (*BACKENDS, OTHER)]
        terminalreporter.line(_line(row, cells if any(cells) else ["no test ran"]))
        terminalreporter.line(f"    {words}")
        if config.get_verbosity() > 0:
            for name in dict.fromkeys(each.nodeid.partition("[")[0] for each in reports):
                terminalreporter.line(f"      {name}")


def table_of(stats: dict[str, list[object]]) -> dict[str, list[pytest.TestReport]]:
    """Return the reports of each fault's tests, those that were skipped with them."""
    table: dict[str, list[pytest.TestReport]] = {row: [] for row in FAULTS}
    for outcome in ("passed", "skipped", "failed", "error"):
        for report in stats.get(outcome, []):
            if isinstance(report, pytest.TestReport):
                for row in [str(value) for name, value in report.user_properties if name == "fault"]:
                    table[row].append(report)
    return table


def backend_of(nodeid: str) -> str:
    """Return the backend that a test is about."""
    path, _, name = nodeid.partition("::")
    named = name if name.startswith("Test") else name.partition("[")[2]
    for text in (named.lower(), path):
        for backend, pattern in BACKENDS.items():
            if re.search(pattern, text):
                return backend
    return OTHER


def _cell_of(reports: list[pytest.TestReport]) -> str:
    n_failed = sum(report.failed for report in reports)
    seconds = [report.duration for report in reports if report.passed]
    if n_failed:
        return f"{n_failed} FAIL"
    return f"{len(seconds)}  {max(seconds):.2f} s" if seconds else "skipped" * bool(reports)


def _line(row: str, cells: list[str]) -> str:
    return f"{row:<4}" + "".join(f"{cell:<14}" for cell in cells).rstrip()


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test an empty HOME, and return it; the cache is in `.cache/amorsize`, temp files in `tmp`."""
    _know_nothing()
    home = tmp_path_factory.mktemp("home")
    temp_directory = home / "tmp"
    temp_directory.mkdir()
    for name in [name for name in os.environ if name.startswith(SETTINGS)]:
        monkeypatch.delenv(name)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(name, str(temp_directory))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    monkeypatch.setenv("AMORSIZE_CACHE_DIR", str(home / ".cache" / "amorsize"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return home


def _know_nothing() -> None:
    """Empty this process's memory of earlier calls, and what it would write at its exit into homes that are gone; end
    workers that rest."""
    amorsize.shutdown()
    knowledge = sys.modules.get("amorsize.advice.knowledge")
    if knowledge is None:
        return
    for name, memo in vars(knowledge).items():
        if name.startswith("_") and not name.startswith("__") and isinstance(memo, dict):
            memo.clear()


@pytest.fixture(autouse=True)
def nothing_left_behind(home: Path) -> Iterator[None]:
    """Fail the test that leaves a process, thread, descriptor, memory file, temp file or signal handler behind."""
    with leaves_nothing_behind(home / "tmp"):
        yield
        _know_nothing()


@pytest.fixture
def undisturbed() -> None:
    """Wait until no other thread of this process computes: those of BLAS spin for 0.1 s after what they were used for,
    and look like native threads of whatever runs next."""
    until_s = time.perf_counter() + 10
    while time.perf_counter() < until_s:
        count_now()
        began_s, others_s = time.perf_counter(), time.process_time() - time.thread_time()
        time.sleep(0.005)
        count_now()
        if time.process_time() - time.thread_time() - others_s < 0.1 * (time.perf_counter() - began_s):
            return


@pytest.fixture
def computing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have functions be seen to compute, and not be looked at beside a ticker: on a busy machine they may look as if
    they waited, or freed the GIL."""
    from amorsize.advice import adviser
    from amorsize.advice.shares import CpuShare

    monkeypatch.setattr(adviser, "worth_a_ticker", lambda *_: False)
    monkeypatch.setattr(CpuShare, "look", lambda share, _: setattr(share, "value", 1.0))


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have functions be seen to wait: on a busy machine they may look as if they computed, and a fork keeps calls."""
    from amorsize.advice.shares import CpuShare

    monkeypatch.setattr(CpuShare, "look", lambda share, _: setattr(share, "value", 0.01))


@pytest.fixture
def gaining(computing: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have workers gain as soon as anything is known of a function that computes: on a busy machine its items may look
    too uneven for that."""
    from amorsize.planning import planner

    monkeypatch.setattr(planner, "_why_no_gain", lambda *_: None)


@pytest.fixture
def fresh_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return a function that runs a new interpreter with these arguments in `tmp_path` and returns what it printed."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)

    def run(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Return a function that starts a program in a session of its own; its standard output ends with its last worker.
    What still lives when the test ends is killed."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    running: list[subprocess.Popen[bytes]] = []

    def begin(source: str, stdin: int | None = None) -> subprocess.Popen[bytes]:
        file = tmp_path / f"program_{len(running)}.py"
        # A shell that runs the tests in the background has them ignore SIGINT, and children inherit that.
        file.write_text(f"import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n{source}")
        program = subprocess.Popen(
            [sys.executable, file.name],
            cwd=tmp_path,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        running.append(program)
        return program

    yield begin
    for program in running:
        with contextlib.suppress(ProcessLookupError):  # as it should be: nobody of the group is left
            os.killpg(program.pid, signal.SIGKILL)
        program.communicate()


@pytest.fixture
def lines_of() -> Callable[[subprocess.Popen[bytes], int], list[str]]:
    """Return a function that waits for so many lines on a program's standard output."""

    def read(program: subprocess.Popen[bytes], n_lines: int) -> list[str]:
        assert program.stdout is not None
        lines = [program.stdout.readline().decode().strip() for _ in range(n_lines)]
        assert all(lines), program.communicate()[1].decode()
        return lines

    return read


@pytest.fixture
def watch() -> Iterator[Callable[[int], Callable[[], bool]]]:
    """Return a function that takes hold of a process and returns one that waits for its end: did it come?"""
    if not hasattr(os, "pidfd_open"):
        pytest.skip("deaths are awaited by pidfd, which is missing or hidden")
    held: list[int] = []

    def take_hold(pid: int) -> Callable[[], bool]:
        pidfd = os.pidfd_open(pid)
        held.append(pidfd)
        return lambda: bool(select.select([pidfd], [], [], END_MS / 1000)[0])

    yield take_hold
    for pidfd in held:
        os.close(pidfd)
