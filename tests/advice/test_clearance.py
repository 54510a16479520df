"""What was found out about whether workers may join holds while nothing of it has changed."""

from __future__ import annotations

import sys
import types

import pytest

from amorsize.advice import clearance
from amorsize.advice.clearance import Clearance
from amorsize.engine import safety
from amorsize.options import Options

pytestmark = pytest.mark.needs_fork


@pytest.mark.fault("R11")
def test_whether_a_fork_is_safe_is_asked_again_once_an_item_has_started_native_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    n_more = 0
    monkeypatch.setattr(clearance, "n_native", lambda: safety.n_looked_at + n_more)
    monkeypatch.setattr(safety, "no_fork", lambda: None)
    found = Clearance(len, Options())
    found.look("process", "len", [1], lambda: ["a"])
    found.renew()
    assert found.covers("process")
    n_more = 1
    found.renew()
    assert not found.covers("process")


@pytest.mark.parametrize("backend", ["process", "thread"])
def test_what_asks_the_connection_that_duckdb_opens_for_a_process_stays_there(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    duckdb = types.ModuleType("duckdb")
    duckdb.__dict__["sql"] = len
    monkeypatch.setitem(sys.modules, "duckdb", duckdb)

    def asks(key: str) -> object:
        return duckdb.sql(f"select * from t where k={key}")

    for func, is_kept in ((asks, True), (len, False)):
        found = Clearance(func, Options())
        found.look(backend, func.__name__, [1], lambda: ["a"])
        why = found.no_processes if backend == "process" else found.no_threads
        assert ("duckdb.sql" in (why or "")) is is_kept
