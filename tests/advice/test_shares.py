"""What a function's CPU time tells of it: one that waits, one that computes, one that was kept from computing."""

from __future__ import annotations

import threading

import pytest

from amorsize import pmap
from amorsize.advice.shares import (
    SPINS_S,
    CpuShare,
    believed_gil_free,
    lasting_share,
    own_batches,
    queued_s,
    seen_by_workers,
)
from amorsize.calibration.profile import Profile
from amorsize.engine import bare
from amorsize.engine.collect import Collector
from amorsize.engine.job import Job, Outcome
from amorsize.inline import Timings, Work
from amorsize.planning.model import NATIVE_FROM
from amorsize.records import Plan


def timed(seconds: float, cpu_s: float, process_s: float | None = None) -> Timings:
    timings = Timings()
    timings.used(seconds, cpu_s, cpu_s if process_s is None else process_s)
    return timings


def share_of(*windows: Timings, queued: list[float | None] | None = None, known: float | None = None) -> CpuShare:
    told = iter(queued or [None] * 2 * len(windows))
    share = CpuShare(known, lambda: next(told))
    for window in windows:
        share.look(window)
        share.begin()
    return share


def test_before_anything_lasted_long_enough_nothing_is_known() -> None:
    timings = Timings()
    timings.used(1e-5, 1e-5, 1e-5)
    assert share_of(timings, Timings()).value is None


def test_one_that_was_hardly_ever_queued_waits_for_sure() -> None:
    share = share_of(timed(1.0, 0.01), queued=[0.001])
    assert share.value == pytest.approx(0.01, rel=0.01)
    assert not share.is_unsure


def test_a_short_item_that_was_stalled_once_does_not_wait() -> None:
    stalled, usual = timed(5.3e-3, 0.25e-3), timed(1.0, 0.99)
    share = share_of(stalled, queued=[5.05e-3, 5.05e-3])
    assert (share.value, share.is_unsure) == (None, True)
    assert share_of(stalled, usual, queued=[5.05e-3, 5.05e-3]).value == 0.99


def test_one_that_computes_does_not_wait() -> None:
    assert share_of(timed(1.0, 0.99)).value == 0.99
    assert share_of(timed(1.0, 1.02)).value == 1.0


def test_one_in_between_is_believed_once_the_time_without_a_core_is_left_out() -> None:
    first, second = timed(1.0, 0.3), timed(2.0, 0.6)
    share = share_of(first, queued=[5.0, 5.5])
    assert (share.value, share.is_unsure) == (None, True)
    assert share_of(first, second, queued=[5.0, 5.5, 5.5]).value == pytest.approx(0.3)
    assert share_of(first, second, queued=[5.0, 5.5, 6.9]).value == pytest.approx(1.0)
    assert not share_of(first, second, queued=[5.0, 5.5, 6.9]).is_unsure


def test_a_first_item_that_waits_and_computes_may_have_loaded_something() -> None:
    first, second = timed(8e-3, 2e-3), timed(7e-3, 0.5e-3)
    first.add(1, 8e-3)
    second.add(1, 8e-3)
    second.add(1, 7e-3)
    assert (share_of(first, queued=[0.0, 0.0]).value, share_of(first, queued=[0.0, 0.0]).is_unsure) == (None, True)
    assert share_of(first, second, queued=[0.0, 0.0, 0.0, 0.0]).value == pytest.approx(0.07, abs=0.01)
    known = share_of(first, queued=[0.0, 0.0], known=0.2)
    assert (known.value, known.is_unsure) == (None, False)
    sleeps = timed(8e-3, 0.1e-3)
    sleeps.add(1, 8e-3)
    assert share_of(sleeps, queued=[0.0, 0.0]).value == pytest.approx(0.0125)


def test_beside_a_first_item_the_threads_of_what_ran_before_may_still_spin() -> None:
    first, second = timed(0.08, 0.08, 0.115), timed(0.06, 0.06, 0.06)
    first.add(1, 0.08)
    second.add(1, 0.08)
    second.add(1, 0.06)
    assert (share_of(first).value, share_of(first).is_unsure) == (None, True)
    assert share_of(first, second).value == 1.0
    known = share_of(first, known=1.0)
    assert (known.value, known.is_unsure) == (None, False)
    assert (share_of(first, known=1.9).value or 0.0) > NATIVE_FROM


