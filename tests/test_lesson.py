"""What a call teaches, and which calls are too short to teach anything."""

from __future__ import annotations

from time import perf_counter, time
from typing import TYPE_CHECKING, Any

import pytest

from amorsize.advice import Adviser
from amorsize.calibration.costs import Costs
from amorsize.calibration.profile import Profile
from amorsize.engine.collect import Collector
from amorsize.engine.job import Job
from amorsize.inline import Timings, Work
from amorsize.knowledge import look_up
from amorsize.lesson import report_of
from amorsize.options import Options
from amorsize.records import Plan

if TYPE_CHECKING:
    from pathlib import Path

TINY_S, LONG_S = 1e-4, 1e-2

ASKED = [{"backend": "process"}, {"isolate": True}]


def is_kept(options: dict[str, Any], expected_s: float, seen_s: float) -> bool:
    """Tell whether a run with workers is kept that takes `seen_s` where `expected_s` were expected."""
    look_up(abs, [1], cache=True).learn(Profile.of([(10, expected_s)], time(), starts_cold=False), Costs(), 0.0)
    adviser = Adviser(abs, Options(**options), look_up(abs, [1], cache=True))
    adviser.plan = Plan(backend="process", n_jobs=2, chunksize=5, reason="", serial_s=expected_s)
    work = Work(abs, (range(10),))
    job = Job(work, Collector(work, []), adviser.plan, lambda _: None, None, None)
    job.timings.add(10, seen_s)
    before = look_up(abs, [1], cache=True).profile
    report_of(adviser, 10, Timings(), [job], perf_counter(), is_lazy=False)
    return look_up(abs, [1], cache=True).profile != before


@pytest.mark.parametrize("options", ASKED)
def test_a_run_that_is_as_short_as_expected_teaches_nothing_where_workers_were_asked_for(
    options: dict[str, Any], home: Path
) -> None:
    assert not is_kept(options, TINY_S, TINY_S)


def test_a_short_run_that_nobody_asked_for_may_show_that_workers_lose(home: Path) -> None:
    assert is_kept({}, TINY_S, TINY_S)


@pytest.mark.parametrize("options", [{}, *ASKED])
def test_a_run_that_was_or_should_have_been_longer_is_kept(options: dict[str, Any], home: Path) -> None:
    assert is_kept(options, TINY_S, LONG_S)
    assert is_kept(options, LONG_S, TINY_S)
