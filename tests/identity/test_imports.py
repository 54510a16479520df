"""What code imports itself counts alike before and after it has done so."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from amorsize.identity.imports import absolute, import_tokens
from amorsize.identity.reach import reach

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "package", "found"),
    [
        ("json", "p.q", "json"),
        (".a", "p.q", "p.q.a"),
        ("..a", "p.q", "p.a"),
        (".", "p.q", "p.q"),
        ("..a.b", "p.q", "p.a.b"),
        (".a", "", "a"),
    ],
)
def test_dots_stand_for_the_packages_around_the_code(name: str, package: str, found: str) -> None:
    assert absolute([name], {"__package__": package, "__name__": f"{package}.module"}) == [found]


def test_without_a_package_the_name_of_the_module_tells_it() -> None:
    assert absolute([".a"], {"__name__": "p.module"}) == ["p.a"]


FILES = {
    "work.py": """
def f(x):
    import lib
    from json import dumps
    from p import a, VALUE
    from space import b
    import far
    return far, dumps, lib, a, b, VALUE
""",
    "far.py": "import near",
    "near.py": "K = 1",
    "p/__init__.py": "VALUE = 1",
    "p/a.py": "from . import deep",
    "p/deep.py": "K = 1",
    "space/b.py": "K = 1",
    "site-packages/lib.py": "__version__ = '1.0'",
}

BEFORE_AND_AFTER = """
import sys
sys.path.append("site-packages")
from amorsize.identity.function import function_key
from amorsize.identity.likeness import likeness
from work import f
first = function_key(f).digest, likeness(f)
assert not {"p", "space", "far", "near", "lib"} & set(sys.modules), "looking must not import"
f(1)
print(first == (function_key(f).digest, likeness(f)), *first)
"""


@pytest.fixture
def key(fresh_python: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return a function that writes some files anew, and returns the key that a fresh process finds before the call."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    def find(**changed: str) -> str:
        for name, text in {**FILES, **changed}.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            os.utime(path, (1, 1))  # as if it had come out of an archive
        is_same, *keys = fresh_python("-c", BEFORE_AND_AFTER).split()
        assert is_same == "True"
        return " ".join(keys)

    return find


def test_a_call_that_imports_does_not_change_the_key(key: Callable[..., str]) -> None:
    assert key() == key()


@pytest.mark.parametrize("name", [name for name in FILES if name != "work.py"])
def test_every_module_that_is_imported_then_counts(name: str, key: Callable[..., str]) -> None:
    assert key(**{name: f"{FILES[name]}\nK = 234"}) != key()


def test_a_file_that_is_no_python_is_known_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_module.py").write_text("this is no Python")
    monkeypatch.syspath_prepend(tmp_path)
    assert import_tokens(["broken_module", "nosuch_module"]) == (["broken_module"], ["nosuch_module"])


def test_a_cycle_of_imports_comes_to_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for at in range(100):
        (tmp_path / f"cycle_{at}.py").write_text(f"import cycle_{(at + 1) % 100}\nimport cycle_{(at * 7) % 100}")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(tmp_path)
    tokens, unknown = import_tokens(["cycle_0"])
    assert unknown == []
    assert 60 < len(tokens) <= 64


def test_a_handle_in_a_module_that_was_imported_inside_is_seen_and_in_one_that_was_not_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def use() -> object:
        from holding_module import HELD  # type: ignore[import-not-found]  # written below

        return HELD

    (tmp_path / "holding_module.py").write_text("import threading\nHELD = threading.Lock()")
    monkeypatch.syspath_prepend(tmp_path)
    assert reach(use).handles == ()
    use()
    (handle,) = reach(use).handles
    del sys.modules["holding_module"]
    assert "HELD" in handle


RUN = """
import sys
from lazy_work import f
if sys.argv[1] == "run":
    f.pmap(range(2000))
print(f.explain(range(2000)).serial_s is not None)
"""


def test_what_was_learned_is_known_to_the_next_process_before_its_first_call(
    fresh_python: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "lazy_helping.py").write_text("def g(x): return sum(range(10_000))")
    (tmp_path / "lazy_work.py").write_text(
        "import amorsize\n@amorsize.parallelizable\ndef f(x):\n    import lazy_helping\n    return lazy_helping.g(x)"
    )
    assert fresh_python("-c", RUN, "run") == "True\n"
    assert fresh_python("-c", RUN, "look") == "True\n"
