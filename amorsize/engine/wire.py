"""How results get from a worker to the caller.

    worker                                              caller
    Outbox.send --- header [+ small payload] --> pipe --> Inbox.receive --> (kind, start, count, seconds, content)
           \\------ large payload --> memory file -- pread ---/
                                          consumed (shared cell) <--/

The payload is in the memory file before its header is in the pipe, so nothing is ever half announced. The memory file
is written from its start again as soon as the caller has read what is there: it stays as large as what is unread, and
warm in the cache. A worker waits only while more than `UNREAD_CAP_BYTES` are unread. Where the memory file cannot grow
(RLIMIT_FSIZE, a full tmpfs) the payload takes the pipe: slower, and nothing lost.
"""

from __future__ import annotations

import marshal
import os
import select
import sys
from struct import Struct

from amorsize.engine.encoding import MARSHAL_VERSION, MARSHALLED, PICKLED_WITH_BUFFERS, plain, sendable
from amorsize.engine.message import RESULTS, Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


assert sys.platform == "linux"

IN_PIPE_BYTES = 2048
"""Payloads up to this size travel in the pipe, behind their header: it saves a write and a read (2 us), and 32 of them
fit into a pipe before a worker has to wait."""

UNREAD_CAP_BYTES = 256 << 20
"""A worker waits while the caller has this much unread: results held twice stay bounded."""

WAIT_MS = 1
"""A worker above the cap looks again after this many ms."""

AGAIN_FROM_BYTES = 4 << 20
"""From here on the memory file is written from its start again, where that has been read. Memory that was written
before takes 1 MB in 0.08 ms, new memory in 0.37 ms; much more than this leaves the cache."""

HEADER = Struct("=ccqqqqd")
IN_PIPE = -1


def open_ends() -> tuple[int, int, int]:
    """Return both ends of a pipe, and a memory file.

    Raises:
        OSError: where there is no room for them; nothing is left open.
    """
    read_end, write_end = os.pipe()
    try:
        return read_end, write_end, os.memfd_create("amorsize-results")
    except OSError:
        os.close(read_end)
        os.close(write_end)
        raise


def write_all(fd: int, data: bytes) -> None:
    """Write everything to a pipe, however little each write takes."""
    written = os.write(fd, data)
    while written < len(data):
        data = data[written:]
        written = os.write(fd, data)


