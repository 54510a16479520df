"""Lies for a store of timings: readable records that say what is not true. The lies themselves are pure."""

from __future__ import annotations

from enum import StrEnum
from math import log
from typing import TYPE_CHECKING, cast

from amorsize.store.disk import DiskStore
from benchmarks.launch import timings_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from amorsize.records import Facts, Scalar

PROFILE = "profile:"
"""How the keys of a function's records begin."""

RUN_FIELDS = 6
"""Values of a run: backend, n_jobs, chunksize, n_items, predicted_s, measured_s."""


class Lie(StrEnum):
    """What a poisoned record says."""

    LONGER = "x100"
    SHORTER = "/100"
    BACKEND = "wrong backend"
    JOBS = "n_jobs 10^9"


def poison(home: str, lie: Lie) -> int:
    """Make every function's record in a home's store tell a lie, and return how many these were."""
    store = DiskStore(timings_in(home))
    merges = {key: _telling(lie) for key, _ in store.entries() if key.startswith(PROFILE)}
    store.update(merges)
    store.flush()
    store.close()
    return len(merges)


def _telling(lie: Lie) -> Callable[[Facts | None], Facts]:
    return lambda facts: poisoned(facts or {}, lie)


def poisoned(facts: Facts, lie: Lie) -> Facts:
    """Return a record with the lie in it."""
    if lie is Lie.LONGER:
        return _stretched(facts, 100.0)
    if lie is Lie.SHORTER:
        return _stretched(facts, 0.01)
    if lie is Lie.BACKEND:
        return {**facts, "runs": _with(facts, 0, lambda backend: "process" if backend == "serial" else "serial")}
    return {**facts, "runs": _with(facts, 1, lambda _: 10**9)}


def _stretched(facts: Facts, factor: float) -> Facts:
    """Return the record of a function whose items take `factor` times as long."""
    weight, samples, mean, m2 = cast("list[float]", facts["item"])
    log_weight, log_samples, log_mean, log_m2 = cast("list[float]", facts["log_item"])
    return {
        **facts,
        "item": [weight, samples, mean * factor, m2 * factor * factor],
        "log_item": [log_weight, log_samples, log_mean + log(factor), log_m2],
        "longest_s": cast("float", facts["longest_s"]) * factor,
    }


def _with(facts: Facts, field: int, change: Callable[[Scalar], Scalar]) -> list[Scalar]:
    """Return the values of all runs with one field of each changed."""
    values = cast("list[Scalar]", facts["runs"])
    return [change(value) if at % RUN_FIELDS == field else value for at, value in enumerate(values)]
