"""Progress is told now and then, and of the last item in any case; who is told cannot break what is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from amorsize import parallelizable, pmap
from amorsize.report import progress
from amorsize.report.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

Told = list[tuple[int, "int | None"]]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a test may set."""
    now_s = [100.0]
    monkeypatch.setattr(progress, "perf_counter", lambda: now_s[0])
    return now_s


def teller(told: Told) -> Callable[[int, int | None], object]:
    return lambda n_done, n_items: told.append((n_done, n_items))


def test_it_tells_at_once_then_now_and_then_and_at_the_end(clock: list[float]) -> None:
    told: Told = []
    counted = Progress(teller(told))
    for n_done in range(1, 8):
        counted(n_done, 10)
        clock[0] += 0.04
    assert told == [(1, 10), (4, 10), (7, 10)]
    counted(8, 10)
    counted(9, 10)
    counted.close()
    counted.close()
    assert told[-1] == (9, 10)
    assert len(told) == len(set(told))


@pytest.mark.usefixtures("clock")
def test_nothing_done_is_nothing_told() -> None:
    told: Told = []
    Progress(teller(told)).close()
    assert told == []


@pytest.mark.usefixtures("clock")
def test_a_bar_is_closed_also_where_it_cannot_be_drawn_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []

    class Bar:
        def __call__(self, n_done: int, n_items: int | None) -> None:
            raise BrokenPipeError("nobody is looking")

        def close(self) -> None:
            closed.append(True)

    monkeypatch.setattr(progress, "_Bar", Bar)
    counted = Progress(True)
    with pytest.raises(BrokenPipeError):
        counted(1, 2)
    counted._is_told = False
    with pytest.raises(BrokenPipeError):
        counted.close()
    assert closed == [True]


def test_a_bar_shows_all_items(fresh_python: Callable[..., str]) -> None:
    """In a process of its own: tqdm makes a lock that lasts as long as the process."""
    pytest.importorskip("tqdm")
    program = "import sys; from amorsize import pmap; sys.stderr = sys.stdout; pmap(abs, range(30), progress=True)"
    assert "30/30" in fresh_python("-c", program)


def test_a_bar_starts_no_thread_and_leaves_the_settings_of_other_bars_alone(fresh_python: Callable[..., str]) -> None:
    pytest.importorskip("tqdm")
    program = "from amorsize import pmap; import sys, tqdm; pmap(abs, range(30), progress=True)"
    asked = "print(len(sys._current_frames()), tqdm.tqdm.monitor_interval)"
    assert fresh_python("-c", f"{program}; {asked}").split() == ["1", "10"]


PLANS: list[Any] = [
    pytest.param({"backend": "serial"}, id="serial"),
    pytest.param({"backend": "thread", "n_jobs": 2}, id="thread"),
    pytest.param({"backend": "process", "n_jobs": 2}, id="process", marks=pytest.mark.needs_fork),
    pytest.param({"isolate": True, "n_jobs": 2, "retries": 1}, id="fed", marks=pytest.mark.needs_fork),
]


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("items", [list, iter], ids=["list", "iterator"])
def test_every_call_tells_of_its_last_item(plan: Any, items: Callable[[range], Any]) -> None:
    told: Told = []
    pmap(abs, items(range(300)), progress=teller(told), **plan)
    assert told[-1] == (300, 300 if items is list else None)
    assert [n_done for n_done, _ in told] == sorted(n_done for n_done, _ in told)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("items", [list, iter], ids=["list", "iterator"])
def test_what_the_progress_function_raises_ends_the_call(plan: Any, items: Callable[[range], Any]) -> None:
    def refuse(n_done: int, n_items: int | None) -> None:
        raise LookupError("no window")

    with pytest.raises(LookupError, match="no window"):
        pmap(abs, items(range(300)), progress=refuse, **plan)
    assert pmap(abs, range(300), **plan) == list(range(300))


@pytest.mark.parametrize("items", [list, iter], ids=["list", "iterator"])
def test_an_items_failure_is_not_hidden_by_one_of_the_progress_function(items: Callable[[range], Any]) -> None:
    """In the caller: of workers nobody can say whether they failed before progress was told."""
    has_failed: list[bool] = []

    def fails(x: int) -> int:
        if x == 100:
            has_failed.append(True)
            raise ValueError("of the item")
        return x

    def refuse(n_done: int, n_items: int | None) -> None:
        if has_failed:
            raise LookupError("no window")

    with pytest.raises(ValueError, match="of the item"):
        pmap(fails, items(range(300)), progress=refuse, backend="serial")
    has_failed.clear()
    with pytest.raises(ValueError, match="of the item"):
        list(parallelizable(fails).pimap(items(range(300)), progress=refuse, backend="serial"))