class Outbox:
    """A worker's end.

    Args:
        pipe: its write end.
        arena: the memory file.
        cells: shared integers; `cells[cell]` is the number of bytes that the caller has read from the memory file.
    """

    def __init__(self, pipe: int, arena: int, cells: memoryview, cell: int) -> None:
        self._pipe = pipe
        self._arena = arena
        self._cells = cells
        self._cell = cell
        self._written = 0
        self._unread: list[tuple[int, int, int]] = []  # (bytes written up to its end, offset, its own bytes)

    def send_results(self, start: int, results: list[object], seconds: float) -> None:
        """Announce finished results; raises Refused, before anything was sent, where they cannot be pickled."""
        encoding, payload, buffers = sendable(results)
        if buffers:
            places = self._store_beside(buffers)
            if places:
                payload = marshal.dumps((payload, places), MARSHAL_VERSION)
            else:
                encoding, payload, _ = sendable(results, lambda values, _: plain(values))
        self.send(RESULTS, start, len(results), seconds, payload, encoding)

    def send(
        self, kind: bytes, start: int, count: int, seconds: float, payload: bytes, encoding: bytes = MARSHALLED
    ) -> None:
        """Announce a range."""
        offset = IN_PIPE if len(payload) <= IN_PIPE_BYTES else self._store(memoryview(payload))
        header = HEADER.pack(kind, encoding, start, count, len(payload), offset, seconds)
        write_all(self._pipe, header + payload if offset == IN_PIPE else header)

    def _store_beside(self, buffers: list[memoryview]) -> list[tuple[int, int]]:
        """Write all buffers to the memory file; return (offset, bytes) of each, or nothing where one found no room."""
        places = []
        for buffer in buffers:
            places.append((self._store(buffer), buffer.nbytes))
            if places[-1][0] == IN_PIPE:
                for _, n_bytes in places[:-1]:
                    self._written -= n_bytes
                    self._unread.pop()
                return []
        return places

    def _store(self, data: memoryview) -> int:
        """Write to the memory file; return the offset, or IN_PIPE where the file cannot grow."""
        self._wait_for_room()
        offset, rest = self._offset_for(data.nbytes), data
        try:
            while rest:
                n_bytes = os.pwrite(self._arena, rest, offset + data.nbytes - rest.nbytes)
                if not n_bytes:
                    return IN_PIPE
                rest = rest[n_bytes:]
        except OSError:
            return IN_PIPE
        self._written += data.nbytes
        self._unread.append((self._written, offset, data.nbytes))
        return offset

    def _offset_for(self, n_bytes: int) -> int:
        """Return where so many bytes find room: behind the last ones, or at the start again, where all was read."""
        unread, n_read = self._unread, self._cells[self._cell]
        while unread and unread[0][0] <= n_read:
            del unread[0]
        if not unread:
            return 0
        behind = unread[-1][1] + unread[-1][2]
        for offset in (0, behind) if behind + n_bytes > AGAIN_FROM_BYTES else (behind,):
            if all(at + size <= offset or offset + n_bytes <= at for _, at, size in unread):
                return offset
        return max(at + size for _, at, size in unread)

    def _wait_for_room(self) -> None:
        while self._written - self._cells[self._cell] > UNREAD_CAP_BYTES:
            select.select((), (), (), WAIT_MS / 1000)


class Inbox:
    """The caller's end; its arguments are those of `Outbox`, with the pipe's read end, which is made non-blocking."""

    def __init__(self, pipe: int, arena: int, cells: memoryview, cell: int) -> None:
        os.set_blocking(pipe, False)
        self._pipe = pipe
        self._arena = arena
        self._cells = cells
        self._cell = cell
        self._unparsed = bytearray()
        self.at_end = False

    def receive(self) -> Iterator[Message]:
        """Yield every announcement that has arrived; `at_end` is set once no other can follow."""
        while not self.at_end:
            try:
                data = os.read(self._pipe, 65536)
            except BlockingIOError:
                return
            self.at_end = not data
            self._unparsed += data
            yield from self._parse()

    def _parse(self) -> Iterator[Message]:
        data = self._unparsed
        while len(data) >= HEADER.size:
            kind, encoding, start, count, n_bytes, offset, seconds = HEADER.unpack_from(data)
            end = HEADER.size + (n_bytes if offset == IN_PIPE else 0)
            if len(data) < end:
                break
            payload = bytes(data[HEADER.size : end]) if offset == IN_PIPE else self._fetch(offset, n_bytes)
            del data[:end]
            buffers: list[bytearray] = []
            if encoding == PICKLED_WITH_BUFFERS:
                payload, places = marshal.loads(payload)
                buffers = [self._fetch_buffer(*place) for place in places]
            yield Message(kind, start, count, seconds, encoding, payload, buffers)

    def _fetch(self, offset: int, n_bytes: int) -> bytes:
        data = os.pread(self._arena, n_bytes, offset)
        while len(data) < n_bytes:
            data += os.pread(self._arena, n_bytes - len(data), offset + len(data))
        self._cells[self._cell] += n_bytes
        return data

    def _fetch_buffer(self, offset: int, n_bytes: int) -> bytearray:
        buffer = bytearray(n_bytes)
        view = memoryview(buffer)
        while view:
            n_bytes = os.preadv(self._arena, [view], offset)
            view, offset = view[n_bytes:], offset + n_bytes
        self._cells[self._cell] += len(buffer)
        return buffer
