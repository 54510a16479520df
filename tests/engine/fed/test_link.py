"""What one side sends the other side gets, whole and in order, however large, and nobody waits for ever."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorsize.engine.fed.link import CHUNK_BYTES, Link, wait_for
from amorsize.engine.message import RESULTS, TASK

if TYPE_CHECKING:
    from collections.abc import Iterator

MB = 2**20


@pytest.fixture
def links() -> Iterator[tuple[Link, Link]]:
    """The caller's end and the worker's."""
    here, there = socket.socketpair()
    here.setblocking(False)
    yield Link(here), Link(there)
    here.close()
    there.close()


def sent_through(links: tuple[Link, Link], values: list[list[object]]) -> list[Any]:
    """Send lists from the worker to the caller, and return what arrives."""
    caller, worker = links

    def send() -> None:
        for start, results in enumerate(values):
            worker.send_results(start, results, 0.5)
        worker.end.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    caller.end.settimeout(10)
    found = list(caller.receive())
    thread.join()
    assert [message.start for message in found] == list(range(len(values)))
    return [message.load() for message in found]


@pytest.mark.parametrize("n_bytes", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * MB])
def test_results_of_any_size_arrive(links: tuple[Link, Link], n_bytes: int) -> None:
    values: list[list[object]] = [[bytes(n_bytes)], [n_bytes, "next"], [{"a": bytes(n_bytes)}, 1.5]]
    assert sent_through(links, values) == values


def test_arrays_arrive_and_can_be_written(links: tuple[Link, Link]) -> None:
    import numpy as np

    values: list[list[object]] = [[np.arange(n) for n in (10, 100_000, 0, 300_000)], [np.ones((500, 500)).T]]
    for found, expected in zip(sent_through(links, values), values, strict=True):
        for array, original in zip(found, expected, strict=True):
            assert array.tolist() == original.tolist()  # type: ignore[attr-defined]
            array += 1


@given(st.lists(st.lists(st.binary(max_size=200) | st.integers(), max_size=5), max_size=20))
def test_whatever_is_sent_arrives_in_order(values: list[list[object]]) -> None:
    here, there = socket.socketpair()
    with here, there:
        assert sent_through((Link(here), Link(there)), values) == values


def test_a_caller_that_sends_more_than_fits_does_not_wait(links: tuple[Link, Link]) -> None:
    caller, worker = links
    caller.send_values(TASK, 0, [bytes(5 * MB)])
    assert caller.is_sending
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.extend(next(worker.receive()).load()))
    thread.start()
    while caller.is_sending:
        caller.flush()
    thread.join()
    assert found == [bytes(5 * MB)]


def test_what_was_sent_before_the_end_is_received_before_it(links: tuple[Link, Link]) -> None:
    caller, worker = links
    worker.send_results(3, [1, 2], 0.5)
    worker.end.close()
    (message,) = caller.receive()
    assert (message.kind, message.start, message.count, message.seconds) == (RESULTS, 3, 2, 0.5)
    assert caller.at_end


def test_a_frame_cut_short_is_none(links: tuple[Link, Link]) -> None:
    caller, worker = links
    worker.end.send(b"R")
    worker.end.close()
    assert list(caller.receive()) == []
    assert caller.at_end


def test_sending_to_one_who_is_gone_is_no_error(links: tuple[Link, Link]) -> None:
    caller, worker = links
    worker.end.close()
    caller.send(TASK, payload=bytes(MB))
    assert not caller.is_sending


def test_a_worker_that_hears_nothing_for_its_timeout_is_at_the_end(links: tuple[Link, Link]) -> None:
    _, worker = links
    worker.end.settimeout(0.001)
    assert list(worker.receive()) == []
    assert worker.at_end


def test_who_waits_is_told_which_line_has_something_to_say(links: tuple[Link, Link]) -> None:
    caller, worker = links
    with socket.socket() as other:
        assert wait_for([caller], [other.fileno()], 0.0) <= {other.fileno()}
        worker.send(RESULTS)
        assert caller.end.fileno() in wait_for([caller], [other.fileno()], 10.0)


def test_who_has_more_to_send_is_told_when_there_is_room(links: tuple[Link, Link]) -> None:
    caller, worker = links
    while not caller.is_sending:
        caller.send(TASK, payload=bytes(MB))
    assert caller.end.fileno() not in wait_for([caller], [], 0.0)
    worker.end.recv(MB)
    assert caller.end.fileno() in wait_for([caller], [], 10.0)
