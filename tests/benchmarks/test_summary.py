from __future__ import annotations

import pytest

from benchmarks.figures import Figure, Row, Verdict
from benchmarks.goals import WARM_REGRET, allowed_s, never_slower
from benchmarks.summary import summaries


def regret(benchmark: str, ratio: float, predicted_s: float = 1.0, others: float = 0.0) -> Row:
    return Row(
        benchmark=benchmark,
        number="P1",
        measure=f"{WARM_REGRET} (Pool)",
        unit="x",
        figure=Figure.of([ratio] * 8),
        seconds={"pmap": [1.0] * 8, "predicted": [predicted_s] * 8, "loop": [2.0] * 7 + [2.4]},
        others_cores=others,
    )


def test_a_mean_over_all_workloads_is_geometric_and_judged() -> None:
    row = next(iter(summaries([regret("a", 0.5), regret("b", 2.0)], listed={"a", "b"}, computing={"a"})))
    assert row.figure is not None
    assert row.figure.median == pytest.approx(1.0)
    assert row.verdict is Verdict.MISSED


def test_a_mean_over_some_of_the_workloads_is_only_shown() -> None:
    row = next(iter(summaries([regret("a", 0.5), regret("b", 0.5)], listed={"a", "b", "c"}, computing=set())))
    assert row.verdict is None
    assert row.measure.endswith("mean of 2")


def test_one_workload_is_summed_up_by_nothing() -> None:
    assert summaries([regret("a", 0.5)], listed={"a"}, computing={"a"}) == []


def test_predictions_are_judged_by_how_far_they_are_off_either_way() -> None:
    rows = [regret("a", 1.0, 0.95), regret("b", 1.0, 1.04), regret("c", 1.0, 9.0, others=1.0)]
    middle, most = (row for row in summaries(rows, listed=set(), computing=set()) if row.number == "P14")
    assert middle.figure is not None
    assert most.figure is not None
    assert middle.figure.median == pytest.approx(0.045)
    assert most.figure.median == pytest.approx(0.05)
    assert {middle.verdict, most.verdict} == {Verdict.MET}
    assert middle.note == "over 2 workloads; worst: a 5%, b 4%; the loop itself strays from its median by 20%"


def test_long_loops_are_judged_by_the_ratio_and_short_ones_by_the_difference() -> None:
    assert allowed_s(1.0) == pytest.approx(1.02)
    assert allowed_s(0.01) == pytest.approx(0.011)
    assert allowed_s(0.01, is_first=True) == pytest.approx(0.014)
    assert never_slower([0.01, 0.01], is_first=False).bound == pytest.approx(1.1)
