"""The read-only way in: what it loads, and that it knows diskcache's database exactly."""

from __future__ import annotations

import itertools
import os
import sys
from typing import TYPE_CHECKING, Any

import diskcache
import pytest

from amorsize.store import read
from amorsize.store.base import Patience, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from amorsize.store.disk import DiskStore
    from amorsize.store.rows import Merge

LIGHT = """
import sys
sys.path[:0] = {paths!r}
before = set(sys.modules)
from amorsize.store.disk import DiskStore
store = DiskStore({directory!r})
print(store.read(["a"]))
store.close()
heavy = "collections functools typing dataclasses inspect json pickle hashlib platformdirs threading sqlite3 diskcache"
print(set(heavy.split()) & (set(sys.modules) - before))
import functools, sqlite3
assert functools.wraps and functools.lru_cache(functools.partial(int, 3))() == 3
"""


def test_reading_loads_nothing_heavy_and_leaves_functools_alone(
    fresh_python: Callable[..., str], disk: DiskStore, count: Merge
) -> None:
    disk.update({"a": count})
    script = LIGHT.format(paths=[os.environ["PYTHONPATH"].split(os.pathsep)[0], *sys.path], directory=disk.path)
    assert fresh_python("-I", "-S", "-c", script).splitlines() == ["{'a': {'n': 1}}", "set()"]


def test_whoever_meets_the_stand_in_for_functools_gets_the_real_one(fresh_python: Callable[..., str]) -> None:
    meeting = """
import sys
from amorsize.store.read import _LruCacheOnly
for name in [name for name in sys.modules if name == "functools"]:
    del sys.modules[name]
sys.modules["functools"] = _LruCacheOnly()
from functools import reduce
import functools
assert reduce is functools.reduce and functools.__file__
"""
    fresh_python("-c", meeting)


def test_why_sqlite_cannot_be_loaded_is_told(tmp_path: Path, fresh_python: Callable[..., str]) -> None:
    (tmp_path / "_sqlite3.py").write_text("raise ImportError('libsqlite3.so.0: cannot open shared object file')\n")
    asking = """
from amorsize.store import base, read
try:
    read.connect("there", "ro", base.Patience(0.0, lambda: 0.0))
except base.StoreUnusable as error:
    print(error)
"""
    told = fresh_python("-c", asking)
    assert told == "this Python cannot load sqlite3: libsqlite3.so.0: cannot open shared object file\n"


def test_the_schema_is_the_one_that_diskcache_makes(tmp_path: Path) -> None:
    settings: dict[str, Any] = read.SETTINGS  # Any: the named arguments of `Cache` are no settings
    with diskcache.Cache(str(tmp_path), **settings) as cache:
        cache["a"] = 1
    connection = read.connect(str(tmp_path), "ro", Patience(1.0, clock=itertools.count().__next__))
    assert read.schema_digest(connection) == read.SCHEMA_DIGEST
    read.check_layout(connection)
    connection.close()


def test_the_settings_are_all_of_diskcaches(tmp_path: Path) -> None:
    assert read.SETTINGS.keys() == diskcache.DEFAULT_SETTINGS.keys()


def test_a_statement_that_takes_too_long_is_given_up(disk: DiskStore, count: Merge) -> None:
    """A hostile database may make SQLite count for ever; our clock ends it."""
    disk.update({"a": count})
    connection = read.connect(disk.path, "ro", Patience(5.0, clock=itertools.count().__next__))
    for_ever = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
    with pytest.raises(StoreError, match="interrupted"):
        read.ask(connection, for_ever)
    connection.close()


def test_what_is_longer_than_any_row_of_ours_is_not_handed_out(disk: DiskStore, count: Merge) -> None:
    disk.update({"a": count})
    connection = read.connect(disk.path, "ro", Patience(1.0, clock=itertools.count().__next__))
    assert read.ask(connection, "SELECT 'x'") == [("x",)]
    with pytest.raises(StoreError, match="too big"):
        read.ask(connection, "SELECT zeroblob(10000000)")
    connection.close()
