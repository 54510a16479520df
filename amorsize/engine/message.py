"""What workers and caller say to each other, whatever carries it."""

from __future__ import annotations

from amorsize.engine.encoding import REFUSALS, decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


RESULTS, ERROR, DONE, BEGUN, UNREAD, PRINTED = b"R", b"E", b"D", b"B", b"U", b"P"
"""Of a worker: results of a range; the exception of an item; it takes no further range; it has begun with a task; it
cannot rebuild the items of a task, or be where they are to run, and has called none of them; what they have printed
into memory, or that it is lost, and why (`said`)."""

TASK, REFUSED, READY = b"T", b"N", b"Y"
"""To a fed worker: a range of items. Its answers before its first task: it cannot run it; it can, and whatever it dies
of from now on is an item's."""

SETUP, AGAIN, REST = b"S", b"A", b"Z"
"""To one that is a fresh interpreter: what to run, and in which surroundings; the same as before; nothing more, and
after so many seconds of silence it is to end."""


class Message:
    """One announcement: a range, what was done with it, and what belongs to it.

    Attributes:
        kind: one of the above.
        start: first index of the range.
        count: items in it.
        seconds: how long they took; of a task, above 0 where it may be ended at any moment: its begin is to be told.
    """

    __slots__ = ("_buffers", "_encoding", "_payload", "count", "kind", "seconds", "start")

    def __init__(
        self,
        kind: bytes,
        start: int,
        count: int,
        seconds: float,
        encoding: bytes,
        payload: bytes | bytearray,
        buffers: list[bytearray],
    ) -> None:
        self.kind = kind
        self.start = start
        self.count = count
        self.seconds = seconds
        self._encoding = encoding
        self._payload = payload
        self._buffers = buffers

    @property
    def is_empty(self) -> bool:
        """Whether nothing came with it: the items are where the range is, or there is nothing to say."""
        return not self._payload

    def load(self) -> Any:  # Any: a list of items or results, or the tuple that describes an error
        """Return the content; raises whatever rebuilding a part of it raises."""
        return decode(self._encoding, self._payload, self._buffers)

    def results(self) -> tuple[list[object], BaseException | None]:
        """Return the results that it carries; or none, and the error of their items, where they cannot be rebuilt."""
        try:
            return self.load(), None
        except REFUSALS as cause:  # what a user's __setstate__ raises is the answer
            from amorsize.engine import failure

            return [], failure.not_rebuilt("result", self, cause)

    def error(self) -> BaseException:
        """Return the exception that an ERROR or REFUSED tells of."""
        from amorsize.engine import failure

        return failure.unpack(self.load())
