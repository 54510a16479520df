"""Interpreters are launched when loops have missed as much as that costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from amorsize.advice import missed
from amorsize.advice.missed import hoped_for
from amorsize.calibration.costs import Costs
from amorsize.calibration.profile import Profile
from amorsize.options import Options
from amorsize.records import Capacity

if TYPE_CHECKING:
    from amorsize.advice.plans import Known, Told

DIGEST = "of a function"
PROFILE = Profile.of([(1, 0.001)] * 20, 1.0, starts_cold=False)
KNOWN = (PROFILE, Costs(spawn_s=0.1), Capacity(n_cores=2), Options())
TOLD: Told = (7, 0.09, 0, (0, 0), False, False, None, "spawn", None, None)
"""Of 100 items of 1 ms, seven are left: interpreters that were warm would take half of 0.1 s, and launching takes all
of it."""


@pytest.fixture(autouse=True)
def _nothing_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missed, "_missed_s", 0.0)
    monkeypatch.setattr(missed, "_price", 1)
    monkeypatch.setattr(missed, "_in_vain", set())


def launches(n_calls: int) -> list[int]:
    """Return after which of so many loops of 0.1 s interpreters are launched."""
    found = [hoped_for(DIGEST, KNOWN, TOLD, 100, 0.1) for _ in range(n_calls)]
    assert set(found) <= {0, 2}
    return [index for index, n_workers in enumerate(found) if n_workers]


def test_of_loops_that_miss_half_of_what_that_costs_the_fourth_launches_them() -> None:
    assert launches(4) == [3]


def test_those_that_no_call_uses_are_launched_less_and_less_often() -> None:
    assert launches(60) == [3, 9, 19, 37]


def test_once_they_are_used_they_are_launched_as_before() -> None:
    assert launches(10) == [3, 9]
    missed.are_used()
    assert launches(10) == [3, 9]


def test_a_loop_that_alone_has_missed_more_has_the_next_launch_them() -> None:
    assert [hoped_for(DIGEST, KNOWN, TOLD, 400, 0.4) for _ in range(2)] == [0, 2]


def test_what_takes_too_long_to_be_sent_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    missed.are_in_vain(DIGEST)
    assert launches(60) == []
    monkeypatch.setattr(missed, "MOST_IN_VAIN", 2)
    missed.are_in_vain("of another")
    assert launches(60) == []
    missed.are_in_vain("of a third")
    assert launches(4) == [3]


@pytest.mark.parametrize(
    ("known", "told"),
    [
        pytest.param(KNOWN, (*TOLD[:7], "fork", *TOLD[8:]), id="a fork would do"),
        pytest.param(KNOWN, (*TOLD[:6], "it uses a lock", *TOLD[7:]), id="nobody may join"),
        pytest.param(KNOWN, (*TOLD[:8], "it cannot be sent", None), id="no process may"),
        pytest.param((*KNOWN[:3], Options(n_jobs=1)), TOLD, id="one is asked for"),
        pytest.param((*KNOWN[:3], Options(backend="serial")), TOLD, id="none is"),
        pytest.param((*KNOWN[:2], Capacity(n_cores=1), KNOWN[3]), TOLD, id="there is one core"),
        pytest.param((PROFILE.replace(send_s=0.01), *KNOWN[1:]), TOLD, id="sending costs more"),
        pytest.param((PROFILE.replace(first_call_s=1.0), *KNOWN[1:]), TOLD, id="their first item would take long"),
        pytest.param((Profile.empty(), *KNOWN[1:]), TOLD, id="nothing is known"),
        pytest.param((PROFILE.replace(cpu_share=0.01), *KNOWN[1:]), TOLD, id="threads do better"),
    ],
)
def test_where_they_would_not_have_helped_nothing_is_missed(known: Known, told: Told) -> None:
    assert [hoped_for(DIGEST, known, told, 100, 0.1) for _ in range(20)] == [0] * 20


def test_a_loop_that_was_faster_than_they_would_have_been_takes_nothing_off() -> None:
    assert [hoped_for(DIGEST, KNOWN, TOLD, 100, loop_s) for loop_s in (0.1, 0.01, 0.1, 0.01, 0.1, 0.1)] == [0] * 5 + [2]
