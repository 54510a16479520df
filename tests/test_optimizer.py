"""`optimize`: a dry run on a few items, and the numbers for one's own multiprocessing.Pool."""

from __future__ import annotations

import errno
import multiprocessing
import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest

import amorsize
from amorsize import optimizer
from amorsize.advice.trial import Trial
from amorsize.calibration.costs import Costs
from amorsize.calibration.profile import Profile
from amorsize.engine import pools
from amorsize.identity import machine
from amorsize.optimizer import OptimizationResult, advise, measured
from amorsize.records import Capacity, Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def count_up(item: int) -> int:
    return sum(range(item, item + 100))


def halve(item: float) -> float:
    return item / 2


def refuse_seven(item: int) -> int:
    if item == 7:
        raise ValueError("seven")
    return item


def make_lock(_item: int) -> dict[str, object]:
    return {"name": "door", "lock": threading.Lock()}


def take_lock(_item: object) -> int:
    return 0


def fill(n_bytes: int) -> int:
    return len(b"\x01" * n_bytes)


def wait(_item: int) -> bool:
    return threading.Event().wait(0.01)


def optimize_in_a_worker(_item: int) -> str:
    return amorsize.optimize(count_up, range(100_000)).reason


listener: socket.socket | None = None
n_calls = 0


def accept(_item: int) -> str:
    return repr(listener)


def count_calls(item: int) -> int:
    global n_calls
    n_calls += 1
    return item


