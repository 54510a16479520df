from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.figures import Figure, Goal, Row, missing
from benchmarks.plot import drawing, ends_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow


def row(goal: Goal | None, unit: str = "x") -> Row:
    figure = Figure(median=2.0, low=1.0, high=4.0, n_rounds=8)
    return Row(benchmark="b", number="P1", measure="m", unit=unit, figure=figure, goal=goal)


def test_a_figure_is_drawn_in_units_of_its_goal_and_left_is_better() -> None:
    assert ends_of(row(Goal(bound=2.0))) == (0.5, 1.0, 2.0)
    assert ends_of(row(Goal(bound=2.0, at_least=True))) == (0.5, 1.0, 2.0)
    assert ends_of(row(None)) == (1.0, 2.0, 4.0)


def test_what_has_no_place_beside_the_others_is_not_drawn() -> None:
    assert ends_of(row(None, unit="ms")) is None
    assert ends_of(row(Goal(bound=0.0))) is None
    assert ends_of(missing("b", "P11", "m", "not here")) is None


DRAW = """
from benchmarks.figures import Figure, Goal, Row, missing
from benchmarks.plot import drawing
figure = Figure(median=2.0, low=1.0, high=4.0, n_rounds=8)
row = Row(benchmark="b", number="P1", measure="m", unit="x", figure=figure, goal=Goal(bound=2))
drawing("found.svg")([row, missing("b", "P11", "m", "not here")])
drawing("none.svg")([])
"""


def test_rows_are_drawn_into_a_file(tmp_path: Path, fresh_python: Callable[..., str]) -> None:
    """In a process of its own: matplotlib keeps its fonts open."""
    pytest.importorskip("matplotlib")
    fresh_python("-c", DRAW)
    assert "b: m" in (tmp_path / "found.svg").read_text()
    assert "not here" not in (tmp_path / "found.svg").read_text()
    assert (tmp_path / "none.svg").exists()


def test_an_unknown_format_is_refused_before_anything_is_measured() -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(ValueError, match=r"--plot draws .*png.*, got 'found.nonsense'"):
        drawing("found.nonsense")


def test_without_matplotlib_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ValueError, match=r"matplotlib, which amorsize\[bench\] installs"):
        drawing("found.png")
