"""Jobs for a crew, what opens once, and what is noted."""

from __future__ import annotations

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
    from amorsize.testing.items import Calls, Gate


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


@pytest.fixture
def gates(tmp_path: Path) -> Iterator[tuple[Gate, Gate]]:
    """Two gates."""
    from amorsize.testing.items import Gate

    with Gate(tmp_path / "first") as first, Gate(tmp_path / "second") as second:
        yield first, second


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    """Where functions note that they were called, from whatever process."""
    from amorsize.testing.items import Calls

    return Calls(tmp_path / "calls")
