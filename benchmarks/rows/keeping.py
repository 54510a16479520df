"""The store of timings: large, and written by many processes at once."""

from __future__ import annotations

import subprocess
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, Goal, Row, counted, scaled
from benchmarks.launch import AT_ROOT, LIMIT_S, command, environment, told_s

if TYPE_CHECKING:
    from benchmarks.pairing import Effort

RECORDS_PER_S = 333_333
"""Records for each second of a workload's loop: 0.3 s give 100,000."""

UPDATES_PER_S = 3_333
N_PROCESSES = 8
N_GETS = 1_000


def store(effort: Effort) -> list[Row]:
    """Fill a store, look up, clear; and have eight processes count up one record."""
    n_records, n_updates = round(effort.loop_s * RECORDS_PER_S), round(effort.loop_s * UPDATES_PER_S)
    with TemporaryDirectory(prefix="benchmarks-") as home:
        told_s(_program("fill"), home, home, str(n_records))
        gets_s = told_s(_program("get"), home, home, str(n_records), str(N_GETS))
        clear_s, n_cleared = told_s(_program("clear"), home, home)
    get = Figure.of(scaled(1e6, gets_s))
    clear = Figure(median=clear_s, low=clear_s, high=clear_s, n_rounds=None)
    measure = f"get, {n_records:,} records"
    return [
        Row(benchmark="store", number="P17", measure=measure, unit="us", figure=get, goal=Goal(bound=15)),
        Row(
            benchmark="store",
            number="P17",
            measure=f"clear {int(n_cleared):,} records",
            unit="s",
            figure=clear,
            goal=Goal(bound=1),
        ),
        _lost(n_updates),
    ]


def _lost(n_updates: int) -> Row:
    """Count the updates that are lost where eight processes write at once."""
    with TemporaryDirectory(prefix="benchmarks-") as home:
        program = command(_program("count_up"), home, str(n_updates))
        writers = [
            subprocess.Popen(program, env=environment(home), stdin=subprocess.DEVNULL) for _ in range(N_PROCESSES)
        ]
        for writer in writers:
            writer.wait(4 * LIMIT_S)
        (found,) = told_s(_program("total"), home, home)
    measure = f"updates lost, {N_PROCESSES} processes x {n_updates}"
    return counted("store", "P17", measure, N_PROCESSES * n_updates - round(found))


def _program(name: str) -> str:
    return AT_ROOT + f"from benchmarks.storing import {name}; {name}(*sys.argv[2:])"
