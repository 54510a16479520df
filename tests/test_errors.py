"""Errors of amorsize's own survive every journey with all that they carry."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from amorsize import AmorsizeError, AmorsizeWarning, BackendUnavailable, ItemNotPicklable, RemoteError, WorkerDied

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
