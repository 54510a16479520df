"""What is made of simulated and of measured runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.figures import Verdict
from benchmarks.pairing import FULL, QUICK
from benchmarks.rows import efficiency
from benchmarks.simulation import Prices
from benchmarks.sizes import Size

QUICK_STARTS = Prices(start_s=1e-4)
SLOW_STARTS = Prices(start_s=1e-3)

pytestmark = pytest.mark.slow


def prices_of(low: Prices, middle: Prices, high: Prices) -> dict[str, Prices]:
    return {"low": low, "median": middle, "high": high}


def test_a_simulated_row_is_as_sure_as_its_prices() -> None:
    sure = efficiency._judged(64, prices_of(QUICK_STARTS, QUICK_STARTS, QUICK_STARTS), FULL)
    assert sure.figure is not None
    assert sure.figure.low == sure.figure.median == sure.figure.high
    assert sure.verdict is Verdict.MET
    unsure = efficiency._judged(64, prices_of(QUICK_STARTS, QUICK_STARTS, SLOW_STARTS), FULL)
    assert unsure.verdict is Verdict.UNDECIDED
    assert efficiency._judged(64, prices_of(*[SLOW_STARTS] * 3), FULL).verdict is Verdict.MISSED


def test_a_simulated_row_tells_what_is_lost_to_which_stage() -> None:
    assert efficiency._judged(16, prices_of(*[SLOW_STARTS] * 3), FULL).note == "lost to: start together 100%"
    lost_to = efficiency._judged(16, prices_of(*[replace(SLOW_STARTS, publish_s=5e-5)] * 3), FULL).note
    stages = [part.rpartition(" ")[0] for part in lost_to.removeprefix("lost to: ").split(", ")]
    assert stages == ["publish", "start together"]


@pytest.mark.parametrize(
    ("pmap_s", "verdict"),
    [(0.5, Verdict.MET), (0.52, Verdict.MET), (0.48, Verdict.MET), (0.54, Verdict.MISSED), (0.46, Verdict.MISSED)],
)
def test_a_prediction_may_be_off_by_5_percent_to_either_side(pmap_s: float, verdict: Verdict) -> None:
    """A crowd whose items take 1 s in all is through in 0.5 s with two workers that cost nothing."""
    timed = {"loop": [1.0] * 8, "crowd": [1.0] * 8, "pmap": [pmap_s] * 8}
    row = efficiency._prediction_row(1e-3, Size(1000), 2, timed, Prices())
    assert row.verdict is verdict
    assert [round(seconds, 9) for seconds in row.seconds["predicted"]] == [0.5] * 8


def test_16_workers_are_measured_only_on_16_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficiency, "usable_cores", lambda: 15)
    (row,) = efficiency._measured(Prices(), replace(QUICK, n_rounds=1))
    assert row.verdict is Verdict.UNAVAILABLE
    assert row.note == "this takes 16 cores, and there are 15"


def test_16_workers_are_measured_beside_the_loop_and_the_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"loop": [16.0] * 8, "crowd": [16.0] * 8, "pmap": [1.02] * 8}
    monkeypatch.setattr(efficiency, "usable_cores", lambda: 16)
    monkeypatch.setattr(efficiency, "_runs", lambda *_: seconds)
    reached, predicted = efficiency._measured(Prices(), FULL)
    assert reached.figure is not None
    assert reached.figure.median == pytest.approx(1 / 1.02)
    assert [reached.verdict, predicted.verdict] == [Verdict.MET, Verdict.MET]
