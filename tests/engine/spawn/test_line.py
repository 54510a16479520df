"""The caller's end of a line knows what is unanswered, and sends it once more where the function was refused."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from amorsize.engine.fed.link import Link
from amorsize.engine.message import AGAIN, BEGUN, ERROR, REFUSED, REST, SETUP, TASK
from amorsize.engine.spawn.line import Line

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ends() -> Iterator[tuple[Line, Link]]:
    """The caller's end and the worker's."""
    here, there = socket.socketpair()
    here.setblocking(False)
    there.setblocking(False)
    yield Line(here, 30.0), Link(there)
    here.close()
    there.close()


def test_a_line_is_quiet_when_every_item_is_answered(ends: tuple[Line, Link]) -> None:
    caller, worker = ends
    assert caller.is_quiet
    caller.send_values(TASK, 0, [1, 2, 3])
    caller.send_values(TASK, 3, [4, 5])
    answers: list[tuple[int, list[object]]] = [(0, [1]), (1, [2, 3]), (3, [4])]
    for start, results in answers:
        worker.send_results(start, results, 0.0)
        list(caller.receive())
        assert not caller.is_quiet
    worker.send(ERROR, 4, 1)
    list(caller.receive())
    assert caller.is_quiet


def test_a_task_that_has_begun_is_not_answered(ends: tuple[Line, Link]) -> None:
    caller, worker = ends
    caller.send_values(TASK, 0, [1])
    worker.send(BEGUN, 0, 1)
    list(caller.receive())
    assert not caller.is_quiet


def test_an_error_answers_for_the_rest_of_its_task(ends: tuple[Line, Link]) -> None:
    caller, worker = ends
    caller.send_values(TASK, 0, [1, 2, 3])
    caller.send_values(TASK, 3, [4])
    worker.send_results(0, [1], 0.0)
    worker.send(ERROR, 1, 1)
    list(caller.receive())
    assert not caller.is_quiet
    worker.send_results(3, [4], 0.0)
    list(caller.receive())
    assert caller.is_quiet


def test_what_is_unanswered_is_sent_again_behind_another_setup(ends: tuple[Line, Link]) -> None:
    caller, worker = ends
    caller.set_up(b"first")
    caller.send_values(TASK, 0, [1, 2], 1.0)
    caller.send_values(TASK, 2, [[3]])
    caller.set_up(b"second")
    told = [(message.kind, message.start, message.count, message.seconds) for message in worker.receive()]
    tasks = [(TASK, 0, 2, 1.0), (TASK, 2, 1, 0.0)]
    assert told == [(SETUP, 0, 1, 0.0), *tasks, (SETUP, 0, 2, 0.0), *tasks]


def test_only_a_refusal_of_the_last_setup_counts(ends: tuple[Line, Link]) -> None:
    caller, worker = ends
    caller.set_up(b"first")
    caller.set_up(b"second")
    worker.send(REFUSED, 1)
    assert list(caller.receive()) == []
    worker.send(REFUSED, 2)
    assert [message.start for message in caller.receive()] == [2]


# ---- a call that is like the one before


def kinds(worker: Link) -> list[tuple[bytes, float]]:
    return [(message.kind, message.seconds) for message in worker.receive()]


def test_one_small_task_that_is_the_last_begins_and_ends_a_call_in_one_message(ends: tuple[Line, Link]) -> None:
    caller, worker = ends
    caller.set_up_again()
    assert kinds(worker) == []
    caller.send_values(TASK, 0, [1, 2], is_last=True)
    assert kinds(worker) == [(AGAIN, 0.0), (TASK, 0.0), (REST, 30.0)]
    assert caller.is_told_to_rest


def test_where_more_follows_a_call_begins_with_its_first_task_and_does_not_end(ends: tuple[Line, Link]) -> None:
    caller, worker = ends
    caller.set_up_again()
    caller.send_values(TASK, 0, [1])
    assert kinds(worker) == [(AGAIN, 0.0), (TASK, 0.0)]
    assert not caller.is_told_to_rest


def test_a_task_after_the_last_one_takes_the_rest_back(ends: tuple[Line, Link]) -> None:
    caller, worker = ends
    caller.send_values(TASK, 0, [1], is_last=True)
    caller.send_values(TASK, 1, [2])
    assert not caller.is_told_to_rest
    caller.rest()
    assert caller.is_told_to_rest
    assert [kind for kind, _ in kinds(worker)] == [TASK, REST, TASK, REST]
