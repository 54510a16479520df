"""What a call knows, decides and learns, beside what SQLite charges for a row."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from functools import partial
from time import time
from typing import TYPE_CHECKING

from amorsize import pmap
from amorsize.advice import knowledge
from amorsize.calibration.costs import Costs
from amorsize.calibration.profile import Profile
from amorsize.engine import supervise
from amorsize.store.where import directory
from benchmarks.stages.clock import timed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from amorsize.engine.job import Job
    from benchmarks.stages.clock import Sides

LEARNED_S = 10.0
"""Seconds of a call that is long enough for what it taught to be written before it returns."""


def _task(number: int) -> int:
    return 2 * number


def _learn() -> None:
    """Teach something of a function, and have it written."""
    seen = Profile.of([(100, 0.1), (100, 0.1)], time(), starts_cold=False)
    knowledge.look_up(_task, [1], cache=True).learn(seen, Costs(), LEARNED_S)


@contextmanager
def _table() -> Iterator[str]:
    """Make a database with one row, in the directory of the store, and yield its path."""
    where = directory()
    assert where is not None
    _learn()
    path = os.path.join(where, "floor.db")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE kept (name TEXT PRIMARY KEY, value TEXT)")
        connection.execute("INSERT INTO kept VALUES ('task', '')")
    yield path
    os.unlink(path)


@contextmanager
def looking_up() -> Iterator[Sides]:
    """Measure what a process does that has not met the function, beside reading a row of SQLite."""

    def stage() -> float:
        knowledge._profiles.clear()
        return timed(lambda: knowledge.look_up(_task, [1], cache=True))

    def floor(path: str) -> None:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT value FROM kept WHERE name = 'task'").fetchall()

    with _table() as path:
        yield stage, partial(timed, partial(floor, path))


@contextmanager
def learning() -> Iterator[Sides]:
    """Measure learning from a call that is long enough to write at once, beside writing a row of SQLite."""

    def floor(path: str) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("UPDATE kept SET value = ? WHERE name = 'task'", ("x" * 500,))

    with _table() as path:
        yield partial(timed, _learn), partial(timed, partial(floor, path))


@contextmanager
def call() -> Iterator[Sides]:
    """Measure all of a call that is not its run: it decides, reports and learns; beside the loop over its items."""

    def alone(job: Job) -> bool:
        results: list[object] = []
        job.work.run(0, job.work.n_items, results)
        job.collector.add(0, results)
        return True

    kept, supervise.run = supervise.run, alone
    try:
        yield (
            partial(timed, lambda: pmap(_task, [1, 2], backend="process", n_jobs=2)),
            partial(timed, lambda: [_task(item) for item in [1, 2]]),
        )
    finally:
        supervise.run = kept
