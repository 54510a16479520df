"""Every example runs, in a process of its own, and prints what it gained."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
TOLD = {
    "cpu_bound.py": "why: ",
    "generator_input.py": "pmap pulled 600 passwords",
    "io_bound.py": "threads take",
    "stdlib_complexity.py": "branches  function",
    "too_quick.py": "too little to gain for workers",
    "with_pool.py": "break-even",
}
"""What each example has to say, beside what it gained."""


def test_all_examples_are_here() -> None:
    assert sorted(path.name for path in EXAMPLES.glob("*.py")) == sorted(TOLD)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(TOLD.keys() - {"stdlib_complexity.py"}))
def test_an_example_prints_what_it_gained_and_why(name: str, fresh_python: Callable[..., str]) -> None:
    printed = fresh_python(str(EXAMPLES / name))
    assert "gain" in printed
    assert TOLD[name] in printed


@pytest.mark.slow
def test_the_second_process_samples_nothing(fresh_python: Callable[..., str], home: Path, tmp_path: Path) -> None:
    """Over one folder: three times through the whole library take each process half a minute where much else runs."""
    whole, folder = 'sysconfig.get_path("stdlib")', str(Path(sysconfig.get_path("stdlib")) / "asyncio")
    source = (EXAMPLES / "stdlib_complexity.py").read_text(encoding="utf-8")
    assert source.count(whole) == 1
    script = tmp_path / "stdlib_complexity.py"
    script.write_text(source.replace(whole, repr(folder)), encoding="utf-8")
    first, second = fresh_python(str(script)), fresh_python(str(script))
    assert TOLD["stdlib_complexity.py"] in first
    assert "of its items were timed" in first
    assert "n_sampled == 0 (known from an earlier process)" in second
    assert str(home / ".cache" / "amorsize") in second
