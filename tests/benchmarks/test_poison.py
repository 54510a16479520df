from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from amorsize.calibration.profile import Profile
from amorsize.calibration.runs import Run
from benchmarks.launch import Child
from benchmarks.poison import Lie, poison, poisoned
from benchmarks.sizes import spinning

if TYPE_CHECKING:
    from pathlib import Path

RUN = Run(backend="process", n_jobs=2, chunksize=5, n_items=100, predicted_s=0.1, measured_s=0.1)
HONEST = Profile.of([(1, 0.001), (2, 0.002), (4, 0.0041)], 1e9).ran(RUN)


@pytest.mark.parametrize(("lie", "factor"), [(Lie.LONGER, 100), (Lie.SHORTER, 0.01)])
def test_a_lie_about_the_items_reads_as_a_profile(lie: Lie, factor: float) -> None:
    lying = Profile.from_facts(poisoned(HONEST.to_facts(), lie))
    assert lying is not None
    assert lying.item.mean == pytest.approx(HONEST.item.mean * factor)
    assert lying.longest_s == pytest.approx(HONEST.longest_s * factor)


def test_a_lie_about_the_runs_names_another_backend() -> None:
    lying = Profile.from_facts(poisoned(HONEST.to_facts(), Lie.BACKEND))
    assert lying is not None
    assert [run.backend for run in lying.runs] == ["serial"]


def test_an_impossible_number_of_workers_does_not_read_as_a_profile() -> None:
    facts = poisoned(HONEST.to_facts(), Lie.JOBS)
    assert 10**9 in list(facts["runs"] or ()) if isinstance(facts["runs"], list) else False
    assert Profile.from_facts(facts) is None


def test_a_store_is_poisoned_where_a_measured_process_will_look(tmp_path: Path) -> None:
    size = spinning(1e-3, 0.1)  # long enough for a look into the store
    with Child("pmap", home=str(tmp_path)) as child:
        child.call("loop_1ms", size)
    assert poison(str(tmp_path), Lie.LONGER) > 0
    with Child("pmap", home=str(tmp_path)) as child:
        assert child.call("loop_1ms", size) > 0
