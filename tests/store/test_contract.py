"""What every store does: the same tests over memory and disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from amorsize.store.base import MemoryStore

if TYPE_CHECKING:
    from amorsize.records import Facts
    from amorsize.store.base import Store
    from amorsize.store.rows import Merge

FACTS = st.dictionaries(
    st.text(max_size=5), st.integers(-(10**15), 10**15) | st.floats(-1e15, 1e15) | st.text(max_size=9)
)
MODELS = st.dictionaries(st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=9), FACTS, max_size=9)


def put(facts: Facts) -> Merge:
    return lambda _: facts


@pytest.fixture(params=["memory", "disk"])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "memory":
        return MemoryStore()
    disk: Store = request.getfixturevalue("disk")
    return disk


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(model=MODELS)
def test_what_is_put_in_comes_out(store: Store, model: dict[str, Facts]) -> None:
    store.clear()
    assert store.update({key: put(facts) for key, facts in model.items()})
    assert store.read([*model, "never"]) == model
    assert dict(store.entries()) == model
    assert store.clear() == len(model)
    assert dict(store.entries()) == {}


def test_a_merge_gets_what_the_one_before_made(store: Store, count: Merge) -> None:
    for _ in range(5):
        assert store.update({"a": count, "b": count})
    assert store.read(["a", "b"]) == {"a": {"n": 5}, "b": {"n": 5}}


def test_an_empty_store_knows_nothing(store: Store) -> None:
    assert store.read(["a"]) == {}
    assert list(store.entries()) == []
    assert store.delete(["a"]) == store.clear() == 0
    assert store.problem is None


def test_delete_forgets_those_keys_only(store: Store, count: Merge) -> None:
    store.update({"a": count, "b": count, "c": count})
    assert store.delete(["a", "c", "c", "never", "", "no\0key"]) == 2
    assert store.read(["a", "b", "c"]) == {"b": {"n": 1}}


def test_facts_that_cannot_be_kept_leave_the_row_as_it_was(store: Store, count: Merge) -> None:
    store.update({"a": count})
    store.update({"a": put({"n": float("nan")}), "b": count, "no\0key": count})
    assert store.read(["a", "b", "no\0key"]) == {"a": {"n": 1}, "b": {"n": 1}}


def test_a_merge_that_raises_changes_nothing_and_blocks_nobody(store: Store, count: Merge) -> None:
    def fail(_: Facts | None) -> Facts:
        raise ZeroDivisionError

    store.update({"a": count})
    with pytest.raises(ZeroDivisionError):
        store.update({"a": fail})
    assert store.update({"a": count})
    assert store.read(["a"]) == {"a": {"n": 2}}


def test_what_comes_out_is_a_copy(store: Store, count: Merge) -> None:
    store.update({"a": count})
    store.read(["a"])["a"]["n"] = 99
    assert store.read(["a"]) == {"a": {"n": 1}}
