from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.catalog import CATALOG, chosen
from benchmarks.trace import STEPS

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run `python -m benchmarks` from the clone, as its readers do, or from a folder of theirs."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_list_names_every_benchmark() -> None:
    done = command("list")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == [benchmark.name for benchmark in CATALOG]


@pytest.mark.slow
def test_a_quick_run_prints_a_table_and_writes_every_time_it_took(tmp_path: Path) -> None:
    done = command("run", "loop_1ms", "call", "--quick", "--json", str(tmp_path / "found.json"))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert {row["benchmark"] for row in found["rows"]} >= {"call", "loop_1ms"}
    assert all(row["measure"] in done.stdout for row in found["rows"])
    assert all(times for row in found["rows"] for times in row["seconds"].values())
    assert found["surroundings"]["python"] in done.stdout
    assert all(f"{name} {version}" in done.stdout for name, version in found["surroundings"]["packages"].items())
    assert "times are shown, and not judged" in done.stdout


@pytest.mark.slow
def test_anybodys_function_is_compared_over_their_own_data(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def square(x): return x * x\ndef numbers(): return range(50)\n")
    asked = ("compare", "mine:square", "--data", "mine:numbers", "--quick", "--json", "found.json")
    done = command(*asked, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    measures = [row["measure"] for row in json.loads((tmp_path / "found.json").read_text())["rows"]]
    assert {"cold: loop / pmap", "warm: loop / pmap", "cold: Pool / pmap", "warm: Pool / pmap"} <= set(measures)


def test_a_function_of_anybodys_that_fails_is_told_as_a_row(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def inverse(x): return 1 / x\nnumbers = [0]\n")
    done = command("compare", "mine:inverse", "--data", "mine:numbers", "--quick", folder=tmp_path)
    assert done.returncode == 1
    assert "ZeroDivisionError: division by zero" in done.stdout
    done = command("compare", "mine.inverse", "--data", "mine:numbers")
    assert done.returncode == 2
    assert "name it as pkg.mod:name, got 'mine.inverse'" in done.stderr


@pytest.mark.slow
def test_a_trace_shows_ten_runs_each_with_its_plan_and_what_it_taught() -> None:
    done = command("trace", "--seed", "3", "--quick")
    assert done.returncode == 0, done.stderr
    _, head, *lines = done.stdout.splitlines()
    assert head.split()[0] == "run"
    assert [line.split()[0] for line in lines] == [str(number) for number in range(1, len(STEPS) + 1)]
    assert all(" x " in line and " -> " in line for line in lines)
    (unknown, edited) = [line for line in lines if "? -> " in line]
    assert "nothing is known" in unknown
    assert "helper edited" in edited


def test_an_unknown_name_is_wrong_usage_and_tells_the_right_ones() -> None:
    done = command("run", "lop_1ms", "--quick")
    assert done.returncode == 2
    assert "no benchmark is called lop_1ms; there are call, import" in done.stderr
    assert done.stdout == ""


def test_all_chooses_every_benchmark_once_in_the_order_of_the_catalog() -> None:
    assert chosen(["exit", "all"]) == list(CATALOG)
    assert [benchmark.name for benchmark in chosen(["exit", "call", "exit"])] == ["call", "exit"]


def test_names_are_distinct() -> None:
    names = [benchmark.name for benchmark in CATALOG]
    assert len(set(names)) == len(names)
    with pytest.raises(ValueError, match="no, nothing"):
        chosen(["nothing", "no", "all"])
