"""What a machine charges, and how it is learned."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorsize.calibration.costs import Costs

MB = 2**20


def test_a_fork_costs_more_the_more_memory_is_resident() -> None:
    costs = Costs()
    assert costs.start_s(11 * MB) == pytest.approx(0.68e-3, rel=0.05)
    assert costs.start_s(1024 * MB) == pytest.approx(31e-3, rel=0.05)


def test_unknown_memory_is_taken_for_that_of_an_ordinary_program() -> None:
    assert Costs().start_s(20 * MB) < Costs().start_s(None) < Costs().start_s(200 * MB)


@given(st.lists(st.tuples(st.integers(1, 64), st.integers(0, 2**36), st.floats(1e-9, 100)), max_size=30))
def test_learning_from_any_starts_leaves_possible_costs(starts: list[tuple[int, int, float]]) -> None:
    costs = Costs()
    for n_workers, rss_bytes, seconds in starts:
        costs = costs.started(n_workers, rss_bytes, seconds)
    assert 0 < costs.start_s(MB) < 1e4


def test_learning_comes_nearer_to_what_starts_really_cost() -> None:
    costs = Costs()
    for _ in range(30):
        costs = costs.started(2, 20 * MB, 2 * 1.5e-3)
    assert costs.start_s(20 * MB) == pytest.approx(1.5e-3, rel=0.01)


def test_one_stalled_start_changes_the_price_by_less_than_half() -> None:
    assert Costs().started(1, 20 * MB, 10.0).start_s(20 * MB) < 1.5 * Costs().start_s(20 * MB)


@pytest.mark.parametrize("seconds", [math.nan, -1.0, 0.0, math.inf])
def test_an_impossible_start_teaches_nothing(seconds: float) -> None:
    assert Costs().started(1, MB, seconds) == Costs().spawned(seconds) == Costs().threaded(9, 9, seconds) == Costs()


@given(st.lists(st.tuples(st.integers(-1, 300), st.integers(0, 300), st.floats(1e-9, 100)), max_size=30))
def test_learning_from_any_threads_leaves_possible_costs(starts: list[tuple[int, int, float]]) -> None:
    costs = Costs()
    for n_threads, n_resting, seconds in starts:
        costs = costs.threaded(n_threads, n_resting, seconds)
    assert 0 < costs.thread_start_s(100, 30) < 1e4


@pytest.mark.parametrize(("n_resting", "learned"), [(0, {"thread_s"}), (99, set()), (100, {"wake_s", "switch_s"})])
def test_new_threads_and_those_that_rested_have_prices_of_their_own(n_resting: int, learned: set[str]) -> None:
    before, seen = Costs(), Costs()
    for _ in range(30):
        seen = seen.threaded(100, n_resting, 100 * 150e-6)
    assert {name for name, price in seen.items() if price != getattr(before, name)} == learned
    if learned:
        assert seen.thread_start_s(100, n_resting) + seen.switch_s == pytest.approx(150e-6, rel=0.01)


def test_cores_of_their_own_slow_nobody_down() -> None:
    assert Costs().slowdown(4, physical_cores=4) == 1.0
    assert Costs().slowdown(4, physical_cores=None) == 1.0


def test_hyper_threads_share_their_core() -> None:
    assert Costs().slowdown(4, physical_cores=2) == pytest.approx(2 / 1.3)


@given(st.integers(1, 32))
def test_more_hyper_threads_never_do_less_together(cores: int) -> None:
    done = [n / Costs().slowdown(n, physical_cores=cores) for n in range(1, 2 * cores + 1)]
    assert all(more >= less - 1e-9 for less, more in pairwise(done))


def test_a_measured_slowdown_holds_for_more_processes_too() -> None:
    costs = Costs(crowding=((4, 1.5),))
    assert costs.slowdown(4, physical_cores=None) == 1.5
    assert costs.slowdown(8, physical_cores=None) == 1.5
    assert costs.slowdown(2, physical_cores=None) == 1.0


@given(st.dictionaries(st.integers(2, 128), st.floats(1, 10), max_size=16))
def test_facts_survive_json_and_give_the_same_costs(seen: dict[int, float]) -> None:
    costs = Costs(crowding=tuple(sorted(seen.items()))).started(2, 30 * MB, 3e-3)
    assert Costs.from_facts(json.loads(json.dumps(costs.to_facts()))) == costs


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fork_s", math.nan),
        ("fork_s", -1.0),
        ("fork_s", 0.0),
        ("byte_s", 1e308),
        ("join_s", "1"),
        ("pool_s", None),
        ("crowding", [2]),
        ("crowding", [2, 0.5]),
        ("crowding", [4, 1.2, 2, 1.1]),
        ("crowding", [2.5, 1.2]),
        ("crowding", [2, math.inf]),
        ("crowding", {"2": 1.1}),
        ("crowding", "22"),
    ],
)
def test_an_impossible_fact_is_a_miss(name: str, value: Any) -> None:  # Any: whatever somebody may plant
    assert Costs.from_facts({**Costs().to_facts(), name: value}) is None


@pytest.mark.parametrize("facts", [None, [], "x", 3, {}, {"fork_s": 1.0}])
def test_nonsense_instead_of_facts_is_no_costs(facts: object) -> None:
    assert Costs.from_facts(facts) is None


def test_an_error_of_our_own_is_no_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = Costs().to_facts()
    monkeypatch.setattr(Costs, "check", lambda self: self.no_such_attribute)
    with pytest.raises(AttributeError):
        Costs.from_facts(facts)