def test_native_threads_are_told_of_by_a_call_that_outlasts_the_spinning_of_others() -> None:
    assert lasting_share(1.9, None, SPINS_S) == 1.9
    assert lasting_share(1.9, None, SPINS_S / 2) is None
    assert lasting_share(1.9, 1.0, SPINS_S / 2) == 1.0
    assert lasting_share(0.01, 1.0, 0.001) == 0.01
    assert lasting_share(None, 1.0, 0.001) is None


def test_where_the_system_does_not_tell_it_is_believed_the_second_time() -> None:
    first, second = timed(1.0, 0.3), timed(2.0, 0.6)
    assert share_of(first).is_unsure
    share = share_of(first, second)
    assert share.value == pytest.approx(0.3)
    assert not share.is_unsure


def test_native_threads_count_where_the_caller_takes_part() -> None:
    assert share_of(timed(1.0, 1.0, 1.9)).value == pytest.approx(1.9, rel=0.01)
    assert share_of(timed(1.0, 0.01, 1.9)).value is None  # somebody else's: what waits cannot be told from it


def test_native_threads_that_had_to_share_a_core_count_as_if_they_had_had_their_own() -> None:
    on_their_own, beside_others = timed(1.0, 1.0, 1.9), timed(2.0, 1.1, 2.09)
    assert share_of(beside_others, queued=[1.5, 1.5]).value == pytest.approx(
        1.9, rel=0.01
    )  # at first, the most it can be
    share = share_of(on_their_own, beside_others, queued=[0.0, 0.0, 0.9, 0.9])
    assert share.value == pytest.approx(1.9, rel=0.01)
    share = share_of(on_their_own, beside_others, queued=[0.0, 0.0, 0.0, 0.0])  # nobody else: it waits for them
    assert share.value == pytest.approx(2.09 / 2.0)
    assert not share.is_unsure


def test_native_threads_that_hardly_got_a_core_are_seen_once_the_time_without_one_is_left_out() -> None:
    first, second = timed(1.0, 0.3, 0.57), timed(2.0, 0.6, 1.14)
    assert share_of(first, second, queued=[5.0, 5.5, 6.9, 6.9]).value == pytest.approx(1.9, rel=0.01)


def test_native_threads_that_a_call_does_not_show_are_forgotten_slowly() -> None:
    assert share_of(timed(1.0, 1.0), known=2.0).value == pytest.approx(1.75)
    assert share_of(timed(1.0, 1.0, 1.2), known=2.0).value == pytest.approx(1.8, rel=0.01)
    assert share_of(timed(1.0, 1.0, 2.0), known=1.2).value == pytest.approx(2.0, rel=0.01)
    assert share_of(timed(1.0, 0.01), known=2.0, queued=[0.0]).value == pytest.approx(
        0.01, rel=0.01
    )  # it is another function by now
    assert share_of(timed(1.0, 0.6), known=1.0).value == 0.6


def test_beside_threads_that_compute_nothing_is_known() -> None:
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    try:
        assert share_of(timed(1.0, 0.01, 0.9)).value is None
        assert share_of(timed(1.0, 0.01, 0.02), queued=[0.0]).value == 0.01
    finally:
        done.set()
        other.join()


def test_native_threads_are_seen_beside_threads_that_rest() -> None:
    pmap(abs, range(40), backend="thread", n_jobs=3)
    assert bare.n_resting() > 0
    assert share_of(timed(0.1, 0.1, 0.2)).value == pytest.approx(2.0)


def test_a_system_that_tells_how_long_a_thread_was_queued_tells_it_in_seconds() -> None:
    told = queued_s()
    assert told is None or 0.0 <= told < 1e6


def computing(share: float | None) -> Profile:
    return Profile.empty().replace(cpu_share=share)


