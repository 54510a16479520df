"""Every stage and its floor, measured once in this process; the fixture of all tests sees that nothing is left."""

from __future__ import annotations

import os
import sys

import pytest

if sys.platform != "linux" or not hasattr(os, "fork") or not hasattr(os, "memfd_create"):
    pytest.skip("forked workers exist on Linux only", allow_module_level=True)

from benchmarks.rows import efficiency, stages
from benchmarks.simulation import Prices
from benchmarks.stages import STAGES, told


@pytest.mark.needs_fork
@pytest.mark.parametrize("name", STAGES)
def test_a_stage_and_its_floor_take_time_and_leave_nothing(name: str) -> None:
    with STAGES[name]() as (stage, floor):
        for measure in (stage, floor, stage, floor):
            assert 0 < measure() < 10


def test_the_table_has_every_stage_that_has_a_floor_once() -> None:
    named = [stage.name for stage in stages.STAGES]
    assert sorted([*named, "call"]) == sorted(STAGES)


def test_every_price_of_the_simulation_is_told_by_a_stage() -> None:
    assert set(efficiency.STAGE_OF) == set(Prices.__slots__)
    assert set(efficiency.STAGE_OF.values()) <= set(STAGES)


def test_a_stage_is_told_round_by_round(capsys: pytest.CaptureFixture[str]) -> None:
    told("take", "3")
    pairs = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [len(pair) for pair in pairs] == [2, 2, 2]
    assert all(float(seconds) > 0 for pair in pairs for seconds in pair)
