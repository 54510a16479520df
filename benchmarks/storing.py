"""What runs in processes that work with a store of timings: each prints seconds, or what it has counted."""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from amorsize.store.disk import DiskStore

if TYPE_CHECKING:
    from amorsize.records import Facts

COUNTED = "benchmark:counter"
AT_ONCE = 5_000
"""Records that are written in one transaction."""


def fill(directory: str, n_records: str) -> None:
    """Write so many records."""
    store = DiskStore(directory)
    for start in range(0, int(n_records), AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, int(n_records)))
        store.update({_key(number): partial(_valued, number) for number in numbers})
    store.flush(60.0)
    store.close()


def get(directory: str, n_records: str, n_gets: str) -> None:
    """Print the seconds of each of so many look-ups, of keys spread over all records."""
    store = DiskStore(directory)
    store.read([_key(0)])
    for turn in range(int(n_gets)):
        key = _key(turn * 7_919 % int(n_records))
        began_s = perf_counter()
        found = store.read([key])
        print(perf_counter() - began_s)
        assert key in found
    store.close()


def count_up(directory: str, n_updates: str) -> None:
    """Add 1 to one record so many times."""
    store = DiskStore(directory)
    for _ in range(int(n_updates)):
        store.update({COUNTED: _one_more})
    store.flush(60.0)
    store.close()


def total(directory: str) -> None:
    """Print what has been counted up to."""
    store = DiskStore(directory)
    print(store.read([COUNTED])[COUNTED]["n"])
    store.close()


def clear(directory: str) -> None:
    """Print the seconds that forgetting everything takes, and how many records that were."""
    store = DiskStore(directory)
    began_s = perf_counter()
    n_records = store.clear()
    print(perf_counter() - began_s, n_records)
    store.close()


def _key(number: int) -> str:
    return f"benchmark:record:{number}"


def _valued(number: int, _: Facts | None) -> Facts:
    return {"n": number, "item_s": number * 1e-6, "name": "benchmark"}


def _one_more(facts: Facts | None) -> Facts:
    n = facts["n"] if facts is not None else 0
    assert isinstance(n, int)
    return {"n": n + 1}
