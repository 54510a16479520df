"""What a profile learns from batches, from other profiles, and from real runs."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorsize.calibration.profile import HALF_LIFE_S, Profile
from amorsize.calibration.runs import MAX_RUNS, Run

NOW_S = 1.8e9

batches = st.lists(st.tuples(st.integers(1, 500), st.floats(1e-6, 10.0)), max_size=12)
shares = st.none() | st.floats(0.0, 1.0)


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    """Draw what a call may have shown: batches at some time, what was measured besides, and some runs."""
    seen = Profile.of(draw(batches), NOW_S + draw(st.floats(0, 1e7)))
    if not seen.is_known:
        return seen
    seen = seen.replace(cpu_share=draw(shares), send_s=draw(shares), result_bytes=draw(shares))
    for measured_s in draw(st.lists(st.floats(0.01, 10.0), max_size=3)):
        seen = seen.ran(run(measured_s))
    return seen


def run(measured_s: float, predicted_s: float = 1.0) -> Run:
    return Run(backend="process", n_jobs=2, chunksize=8, n_items=100, predicted_s=predicted_s, measured_s=measured_s)


def constant(item_s: float, n_items: int) -> Profile:
    """Return the profile of items that all last the same, timed one by one."""
    return Profile.of([(1, item_s)] * n_items, NOW_S)


def facts_of(profile: Profile) -> list[float]:
    """Return all numbers of a profile, to be compared within rounding."""
    flat: list[float] = []
    for value in profile.to_facts().values():
        for each in value if isinstance(value, list) else [value]:
            flat.append(float(each) if isinstance(each, (int, float)) else math.pi)
    return flat


# ---- what batches show


def test_a_batch_tells_its_mean_item() -> None:
    assert Profile.of([(10, 1.0), (20, 2.0)], NOW_S).item.mean == pytest.approx(0.1)


def test_batches_without_items_show_nothing() -> None:
    assert Profile.of([(0, 0.0)], NOW_S) == Profile.empty()


def test_a_clock_that_stood_still_is_believed_to_show_almost_nothing() -> None:
    assert Profile.of([(1, 0.0), (2, 0.0)], NOW_S).item.mean == 0.0


def test_a_first_call_that_took_much_longer_is_kept_apart_from_the_items() -> None:
    seen = Profile.of([(1, 0.2), (1, 1e-3), (2, 2e-3)], NOW_S)
    assert seen.item.mean == pytest.approx(1e-3)
    assert seen.first_call_s == pytest.approx(0.199)


def test_a_first_call_like_the_others_is_an_item() -> None:
    seen = Profile.of([(1, 2e-3), (1, 1e-3), (2, 2e-3)], NOW_S)
    assert seen.item.weight == 4
    assert seen.first_call_s is None


def test_the_first_item_of_a_warm_function_is_an_item_however_long() -> None:
    seen = Profile.of([(1, 0.2), (1, 1e-3), (2, 2e-3)], NOW_S, starts_cold=False)
    assert seen.item.mean == pytest.approx(0.203 / 4)
    assert seen.longest_s == 0.2


def test_a_single_long_item_is_not_called_a_warm_up() -> None:
    assert Profile.of([(1, 0.2)], NOW_S).item.mean == 0.2


# ---- how sure it is


def test_one_item_bounds_the_mean_from_below_by_nothing() -> None:
    assert constant(1e-3, 1).bound_s(-2) == 0.0


def test_an_empty_profile_bounds_nothing() -> None:
    assert Profile.empty().bound_s(2) == 0.0


@given(profiles(), st.floats(0, 5))
def test_the_bounds_enclose_the_mean(profile: Profile, z: float) -> None:
    assert 0 <= profile.bound_s(-z) <= profile.item.mean * (1 + 1e-12)
    assert profile.bound_s(z) >= profile.item.mean


def test_more_items_narrow_the_bounds() -> None:
    lower = [constant(1e-3, n).bound_s(-2) for n in (4, 16, 64, 256)]
    assert lower == sorted(lower)
    assert lower[-1] > 0.95e-3


def test_the_longest_of_many_is_expected_to_be_longer_than_any_seen() -> None:
    seen = Profile.of([(1, 1e-3), (1, 2e-3), (1, 0.5e-3), (1, 3e-3)], NOW_S)
    assert 3e-3 < seen.longest_of_s(1000) <= 12e-3
    assert seen.longest_of_s(1) == 3e-3


# ---- adding up


@given(profiles(), profiles(), profiles())
def test_merging_is_associative(one: Profile, two: Profile, three: Profile) -> None:
    left, right = one.merge(two).merge(three), one.merge(two.merge(three))
    assert facts_of(left) == pytest.approx(facts_of(right), rel=1e-6, abs=1e-6)


@given(profiles())
def test_merging_what_is_empty_changes_nothing(profile: Profile) -> None:
    assert profile.merge(Profile.empty()) == profile
    assert Profile.empty().merge(profile) == profile


def test_the_newer_value_wins_where_only_one_can_be_kept() -> None:
    old, new = constant(1e-3, 3).replace(send_s=1.0, cpu_share=0.5), constant(1e-3, 3).replace(send_s=2.0)
    assert old.merge(new).send_s == 2.0
    assert old.merge(new).cpu_share == 0.5


def test_only_the_last_runs_are_remembered() -> None:
    profile = constant(1e-3, 3)
    for n in range(1, 2 * MAX_RUNS):
        profile = profile.ran(run(float(n)))
    assert [each.measured_s for each in profile.runs] == [float(n) for n in range(MAX_RUNS, 2 * MAX_RUNS)]


# ---- getting old, and being refuted


def test_thirty_days_halve_the_weight() -> None:
    old = constant(1e-3, 8).aged(NOW_S + HALF_LIFE_S)
    assert old.item.weight == pytest.approx(4)
    assert old.item.mean == 1e-3


def test_a_clock_that_was_set_back_does_not_add_weight() -> None:
    profile = constant(1e-3, 8)
    assert profile.aged(NOW_S - HALF_LIFE_S) == profile


def test_merging_ages_the_older_one() -> None:
    new = Profile.of([(1, 3e-3)] * 4, NOW_S + HALF_LIFE_S)
    assert constant(1e-3, 8).merge(new).item.mean == pytest.approx(2e-3)


def test_a_demoted_profile_is_worth_two_samples() -> None:
    demoted = constant(1e-3, 1000).demoted()
    assert demoted.item.weight == pytest.approx(2)
    assert demoted.item.mean == pytest.approx(1e-3)


@pytest.mark.parametrize("factor", [100.0, 0.01])
def test_what_this_call_shows_outvotes_a_prior_that_is_off_by_far(factor: float) -> None:
    prior = constant(1e-3 * factor, 100_000)
    learned = prior.learn(constant(1e-3, 100))
    assert learned.item.mean == pytest.approx(1e-3, rel=3.0)
    assert learned.item.weight < 110


def test_a_prior_that_claims_any_spread_can_be_refuted_all_the_same() -> None:
    lying = constant(0.1, 100)
    lying = lying.replace(item=lying.item.replace(m2=1e30))
    assert constant(1e-3, 100).refutes(lying)


def test_a_few_short_items_do_not_refute_a_prior_of_widely_spread_items() -> None:
    prior = Profile.of([(1, 1e-3), (1, 1e-3), (1, 1e-3), (1, 40e-3)] * 20, NOW_S, starts_cold=False)
    assert not constant(1e-3, 8).refutes(prior)


def test_what_lasts_less_than_a_preemption_refutes_nothing() -> None:
    assert not constant(1e-6, 5).refutes(constant(30e-6, 1000))


def test_what_agrees_is_added_up() -> None:
    assert constant(1e-3, 100).learn(constant(1.1e-3, 50)).item.weight == 150


def test_a_run_that_missed_its_prediction_by_far_demotes_what_predicted_it() -> None:
    learned = constant(1e-3, 1000).learn(constant(1.2e-3, 10).ran(run(5.0)))
    assert learned.item.weight == pytest.approx(12)


def test_a_run_as_predicted_demotes_nothing() -> None:
    learned = constant(1e-3, 1000).learn(constant(1.2e-3, 10).ran(run(1.1)))
    assert learned.item.weight == 1010


# ---- as a store keeps it


@given(profiles())
def test_facts_survive_json_and_give_the_same_profile(profile: Profile) -> None:
    assert Profile.from_facts(json.loads(json.dumps(profile.to_facts()))) == profile


known = constant(1e-3, 10).replace(send_s=1e-6).ran(run(1.0)).to_facts()

nonsense = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**320), 10**320)
    | st.floats()
    | st.sampled_from([1e308, -1e308, math.nan, math.inf, 5e-324, 10**9, ""])
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=13) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=15,
)


@given(nonsense)
def test_nonsense_instead_of_facts_is_no_profile(facts: object) -> None:
    assert Profile.from_facts(facts) is None


@given(st.sampled_from(sorted(known)), nonsense)
def test_a_planted_fact_gives_no_profile_or_a_possible_one(name: str, value: object) -> None:
    profile = Profile.from_facts({**known, name: value})
    if profile is not None:
        assert 0 <= profile.bound_s(-2) <= profile.bound_s(2) < 1e30
        assert 0 <= profile.longest_of_s(10**6) <= 4e7
        assert Profile.from_facts(profile.to_facts()) == profile


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("item", [math.nan, 1.0, 1.0, 0.0]),
        ("item", [10.0, 10.0, -1.0, 0.0]),
        ("item", [10.0, 10.0, 1e308, 0.0]),
        ("item", [1e300, 10.0, 1.0, 0.0]),
        ("item", "nonsense"),
        ("longest_s", -1.0),
        ("updated_s", 1e308),
        ("cpu_share", math.nan),
        ("gil_free_share", 1.5),
        ("send_s", -1e-9),
        ("send_s", "1"),
        ("worker_bytes", 1e308),
        ("runs", ["process", 10**9, 8, 100, 1.0, 1.0]),
        ("runs", ["process", 2, -8, 100, 1.0, 1.0]),
        ("runs", ["process", 2, 8]),
        ("runs", ["process", 2, 8, 100, 1.0, 1.0] * 9),
    ],
)
def test_an_impossible_fact_is_a_miss(name: str, value: Any) -> None:  # Any: whatever somebody may plant
    assert Profile.from_facts({**known, name: value}) is None


ALWAYS_KNOWN = ("item", "log_item", "longest_s", "updated_s", "runs")


@pytest.mark.parametrize("name", ALWAYS_KNOWN)
def test_a_missing_fact_is_a_miss(name: str) -> None:
    assert Profile.from_facts({key: value for key, value in known.items() if key != name}) is None


@pytest.mark.parametrize("name", sorted(known.keys() - set(ALWAYS_KNOWN)))
def test_what_an_earlier_version_did_not_keep_is_not_known(name: str) -> None:
    profile = Profile.from_facts({key: value for key, value in known.items() if key != name})
    assert profile is not None
    assert getattr(profile, name) is None


def test_an_error_of_our_own_is_no_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = Profile.empty().to_facts()
    monkeypatch.setattr(Profile, "check", lambda self: self.no_such_attribute)
    with pytest.raises(AttributeError):
        Profile.from_facts(facts)
