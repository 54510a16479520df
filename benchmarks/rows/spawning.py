"""Workers that are fresh interpreters: the first call, which starts them, and the second, which finds them warm."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, Row, missing, ratios
from benchmarks.launch import Child, ContenderFailed
from benchmarks.pairing import in_turn
from benchmarks.sizes import Size, spinning

if TYPE_CHECKING:
    from benchmarks.pairing import Effort

OURS = "pmap-spawn"
PEERS = {"spawn-pool": "spawn Pool", "loky": "loky"}
FEW = Size(100)


def spawning(effort: Effort) -> list[Row]:
    """Compare first and second calls beside multiprocessing's spawn Pool and loky: empty items, and a workload."""
    rows, running = [], []
    for peer, label in {OURS: OURS, **PEERS}.items():
        try:
            with Child(peer) as child:
                child.call("noop", FEW)
            running.append(peer)
        except ContenderFailed as failed:
            rows.append(missing("spawn", "", label, str(failed)))
    for workload, size in (("noop", FEW), ("loop_1ms", spinning(1e-3, effort.loop_s))):
        rows += _rows(workload, size, running, effort)
    return rows


def _rows(workload: str, size: Size, running: list[str], effort: Effort) -> list[Row]:
    second: dict[str, list[float]] = {peer: [] for peer in running}

    def first_call(peer: str) -> float:
        with Child(peer) as child:
            seconds = child.call(workload, size)
            second[peer].append(child.call(workload, size))
        return seconds

    first = in_turn({peer: partial(first_call, peer) for peer in running}, effort.n_rounds)
    second = {peer: seconds[1:] for peer, seconds in second.items()}
    return [
        Row(
            benchmark="spawn",
            measure=f"{which} call, {workload}: {PEERS[peer]} / {OURS if OURS in running else running[0]}",
            unit="x",
            figure=Figure.of(ratios(seconds[peer], seconds.get(OURS, seconds[running[0]]))),
            seconds={each: seconds[each] for each in running},
        )
        for which, seconds in (("first", first), ("second", second))
        for peer in running
        if peer != OURS and (OURS in running or peer != running[0])
    ]
