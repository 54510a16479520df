"""What every test stands on: a home of its own, and proof that it left nothing behind.

A test starts with an empty HOME, cache and temp directory and without any setting in the environment. When it ends, no
child process, thread, descriptor, memory file, temp file or signal handler may be left that was not there before.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent

CAN_FORK = hasattr(os, "fork") and hasattr(os, "memfd_create")

SETTINGS = ("AMORSIZE_", "PYTEST_XDIST_", "SLURM_", "XDG_", "PYTHON_CPU_COUNT")
"""Beginnings of the names of environment variables that change what amorsize does."""

# A shared machine may stall for a second: a slow example is no failure. Nothing is kept between runs.
hypothesis.settings.register_profile("amorsize", deadline=None, database=None)
hypothesis.settings.load_profile("amorsize")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs forked workers where there are none: Windows, macOS, and Linux with its own parts hidden."""
    if not CAN_FORK:
        skip = pytest.mark.skip(reason="needs os.fork and memory files, which this platform lacks or hides")
        for item in items:
            if item.get_closest_marker("needs_fork"):
                item.add_marker(skip)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What this process holds at one moment; each entry is a line that a person can read."""

    children: frozenset[str]
    threads: frozenset[str]
    descriptors: frozenset[str]
    memory_files: frozenset[str]
    temp_files: frozenset[str]
    signal_handlers: frozenset[str]

    @classmethod
    def now(cls, temp_directory: Path) -> Holdings:
        """Look at the process; the part that a platform does not show stays empty."""
        return cls(
            children=_children(),
            threads=frozenset(repr(thread) for thread in threading.enumerate()),
            descriptors=_descriptors(),
            memory_files=_memory_files(),
            temp_files=frozenset(os.listdir(temp_directory)),
            signal_handlers=_signal_handlers(),
        )

    def beyond(self, before: Holdings) -> list[str]:
        """Name what is held now and was not held before."""
        return [
            f"{field.name.replace('_', ' ')}: {', '.join(sorted(more))}"
            for field in fields(self)
            if (more := getattr(self, field.name) - getattr(before, field.name))
        ]


def _children() -> frozenset[str]:
    if hasattr(os, "waitid"):
        try:  # asks the kernel, and reaps nobody; a scan of all processes would cost 10 ms a test
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return frozenset()
    return frozenset(str(child) for child in psutil.Process().children())


def _descriptors() -> frozenset[str]:
    shown = "/proc/self/fd"
    if not os.path.isdir(shown):
        return frozenset()
    found = set()
    for number in os.listdir(shown):
        try:
            found.add(f"{number} -> {os.readlink(f'{shown}/{number}')}")
        except FileNotFoundError:
            continue  # the descriptor that listed the directory
    return frozenset(found)


def _memory_files() -> frozenset[str]:
    try:
        maps = Path("/proc/self/maps").read_text()
    except FileNotFoundError:
        return frozenset()
    mapped = {line.split(maxsplit=5)[5] for line in maps.splitlines() if "/memfd:" in line or "/dev/shm/" in line}
    return frozenset(mapped.union(str(path) for path in Path("/dev/shm").glob("*amorsize*")))


def _signal_handlers() -> frozenset[str]:
    not_ours = {getattr(signal, "SIGALRM", None)}  # pytest-timeout's clock
    return frozenset(f"{number} -> {signal.getsignal(number)}" for number in signal.valid_signals() - not_ours)


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
    spawn = sys.modules.get("amorsize.engine.spawn")
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
    before = Holdings.now(home / "tmp")
    yield
    _know_nothing()
    left = Holdings.now(home / "tmp").beyond(before)
    if left:
        gc.collect()  # a cycle, such as an exception and its traceback, may hold them: that is the test's, not a leak
        left = Holdings.now(home / "tmp").beyond(before)
    assert not left, "left behind: " + "; ".join(left)


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
