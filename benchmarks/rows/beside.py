"""`pmap` beside the loop and `multiprocessing.Pool`: in a process that knows nothing, in the next one, and warm."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, Goal, Row, ratios
from benchmarks.launch import Child, cold_call
from benchmarks.machine import usable_cores
from benchmarks.pairing import in_turn
from benchmarks.sizes import Size, spinning

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from benchmarks.pairing import Effort

NEVER_SLOWER = Goal(bound=0.98, at_least=True)
FASTER = Goal(bound=1.6, at_least=True)
AS_GOOD_AS_POOL = Goal(bound=1.0, at_least=True)
AS_GOOD_AS_THE_BEST = Goal(bound=0.95, at_least=True)
THRICE_THE_BEST = Goal(bound=3.0, at_least=True)

EVERY_ITEM_ALONE = 5_000
"""The search tries chunks of one item up to this many items: beyond, it takes seconds and never wins."""


def beside_loops(benchmark: str, item_s: float, against_loop: Goal, effort: Effort) -> list[Row]:
    """Compare over spinning items of `item_s` seconds."""
    goals = {"loop": against_loop, "Pool": AS_GOOD_AS_POOL, "best Pool": AS_GOOD_AS_THE_BEST}
    return _beside(benchmark, "spin", spinning(item_s, effort.loop_s), goals, effort)


def beside_big_results(benchmark: str, effort: Effort) -> list[Row]:
    """Compare over results of 1 MB, where moving them costs more than making them."""
    goals = {"loop": NEVER_SLOWER, "Pool": AS_GOOD_AS_POOL, "best Pool": THRICE_THE_BEST}
    return _beside(benchmark, "megabyte", Size(round(250 * effort.loop_s / 0.3)), goals, effort)


def _beside(benchmark: str, workload: str, size: Size, goals: Mapping[str, Goal], effort: Effort) -> list[Row]:
    peers = {"loop": "loop", "pmap": "pmap", "Pool": "pool", "best Pool": f"pool:{_best_chunksize(workload, size)}"}
    cold = in_turn({name: partial(cold_call, peer, workload, size) for name, peer in peers.items()}, effort.n_rounds)
    known = _in_next_processes(workload, size, effort)
    with ExitStack() as open_children:
        children = {name: open_children.enter_context(Child(peer)) for name, peer in peers.items()}
        warm = in_turn({name: partial(child.call, workload, size) for name, child in children.items()}, effort.n_rounds)
    modes = {"cold": cold, "next process": known, "warm": warm}
    return [row for mode, seconds in modes.items() for row in _rows(benchmark, mode, seconds, goals)]


def _in_next_processes(workload: str, size: Size, effort: Effort) -> dict[str, list[float]]:
    """Measure first calls of fresh processes, each of which finds what the ones before it have learned."""
    with TemporaryDirectory(prefix="benchmarks-") as home:
        return in_turn(
            {peer: partial(cold_call, peer, workload, size, home) for peer in ("loop", "pmap")}, effort.n_rounds
        )


def _rows(benchmark: str, mode: str, seconds: Mapping[str, list[float]], goals: Mapping[str, Goal]) -> Iterable[Row]:
    for peer, goal in goals.items():
        if peer in seconds:
            yield Row(
                benchmark=benchmark,
                measure=f"{mode}: {peer} / pmap",
                unit="x",
                figure=Figure.of(ratios(seconds[peer], seconds["pmap"])),
                goal=goal,
                seconds={peer: seconds[peer], "pmap": seconds["pmap"]},
            )


def _best_chunksize(workload: str, size: Size) -> int:
    """Search the chunk size at which a warm Pool is quickest: each candidate runs three times, its best time counts."""
    n_items, n_jobs = size.n_items, usable_cores()
    candidates = {max(1, n_items // (n_jobs * parts)) for parts in (1, 4, 16, 64)}
    if n_items <= EVERY_ITEM_ALONE:
        candidates.add(1)
    found_s = {}
    for chunksize in sorted(candidates):
        with Child(f"pool:{chunksize}") as child:
            found_s[chunksize] = min(child.call(workload, size) for _ in range(3))
    return min(found_s, key=found_s.__getitem__)
