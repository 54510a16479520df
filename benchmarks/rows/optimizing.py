"""Whether `optimize()` tells the truth: the speedup that it estimates, beside that of a Pool with its numbers."""

from __future__ import annotations

from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, Goal, Row, ratios, scaled
from benchmarks.launch import AT_ROOT, told_s
from benchmarks.tour import named

if TYPE_CHECKING:
    from benchmarks.pairing import Effort

WORKLOADS = ("loop_30us", "loop_1ms", "lognormal", "bimodal", "json_20k", "zlib_1m", "big_results", "sleep_5ms")

OPTIMIZED = (
    AT_ROOT
    + """
from multiprocessing import Pool
from time import perf_counter
from amorsize import optimize
from benchmarks.workloads import load
task = load(sys.argv[2])
items = task.items(int(sys.argv[3]), int(sys.argv[4]))
said = optimize(task.func, items)
print(said.n_jobs, said.chunksize, said.estimated_speedup)
for _ in range(int(sys.argv[5])):
    began_s = perf_counter()
    results = [task.func(item) for item in items]
    print(perf_counter() - began_s)
    del results  # freeing them is no part of the next call
    began_s = perf_counter()
    if said.n_jobs == 1:
        results = [task.func(item) for item in items]
        print(perf_counter() - began_s)
    else:
        with Pool(said.n_jobs) as pool:
            results = pool.map(task.func, items, said.chunksize)
            print(perf_counter() - began_s)
    del results
"""
)
"""As its users do: the Pool is new, and gets what `optimize()` has said."""


def optimizing(effort: Effort) -> list[Row]:
    """Compare what `optimize()` estimates with what a Pool that is run as it says reaches, over eight workloads."""
    rows, wrong = [], []
    for workload in WORKLOADS:
        row, estimated = _row(workload, effort)
        rows.append(row)
        assert row.figure is not None
        wrong.append(abs(estimated / row.figure.median - 1))
    worst = f"the worst: {WORKLOADS[wrong.index(max(wrong))]}, {max(wrong):.0%}"
    rows.append(
        Row(
            benchmark="optimize",
            measure=f"error of the estimated speedup over {len(WORKLOADS)} workloads",
            unit="%",
            figure=Figure.of(scaled(100, wrong)),
            goal=Goal(bound=15),
            note=worst,
        )
    )
    return rows


def _row(workload: str, effort: Effort) -> tuple[Row, float]:
    """Return the row of one workload, and the speedup that was estimated."""
    size = named(workload).size(effort.loop_s)
    with TemporaryDirectory(prefix="benchmarks-") as home:
        n_jobs, chunksize, estimated, *seconds = told_s(
            OPTIMIZED, home, workload, str(size.n_items), str(size.number), str(effort.n_rounds)
        )
    loop_s, pool_s = seconds[::2], seconds[1::2]
    how = "the loop" if n_jobs == 1 else f"Pool({n_jobs:.0f}), chunksize={chunksize:.0f}"
    row = Row(
        benchmark="optimize",
        measure=f"{workload}: loop / as told ({how}); estimated {estimated:.3g} x",
        unit="x",
        figure=Figure.of(ratios(loop_s, pool_s)),
        seconds={"loop": loop_s, "as told": pool_s},
    )
    return row, estimated
