"""Every example runs, in a process of its own, and prints what it gained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
OTHERS = sorted(path.name for path in EXAMPLES.glob("*.py") if path.name != "stdlib_complexity.py")


def test_all_examples_are_here() -> None:
    assert OTHERS == ["cpu_bound.py", "generator_input.py", "io_bound.py", "too_quick.py", "with_pool.py"]


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_an_example_prints_what_it_gained_and_why(name: str, fresh_python: Callable[..., str]) -> None:
    assert "gain" in fresh_python(str(EXAMPLES / name))


@pytest.mark.slow
def test_the_second_process_samples_nothing(fresh_python: Callable[..., str], home: Path) -> None:
    script = str(EXAMPLES / "stdlib_complexity.py")
    first, second = fresh_python(script), fresh_python(script)
    assert "of its items were timed" in first
    assert "n_sampled == 0 (known from an earlier process)" in second
    assert str(home / ".cache" / "amorsize") in second
