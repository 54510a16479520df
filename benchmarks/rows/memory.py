"""Memory: of the caller where a long stream goes through it, and of caller and workers where items are large."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import partial
from statistics import median
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import TYPE_CHECKING

import psutil

from amorsize import parallelizable
from benchmarks.contest import SPELLED
from benchmarks.figures import Figure, Goal, Row, failure, missing, ratios
from benchmarks.launch import AT_ROOT, Child, ContenderFailed, told_s
from benchmarks.pairing import in_turn
from benchmarks.tour import named, ready
from benchmarks.workloads.moving import MEGABYTE

if TYPE_CHECKING:
    from benchmarks.pairing import Effort
    from benchmarks.sizes import Size

ITEMS_PER_S = 33_333_333
"""Items of the stream for each second of a workload's loop: 0.3 s give 10^7."""

STREAM_LIMIT_S = 300.0

STREAM = """
import amorsize
@amorsize.parallelizable
def double(number):
    return 2 * number
def resident_mib(field):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field + ":"))
double.pmap(range(1000))
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
before_mib = resident_mib("VmRSS")
total = sum(double.pimap(number for number in range(int(sys.argv[2]))))
assert total == int(sys.argv[2]) * (int(sys.argv[2]) - 1)
print(resident_mib("VmHWM") - before_mib)
"""

MEASURED = ("pmap", "pool", "executor", "joblib", "mpire")
SAMPLED_EVERY_S = 0.05


def stream(effort: Effort) -> list[Row]:
    """Measure the growth of the caller's memory while a long generator goes through `pimap`."""
    n_items = round(effort.loop_s * ITEMS_PER_S)
    measure = f"caller's growth, {n_items:.0e} items through pimap"
    if not hasattr(parallelizable(lambda number: number), "pimap"):
        return [missing("stream", "P11", measure, "this version has no pimap")]
    if sys.platform != "linux":
        return [missing("stream", "P11", measure, "only Linux tells a process's highest memory use")]
    with TemporaryDirectory(prefix="benchmarks-") as home:
        (grown_mib,) = told_s(AT_ROOT + STREAM, home, str(n_items), limit_s=STREAM_LIMIT_S)
    figure = Figure(median=grown_mib, low=grown_mib, high=grown_mib, n_rounds=None)
    return [Row(benchmark="stream", number="P11", measure=measure, unit="MiB", figure=figure, goal=Goal(bound=32))]


def memory(effort: Effort) -> list[Row]:
    """Measure the peak of the memory that caller and workers have together, beside the peers as documented."""
    if sys.platform != "linux":
        return [missing("memory", "P16", "peak of all processes", "only Linux tells what processes share")]
    return [row for name in ("big_args", "big_results", "memory_200m") for row in _rows(name, effort)]


def _rows(workload: str, effort: Effort) -> list[Row]:
    failures: list[Row] = []
    with ready(named(workload), effort.loop_s) as size, ExitStack() as open_children:
        children = {}
        for peer in MEASURED:
            child = open_children.enter_context(Child(peer))
            try:
                child.call(workload, size)
                children[peer] = partial(_peak_bytes, child, workload, size)
            except ContenderFailed as failed:
                failures.append(failure("memory", f"{workload}: {peer}", str(failed)))
        peaks = in_turn(children, effort.n_tour_rounds)
    middle = {peer: median(found) for peer, found in peaks.items()}
    best = min((peer for peer in middle if peer != "pmap"), key=middle.__getitem__)
    row = Row(
        benchmark="memory",
        number="P16",
        measure=f"{workload}: pmap / {SPELLED.get(best, best)}",
        unit="x",
        figure=Figure.of(ratios(peaks["pmap"], peaks[best])),
        goal=Goal(bound=1.0),
        note=", ".join(f"{peer} {peak_bytes / MEGABYTE:.0f} MB" for peer, peak_bytes in middle.items()),
    )
    if workload != "big_results":
        return [row, *failures]
    beside_results = Row(
        benchmark="memory",
        number="P16",
        measure=f"{workload}: pmap / bytes of the results",
        unit="x",
        figure=Figure.of([peak_bytes / (size.n_items * MEGABYTE) for peak_bytes in peaks["pmap"]]),
        goal=Goal(bound=1.1),
    )
    return [row, beside_results, *failures]


def _peak_bytes(child: Child, workload: str, size: Size) -> float:
    """Return the most memory that a child and all its workers had together during a call, sampled at 20 Hz."""
    samples = [pss_bytes(child.pid)]
    is_over = Event()

    def sample() -> None:
        while not is_over.wait(SAMPLED_EVERY_S):
            samples.append(pss_bytes(child.pid))

    thread = Thread(target=sample)
    thread.start()
    try:
        child.call(workload, size)
    finally:
        is_over.set()
        thread.join()
    return float(max(samples))


def pss_bytes(pid: int) -> int:
    """Return the proportional set sizes of a process and its descendants, summed: what several share counts once."""
    total = 0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for process in family:
        try:
            with open(f"/proc/{process.pid}/smaps_rollup", encoding="ascii") as lines:
                total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
    return total
