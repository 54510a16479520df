"""Whether a store could be written is found out by trying, and nothing of that stays."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from amorsize.store.attempt import obstacle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from amorsize.store.disk import DiskStore
    from amorsize.store.rows import Merge

pytestmark = pytest.mark.fault("R15")


def test_where_no_store_is_yet_none_is_left(home: Path, directory: Path) -> None:
    before = sorted(home.rglob("*"))
    assert obstacle(str(directory)) is None
    assert sorted(home.rglob("*")) == before
    directory.mkdir(parents=True, mode=0o700)
    assert obstacle(str(directory)) is None
    assert list(directory.iterdir()) == []


def test_a_store_stays_as_it_was(directory: Path, disk: DiskStore, count: Merge) -> None:
    disk.update({"a": count})
    disk.close()
    before = (directory / "cache.db").read_bytes()
    assert obstacle(str(directory)) is None
    assert (directory / "cache.db").read_bytes() == before
    assert dict(disk.entries()) == {"a": {"n": 1}}


def below_a_file(directory: Path) -> None:
    directory.parent.mkdir()
    directory.touch()


def open_to_all(directory: Path) -> None:
    directory.mkdir(parents=True)
    directory.chmod(0o777)


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX")
@pytest.mark.parametrize(
    ("make", "name", "why"),
    [
        (below_a_file, "store", "Not a directory"),
        (open_to_all, "", "can be written by others: chmod go-w"),
        (open_to_all, "$HOME", "a ~ or a variable in its name"),
    ],
)
def test_what_would_stop_a_writer_is_told(make: Callable[[Path], None], name: str, why: str, directory: Path) -> None:
    make(directory)
    assert why in str(obstacle(os.path.join(directory, name).rstrip(os.sep)))


def test_a_store_that_is_locked_for_ever_is_told(
    directory: Path, disk: DiskStore, count: Merge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amorsize.store.attempt._PATIENCE_S", 0.02)
    disk.update({"a": count})
    disk.close()
    with closing(sqlite3.connect(directory / "cache.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        assert obstacle(str(directory)) == "the database is locked by another process"
    assert obstacle(str(directory)) is None
