"""What every test stands on: a home of its own, and proof that it left nothing behind.

A test starts with an empty HOME, cache and temp directory and without any setting in the environment. When it ends, no
child process, thread, descriptor, memory file, temp file or signal handler may be left that was not there before.
"""

from __future__ import annotations

import os
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
