"""What the library promises, one test a promise, by what its public names do.

The ten checks of a dry run and of a call: generators, picklability, physical cores, start cost by operating system and
method, fast fail, break-even, chunksize, exceptions, memory, serialisation cost. Then shared state.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import psutil
import pytest

import amorsize
from amorsize import AmorsizeWarning, parallelizable, pmap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from amorsize.records import RunReport

CAN_FORK = hasattr(os, "fork") and hasattr(os, "memfd_create")
N_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
needs_two_cores = pytest.mark.skipif(N_CORES < 2, reason="on one core no call leaves the caller")

LONG = [20_000] * 300
"""A tenth of a second of work and more: enough for workers to pay."""


@parallelizable
def burn(n: int) -> int:
    return sum(range(n))


@parallelizable
def whose(n: int) -> tuple[int, int]:
    return os.getpid(), burn(n)


def report(func: Any) -> RunReport:
    """Return what really happened in the last call."""
    found: RunReport = func.last_run
    return found


# ---- the ten checks


def test_generators_are_sampled_and_given_back_whole_and_each_item_is_called_once() -> None:
    pulled: list[int] = []

    def stream() -> Iterator[int]:
        for item in range(500):
            pulled.append(item)
            yield item

    result = amorsize.optimize(burn, stream(), sample_size=4)
    assert pulled == [0, 1, 2, 3]
    assert list(result.data) == list(range(500))
    called: list[int] = []
    assert pmap(called.append, stream()) == [None] * 500
    assert called == list(range(500))


@pytest.mark.usefixtures("gaining")
def test_picklability_of_function_arguments_and_results_is_found_out_before_any_worker_takes_an_item() -> None:
    def locking(n: int) -> tuple[int, object]:
        return os.getpid(), (burn(n), threading.Lock())

    assert "define it at the top of a module" in amorsize.optimize(partial(locking), LONG).reason
    assert "argument[1] is a _thread.lock" in amorsize.optimize(len, [(1, threading.Lock())] * 9).reason
    decorated = parallelizable(locking)
    for _ in range(3):  # what was found out of the first call's results holds for those of later ones
        assert {pid for pid, _ in decorated.pmap(LONG)} == {os.getpid()}
        if N_CORES > 1:
            assert "cannot be sent between processes" in report(decorated).reason
    assert {pid for pid, _ in decorated.pimap(iter(LONG))} == {os.getpid()}


def test_physical_cores_are_told_and_a_hyper_thread_is_none(fresh_python: Callable[..., str]) -> None:
    capacity = json.loads(fresh_python("-m", "amorsize", "doctor", "--json"))["capacity"]
    assert 1 <= capacity["n_cores"] <= (psutil.cpu_count() or 1)
    if capacity["physical_cores"] is not None:
        assert 1 <= capacity["physical_cores"] <= capacity["n_cores"]
        assert capacity["physical_cores"] <= (psutil.cpu_count(logical=False) or N_CORES)


def test_start_cost_is_that_of_the_operating_system_s_own_method_and_of_the_one_asked_for() -> None:
    burn.pmap([2_000] * 50)  # now it is known
    asked: dict[str, Any] = {"backend": "process", "n_jobs": 2}
    usual, fresh = burn.options(**asked).explain(LONG), burn.options(start_method="spawn", **asked).explain(LONG)
    assert fresh.start_method == "spawn"
    assert usual.start_method == ("fork" if CAN_FORK else "spawn")
    assert usual.predicted_s is not None
    assert fresh.predicted_s is not None
    if usual.start_method == "fork":
        assert usual.predicted_s < fresh.predicted_s


@pytest.mark.usefixtures("computing")
def test_fast_fail_a_job_too_small_is_the_loop_and_says_so() -> None:
    assert {pid for pid, _ in whose.pmap([3, 4, 5])} == {os.getpid()}
    assert report(whose).backend == "serial"
    assert "too little to gain for workers" in report(whose).reason
    result = amorsize.optimize(burn, [3, 4, 5])
    assert (result.n_jobs, result.estimated_speedup) == (1, 1.0)
    assert "no clear gain" in result.reason


@needs_two_cores
def test_break_even_tells_from_how_many_items_on_workers_pay() -> None:
    least = amorsize.optimize(burn, [20_000] * 10).break_even_items
    assert least is not None
    assert amorsize.optimize(burn, [20_000]).n_jobs == 1
    assert amorsize.optimize(burn, [20_000] * (20 * least)).n_jobs > 1


@needs_two_cores
def test_chunksize_leaves_work_for_all_and_is_small_where_items_are_long() -> None:
    result = amorsize.optimize(burn, [20_000] * 10_000)
    assert 1 <= result.chunksize <= 10_000 // result.n_jobs
    short, long = (amorsize.optimize(burn, (n for _ in range(10_000))) for n in (1_000, 200_000))
    assert long.chunksize < short.chunksize
    assert [burn.pmap(range(50), backend="process", n_jobs=2, chunksize=size) for size in (1, 7, 1000)] == [
        [burn(n) for n in range(50)]
    ] * 3


def test_exceptions_of_a_sampled_item_are_the_user_s_and_come_at_once() -> None:
    called: list[int] = []

    def fail(item: int) -> None:
        called.append(item)
        raise KeyError("theirs")

    for call in (partial(amorsize.optimize, fail), partial(pmap, fail)):
        with pytest.raises(KeyError, match="theirs") as caught:
            call(range(1000))
        assert any("raised by item 0: 0" in note for note in caught.value.__notes__)
    assert called == [0, 0]


MANY_BYTES = 300 << 20
"""More than this test process has ever held: only a new highest mark is seen."""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the highest memory of a process")
def test_memory_for_each_worker_s_items_is_a_ceiling(fresh_python: Callable[..., str]) -> None:
    script = f"""
