"""What a worker sends arrives, however large, and nobody waits for a caller that is busy."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorsize.engine import wire
from amorsize.engine.encoding import OUT_OF_BAND_BYTES
from amorsize.engine.message import DONE, RESULTS

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs_fork

MB = 2**20


class Ends:
    """Both ends of a worker's line, in one process."""

    def __init__(self, arena_flags: int = os.O_RDWR) -> None:
        self.pipe, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)  # a send that would wait for the caller fails instead
        raw = os.memfd_create("test-results")
        self.arena = os.open(f"/proc/self/fd/{raw}", arena_flags)
        os.close(raw)
        self._cells = memoryview(bytearray(8)).cast("q")
        self.outbox = wire.Outbox(self._write_end, self.arena, self._cells, 0)
        self.inbox = wire.Inbox(self.pipe, self.arena, self._cells, 0)

    @property
    def stored_bytes(self) -> int:
        return os.fstat(self.arena).st_size

    def close(self) -> None:
        for fd in (self.pipe, self._write_end, self.arena):
            os.close(fd)


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.close()


def test_small_results_need_no_memory_file(ends: Ends) -> None:
    ends.outbox.send_results(5, [1, "two", None], 0.25)
    (message,) = ends.inbox.receive()
    assert (message.kind, message.start, message.count, message.seconds) == (RESULTS, 5, 3, 0.25)
    assert message.load() == [1, "two", None]
    assert ends.stored_bytes == 0


def test_results_larger_than_any_pipe_are_sent_while_the_caller_is_busy(ends: Ends) -> None:
    sent = [bytes([index]) * MB for index in range(20)]
    for index, result in enumerate(sent):
        ends.outbox.send_results(index, [result], 0.0)  # would raise BlockingIOError if it had to wait
    assert [message.load() for message in ends.inbox.receive()] == [[result] for result in sent]


def test_the_memory_file_is_used_again_once_it_has_been_read(ends: Ends) -> None:
    for index in range(20):
        ends.outbox.send_results(index, [b"x" * MB], 0.0)
        (message,) = ends.inbox.receive()
        assert len(message.load()[0]) == MB
    assert ends.stored_bytes < 2 * MB


def test_the_memory_file_stays_small_where_the_caller_is_always_a_little_behind(ends: Ends) -> None:
    for index in range(0, 60, 3):
        for behind in range(3):
            ends.outbox.send_results(index + behind, [bytes([index]) * MB], 0.0)
        arriving = ends.inbox.receive()
        assert [next(arriving).start for _ in range(2)] == [index, index + 1]
        ends.outbox.send_results(index, [b"x" * MB], 0.0)  # while one is unread
        assert len(list(arriving)) == 2
    assert ends.stored_bytes < 8 * MB


@given(st.lists(st.sampled_from([None, None, 3000, MB // 2, MB, 3 * MB]), max_size=40))
def test_nothing_unread_is_ever_written_over(sizes: list[int | None]) -> None:
    """None: the caller reads one."""
    ends = Ends()
    try:
        sent: list[bytes] = []
        n_read, arriving = 0, ends.inbox.receive()
        for size in [*sizes, *[None] * len(sizes)]:
            if size is not None:
                sent.append(bytes([len(sent)]) * size)
                ends.outbox.send_results(len(sent) - 1, [sent[-1]], 0.0)
                continue
            message = next(arriving, None)
            if message is None:
                arriving = ends.inbox.receive()
                message = next(arriving, None)
            if message is not None:
                assert message.load() == [sent[n_read]]
                n_read += 1
        assert n_read == len(sent)
    finally:
        ends.close()


def test_arrays_are_sent_beside_their_pickle(ends: Ends) -> None:
    numpy = pytest.importorskip("numpy")
    sent = [numpy.full(MB // 8, float(index)) for index in range(3)]
    ends.outbox.send_results(0, [*sent], 0.0)
    (message,) = ends.inbox.receive()
    assert all((back == array).all() for back, array in zip(message.load(), sent, strict=True))


@pytest.mark.parametrize("with_buffers", [False, True])
def test_a_memory_file_without_room_is_replaced_by_the_pipe(*, with_buffers: bool) -> None:
    ends = Ends(arena_flags=os.O_RDONLY)  # as on a full tmpfs, every write to it fails
    try:
        result: Any = b"x" * 10_000
        if with_buffers:
            result = pytest.importorskip("numpy").zeros(OUT_OF_BAND_BYTES, dtype="uint8")
            os.set_blocking(ends._write_end, True)
            grow_pipe(ends.pipe)
        ends.outbox.send_results(0, [result, None], 0.0)
        (message,) = ends.inbox.receive()
        back = message.load()
        assert bytes(back[0]) == bytes(result)
        assert back[1] is None
    finally:
        ends.close()


def grow_pipe(fd: int) -> None:
    import fcntl

    fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, MB)


def test_an_announcement_that_arrives_in_pieces_is_read_when_it_is_whole() -> None:
    pipe, feed = os.pipe()
    whole_pipe, whole_feed = os.pipe()
    cells = memoryview(bytearray(8)).cast("q")
    wire.Outbox(whole_feed, -1, cells, 0).send_results(3, ["a", "b"], 0.0)
    data = os.read(whole_pipe, 65536)
    inbox = wire.Inbox(pipe, -1, cells, 0)
    arrived = []
    for position in range(len(data)):
        os.write(feed, data[position : position + 1])
        arrived += [(position, message.load()) for message in inbox.receive()]
    for fd in (pipe, feed, whole_pipe, whole_feed):
        os.close(fd)
    assert arrived == [(len(data) - 1, ["a", "b"])]


def test_the_end_of_a_worker_is_seen_after_its_last_announcement(ends: Ends) -> None:
    ends.outbox.send_results(0, [1], 0.0)
    ends.outbox.send(DONE, 0, 0, 0.0, b"")
    assert [message.kind for message in ends.inbox.receive()] == [RESULTS, DONE]
    assert not ends.inbox.at_end
    os.dup2(ends.pipe, ends._write_end)  # the only writing end is gone
    assert list(ends.inbox.receive()) == []
    assert ends.inbox.at_end
