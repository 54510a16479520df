"""A plan is found again for as long as nothing that it follows from has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from amorsize.advice import plans
from amorsize.calibration.costs import Costs
from amorsize.calibration.profile import Profile
from amorsize.options import Options
from amorsize.planning.planner import loop_plan
from amorsize.records import Alternative, Capacity, Plan

if TYPE_CHECKING:
    from amorsize.advice.plans import Known, Told

PROFILE = Profile.of([(1, 0.001)] * 10, 1.0, starts_cold=False)
KNOWN = (PROFILE, Costs(), Capacity(n_cores=4), Options())
TOLD: Told = (1000, 0.0, 0, (0, 0), False, False, None, "fork", None, None)


@pytest.fixture(autouse=True)
def _no_other_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have none that other tests have asked for: where there are too many, all are forgotten."""
    monkeypatch.setattr(plans, "_plans", {})


def test_the_same_question_gets_the_same_plan() -> None:
    plan = plans.plan_for(KNOWN, TOLD)
    assert plan.is_parallel
    assert plans.plan_for(KNOWN, TOLD) is plan


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ((PROFILE.replace(longest_s=1.0), *KNOWN[1:]), TOLD),
        ((PROFILE, Costs(fork_s=1.0), *KNOWN[2:]), TOLD),
        ((*KNOWN[:2], Capacity(n_cores=2), KNOWN[3]), TOLD),
        ((*KNOWN[:2], Capacity(n_cores=4, quota_cores=1.0), KNOWN[3]), TOLD),
        ((*KNOWN[:3], Options(n_jobs=3)), TOLD),
        (KNOWN, (999, *TOLD[1:])),
        (KNOWN, (None, *TOLD[1:])),
        (KNOWN, (*TOLD[:4], True, *TOLD[5:])),
        (KNOWN, (*TOLD[:6], "it uses a lock", *TOLD[7:])),
        (KNOWN, (*TOLD[:7], "spawn", *TOLD[8:])),
        (KNOWN, (*TOLD[:8], "no descriptor is left", None)),
    ],
)
def test_another_question_gets_its_own_plan(known: Known, told: Told) -> None:
    before = plans.plan_for(KNOWN, TOLD)
    assert plans.plan_for(known, told) != before
    assert plans.plan_for(KNOWN, TOLD) is before


def test_plans_that_nobody_asks_for_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "MOST_PLANS", 4)
    for n_items in range(1, 20):
        plans.plan_for(KNOWN, (n_items, *TOLD[1:]))
        assert len(plans._plans) <= 4


def test_what_is_known_is_kept_as_long_as_it_is_told_by_its_identity() -> None:
    for n_samples in range(1, 200):  # each in the memory of one before, were that free
        known = Profile.of([(1, n_samples * 1e-3)], 1.0, starts_cold=False), *KNOWN[1:]
        assert plans.plan_for(known, TOLD).serial_s == pytest.approx(n_samples)


def loop(predicted_s: float | None, *others_s: float | None) -> Plan:
    """Return the loop's plan, beside what was rejected for it."""
    rejected = [Alternative(backend="process", n_jobs=2, chunksize=None, predicted_s=s, why_not="") for s in others_s]
    return loop_plan("", 10, predicted_s, tuple(rejected))


@pytest.mark.parametrize("plan", [loop(None), loop(1.0), loop(1.0, None), loop(1.0, 2.0, 0.1), loop(1.0, 0.95)])
def test_a_plan_holds_for_as_long_as_was_computed_so_far(plan: Plan) -> None:
    assert plans.pause_s(plan, 0.2, 0.01, 0.0) == 0.2


def test_one_that_only_doubt_speaks_for_holds_for_an_item_more() -> None:
    assert plans.pause_s(loop(1.0, 0.5), 0.2, 0.05, 0.0) == 0.05
    assert plans.pause_s(loop(1.0, 0.5), 0.2, 0.5, 0.0) == 0.2
    assert plans.pause_s(loop(1.0, 0.5), 0.2, 1e-6, 0.0) == plans.PAUSES * plans.CHOICE_S


def test_where_the_function_is_known_a_choice_is_paid_for_before_the_next() -> None:
    assert plans.pause_s(loop(1.0, 2.0), 0.001, 0.01, 0.0003) == pytest.approx(plans.PAUSES * 0.0003)
    assert plans.pause_s(loop(1.0, 2.0), 0.001, 0.01, 0.02) == pytest.approx(plans.PAUSES * plans.CHOICE_S)
    assert plans.pause_s(loop(1.0, 2.0), 1.0, 0.01, 0.0003) == 1.0
