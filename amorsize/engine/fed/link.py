"""A line between the caller and a fed worker: frames over a socket, both ways, on every platform.

    header | bytes of each buffer | payload | buffer | buffer ...

What pickle keeps out of band (arrays) is written from where it lies and read into where it stays. The caller's end
never blocks: what the socket does not take yet waits in `Link`, and leaves when `flush` is called again. So neither
side can wait for the other for ever, however large a frame is.
"""

from __future__ import annotations

import select
import sys
from itertools import islice
from math import ceil
from struct import Struct

from amorsize.engine.encoding import MARSHALLED, sendable
from amorsize.engine.message import RESULTS, Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections import deque
    from collections.abc import Iterator, Sequence

    from amorsize.engine.encoding import Dumps
else:
    import _socket as socket  # the C half is all that is needed; `socket` itself costs 5 ms
    from _collections import deque  # the C half is all that is needed; `collections` itself costs 2 ms

HEADER = Struct("=ccqqqdI")

CHUNK_BYTES = 1 << 16
"""Read at once; a part of a frame that needs more is read straight into its place, one copy less."""

JOINED_BYTES = 1 << 14
"""Frames up to this size are put together before they are sent: a copy costs less than a second part does (0.3 us)."""

LONGEST_MS = 2**31 - 1
"""The longest wait that the system can be asked for: 24 days."""

MOST_PARTS = 64
"""Parts given to the kernel at once; it takes 1,024 on Linux, 16 are promised by POSIX."""


def wait_for(links: Sequence[Link], others: Sequence[int], timeout_s: float | None) -> set[int]:
    """Wait until a link can be read, or written where it has something to send, or another descriptor can be read;
    return the descriptors that can. Where a message has arrived already, look at none.

    Without `selectors`, whose Linux flavour opens a descriptor each time (15 us).
    """
    if any(link.has_arrived for link in links):
        return set()
    readable: list[int] = [*others, *[link.end.fileno() for link in links]]
    writable = [link.end.fileno() for link in links if link.is_sending]
    if sys.platform == "win32":  # which has no poll
        can_read, can_write, _ = select.select(readable, writable, [], timeout_s)
        return {*can_read, *can_write}
    poll = select.poll()
    for fd in readable:
        poll.register(fd, select.POLLIN)
    for fd in writable:
        poll.register(fd, select.POLLIN | select.POLLOUT)
    return {fd for fd, _ in poll.poll(None if timeout_s is None else min(ceil(timeout_s * 1e3), LONGEST_MS))}


