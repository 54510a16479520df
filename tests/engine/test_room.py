"""Memory for large results: all zero, all its own, and there on every platform."""

from __future__ import annotations

import mmap
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amorsize.engine.room import LARGE_BYTES, ROOM_BYTES, Room, copy_to_new

SIZES = st.sampled_from([1, LARGE_BYTES - 1, LARGE_BYTES, LARGE_BYTES + 1, 1_000_000, ROOM_BYTES, ROOM_BYTES + 5])


@settings(max_examples=20)
@given(st.lists(SIZES, max_size=8))
def test_every_buffer_is_zero_writable_and_nobody_else_s(sizes: list[int]) -> None:
    room = Room()
    taken = [room.take(size) for size in sizes]
    for number, (buffer, size) in enumerate(zip(taken, sizes, strict=True), 1):
        assert bytes(buffer) == bytes(size)
        buffer[:] = bytes([number]) * size
    for number, (buffer, size) in enumerate(zip(taken, sizes, strict=True), 1):
        assert bytes(buffer) == bytes([number]) * size


@pytest.mark.parametrize("why", ["no memory", "no huge pages"])
def test_without_huge_pages_a_buffer_is_a_plain_one(monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    def refuse(*_: object, **__: object) -> mmap.mmap:
        raise OSError(12, why)

    if why == "no memory":
        monkeypatch.setattr(mmap, "mmap", refuse)
    else:
        monkeypatch.delattr(mmap, "MADV_HUGEPAGE", raising=False)
    assert type(Room().take(LARGE_BYTES)) is bytearray


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has huge pages on request")
def test_results_of_one_size_lie_side_by_side_and_outlive_their_room() -> None:
    room = Room()
    taken = [room.take(LARGE_BYTES) for _ in range(ROOM_BYTES // LARGE_BYTES)]
    del room
    assert len({id(buffer.obj) for buffer in taken if isinstance(buffer, memoryview)}) == 1
    assert bytes(taken[-1]) == bytes(LARGE_BYTES)


def test_a_payload_of_any_size_can_be_copied_to_new_memory() -> None:
    copy_to_new(memoryview(b"x"))
    copy_to_new(memoryview(bytes(100_001)))
