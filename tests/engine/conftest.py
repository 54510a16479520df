"""Jobs for a crew, and what opens once."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

import pytest

from amorsize.engine.collect import Collector
from amorsize.engine.job import Job
from amorsize.inline import Work
from amorsize.records import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from amorsize.records import Evidence


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