class Link:
    """One end.

    Args:
        end: a connected socket; non-blocking for the caller, blocking (or with a timeout) for the worker.

    Attributes:
        dumps: pickles for the other side; None for `encoding.pickled`.
        at_end: the other side has closed its end, or was silent for as long as the socket's timeout.
        broken: what the system said when it took no more of what the caller sends; None while it does.
    """

    has_arrived = False  # nothing is ever here but in the socket
    __slots__ = ("_at", "_filled", "_frame", "_parts", "_sending", "_unparsed", "at_end", "broken", "dumps", "end")

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.dumps: Dumps | None = None
        self.at_end = False
        self.broken: OSError | None = None
        self._sending: deque[memoryview] = deque()
        self._unparsed = bytearray()
        self._frame: tuple[bytes, bytes, int, int, float] | None = None
        self._parts: list[bytearray] = []
        self._at = self._filled = 0

    # Sending.

    def send_values(
        self, kind: bytes, start: int, values: list[object], seconds: float = 0.0, *, is_last: bool = False
    ) -> int:
        """Send a range with its items or results; return the bytes. Raises Refused, before anything is sent, where
        they cannot be pickled.

        Args:
            kind: what it is.
            start: first index.
            values: the items or results.
            seconds: as of `Message`.
            is_last: nothing else of this call will follow.
        """
        encoding, payload, buffers = sendable(values, self.dumps)
        self.send(kind, start, len(values), seconds, payload, encoding, buffers)
        return len(payload) + sum([buffer.nbytes for buffer in buffers])

    def send_results(self, start: int, results: list[object], seconds: float) -> None:
        """Send finished results; as `send_values`."""
        self.send_values(RESULTS, start, results, seconds)

    def send(
        self,
        kind: bytes,
        start: int = 0,
        count: int = 0,
        seconds: float = 0.0,
        payload: bytes = b"",
        encoding: bytes = MARSHALLED,
        buffers: Sequence[memoryview] = (),
        *,
        waits: bool = False,
    ) -> None:
        """Send a frame, or as much of it as the other side has room for; where it `waits`, with the next frame."""
        head = HEADER.pack(kind, encoding, start, count, len(payload), seconds, len(buffers))
        head += b"".join([buffer.nbytes.to_bytes(8, "little") for buffer in buffers])
        if not buffers and len(payload) <= JOINED_BYTES:
            self._sending.append(memoryview(head + payload))
        else:
            parts = (memoryview(head), memoryview(payload), *[buffer.cast("B") for buffer in buffers])
            self._sending.extend([part for part in parts if part.nbytes])
        if not waits:
            self.flush()

    @property
    def is_sending(self) -> bool:
        """Whether something still waits to leave: `flush` when the socket can be written."""
        return bool(self._sending) and not self.at_end

    def flush(self) -> None:
        """Send what waits, as far as it goes without waiting; blocking sockets wait."""
        while self._sending:
            try:
                sent = self._send_some()
            except BlockingIOError:
                return
            except ConnectionError:  # the other side is gone: reading says so as well, after what it had sent
                self._sending.clear()
                return
            except OSError as error:
                if self.end.getblocking() or error.errno is None:  # a signal handler's, and not the system's
                    raise
                self._break(error)
                return
            while self._sending and sent >= self._sending[0].nbytes:
                sent -= self._sending.popleft().nbytes
            if sent:
                self._sending[0] = self._sending[0][sent:]

    def _break(self, error: OSError) -> None:
        """Send nothing more, after half a frame it may be: the worker does all that has reached it, and then ends."""
        self.broken = error
        self._sending.clear()
        try:
            self.end.shutdown(socket.SHUT_WR)
        except OSError:  # it has ended meanwhile
            return

    def _send_some(self) -> int:
        if len(self._sending) == 1 or sys.platform == "win32":  # which has no sendmsg
            return self.end.send(self._sending[0])
        return self.end.sendmsg(islice(self._sending, MOST_PARTS))

    # Receiving.

    def receive(self) -> Iterator[Message]:
        """Yield every message that has arrived; on a blocking socket every one that ever will."""
        while not self.at_end:
            yield from self._complete()
            try:
                n_bytes = self._read()
            except BlockingIOError:
                return
            except (ConnectionError, TimeoutError):
                n_bytes = 0
            self.at_end = not n_bytes

    def _read(self) -> int:
        if self._frame is not None and len(self._parts[self._at]) - self._filled > CHUNK_BYTES:
            n_bytes = self.end.recv_into(memoryview(self._parts[self._at])[self._filled :])
            self._filled += n_bytes
            return n_bytes
        data = self.end.recv(CHUNK_BYTES)
        self._unparsed += data
        return len(data)

    def _complete(self) -> Iterator[Message]:
        """Yield the messages that are whole."""
        while self._frame is not None or self._begin():
            self._fill()
            if self._frame is None or self._at < len(self._parts):
                return
            kind, encoding, start, count, seconds = self._frame
            payload, *buffers = self._parts
            self._frame = None
            yield Message(kind, start, count, seconds, encoding, payload, buffers)

    def _begin(self) -> bool:
        """Begin a frame, where its head is here."""
        if len(self._unparsed) < HEADER.size:
            return False
        kind, encoding, start, count, n_bytes, seconds, n_buffers = HEADER.unpack_from(self._unparsed)
        end = HEADER.size + 8 * n_buffers
        if len(self._unparsed) < end:
            return False
        sizes = [int.from_bytes(self._unparsed[at : at + 8], "little") for at in range(HEADER.size, end, 8)]
        del self._unparsed[:end]
        self._frame = kind, encoding, start, count, seconds
        self._parts = [bytearray(size) for size in (n_bytes, *sizes)]
        self._at = self._filled = 0
        return True

    def _fill(self) -> None:
        """Move what was read into the parts of the frame."""
        while self._at < len(self._parts):
            part = self._parts[self._at]
            n_bytes = min(len(part) - self._filled, len(self._unparsed))
            part[self._filled : self._filled + n_bytes] = self._unparsed[:n_bytes]
            del self._unparsed[:n_bytes]
            self._filled += n_bytes
            if self._filled < len(part):
                return
            self._at += 1
            self._filled = 0