def ran(seconds: float, cpu_s: float, cores_used: float) -> Job:
    """Return a job of ten items that threads have run."""
    work = Work(abs, (range(10),))
    plan = Plan(backend="thread", n_jobs=4, chunksize=1, reason="")
    job = Job(work, Collector(work, []), plan, lambda _: None, None, None)
    job.cpu_timings, job.cores_used = Timings(), cores_used
    job.timings.add(10, seconds)
    job.cpu_timings.add(10, cpu_s)
    return job


def test_items_that_wait_take_the_time_that_they_took() -> None:
    assert own_batches(ran(1.0, 0.1, 0.4), computing(0.1)) == [(10, 1.0)]


def test_items_that_compute_take_the_time_that_their_cpu_time_tells_however_long_they_waited_for_each_other() -> None:
    assert own_batches(ran(4.0, 1.0, 1.0), computing(1.0)) == [(10, 1.0)]
    assert own_batches(ran(4.0, 0.8, 0.3), computing(0.8)) == [(10, 1.0)]
    assert own_batches(ran(4.0, 1.0, 1.0), computing(1.9)) == [
        (10, 1.0)
    ]  # of native threads, the one that waits for them counts


def test_seconds_beside_other_processes_become_seconds_alone() -> None:
    job = ran(5.0, 5.0, 2.0)
    job.plan = job.plan.replace(backend="process", n_jobs=2)
    assert own_batches(job, computing(1.0).replace(crowding=4.0)) == [(10, 1.0)]
    job.cpu_timings = None
    assert own_batches(job, computing(1.0).replace(crowding=0.0)) == own_batches(job, computing(1.0)) == [(10, 5.0)]


def test_threads_that_kept_no_core_busy_tell_the_share_of_a_function_that_nobody_knew() -> None:
    assert seen_by_workers(ran(1.0, 0.1, 0.4), computing(None), 1.8e9).cpu_share == pytest.approx(0.1)
    assert seen_by_workers(ran(4.0, 1.0, 1.0), computing(None), 1.8e9).cpu_share is None


def test_threads_that_wait_tell_the_share_that_belongs_to_what_they_took() -> None:
    seen = seen_by_workers(ran(2.0, 0.1, 0.4), computing(0.1), 1.8e9)
    assert seen.item.mean == pytest.approx(0.2)
    assert seen.cpu_share == pytest.approx(0.05)


def test_threads_never_change_the_share_of_a_function_that_computes() -> None:
    assert seen_by_workers(ran(9.0, 1.0, 0.1), computing(1.0), 1.8e9).cpu_share is None


# ---- threads that show what a ticker could not


def gil_free_after(
    cores_used: float, *, cpu_share: float = 1.0, n_items: int = 100, retreat: str | None = None
) -> float | None:
    """Return what is believed of a function whose ticker told 0.9, after 2 threads used so many of 2 cores."""
    job = Outcome(Plan(backend="thread", n_jobs=2, chunksize=5, reason=""))
    job.timings.add(n_items, 1.0)
    job.cores_used, job.retreat = cores_used, retreat
    return believed_gil_free([job], Profile(cpu_share=cpu_share, gil_free_share=0.9), 2.0)


def test_threads_that_use_no_more_cores_than_one_does_show_that_the_gil_is_held() -> None:
    assert gil_free_after(1.0) == pytest.approx(0.45)
    assert gil_free_after(0.8) == pytest.approx(0.45)
    assert gil_free_after(1.25) == pytest.approx((0.9 + 0.2) / 2)


def test_threads_that_were_given_up_show_it_too_whatever_ran_afterwards() -> None:
    assert gil_free_after(1.9, retreat="2 threads take as long as one") == pytest.approx(0.45)


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(gil_free_after(1.6), id="nearly all cores"),
        pytest.param(gil_free_after(0.2, cpu_share=0.1), id="a function that waits"),
        pytest.param(gil_free_after(1.0, n_items=7), id="too few items"),
    ],
)
def test_otherwise_what_a_ticker_tells_is_believed(shown: float | None) -> None:
    assert shown == 0.9


def test_where_no_ticker_told_anything_threads_change_nothing() -> None:
    job = Outcome(Plan(backend="thread", n_jobs=2, chunksize=5, reason=""))
    job.timings.add(100, 1.0)
    job.cores_used = 1.0
    assert believed_gil_free([job], Profile(cpu_share=1.0), 2.0) is None
