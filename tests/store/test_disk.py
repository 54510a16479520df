"""What the store does: facts go in by key, are merged, and come out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

if TYPE_CHECKING:
    from amorsize.records import Facts
    from amorsize.store.disk import DiskStore
    from amorsize.store.rows import Merge

FACTS = st.dictionaries(
    st.text(max_size=5), st.integers(-(10**15), 10**15) | st.floats(-1e15, 1e15) | st.text(max_size=9)
)
MODELS = st.dictionaries(st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=9), FACTS, max_size=9)


def put(facts: Facts) -> Merge:
    return lambda _: facts


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(model=MODELS)
def test_what_is_put_in_comes_out(disk: DiskStore, model: dict[str, Facts]) -> None:
    disk.clear()
    assert disk.update({key: put(facts) for key, facts in model.items()})
    assert disk.read([*model, "never"]) == model
    assert dict(disk.entries()) == model
    assert disk.clear() == len(model)
    assert dict(disk.entries()) == {}


def test_a_merge_gets_what_the_one_before_made(disk: DiskStore, count: Merge) -> None:
    for _ in range(5):
        assert disk.update({"a": count, "b": count})
    assert disk.read(["a", "b"]) == {"a": {"n": 5}, "b": {"n": 5}}


def test_an_empty_store_knows_nothing(disk: DiskStore) -> None:
    assert disk.read(["a"]) == {}
    assert list(disk.entries()) == []
    assert disk.delete(["a"]) == disk.clear() == 0
    assert disk.problem is None


def test_delete_forgets_those_keys_only(disk: DiskStore, count: Merge) -> None:
    disk.update({"a": count, "b": count, "c": count})
    assert disk.delete(["a", "c", "c", "never", "", "no\0key"]) == 2
    assert disk.read(["a", "b", "c"]) == {"b": {"n": 1}}


def test_facts_that_cannot_be_kept_leave_the_row_as_it_was(disk: DiskStore, count: Merge) -> None:
    disk.update({"a": count})
    disk.update({"a": put({"n": float("nan")}), "b": count, "no\0key": count})
    assert disk.read(["a", "b", "no\0key"]) == {"a": {"n": 1}, "b": {"n": 1}}


def test_a_merge_that_raises_changes_nothing_and_blocks_nobody(disk: DiskStore, count: Merge) -> None:
    def fail(_: Facts | None) -> Facts:
        raise ZeroDivisionError

    disk.update({"a": count})
    with pytest.raises(ZeroDivisionError):
        disk.update({"a": fail})
    assert disk.update({"a": count})
    assert disk.read(["a"]) == {"a": {"n": 2}}


def test_what_comes_out_is_a_copy(disk: DiskStore, count: Merge) -> None:
    disk.update({"a": count})
    disk.read(["a"])["a"]["n"] = 99
    assert disk.read(["a"]) == {"a": {"n": 1}}
