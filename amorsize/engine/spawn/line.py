"""The caller's end of a line to a fresh interpreter: what it may have to send once more, in another way."""

from __future__ import annotations

from amorsize.engine.fed.link import Link
from amorsize.engine.message import ERROR, READY, REFUSED, RESULTS, SETUP, TASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections import deque
    from collections.abc import Iterator

    from amorsize.engine.message import Message
else:
    from _collections import deque  # the C half is all that is needed; `collections` itself costs 2 ms


class Line(Link):
    """The caller's end, which remembers what the worker has not answered yet.

    Attributes:
        n_setups: SETUP frames sent so far; the answer to any but the last one is stale.
        is_accepted: the worker has run something since then.
    """

    __slots__ = ("_owed", "is_accepted", "n_setups")

    def __init__(self, end: socket.socket) -> None:
        super().__init__(end)
        self.n_setups = 0
        self.is_accepted = False
        self._owed: deque[Owed] = deque()

    @property
    def is_quiet(self) -> bool:
        """Whether everything that was sent has been answered."""
        return not self._owed and not self.is_sending and not self.at_end

    def set_up(self, start: int, payload: bytes) -> None:
        """Send a SETUP, and once more the tasks that no worker has begun: items travel as the function does."""
        self.n_setups += 1
        self.is_accepted = False
        self.send(SETUP, start, self.n_setups, 0.0, payload)
        for owed in self._owed:
            super().send_values(TASK, owed.start, owed.values, owed.seconds)

    def send_values(self, kind: bytes, start: int, values: list[object], seconds: float = 0.0) -> int:
        """Send a task; see `Link`."""
        n_bytes = super().send_values(kind, start, values, seconds)
        if values:
            self._owed.append(Owed(start, values, seconds))
        return n_bytes

    def receive(self) -> Iterator[Message]:
        """Yield every message that has arrived; see `Link`."""
        for message in super().receive():
            if message.kind in (READY, REFUSED):
                if message.start != self.n_setups:
                    continue
            elif message.kind == ERROR:
                self._settle(None)
            elif message.kind == RESULTS:
                self._settle(message.count)
            yield message

    def _settle(self, count: int | None) -> None:
        """Note the answer to so many items of the task in hand, or to all that were left of it."""
        self.is_accepted = True
        if not self._owed:
            return
        task = self._owed[0]
        task.n_left -= task.n_left if count is None else count
        if not task.n_left:
            self._owed.popleft()


class Owed:
    """A task that is not answered: as it was sent, and how many of its items are left."""

    __slots__ = ("n_left", "seconds", "start", "values")

    def __init__(self, start: int, values: list[object], seconds: float) -> None:
        self.start = start
        self.values = values
        self.seconds = seconds
        self.n_left = len(values)
