"""How much memory processes hold, and what a call learns of it."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from amorsize import footprint

if TYPE_CHECKING:
    from collections.abc import Callable

MB = 1 << 20

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody knows what a process has held before")


def test_what_a_process_holds_is_at_most_what_it_has_held() -> None:
    held, highest = footprint.of() or (0, 0)
    assert 0 < held <= highest


def test_another_process_can_be_asked_for_until_it_has_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert footprint.of(child.pid) is not None
    child.communicate(b"\n")
    assert footprint.of(child.pid) is None


def test_elsewhere_psutil_tells() -> None:
    held, highest = footprint._asked_of_psutil("self") or (0, 0)
    assert 0 < held <= highest
    assert footprint._asked_of_psutil(os.getpid()) is not None
    assert footprint._asked_of_psutil(2**22 + 1) is None  # no system's process has such a number


@on_linux
def test_what_others_share_is_none_of_its_own() -> None:
    before, highest_before = footprint.of() or (0, 0)
    with mmap.mmap(-1, 128 * MB) as shared:
        shared[:: mmap.PAGESIZE] = b"x" * len(shared[:: mmap.PAGESIZE])
        held, highest = footprint.of() or (0, 0)
    assert held - before < 32 * MB
    assert highest - highest_before < 32 * MB


RISING = """
from amorsize import footprint
def touch(n_bytes):
    held = bytearray(n_bytes)
    held[::4096] = b"x" * len(held[::4096])
    return len(held)
touch(128 << 20)
footprint.begin(0.0)
print(footprint.risen())
touch(64 << 20)
print(footprint.risen())
touch(256 << 20)
footprint.begin(0.001)  # of a call that comes at once
print((footprint.risen() or 0) >> 20)
print(footprint.risen())
"""

BETWEEN = """
touch(512 << 20)
footprint.begin(1.0)  # of a later call
print(footprint.risen())
touch(768 << 20)
print((footprint.risen() or 0) >> 20)
"""


@on_linux
def test_a_process_that_exceeds_all_it_held_before_shows_by_how_much(fresh_python: Callable[..., str]) -> None:
    """The first look hides what was held before it; a smaller peak than an earlier one is hidden as well."""
    first, smaller, larger, again = fresh_python("-c", RISING).split()
    assert (first, smaller, again) == ("None", "None", "None")
    assert 240 <= int(larger) <= 270


@on_linux
def test_what_a_program_holds_between_two_calls_is_none_that_items_need(fresh_python: Callable[..., str]) -> None:
    *_, between, then = fresh_python("-c", RISING + BETWEEN).split()
    assert between == "None"
    assert 740 <= int(then) <= 790


# ---- calls whose items need more memory than there is for all workers


HEAVY = """
import sys
from amorsize import WorkerDied, footprint, pmap
from amorsize.advice import adviser
from amorsize.advice.knowledge import look_up
from amorsize.advice.shares import CpuShare
from amorsize.identity import machine
from amorsize.planning import planner
CpuShare.look = lambda share, _: setattr(share, "value", 1.0)
adviser.worth_a_ticker = lambda *_: False
adviser.Adviser.reconsider = planner._why_no_gain = lambda *_: None
free_bytes = {free} << 20
machine.free_bytes = lambda *_: free_bytes
machine.n_physical_cores = lambda *_: None
machine.os.sched_getaffinity = lambda _: set(range(4))
def heavy(n_bytes):
    held = bytearray(n_bytes)
    for _ in range(4):  # long enough to be weighed, however fast memory is
        held[::4096] = b"x" * len(held[::4096])
    return len(held)
def needs():
    return int((look_up(heavy, ITEMS, cache=True).profile.worker_bytes or 0) / 2**20)
ITEMS = [256 << 20] * 6
"""
"""A program on four cores, with so many MB of free memory, and items that need 256 each. Memory alone decides: what a
busy machine makes of items, gains and workers does not."""

CALL = """
from amorsize import parallelizable
heavy = parallelizable(heavy)
for _ in range(2):
    assert heavy.pmap(ITEMS{options}) == ITEMS
    print(heavy.last_run.backend, heavy.last_run.n_jobs, needs(), heavy.last_run.reason, sep="|")
