"""Whatever the README shows is run as a reader would run it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from amorsize.options import Options

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the README's code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


PYTHON = blocks("python")


@pytest.mark.parametrize("snippet", PYTHON, ids=range(len(PYTHON)))
@pytest.mark.needs_fork
def test_a_python_snippet_runs(snippet: str, fresh_python: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "snippet.py").write_text(snippet)
    assert fresh_python("snippet.py").strip()


def test_the_first_snippet_prints_the_right_number_of_primes(fresh_python: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "primes.py").write_text(PYTHON[0])
    n_primes = sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(10**10, 10**10 + 3000))
    assert fresh_python("primes.py").splitlines()[0] == f"{n_primes} primes"


def test_the_console_commands_run_after_the_first_snippet(fresh_python: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "primes.py").write_text(PYTHON[0])
    fresh_python("primes.py")
    for line in "".join(blocks("console")).splitlines():
        prompt, command, *arguments = shlex.split(line)
        assert (prompt, command) == ("$", "amorsize")
        printed = fresh_python("-m", "amorsize", *arguments)
        if arguments == ["cache", "list"]:
            assert "primes:smallest_factor" in printed


def test_the_table_of_options_lists_exactly_the_options() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE)
    assert listed == [name for name, _ in Options().items() if name not in ("n_jobs_ceiling", "disabled")]


def test_the_readme_stays_short() -> None:
    assert len(README.splitlines()) < 150


def test_there_are_two_commands_and_their_files_exist() -> None:
    commands = blocks("sh")
    assert len(commands) == 2
    for command in commands:
        for word in shlex.split(command):
            assert not word.endswith(".py") or (ROOT / word).is_file()
