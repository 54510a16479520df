"""Errors of amorsize's own survive every journey with all that they carry."""

from __future__ import annotations

import copy
import pickle
import traceback
from typing import Any, Literal

import pytest

from amorsize import (
    AmorsizeError,
    AmorsizeWarning,
    BackendUnavailable,
    ItemNotPicklable,
    RemoteError,
    WorkerDied,
    parallelizable,
    short,
)

ERRORS = [
    WorkerDied("a worker died", first=3, stop=4, exitcode=None, signal=9),
    ItemNotPicklable("no", index=7, type_name="_thread.lock", path="result.lock"),
    RemoteError("no", type_name="Refused", text="Refused(1)", traceback_text="Traceback ..."),
    BackendUnavailable("install it"),
]


@pytest.mark.parametrize("travel", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_travels_with_its_attributes_and_notes(travel: Any, error: AmorsizeError) -> None:
    error = copy.copy(error)
    error.add_note("a note")
    back = travel(error)
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)
    assert back.__notes__ == ["a note"]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_one_except_clause_catches_all(error: AmorsizeError) -> None:
    with pytest.raises(AmorsizeError):
        raise error


def test_what_cannot_be_pickled_is_a_type_error_too() -> None:
    assert issubclass(ItemNotPicklable, TypeError)


def test_the_finished_results_of_a_dead_worker_travel() -> None:
    died = WorkerDied("a worker died")
    assert died.finished == {}
    died.finished = {0: "done"}
    assert pickle.loads(pickle.dumps(died)).finished == {0: "done"}


def test_a_warning_is_for_the_users_eyes() -> None:
    assert issubclass(AmorsizeWarning, UserWarning)


@parallelizable
def item_fails(n: int) -> float:
    return 1 / n


def frames(error: BaseException) -> list[str]:
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def test_a_traceback_goes_from_the_call_to_the_users_own_code() -> None:
    here = "test_a_traceback_goes_from_the_call_to_the_users_own_code"
    with pytest.raises(ZeroDivisionError) as caught:
        item_fails.pmap([1, 0])
    assert frames(caught.value) == [here, "pmap", "item_fails"]
    with pytest.raises(ZeroDivisionError) as caught:
        item_fails.pmap(iter([1, 0]))
    assert frames(caught.value) == [here, "pmap", "item_fails"]


@pytest.mark.parametrize("start_method", [pytest.param("fork", marks=pytest.mark.needs_fork), "spawn"])
def test_the_traceback_of_a_worker_begins_in_the_users_own_code(start_method: Literal["fork", "spawn"]) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        item_fails.pmap([1, 0], isolate=True, start_method=start_method)
    assert frames(caught.value)[1:] == ["pmap"]
    lines = caught.value.__notes__[0].splitlines()
    assert [line.rpartition(" in ")[2] for line in lines if line.startswith("  File ")] == ["item_fails"]


def test_what_goes_wrong_in_our_own_code_is_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(short, "Work", None)
    with pytest.raises(TypeError) as caught:
        item_fails.pmap([1, 0])
    assert frames(caught.value)[-2:] == ["_run", "run"]
