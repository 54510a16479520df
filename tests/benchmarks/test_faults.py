"""The faults that are done to amorsize and its peers: what a cell says, and that nothing outlives it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.faults import tasks
from benchmarks.faults.cases import chosen
from benchmarks.faults.cells import Cell, words_of
from benchmarks.faults.referee import cell_of

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.needs_fork


def survivors(home: Path) -> list[psutil.Process]:
    """Return all processes of cells that this test has run."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(tasks.FOLDER, "").startswith(str(home)):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_a_killed_worker_is_told_for_amorsize_and_for_a_peer(tmp_path: Path) -> None:
    asked = ("killed", "--peer", "amorsize", "--peer", "ProcessPoolExecutor.map", "--quick", "--json")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "faults", *asked, str(tmp_path / "found.json")],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ours, peers = json.loads((tmp_path / "found.json").read_text())["cells"]
    assert ours["said"] == "WorkerDied, says how it died, names the item"
    assert peers["said"].startswith("BrokenProcessPool, ")  # since Python 3.15 it says how
    assert peers["said"].endswith("how it died, not the item")
    assert ours["said"] in done.stdout
    assert peers["said"] in done.stdout
    assert ours["seconds"] > 0


def test_a_contender_that_hangs_is_a_cell_and_is_ended_with_all_of_its_processes(home: Path) -> None:
    (case,) = chosen(["killed"])
    cell = cell_of(case, "Pool.map", limit_s=0.8)
    assert cell.hangs
    assert words_of(cell, case).startswith("HANG, ended after 0.")
    assert survivors(home) == []


@pytest.mark.slow
def test_the_processes_that_outlive_a_killed_program_are_counted_and_ended(home: Path) -> None:
    (case,) = chosen(["parent_killed"])
    cell = cell_of(case, "ProcessPoolExecutor.map", limit_s=0.3)
    assert cell.n_orphans >= 2
    assert "ORPHANS alive after 0.3" in words_of(cell, case)
    assert cell.is_bad(case)
    assert survivors(home) == []


def test_nothing_outlives_a_killed_program_of_ours() -> None:
    (case,) = chosen(["parent_killed"])
    cell = cell_of(case, "amorsize", limit_s=2.0)
    assert (cell.n_orphans, cell.is_bad(case)) == (0, False)


@pytest.mark.parametrize(
    ("name", "cell", "words"),
    [
        ("lock", Cell(case="", peer="", seconds=1.0, answer="right"), "right answer"),
        ("lock", Cell(case="", peer="", seconds=1.0, answer="wrong"), "WRONG ANSWER"),
        ("lock", Cell(case="", peer="", limit_s=12.0), "HANG, ended after 12 s"),
        ("lock", Cell(case="", peer="", why_not="not installed"), "not installed"),
        (
            "lock",
            Cell(case="", peer="", seconds=1.0, answer="right", has_ended=False),
            "right answer, then does not end",
        ),
        ("no_guard", Cell(case="", peer="", limit_s=3, n_imports=99, n_lines=7),
         "HANG, ended after 3 s, __main__ run 99 times, 7 lines on stderr"),
        ("finished", Cell(case="", peer="", seconds=1.0, error="E", n_finished=9, n_kept=8),
         "E, 8 of 9 finished results kept"),
        ("finished", Cell(case="", peer="", seconds=1.0, error="E", n_finished=9), "E, results lost"),
        ("killed", Cell(case="", peer="", seconds=1.0), "ended without an answer, not how it died, not the item"),
        ("interrupt", Cell(case="", peer="", seconds=1.0, n_tracebacks=1, n_lines=9), "gone, 1 traceback, 9 lines"),
        ("interrupt", Cell(case="", peer="", limit_s=12.0), "HANG, still running after 12 s"),
        ("endless", Cell(case="", peer="", limit_s=5, growth_mb=2400, n_called=0),
         "grew by 2,400 MB in 5 s, 0 items run"),
    ],
)  # fmt: skip
def test_a_cell_is_said_in_words(name: str, cell: Cell, words: str) -> None:
    (case,) = chosen([name])
    assert words_of(cell, case) == words


def test_an_unknown_fault_is_told_with_the_right_ones() -> None:
    with pytest.raises(ValueError, match="no fault is called kiled; there are killed, exits"):
        chosen(["kiled"])


def test_every_function_gives_the_square_where_nothing_goes_wrong() -> None:
    assert tasks.FOLDER not in os.environ
    cases = chosen(["killed", "exits", "segfault", "result", "exception", "lock", "system_exit", "keyboard_interrupt"])
    assert [case.func(7) for case in cases] == [49] * len(cases)
