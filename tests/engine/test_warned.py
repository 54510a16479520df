"""What items warn of in a worker; that it arrives is in the contract (`amorsize.testing.around`)."""

from __future__ import annotations

import marshal
import warnings
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from amorsize import AmorsizeWarning, pmap
from amorsize.engine import warned
from amorsize.engine.said import hear, packed
from amorsize.engine.warned import are_kept, show, take, take_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

both_start_methods = pytest.mark.parametrize(
    "start_method", [pytest.param("fork", marks=pytest.mark.needs_fork), "spawn"]
)


class Local(UserWarning):
    """What only this module's items warn of."""


class Unsendable(Local):
    def __reduce__(self) -> NoReturn:
        raise TypeError("stays here")


@pytest.fixture(autouse=True)
def recorded() -> Iterator[list[warnings.WarningMessage]]:
    """What this process shows, of which it holds nothing back."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield found
    warned.forget()


def texts(found: list[warnings.WarningMessage]) -> list[str]:
    return [str(each.message) for each in found]


def told() -> list[None]:
    """Have this process be a worker whose caller keeps nothing; return what grows when it tells."""
    times: list[None] = []
    take_over(False, lambda: times.append(None))
    return times


def test_what_a_worker_notes_is_shown_by_its_caller(recorded: list[warnings.WarningMessage]) -> None:
    with warnings.catch_warnings():
        take_over(True, lambda: None)
        warnings.warn("odd", Local, stacklevel=1)
        lost, payload = take()
        assert (lost, take()) == (None, (None, b""))
    assert recorded == []
    assert show(payload) is None
    assert [(str(each.message), each.category, each.filename) for each in recorded] == [("odd", Local, __file__)]


def test_what_is_to_be_shown_once_is_told_at_once_and_shown_once(recorded: list[warnings.WarningMessage]) -> None:
    warnings.simplefilter("default")
    payloads = []
    for _ in range(2):
        globals().pop("__warningregistry__", None)  # as in another process
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            times = told()
            for _ in range(3):
                warnings.warn("odd", Local, stacklevel=1)
            assert len(times) == 1
            payloads.append(take()[1])
    assert [show(payload) for payload in payloads] == [None, None]
    assert texts(recorded) == ["odd"]


def test_what_is_always_shown_a_worker_writes_itself_where_nobody_keeps_it(
    recorded: list[warnings.WarningMessage],
) -> None:
    with warnings.catch_warnings():
        times = told()
        warnings.warn("odd", Local, stacklevel=1)
    assert (texts(recorded), times, take()) == (["odd"], [], (None, b""))


def test_what_a_filter_of_the_item_s_own_shows_is_shown_whatever_the_caller_s_hold_back(
    recorded: list[warnings.WarningMessage],
) -> None:
    with warnings.catch_warnings():
        take_over(True, lambda: None)
        for _ in range(2):
            with warnings.catch_warnings():
                warnings.simplefilter("default")
                warnings.warn("odd", Local, stacklevel=1)
        payload = take()[1]
    warnings.simplefilter("ignore")
    assert show(payload) is None
    assert texts(recorded) == ["odd", "odd"]


def test_what_an_item_records_itself_stays_there() -> None:
    with warnings.catch_warnings():
        take_over(True, lambda: None)
        with warnings.catch_warnings(record=True) as found:
            warnings.warn("odd", Local, stacklevel=1)
    assert (texts(found), take()) == (["odd"], (None, b""))


def test_what_cannot_be_sent_is_told_and_the_rest_is_sent(recorded: list[warnings.WarningMessage]) -> None:
    with warnings.catch_warnings():
        take_over(True, lambda: None)
        for kind in (Local, Unsendable, Local):
            warnings.warn("odd", kind, stacklevel=1)
        lost, payload = take()
    assert "could not send what an item warned of (Unsendable: odd): stays here" in str(lost)
    assert show(payload) is None
    assert texts(recorded) == ["odd", "odd"]


def test_it_is_told_where_nothing_can_be_shown(
    monkeypatch: pytest.MonkeyPatch, recorded: list[warnings.WarningMessage]
) -> None:
    with warnings.catch_warnings():
        take_over(True, lambda: None)
        warnings.warn("odd", Local, stacklevel=1)
        payload = take()[1]

    def fail(*_: object) -> NoReturn:
        raise OSError("a full disk")

    assert "could not be rebuilt" in str(hear(marshal.loads(packed(None, [], b"no pickle"))))
    monkeypatch.setattr(warnings, "showwarning", fail)
    assert "warned of (Local: odd) could not be shown: a full disk" in str(
        hear(marshal.loads(packed(None, [], payload)))
    )
    assert recorded == []


def test_a_process_s_own_way_to_stderr_is_told_from_others(fresh_python: Callable[..., str]) -> None:
    assert are_kept()  # by the fixture, and by pytest
    program = """
import sys
from amorsize.engine.warned import are_kept
sys.modules.pop("warnings", None)
found = [are_kept()]
import warnings
found.append(are_kept())
with warnings.catch_warnings(record=True):
    found.append(are_kept())
warnings.showwarning = print
print(*found, are_kept())
"""
    assert fresh_python("-c", program).split() == ["False", "False", "True", "True"]


def tell(item: int) -> int:
    warnings.warn(f"odd {item}", Local, stacklevel=1)
    if item == 5:
        raise ValueError(item)
    return item


def tell_unsendable(text: str) -> str:
    warnings.warn(text, Unsendable, stacklevel=1)
    return text


@both_start_methods
def test_what_a_failing_item_has_warned_of_is_there(start_method: Any, recorded: list[warnings.WarningMessage]) -> None:
    with pytest.raises(ValueError, match="5"):
        pmap(tell, range(6), backend="process", n_jobs=2, start_method=start_method, isolate=True)
    assert sorted(texts(recorded)) == [f"odd {n}" for n in range(6)]


@both_start_methods
def test_an_item_s_warning_that_cannot_be_sent_is_one_of_ours(
    start_method: Any, recorded: list[warnings.WarningMessage]
) -> None:
    items = 6 * [start_method]  # we warn once of the same
    assert pmap(tell_unsendable, items, backend="process", n_jobs=2, start_method=start_method, isolate=True) == items
    assert [each.category for each in recorded] == [AmorsizeWarning]
    assert f"Unsendable: {start_method}" in str(recorded[0].message)


PROGRAM = """
import os, warnings
from amorsize import pmap

os.dup2(1, 2)

def same(item):
    warnings.warn("same")
    return item

def each(item):
    warnings.warn(f"item {item}.")
    return item

for kind in (list, iter):
    pmap(same, kind(range(20)), backend="process", n_jobs=2, start_method="METHOD", isolate=True)
    pmap(each, kind(range(20)), backend="process", n_jobs=2, start_method="METHOD", isolate=True)
warnings.simplefilter("always")
pmap(each, range(20), backend="process", n_jobs=2, start_method="METHOD", isolate=True)
"""


@both_start_methods
def test_what_nobody_keeps_is_on_stderr_as_often_as_in_the_loop(
    start_method: str, fresh_python: Callable[..., str]
) -> None:
    text = fresh_python("-c", PROGRAM.replace("METHOD", start_method))
    lines = [line for line in text.splitlines() if "UserWarning" in line]
    assert sum("same" in line for line in lines) == 1
    assert [sum(f"item {n}." in line for line in lines) for n in range(20)] == 20 * [2]
