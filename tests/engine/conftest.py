"""Jobs for a crew, programs to be interrupted, and the end of a process that is not ours."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from amorsize.engine.collect import Collector
from amorsize.engine.job import Job
from amorsize.inline import Work
from amorsize.records import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from amorsize.records import Evidence

ROOT = Path(__file__).resolve().parents[2]

END_MS = 10_000
"""A process that is still there after this many ms is taken for one that never ends; the real bounds are far below."""


def keep_the_plan(_evidence: Evidence) -> None:
    """Decide that whatever the run shows, its plan holds."""


@pytest.fixture
def job() -> Callable[..., Job]:
    """Return a function that makes a job: `func` over `items` by `n_jobs` processes."""

    def make(
        func: Callable[..., object],
        items: Sequence[object],
        *,
        n_jobs: int = 2,
        chunksize: int = 1,
        item_s: float | None = None,
        caller_computes: bool = False,
        caller_may_run: bool = True,
        decide: Callable[[Evidence], Plan | None] = keep_the_plan,
        alone_s: float | None = None,
        n_done: int = 0,
    ) -> Job:
        work = Work(func, (items,))
        head: list[object] = []
        work.run(0, n_done, head)
        plan = Plan(
            backend="process",
            n_jobs=n_jobs,
            chunksize=chunksize,
            reason="a test asks for it",
            start_method="fork",
            caller_computes=caller_computes,
        )
        return Job(work, Collector(work, head), plan, decide, item_s, alone_s, caller_may_run=caller_may_run)

    return make


class Gate:
    """What opens once: a pipe, so that processes forked later can wait at it and open it too."""

    def __init__(self) -> None:
        self._read_end, self._write_end = os.pipe()

    def wait(self) -> None:
        """Wait until somebody opens it."""
        select.select([self._read_end], [], [])

    def open(self) -> None:
        """Let everybody through who waits or comes later."""
        os.write(self._write_end, b".")

    def close(self) -> None:
        """Give the descriptors back."""
        os.close(self._read_end)
        os.close(self._write_end)


@pytest.fixture
def gates() -> Iterator[tuple[Gate, Gate]]:
    """Two gates."""
    made = Gate(), Gate()
    yield made
    for gate in made:
        gate.close()


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    """Where functions note that they were called, from whatever process."""
    return Calls(tmp_path / "calls")


class Calls:
    """A file that every call appends a line to: its item and its process."""

    def __init__(self, file: Path) -> None:
        self._file = file
        file.touch()

    def note(self, item: object) -> None:
        """Append a line; a write so short is not divided by others'."""
        with self._file.open("a") as file:
            file.write(f"{os.getpid()} {item}\n")

    @property
    def items(self) -> list[int]:
        """The items that were called, in the order of their calls."""
        return [int(line.split()[1]) for line in self._file.read_text().splitlines()]

    @property
    def pids(self) -> set[int]:
        """The processes that called."""
        return {int(line.split()[0]) for line in self._file.read_text().splitlines()}


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Return a function that starts a program in a process group of its own; its standard output ends with its last
    worker. What still lives when the test ends is killed."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    running: list[subprocess.Popen[bytes]] = []

    def begin(source: str) -> subprocess.Popen[bytes]:
        file = tmp_path / f"program_{len(running)}.py"
        # A shell that runs the tests in the background has them ignore SIGINT, and children inherit that.
        file.write_text(f"import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n{source}")
        program = subprocess.Popen(
            [sys.executable, file.name],
            cwd=tmp_path,
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
    held: list[int] = []

    def take_hold(pid: int) -> Callable[[], bool]:
        pidfd = os.pidfd_open(pid)
        held.append(pidfd)
        return lambda: bool(select.select([pidfd], [], [], END_MS / 1000)[0])

    yield take_hold
    for pidfd in held:
        os.close(pidfd)
