from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.tour import TOUR, named, ready
from benchmarks.workloads import FAMILIES, digest, load
from benchmarks.workloads.own import name_of
from benchmarks.workloads.spinning import SPAN, marked_spin, spin

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [name for names in FAMILIES.values() for name in names if name not in ("http_local", "memory_200m")]
OF_NUMPY = FAMILIES["arrays"]


@pytest.mark.parametrize("name", NAMES)
def test_results_in_a_wrong_order_have_another_digest(name: str) -> None:
    if name in OF_NUMPY:
        pytest.importorskip("numpy")
    task = load(name)
    results = [task.func(item) for item in task.items(5, 3)]
    assert len(results) == 5
    assert digest(results) != digest([results[1], results[0], *results[2:]])
    assert digest(results) == digest([task.func(item) for item in task.items(5, 3)])


def test_large_results_that_differ_in_one_place_are_told_apart_by_their_position() -> None:
    first, second = b"1" + bytes(1 << 20), b"2" + bytes(1 << 20)
    assert digest([first, second]) != digest([second, first])


def test_a_local_server_answers_each_request_with_its_own_page() -> None:
    with ready(named("http_local"), 0.05) as size:
        task = load("http_local")
        assert [task.func(item) for item in task.items(3, size.number)] == ["page /0", "page /1", "page /2"]


def test_the_low_bits_of_an_item_are_its_steps() -> None:
    assert [item % SPAN for item in load("loop_1ms").items(3, 7)] == [7, 7, 7]
    assert spin(4) == 4 + 0 + 1 + 2 + 3


@pytest.mark.parametrize("name", ["lognormal", "bimodal", "sorted_up", "sorted_down", "giant_last"])
def test_items_of_different_lengths_are_as_much_work_as_equal_ones(name: str) -> None:
    steps = [item % SPAN for item in load(name).items(1000, 10_000)]
    assert sum(steps) == pytest.approx(10_000_000, rel=0.03)


def test_the_shapes_are_what_their_names_say() -> None:
    steps = {name: [item % SPAN for item in load(name).items(1000, 10_000)] for name in ("bimodal", "giant_last")}
    assert max(steps["bimodal"]) == pytest.approx(100 * min(steps["bimodal"]), rel=0.01)
    assert sum(step == max(steps["bimodal"]) for step in steps["bimodal"]) == 20
    assert steps["giant_last"][-1] == pytest.approx(sum(steps["giant_last"]) / 4, rel=0.01)
    up, down = (list(load(name).items(50, 100)) for name in ("sorted_up", "sorted_down"))
    assert [item % SPAN for item in up] == sorted(item % SPAN for item in down)


def test_files_of_the_standard_library_are_real_and_spread_over_all_of_it() -> None:
    task = load("stdlib_ast")
    few, many = (list(task.items(n_items, 0)) for n_items in (10, 200))
    assert len(set(few)) == 10
    assert len(set(many)) == 200
    assert int(str(task.func(few[0]))) > 1


def test_each_marked_call_leaves_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKS_FILE", str(tmp_path / "marks"))
    items = list(load("marked").items(4, 2))
    assert [marked_spin(item) for item in items] == [spin(item) for item in items]
    assert len((tmp_path / "marks").read_text().splitlines()) == 4


def test_every_workload_of_the_tour_has_a_function_and_a_name_of_its_own() -> None:
    names = [workload.name for workload in TOUR]
    assert len(set(names)) == len(names)
    assert set(names) <= {name for family in FAMILIES.values() for name in family}


def test_anybodys_function_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "somebodys.py").write_text("def double(x): return 2 * x\nfew = (1, 2)\ndef more(): yield from few\n")
    monkeypatch.syspath_prepend(tmp_path)
    for data in ("somebodys:few", "somebodys:more"):
        task = load(name_of("somebodys:double", data))
        assert [task.func(item) for item in task.items(0, 0)] == [2, 4]
    with pytest.raises(ValueError, match="is named as"):
        load("somebodys@somebodys:few")
