"""What the tests of the store share: where it is, and merges that count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from amorsize.store.disk import DiskStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from amorsize.records import Facts
    from amorsize.store.rows import Merge


@pytest.fixture
def directory(home: Path) -> Path:
    """Return where the store is to be; nothing is there yet."""
    return home / ".cache" / "amorsize"


@pytest.fixture
def disk(directory: Path) -> Iterator[DiskStore]:
    """Return a store in `directory`, closed at the end."""
    store = DiskStore(str(directory))
    yield store
    store.close()


@pytest.fixture
def count() -> Merge:
    """Return a merge that adds one to the number `n`."""

    def merge(facts: Facts | None) -> Facts:
        before = (facts or {}).get("n", 0)
        assert isinstance(before, int)
        return {"n": before + 1}

    return merge