"""


def runs(fresh_python: Callable[..., str], free_mb: int, options: str = "") -> list[tuple[str, int, int, str]]:
    """Return backend, number of workers, MB that a worker is believed to need, and reason of two calls."""
    told = fresh_python("-c", HEAVY.format(free=free_mb) + CALL.format(options=options)).splitlines()
    rows = [line.split("|", 3) for line in told]
    return [(backend, int(n_jobs), int(needed), why) for backend, n_jobs, needed, why in rows]


@on_linux
@pytest.mark.needs_fork
def test_the_caller_s_own_first_item_keeps_the_first_call_within_memory(fresh_python: Callable[..., str]) -> None:
    for backend, n_jobs, needed, why in runs(fresh_python, free_mb=800):
        assert (backend, n_jobs) == ("process", 2)
        assert "there is memory for 2 only" in why
        assert 256 <= needed <= 300


@on_linux
@pytest.mark.needs_fork
def test_where_two_may_not_fit_a_single_worker_tells_and_the_next_call_is_the_loop(
    fresh_python: Callable[..., str],
) -> None:
    (backend, n_jobs, needed, why), (then, _, _, then_why) = runs(fresh_python, free_mb=400)
    assert (backend, n_jobs) == ("process", 1)
    assert "it tells what memory an item needs" in why
    assert 256 <= needed <= 300
    assert (then, then_why) == ("serial", "there is memory for one process only")


@on_linux
@pytest.mark.parametrize("method", [pytest.param("fork", marks=pytest.mark.needs_fork), "spawn"])
def test_workers_tell_what_the_caller_could_not(method: str, fresh_python: Callable[..., str]) -> None:
    options = f', isolate=True, start_method="{method}"'
    (_, n_jobs, needed, _), (_, n_then, _, why) = runs(fresh_python, 800, options)
    assert (n_jobs, n_then) == (4, 2)
    assert 256 <= needed <= 300
    assert "there is memory for 2 only" in why


ONCE = """
loaded = []
def once(n_bytes):  # what the first call of a process loads takes memory for a moment, and no later one's does
    if not loaded:
        loaded.append(heavy(256 << 20))
    return heavy(2 << 20)
from amorsize import parallelizable
once = parallelizable(once)
for _ in range(2):
    once.pmap([1, 2, 3, 4, 5, 6] * 40)
    print(once.last_run.backend, once.last_run.n_jobs)
"""


@on_linux
@pytest.mark.needs_fork
def test_what_the_first_call_loads_does_not_keep_later_ones_in_the_loop(fresh_python: Callable[..., str]) -> None:
    first, then = fresh_python("-c", HEAVY.format(free=400) + ONCE).splitlines()
    assert first == "process 1"
    assert then == "process 4"


MAPPED = """
import mmap
pages = mmap.mmap(-1, 256 << 20)
def reads(at):
    for _ in range(2):  # long enough to be weighed
        sum(pages[at :: mmap.PAGESIZE // 4])
    return at
from amorsize import parallelizable
reads = parallelizable(reads)
for _ in range(2):
    reads.pmap(range(8), isolate=True)
    print("memory" in reads.last_run.reason)
"""


@on_linux
@pytest.mark.needs_fork
def test_what_all_workers_share_does_not_keep_any_of_them_out(fresh_python: Callable[..., str]) -> None:
    assert fresh_python("-c", HEAVY.format(free=400) + MAPPED).split() == ["False", "False"]


KEEPS = """
from amorsize.engine.spawn import warm
machine._BELIEVED_S = 0.0
machine.free_bytes = lambda *_: (1600 << 20) - sum(footprint.of(worker.process.pid)[0] for worker in warm._resting)
kept = []
def keeps(n_bytes):
    if not kept:
        kept.append(bytearray(256 << 20))
        kept[0][::4096] = b"x" * len(kept[0][::4096])
    return heavy(n_bytes)
from amorsize import parallelizable
keeps = parallelizable(keeps)
for _ in range(2):
    keeps.pmap([8 << 20] * 40, isolate=True, start_method="spawn")
    print("memory" in keeps.last_run.reason)
"""


@on_linux
def test_what_warm_interpreters_have_loaded_does_not_keep_them_out_of_the_next_call(
    fresh_python: Callable[..., str],
) -> None:
    assert fresh_python("-c", HEAVY.format(free=1600) + KEEPS).split() == ["False", "False"]


DIES = """
import os, signal, time
def dies(at):
    if at < 5:
        return heavy(256 << 20)
    for _ in range(4):  # all others are done by then, and weighed
        heavy(256 << 20)
    os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does where memory runs out
for _ in range(2):
    try:
        pmap(dies, range(6), isolate=True{options})
    except WorkerDied as died:
        print(len(died.finished))
    print(int((look_up(dies, [0, 2, 5], cache=True).profile.worker_bytes or 0) / 2**20) in range(256, 300))
"""


@on_linux
@pytest.mark.needs_fork
@pytest.mark.parametrize("options", ["", ", retries=1"], ids=["takes itself", "is fed"])
def test_a_call_that_died_for_lack_of_memory_teaches_the_next_one(
    options: str, fresh_python: Callable[..., str]
) -> None:
    assert fresh_python("-c", HEAVY.format(free=8000) + DIES.format(options=options)).split() == ["5", "True"] * 2