def advised(item_s: float = 1e-3, n_items: int | None = 100_000) -> OptimizationResult[int]:
    """Return the answer to a trial of five items that took `item_s` each."""
    profile = Profile.of([(1, item_s)] * 5, 1.8e9).replace(
        argument_bytes=20.0, result_bytes=20.0, worker_bytes=20.0 * 2**20
    )
    trial = Trial(profile=profile, n_sampled=5, shortest_s=item_s, sending_s=1e-6)
    return advise(count_up, trial, range(100_000), n_items)


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plan for a machine that is the same everywhere: four cores, ordinary prices, Pools that fork."""
    room = Capacity(n_cores=4, physical_cores=4, memory_bytes=8 << 30, rss_bytes=30 << 20)
    monkeypatch.setattr(optimizer, "capacity", lambda _now_s: room)
    monkeypatch.setattr(optimizer, "measured", Costs)
    monkeypatch.setattr(pools, "start_method", lambda: "fork")


# ---- the answer


def test_a_long_job_is_worth_a_pool_and_the_result_explains_itself() -> None:
    result = advised()
    assert result.n_jobs == 4
    assert 1 <= result.chunksize <= 25_000
    assert 1 < result.estimated_speedup <= 4
    assert result.item_s == pytest.approx(1e-3)
    assert result.serial_s == pytest.approx(100.0)
    assert result.predicted_s == pytest.approx(100.0 / result.estimated_speedup)
    assert result.chunk_s == pytest.approx(result.chunksize * 1e-3)
    assert result.break_even_items is not None
    assert 1 < result.break_even_items < 100_000
    assert result.result_bytes == 20.0
    assert result.warnings == ()


@pytest.mark.needs_fork
def test_the_numbers_are_those_of_a_plain_pool() -> None:
    result = amorsize.optimize(count_up, range(64))
    with multiprocessing.get_context("fork").Pool(result.n_jobs) as pool:
        assert pool.map(count_up, result.data, result.chunksize) == [count_up(item) for item in range(64)]


def test_a_job_too_small_stays_a_loop_and_says_why() -> None:
    result = amorsize.optimize(halve, [1.0, 2.0, 3.0])
    assert (result.n_jobs, result.estimated_speedup, result.chunk_s) == (1, 1.0, None)
    assert "no clear gain" in result.reason


def choice(is_parallel: bool) -> Plan:
    return Plan(backend="process" if is_parallel else "serial", n_jobs=2, chunksize=1, reason="")


@pytest.mark.parametrize("least", [1, 2, 3, 37, 64, 65])
def test_the_break_even_is_the_least_number_of_items_for_which_a_pool_is_chosen(least: int) -> None:
    assert optimizer.break_even(lambda n_items: choice(n_items >= least)) == least


def test_where_no_number_of_items_gains_there_is_no_break_even() -> None:
    assert optimizer.break_even(lambda _n_items: choice(False)) is None


def test_no_item_at_all_is_the_loop() -> None:
    nothing: list[int] = []
    result = amorsize.optimize(count_up, nothing)
    assert (result.n_jobs, result.chunksize, result.item_s, result.n_items) == (1, 1, None, 0)


def test_the_environment_s_ceiling_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMORSIZE_N_JOBS", "2")
    result = advised()
    assert (result.n_jobs, result.jobs_by_cores) == (2, 2)


def test_memory_limits_the_workers_and_the_result_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Capacity(n_cores=4, physical_cores=4, memory_bytes=50 << 20, rss_bytes=30 << 20)
    monkeypatch.setattr(optimizer, "capacity", lambda _now_s: room)
    result = advised()
    assert (result.n_jobs, result.jobs_by_memory) == (2, 2)
    assert result.warnings == ("there are cores for 4 workers, and memory for 2 only",)


def test_repr_and_print_tell_the_decision() -> None:
    result = advised()
    assert repr(result).startswith("OptimizationResult(n_jobs=4, chunksize=")
    assert str(result).startswith("use         multiprocessing.Pool(4), chunksize ")
    for told in ("because", "an item", "sends", "plain loop", "predicted", "a chunk", "break-even", "workers"):
        assert f"\n{told}" in str(result)


def test_verbose_prints_the_account_and_nothing_is_printed_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    result = amorsize.optimize(halve, [1.0])
    assert capsys.readouterr().out == ""
    amorsize.optimize(halve, [1.0], verbose=True)
    assert capsys.readouterr().out.startswith("use         the plain loop\nbecause")
    assert str(result).startswith("use         the plain loop\nbecause")


# ---- the data


def stream(n_items: int) -> Iterator[int]:
    yield from range(n_items)


def test_a_generator_comes_back_whole() -> None:
    result = amorsize.optimize(halve, stream(100))
    assert list(result.data) == list(range(100))


def test_a_generator_that_ends_within_the_sample_has_a_known_length() -> None:
    result = amorsize.optimize(halve, stream(3))
    assert result.n_items == 3
    assert list(result.data) == [0, 1, 2]


def test_a_generator_s_length_is_unknown_and_the_plan_says_what_was_assumed() -> None:
    assert amorsize.optimize(halve, stream(100)).n_items is None
    result = advised(1e-3, n_items=None)
    assert (result.n_items, result.serial_s, result.predicted_s) == (None, None, None)
    assert result.reason.startswith("nobody knows how many items come, so 10 s of work were assumed: 10,000 items")
    assert result.n_jobs == 4
    assert result.chunksize <= 20


def test_an_iterator_that_tells_its_length_is_planned_for_it() -> None:
    assert amorsize.optimize(halve, iter([1.0] * 20)).n_items == 20


def test_of_an_endless_iterator_only_the_sample_is_taken() -> None:
    taken: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            taken.append(len(taken))
            yield taken[-1]

    amorsize.optimize(halve, endless(), sample_size=3)
    assert taken == [0, 1, 2]


def test_a_container_is_given_back_itself() -> None:
    for container in ([1, 2, 3], {1, 2, 3}, {1: "a"}):
        assert amorsize.optimize(halve, container).data is container


def test_a_sequence_is_sampled_at_equal_distances() -> None:
    seen: list[int] = []
    amorsize.optimize(seen.append, range(100), sample_size=4)
    assert seen == [0, 25, 50, 75]


# ---- the trial


def test_the_function_is_called_once_for_each_sampled_item() -> None:
    before = n_calls
    amorsize.optimize(count_calls, range(1000), sample_size=7)
    assert n_calls - before == 7


def test_an_error_of_the_function_comes_back_as_itself_with_the_item() -> None:
    with pytest.raises(ValueError, match="seven") as caught:
        amorsize.optimize(refuse_seven, range(20), sample_size=20)
    assert "amorsize: raised by item 7: 7" in caught.value.__notes__


def test_a_result_that_cannot_be_pickled_is_named_with_its_place() -> None:
    result = amorsize.optimize(make_lock, range(1000))
    assert result.n_jobs == 1
    assert result.reason == result.warnings[0]
    assert result.reason.startswith(
        "the result of item 0 cannot be sent to another process: result['lock'] is a _thread.lock"
    )


def test_an_argument_that_cannot_be_pickled_is_named_with_its_place() -> None:
    items: list[object] = [[1], [2, threading.Lock()], [3]]
    result = amorsize.optimize(take_lock, items)
    assert result.reason.startswith(
        "the argument of item 1 cannot be sent to another process: argument[1] is a _thread.lock"
    )


def test_a_function_that_cannot_be_pickled_is_refused_with_the_cure() -> None:
    result = amorsize.optimize(lambda item: count_up(item), range(100_000))
    assert result.n_jobs == 1
    assert result.reason.startswith("a Pool cannot be sent the function (")
    assert result.reason.endswith("): define it at the top of a module")
    assert str(result).count("a Pool cannot be sent the function") == 1


@pytest.mark.needs_fork
def test_in_a_pool_s_worker_there_is_no_pool() -> None:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        (reason,) = pool.map(optimize_in_a_worker, [0])
    assert reason == "this process is the worker of a Pool, which cannot start processes of its own"


def test_a_live_handle_and_an_assigned_global_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as live:
        monkeypatch.setitem(globals(), "listener", live)
        warnings = amorsize.optimize(accept, range(10)).warnings
    assert but_waiting(warnings) == [
        "tests.test_optimizer:accept uses listener (socket.socket), which two processes must not share: open it inside "
        "the function"
    ]
    (warning,) = but_waiting(amorsize.optimize(count_calls, range(10)).warnings)
    assert "count_calls assigns the global n_calls" in warning


def but_waiting(warnings: tuple[str, ...]) -> list[str]:
    """Leave out that a function waits: on a machine that stalls any short one may look so."""
    return [text for text in warnings if "waits for" not in text]


def test_sending_more_than_is_computed_is_warned_of() -> None:
    result = amorsize.optimize(len, [bytes(10_000_000)] * 100)
    assert result.n_jobs == 1
    assert any(warning.startswith("pickling an item's argument and result takes") for warning in result.warnings)


def test_a_function_that_waits_is_told_of_threads() -> None:
    (warning,) = amorsize.optimize(wait, range(10)).warnings
    assert "wait waits for" in warning
    assert "many threads would gain more" in warning


@pytest.mark.skipif(machine.resident_bytes("/proc") is None, reason="only Linux tells the highest memory of a process")
def test_the_memory_that_an_item_takes_for_a_moment_is_seen() -> None:
    n_bytes = 256 << 20  # more than this test process ever held
    peak_bytes = amorsize.optimize(fill, [n_bytes]).trial.peak_bytes
    assert peak_bytes is not None
    assert peak_bytes > n_bytes / 2


# ---- wrong use


def test_a_sample_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="sample_size must be >= 1, got 0"):
        amorsize.optimize(halve, [1.0], sample_size=0)


@pytest.mark.parametrize("sample_size", [2.5, "5", True, None])
def test_a_sample_size_that_is_no_whole_number_is_refused(sample_size: object) -> None:
    with pytest.raises(TypeError, match="sample_size must be an int >= 1, got"):
        amorsize.optimize(halve, [1.0], sample_size=sample_size)  # type: ignore[arg-type]


def test_data_that_cannot_be_iterated_is_refused() -> None:
    with pytest.raises(TypeError, match=r"optimize takes an iterable, got 3 \(int\)"):
        amorsize.optimize(halve, 3)  # type: ignore[arg-type]


def test_something_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match="amorsize needs a function, got 3"):
        amorsize.optimize(3, [1])  # type: ignore[arg-type]


@pytest.mark.needs_fork
def test_where_workers_are_not_forked_their_start_is_assumed_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    forked = advised().break_even_items
    monkeypatch.setattr(pools, "start_method", lambda: "spawn")
    result = advised()
    assert forked is not None
    assert result.break_even_items is not None
    assert result.break_even_items > 2 * forked
    assert any("__main__" in warning and "their start was not measured" in warning for warning in result.warnings)


@pytest.mark.needs_fork
def test_costs_that_could_not_be_measured_are_told_and_measured_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(optimizer, "measured", measured)
    measured.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fork", refuse)
        (told,) = advised().warnings
    assert "is assumed" in told
    assert os.strerror(errno.EAGAIN) in told
    assert advised().warnings == ()
    assert measured().pool_s != Costs().pool_s


def test_on_this_very_machine_there_is_an_answer(fresh_python: Callable[..., str]) -> None:
    script = "import amorsize, math; print(repr(amorsize.optimize(math.factorial, [3000] * 1000)))"
    assert fresh_python("-c", script).startswith("OptimizationResult(n_jobs=")
