"""The workloads that every question about speed is asked over: what kind of work it is, and how much to give."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.launch import AT_ROOT, command
from benchmarks.machine import usable_cores
from benchmarks.sizes import Size, as_many, spinning, tried

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SERVE = AT_ROOT + "from benchmarks.server import serve; serve()"

USUAL_LOOP_S = 0.3
"""Seconds of the loop for which the counts of `_count` are meant."""

COARSE_S = 0.1
ITEMS_A_JOB = 8


class Kind(StrEnum):
    """What a workload's time goes into."""

    COMPUTES = "computes"
    MOVES = "moves bytes"
    WAITS = "waits"
    THREADS = "has native threads"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Something to map.

    Attributes:
        name: in `workloads`.
        about: what an item is, in words.
        size: returns how much of it makes a plain loop of so many seconds.
        kind: what its time goes into.
        allocates: whether items allocate heavily: two at once then slow each other down in the kernel.
        is_listed: whether it counts for the means over all workloads.
        needs_server: whether the number of its size is the port of a local server.
    """

    name: str
    about: str
    size: Callable[[float], Size]
    kind: Kind = Kind.COMPUTES
    allocates: bool = False
    is_listed: bool = True
    needs_server: bool = False


def _count(n_items: int, loop_s: float) -> Size:
    """Return a fixed number of items at the usual length, and in proportion at others."""
    return Size(max(1, round(n_items * loop_s / USUAL_LOOP_S)))


def _coarse(loop_s: float) -> Size:
    """Return 8 items a job of 0.1 s each, shorter ones where the loop is to be short."""
    item_s = min(COARSE_S, COARSE_S * loop_s / USUAL_LOOP_S)
    return replace(spinning(item_s, 0.0), n_items=ITEMS_A_JOB * usable_cores())


def _large(loop_s: float) -> Size:
    """Return two items a job at least, of some 0.2 s each: fewer could not be shared out."""
    return Size(max(2 * usable_cores(), round(loop_s / 0.2)))


def _loop(item_s: float) -> Callable[[float], Size]:
    return partial(spinning, item_s)


def _tried(name: str) -> Callable[[float], Size]:
    return partial(tried, name)


TOUR = (
    Workload(name="noop", about="items that do nothing, 1,000,000", size=partial(_count, 1_000_000)),
    Workload(name="pairs", about="items that make a pair, 1,000,000", size=partial(_count, 1_000_000), is_listed=False),
    Workload(name="loop_1us", about="items of 1 us", size=_loop(1e-6)),
    Workload(name="loop_30us", about="items of 30 us", size=_loop(30e-6)),
    Workload(name="loop_1ms", about="items of 1 ms", size=_loop(1e-3)),
    Workload(name="loop_10ms", about="items of 10 ms", size=_loop(10e-3)),
    Workload(name="lognormal", about="items of log-normal length, 0.3 ms on average", size=_loop(0.3e-3)),
    Workload(name="bimodal", about="one item in 50 is 100 times as long", size=_loop(0.3e-3)),
    Workload(name="sorted_up", about="items that get longer", size=_loop(0.3e-3)),
    Workload(name="sorted_down", about="items that get shorter", size=_loop(0.3e-3)),
    Workload(name="giant_last", about="the last item takes a quarter of the loop", size=_loop(0.3e-3)),
    Workload(name="first_call_slow", about="0.2 s of warm-up in the first call of a process", size=_loop(1e-3)),
    Workload(name="sha256_64k", about="hash 64 KB, without the GIL", size=_tried("sha256_64k")),
    Workload(name="zlib_1m", about="pack 1 MB, without the GIL", size=_tried("zlib_1m")),
    Workload(name="json_20k", about="parse and write 20 KB of JSON", size=_tried("json_20k"), allocates=True),
    Workload(name="regex", about="find addresses in 5 KB of text", size=_tried("regex")),
    Workload(name="stdlib_ast", about="parse files of the standard library", size=_tried("stdlib_ast"), allocates=True),
    Workload(name="numpy_fft_1m", about="transform a million points", size=_tried("numpy_fft_1m"), allocates=True),
    Workload(name="numpy_matmul", about="multiply matrices", size=_tried("numpy_matmul"), kind=Kind.THREADS),
    Workload(name="big_args", about="250 arguments of 1 MB", size=partial(_count, 250), kind=Kind.MOVES),
    Workload(
        name="big_results", about="250 results of 1 MB", size=partial(_count, 250), kind=Kind.MOVES, allocates=True
    ),
    Workload(
        name="big_arrays",
        about="250 results of 1 MB, as arrays",
        size=partial(_count, 250),
        kind=Kind.MOVES,
        allocates=True,
        is_listed=False,
    ),
    Workload(name="sleep_5ms", about="wait for 5 ms", size=partial(as_many, 5e-3), kind=Kind.WAITS),
    Workload(
        name="http_local",
        about="ask a local server that answers after 5 ms",
        size=partial(as_many, 6e-3),
        kind=Kind.WAITS,
        needs_server=True,
    ),
    Workload(name="generator", about="items of 0.3 ms out of a generator", size=_loop(0.3e-3)),
    Workload(name="memory_200m", about="touch 200 MB", size=_large, kind=Kind.MOVES, allocates=True),
    Workload(name="coarse", about="8 items of 0.1 s a core", size=_coarse),
    Workload(
        name="long_strings",
        about="200,000 results of 100 characters",
        size=partial(_count, 200_000),
        kind=Kind.MOVES,
        allocates=True,
    ),
)


def named(name: str) -> Workload:
    """Return the workload of this name."""
    return next(workload for workload in TOUR if workload.name == name)


@contextmanager
def ready(workload: Workload, loop_s: float) -> Iterator[Size]:
    """Give the size of a workload whose loop takes about so many seconds, and run the server that it needs."""
    size = workload.size(loop_s)
    if not workload.needs_server:
        yield size
        return
    with local_server() as port:
        yield replace(size, number=port)


@contextmanager
def local_server() -> Iterator[int]:
    """Run a local server in a process of its own, and give its port."""
    with subprocess.Popen(
        command(SERVE), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.stdin.close()
            server.wait()
