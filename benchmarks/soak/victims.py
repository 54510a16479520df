"""Programs that are killed: one that runs and learns, and one that writes the store and says what it was promised."""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING

import amorsize
from amorsize.store.disk import DiskStore
from benchmarks.soak.kinds import func_of, items_of
from benchmarks.soak.plans import Kind, plan_of

if TYPE_CHECKING:
    from amorsize.records import Facts

_ITS_KINDS = (Kind.INTS, Kind.SPINS, Kind.SLEEPS, Kind.BYTES, Kind.TUPLES)


def run_on(seed: str) -> None:
    """Map for ever, in workers, learning."""
    for number in itertools.count():
        plan = plan_of(int(seed), number)
        if plan.kind in _ITS_KINDS:
            amorsize.pmap(func_of(plan, ""), items_of(plan), n_jobs=2, isolate=True)


def write_on(directory: str, key: str) -> None:
    """Count up a record for ever, and print each count that is said to be on disk."""
    store = DiskStore(directory)
    for number in itertools.count(1):
        if store.update({key: _one_more}):
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()


def _one_more(facts: Facts | None) -> Facts:
    n = (facts or {"n": 0})["n"]
    assert isinstance(n, int)
    return {"n": n + 1}
