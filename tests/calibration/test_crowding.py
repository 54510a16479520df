"""By how much workers slow each other down: when that can be told, and for how long it is believed."""

from __future__ import annotations

import pytest

from amorsize.calibration.crowding import believed_crowding, seen_crowding, seen_lag
from amorsize.calibration.profile import Profile
from amorsize.calibration.runs import Run

NOW_S = 1.8e9


def level(item_s: float, n_items: int) -> list[tuple[int, float]]:
    return [(1, item_s)] * n_items


def rising(n_items: int, *, begin: int = 1) -> list[tuple[int, float]]:
    return [(1, 1e-3 * k) for k in range(begin, begin + n_items)]


def run(backend: str, measured_s: float, n_items: int = 100) -> Run:
    n_jobs = 1 if backend == "serial" else 2
    return Run(
        backend=backend, n_jobs=n_jobs, chunksize=1, n_items=n_items, predicted_s=measured_s, measured_s=measured_s
    )


# ---- what is seen


def test_items_that_take_as_long_beside_workers_as_alone_do_not_crowd_each_other() -> None:
    assert seen_crowding(level(1e-3, 20), level(1e-3, 100), 2) == 0.0
    assert seen_crowding(level(2e-3, 20), level(1e-3, 100), 2) == 0.0


@pytest.mark.parametrize(("n_jobs", "share"), [(2, 4.0), (3, 2.0), (5, 1.0)])
def test_items_that_take_longer_beside_workers_crowd_each_other_by_a_share_for_each_other_process(
    n_jobs: int, share: float
) -> None:
    assert seen_crowding(level(1e-3, 20), level(5e-3, 100), n_jobs) == pytest.approx(share)


def test_of_one_process_nothing_is_seen() -> None:
    assert seen_crowding(level(1e-3, 20), level(5e-3, 100), 1) is None


def test_of_items_too_short_to_tell_nothing_is_seen() -> None:
    assert seen_crowding(level(1e-6, 20), level(5e-3, 100), 2) is None
    assert seen_crowding(level(5e-3, 20), level(1e-6, 100), 2) is None
    assert seen_crowding([], level(5e-3, 100), 2) is None


def test_of_sorted_items_nothing_is_seen() -> None:
    assert seen_crowding(rising(10), rising(50, begin=11), 2) is None
    assert seen_crowding(level(1e-3, 1), rising(50), 2) is None
    assert seen_crowding(rising(10), level(50e-3, 50), 2) is None


def test_few_items_of_unequal_length_show_no_more_than_they_can() -> None:
    unequal = [(1, 2e-3), (1, 18e-3)] * 20
    assert seen_crowding(level(10e-3, 1), unequal, 2) == 0.0
    assert seen_crowding(level(4e-3, 1), unequal, 2) is None
    assert seen_crowding(level(1e-3, 1), [(1, 9e-3), (1, 11e-3)] * 20, 2) == pytest.approx(6.8, abs=1)


@pytest.mark.parametrize(("n_jobs", "lanes"), [(2, 1.25), (5, 2.0)])
def test_workers_slower_than_their_caller_leave_as_many_lanes_as_they_keep_up_with(n_jobs: int, lanes: float) -> None:
    crowding = seen_lag(level(1e-3, 100), level(4e-3, 25), n_jobs)
    assert crowding is not None
    assert n_jobs / (1 + crowding * (n_jobs - 1)) == pytest.approx(lanes)


def test_workers_nearly_as_fast_as_their_caller_or_faster_show_nothing() -> None:
    assert seen_lag(level(1e-3, 100), level(1.2e-3, 80), 2) is None
    assert seen_lag(level(4e-3, 25), level(1e-3, 100), 2) is None


def test_a_lag_that_chance_or_the_order_of_the_items_could_explain_is_none() -> None:
    unequal = [(1, 0.1e-3)] * 49 + [(1, 10e-3)] + [(1, 0.1e-3)] * 49 + [(1, 10e-3)]
    assert seen_lag(level(0.1e-3, 300), unequal, 2) is None
    assert seen_lag(rising(50), rising(50, begin=51), 2) is None
    assert seen_lag([], level(4e-3, 25), 2) is None
    assert seen_lag(level(1e-3, 100), level(4e-3, 25), 1) is None


def test_one_batch_of_workers_could_be_anything() -> None:
    assert seen_crowding(level(1e-3, 1), [(1, 2e-3)], 2) is None


# ---- what is believed


def known(crowding: float | None, *runs: Run) -> Profile:
    profile = Profile.of(level(1e-3, 10), NOW_S).replace(crowding=crowding)
    for each in runs:
        profile = profile.ran(each)
    return profile


def test_what_is_seen_first_is_believed_and_what_is_seen_later_by_half() -> None:
    assert believed_crowding(known(None), 4.0, run("process", 0.4)) == 4.0
    assert believed_crowding(known(2.0), 4.0, run("process", 0.4)) == 3.0


def test_a_run_with_workers_that_shows_nothing_changes_nothing() -> None:
    assert believed_crowding(known(2.0), None, run("process", 0.4)) is None
    assert believed_crowding(known(2.0), None, None) is None


def test_it_fades_with_every_run_in_the_loop() -> None:
    profile, n_runs = known(4.0), 0
    while (profile.crowding or 0.0) > 0.8:
        profile = profile.replace(crowding=believed_crowding(profile, None, run("serial", 0.1)))
        n_runs += 1
    assert 10 < n_runs < 20


def test_what_is_not_there_does_not_fade() -> None:
    assert believed_crowding(known(None), None, run("serial", 0.1)) is None
    assert believed_crowding(known(0.0), None, run("serial", 0.1)) is None


def test_a_loop_that_takes_longer_than_workers_took_for_as_many_items_refutes_it() -> None:
    workers = run("process", 0.1)
    assert believed_crowding(known(4.0, workers), None, run("serial", 0.2)) == 0.0
    assert believed_crowding(known(4.0, workers), None, run("serial", 0.05)) == pytest.approx(3.6)
    assert believed_crowding(known(4.0, workers), None, run("serial", 0.2, n_items=200)) == pytest.approx(3.6)
