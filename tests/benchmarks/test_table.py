from __future__ import annotations

import pytest

from benchmarks.figures import Figure, Row
from benchmarks.table import line_of


@pytest.mark.parametrize(
    ("seconds", "written"), [(2.0, "2 s"), (0.25, "250 ms"), (1.5e-4, "0.15 ms"), (6.25e-6, "6.25 us")]
)
def test_times_are_written_in_the_unit_that_fits(seconds: float, written: str) -> None:
    row = Row(benchmark="b", measure="m", figure=Figure.of([1.0]), seconds={"pmap": [seconds]})
    assert line_of(row).splitlines()[1].strip() == f"pmap {written}"
