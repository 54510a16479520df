"""The Disk that diskcache works with: text in rows, whatever it is asked or told."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest
from diskcache.core import MODE_BINARY, MODE_PICKLE, MODE_RAW, MODE_TEXT, Disk

from amorsize.store.safe_disk import TextDisk

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.fault("R16")

EVIL = pickle.dumps(print)


@pytest.fixture
def disk() -> TextDisk:
    return TextDisk("/nowhere")


def test_it_overrides_all_that_touches_keys_values_and_files() -> None:
    public = {name for name in vars(Disk) if not name.startswith("_")}
    assert public == {"store", "fetch", "put", "get", "hash", "filename", "remove"}
    assert public <= vars(TextDisk).keys()


def test_it_loads_little_that_diskcache_does_not(fresh_python: Callable[..., str]) -> None:
    loaded = "import sys, diskcache; before = set(sys.modules); import amorsize.store.safe_disk;"
    others = "print(*sorted(name for name in set(sys.modules) - before if not name.startswith('amorsize')))"
    assert fresh_python("-c", loaded + others).split() == ["__future__", "_blake2"]


def test_text_goes_into_the_row_and_comes_back(disk: TextDisk) -> None:
    _, mode, filename, value = disk.store("x" * 10**6, read=False)
    assert filename is None
    assert disk.fetch(mode, filename, value, read=False) == "x" * 10**6
    assert disk.get(*disk.put("key")) == "key"
    assert disk.hash("key") == disk.hash("key") != disk.hash("yek")


@pytest.mark.parametrize("value", [b"x", 1, 1.5, None, ["x"]])
def test_nothing_but_text_is_kept(disk: TextDisk, value: str) -> None:
    with pytest.raises(TypeError, match="text"):
        disk.store(value, read=False)
    with pytest.raises(TypeError, match="text"):
        disk.put(value)


@pytest.mark.parametrize("mode", [0, MODE_BINARY, MODE_TEXT, MODE_PICKLE, 9, None])
@pytest.mark.parametrize("value", [None, "x", EVIL])
@pytest.mark.parametrize("filename", [None, "../x"])
def test_no_other_row_has_a_value(disk: TextDisk, mode: object, filename: object, value: object) -> None:
    assert disk.fetch(mode, filename, value, read=False) is None
    assert disk.fetch(MODE_RAW, filename, EVIL, read=False) is None
    assert disk.fetch(MODE_RAW, "x", "text", read=False) is None
    assert disk.fetch(MODE_RAW, None, "text", read=True) is None


@pytest.mark.parametrize(("key", "raw"), [(EVIL, 0), (EVIL, 1), ("x", 0), (7, 1), (None, None)])
def test_no_other_key_is_one(disk: TextDisk, key: object, raw: object) -> None:
    assert disk.get(key, raw) is None


def test_there_are_no_files(disk: TextDisk) -> None:
    with pytest.raises(TypeError, match="no files"):
        disk.filename()
