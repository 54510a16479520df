"""A few items that are known to be long are shared out from the first one on, in a process that knows nothing yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from amorsize.advice import ahead, worth
from amorsize.advice.ahead import are_long
from amorsize.inline import FEW
from amorsize.store.long import note_long, read_long
from amorsize.store.where import directory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WORK = """
import os, sys, time
import amorsize

@amorsize.parallelizable
def slow(n):
    until = time.perf_counter() + 0.03
    while time.perf_counter() < until:
        pass
    return os.getpid()

def where_the_first_ran(n_items):
    pids = slow.pmap(range(n_items))
    assert len(pids) == n_items
    return "here" if pids[0] == os.getpid() else "there"
"""


@pytest.fixture
def first(fresh_python: Callable[..., str], tmp_path: Path, home: Path) -> Callable[..., str]:
    """Return a function that says where the first of some items of a fresh process ran."""
    (tmp_path / "work.py").write_text(WORK)

    def run(n_items: int = 6, before: str = "") -> str:
        return fresh_python("-c", f"import work\n{before}\nprint(work.where_the_first_ran({n_items}))").strip()

    return run


def known() -> dict[str, float]:
    """Return who is known to have long items."""
    where = directory()
    assert where is not None
    return read_long(where)


@pytest.mark.needs_fork
def test_the_next_process_does_not_run_the_first_of_a_few_long_items_alone(first: Callable[..., str]) -> None:
    assert first() == "here"
    assert list(known()) == ["work:slow"]
    assert known()["work:slow"] == pytest.approx(0.03, rel=0.5)
    assert first() == "there"


@pytest.mark.needs_fork
def test_options_that_leave_it_open_do_not_change_that(first: Callable[..., str]) -> None:
    first()
    assert first(before="work.slow = work.slow.options(progress=lambda *_: None)") == "there"


@pytest.mark.needs_fork
@pytest.mark.parametrize(
    ("n_items", "before"),
    [
        (1, ""),
        (FEW + 1, ""),
        (6, "import os; os.environ['AMORSIZE_CACHE'] = '0'"),
        (6, "import os; os.environ['AMORSIZE_DISABLE'] = '1'"),
        (6, "import amorsize; amorsize.config(backend='serial')"),
        (6, "work.slow.forget()"),
    ],
)
def test_the_first_of_others_runs_where_it_always_does(first: Callable[..., str], n_items: int, before: str) -> None:
    first()
    assert first(n_items, before) == "here"


@pytest.mark.needs_fork
def test_a_hint_without_anything_behind_it_costs_a_look(first: Callable[..., str], home: Path) -> None:
    where = directory()
    assert where is not None
    (home / ".cache" / "amorsize").mkdir(parents=True)
    note_long(where, {"work:slow": 30.0})
    assert first() == "here"


def task(item: int) -> int:
    return item


def test_few_are_looked_for_where_that_can_be_gained_what_it_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{__name__}:task"
    monkeypatch.setattr(ahead, "directory", lambda: "/nowhere")
    monkeypatch.setattr(worth, "n_usable_cores", lambda: 2)
    for item_s, n_items, is_worth_it in ((0.004, 49, False), (0.02, 2, False), (0.02, 4, True), (0.0, 4, False)):
        monkeypatch.setattr(ahead, "_read", {"/nowhere": {name: item_s}})
        assert are_long(task, n_items) is is_worth_it
    monkeypatch.setattr(worth, "n_usable_cores", lambda: 1)
    monkeypatch.setattr(ahead, "_read", {"/nowhere": {name: 30.0}})
    assert not are_long(task, 49)


def test_a_class_that_fails_when_it_is_looked_at_is_not_known_to_be_long(monkeypatch: pytest.MonkeyPatch) -> None:
    class Strange:
        def __call__(self, item: int) -> int:
            return item

        def __getattribute__(self, name: str) -> object:
            raise RuntimeError(name)

    monkeypatch.setattr(ahead, "directory", lambda: "/nowhere")
    monkeypatch.setattr(ahead, "_read", {"/nowhere": {"work:slow": 30.0}})
    assert not are_long(Strange(), 4)
