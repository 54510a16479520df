"""Calls of functions that change what a worker process only has a copy of. Which ones do: `tests/identity`."""

from __future__ import annotations

import mmap
import warnings
from typing import Any

import pytest

import amorsize
from amorsize import AmorsizeWarning, errors, parallelizable, pimap, pmap, pstarmap
from amorsize.identity.machine import capacity

pytestmark = [
    pytest.mark.skipif(capacity(0.0).n_effective < 2, reason="on one core no call leaves the caller"),
    pytest.mark.usefixtures("gaining"),
]

SUMS: list[int] = []
STATS = {"n_calls": 0}
N_CALLS = 0


@pytest.fixture(autouse=True)
def nothing_was_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "_warned", set())
    monkeypatch.setitem(globals(), "SUMS", [])
    monkeypatch.setitem(globals(), "STATS", {"n_calls": 0})


def appends(n: int) -> None:
    SUMS.append(sum(range(n)))


def assigns(n: int) -> None:
    global N_CALLS
    N_CALLS += sum(range(n)) > 0


VALUES: list[int] = []


def replaces(at: int) -> None:
    VALUES[at] = sum(range(VALUES[at]))


def fills(row: Any) -> None:
    row[0] = sum(range(20_000))


def fills_at(out: Any, at: int) -> None:
    out[at] = sum(range(20_000))


@parallelizable
def counts(n: int) -> int:
    STATS["n_calls"] += 1
    return sum(range(n))


LONG = [20_000] * 300


@pytest.mark.parametrize("run_over", [pmap, pimap])
def test_a_function_that_only_appends_is_run_where_its_list_is(run_over: Any) -> None:
    with pytest.warns(AmorsizeWarning, match="is given no worker processes: it returns nothing and changes SUMS, of"):
        list(run_over(appends, LONG))
    assert set(SUMS) == {sum(range(20_000))}
    assert len(SUMS) == 300
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # once is enough
        list(run_over(appends, LONG))


def test_and_so_is_one_that_only_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "N_CALLS", 0)
    with pytest.warns(AmorsizeWarning, match="it returns nothing and changes N_CALLS, of which a worker has a copy"):
        pmap(assigns, LONG)
    assert N_CALLS == 300


def test_what_is_worked_out_in_its_place_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "VALUES", [20_000] * 300)
    with pytest.warns(AmorsizeWarning, match="it returns nothing and changes VALUES, of which a worker has a copy"):
        pmap(replaces, range(300))
    assert set(VALUES) == {sum(range(20_000))}


def test_items_that_are_filled_are_filled_where_they_are() -> None:
    rows = [[0] for _ in range(300)]
    with pytest.warns(AmorsizeWarning, match="changes its argument row, of which a worker has a copy"):
        pmap(fills, rows)
    assert rows == [[sum(range(20_000))]] * 300


@pytest.mark.needs_fork
def test_items_in_memory_that_workers_share_are_filled_by_them() -> None:
    numpy = pytest.importorskip("numpy")
    rows = numpy.frombuffer(mmap.mmap(-1, 300 * 8), dtype=numpy.int64).reshape(300, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pmap(fills, rows)
    assert set(rows[:, 0].tolist()) == {sum(range(20_000))}


@pytest.mark.needs_fork
def test_so_are_those_that_come_with_the_place_to_fill() -> None:
    numpy = pytest.importorskip("numpy")
    out = numpy.frombuffer(mmap.mmap(-1, 300 * 8), dtype=numpy.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pstarmap(fills_at, [(out, n) for n in range(300)])
    assert set(out.tolist()) == {sum(range(20_000))}


@pytest.mark.parametrize(
    "given", [pytest.param({}, marks=pytest.mark.needs_fork), {"backend": "process"}, {"isolate": True}]
)
def test_one_that_returns_something_is_warned_of_and_run_by_workers(given: Any) -> None:
    with pytest.warns(AmorsizeWarning, match="counts changes STATS, and what a worker changes stays in the worker"):
        assert counts.pmap(LONG, **given) == [sum(range(20_000))] * 300
    assert counts.last_run is not None
    assert counts.last_run.backend == "process"
    assert STATS["n_calls"] < 300
    (told,) = counts.last_run.warnings
    assert "changes STATS" in told


def test_who_asks_for_processes_gets_them_and_the_warning() -> None:
    rows = [[0] for _ in range(300)]
    with pytest.warns(AmorsizeWarning, match="fills changes its argument row, and what a worker changes stays"):
        pmap(fills, rows, isolate=True)
    assert rows == [[0]] * 300


def test_threads_change_the_very_same_and_are_not_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pmap(appends, LONG, backend="thread", n_jobs=2)
    assert len(SUMS) == 300


@pytest.mark.needs_fork
def test_a_pool_is_warned_of_too() -> None:
    told = amorsize.optimize(appends, LONG).warnings
    name = f"{__name__}:appends"
    assert f"{name} changes SUMS, and what a worker changes stays there: return the value instead" in told
