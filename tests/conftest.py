"""What every test stands on: a home of its own, and proof that it left nothing behind.

A test starts with an empty HOME, cache and temp directory and without any setting in the environment. When it ends, no
child process, thread, descriptor, memory file, temp file or signal handler may be left that was not there before.
Programs that are to be interrupted or killed are started here, too.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from amorsize.testing import leaves_nothing_behind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent

CAN_FORK = hasattr(os, "fork") and hasattr(os, "memfd_create")

END_MS = 10_000
"""A process that is still there after this many ms is taken for one that never ends; the real bounds are far below."""

SETTINGS = ("AMORSIZE_", "PYTEST_XDIST_", "SLURM_", "XDG_", "PYTHON_CPU_COUNT")
"""Beginnings of the names of environment variables that change what amorsize does."""

# A shared machine may stall for a second: a slow example is no failure. Nothing is kept between runs.
hypothesis.settings.register_profile("amorsize", deadline=None, database=None)
hypothesis.settings.load_profile("amorsize")


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
    spawn = sys.modules.get("amorsize.engine.spawn.warm")
    if spawn is not None:
        spawn.shutdown()
    knowledge = sys.modules.get("amorsize.knowledge")
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
