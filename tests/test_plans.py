"""A plan is found again for as long as nothing that it follows from has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from amorsize import plans
from amorsize.calibration.costs import Costs
from amorsize.calibration.profile import Profile
from amorsize.options import Options
from amorsize.records import Capacity

if TYPE_CHECKING:
    from amorsize.plans import Known, Told

PROFILE = Profile.of([(1, 0.001)] * 10, 1.0, starts_cold=False)
KNOWN = (PROFILE, Costs(), Capacity(n_cores=4), Options())
TOLD = (1000, 0.0, 0, 0, None, False, "fork", None, None)


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
        (KNOWN, (*TOLD[:4], "it uses a lock", *TOLD[5:])),
        (KNOWN, (*TOLD[:5], True, *TOLD[6:])),
        (KNOWN, (*TOLD[:6], "spawn", *TOLD[7:])),
        (KNOWN, (*TOLD[:7], "no descriptor is left", None)),
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
