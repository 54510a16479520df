from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.workloads import FUNCTIONS, SPAN, digest, items_of, marked_spin, spin

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_in_a_wrong_order_have_another_digest(name: str) -> None:
    results = [FUNCTIONS[name](item) for item in items_of(5, 3)]
    assert digest(results) != digest([results[1], results[0], *results[2:]])
    assert digest(results) == digest(list(results))


def test_the_low_bits_of_an_item_are_its_steps() -> None:
    assert [item % SPAN for item in items_of(3, 7)] == [7, 7, 7]
    assert spin(4) == 4 + 0 + 1 + 2 + 3


def test_each_marked_call_leaves_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKS_FILE", str(tmp_path / "marks"))
    assert [marked_spin(item) for item in items_of(4, 2)] == [spin(item) for item in items_of(4, 2)]
    assert len((tmp_path / "marks").read_text().splitlines()) == 4