import amorsize, psutil
result = amorsize.optimize(lambda n: len(b"x" * n), [{MANY_BYTES}] * 5, sample_size=1)
most = psutil.virtual_memory().total // {MANY_BYTES}
print(1 <= result.jobs_by_memory <= most, result.n_jobs <= min(result.jobs_by_cores, result.jobs_by_memory))
"""
    assert fresh_python("-c", script) == "True True\n"


def test_serialisation_cost_that_exceeds_the_work_keeps_it_in_the_loop() -> None:
    big = bytes(5_000_000)
    result = amorsize.optimize(len, [big] * 100)
    assert result.n_jobs == 1
    assert any(warning.startswith("pickling an item's argument and result takes") for warning in result.warnings)

    @parallelizable
    def copy(n: int) -> tuple[int, bytes]:
        return os.getpid(), bytes(n)

    assert {pid for pid, _ in copy.pmap([1_000_000] * 100)} == {os.getpid()}
    assert report(copy).backend == "serial"


# ---- shared state

FACTOR = 1
COUNTED = 0


def multiply(n: int) -> tuple[int, int]:
    return burn(n) * 0 + FACTOR, os.getpid()


def count(n: int) -> int:
    global COUNTED
    COUNTED += 1
    return burn(n)


@pytest.mark.parametrize("method", ["auto", "spawn"])
def test_a_global_that_changed_is_seen_by_every_worker(method: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (2, 3):
        monkeypatch.setitem(globals(), "FACTOR", value)
        found = pmap(multiply, [100] * 20, isolate=True, n_jobs=2, start_method=method)
        assert {factor for factor, _ in found} == {value}
        assert os.getpid() not in {pid for _, pid in found}


@needs_two_cores
@pytest.mark.parametrize("method", ["auto", "spawn"])
@pytest.mark.usefixtures("gaining")
def test_a_function_that_assigns_a_global_is_warned_about_once_by_name(method: Any) -> None:
    def counting(n: int) -> int:
        return count(n)

    counting.__qualname__ = f"counting_{method}"
    with pytest.warns(AmorsizeWarning, match=f"counting_{method} assigns the global COUNTED"):
        pmap(counting, LONG, start_method=method)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pmap(counting, LONG, start_method=method)
