from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.catalog import CATALOG, chosen

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m benchmarks` from the clone, as its readers do."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
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


def test_a_quick_run_prints_a_table_and_writes_every_time_it_took(tmp_path: Path) -> None:
    done = command("run", "loop_1ms", "call", "--quick", "--json", str(tmp_path / "found.json"))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert {row["benchmark"] for row in found["rows"]} >= {"call", "loop_1ms"}
    assert all(row["measure"] in done.stdout for row in found["rows"])
    assert all(times for row in found["rows"] for times in row["seconds"].values())
    assert found["surroundings"]["python"] in done.stdout
    assert "times are shown, and not judged" in done.stdout


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
