"""The caller's end of a line to a fresh interpreter: what it may have to send once more, in another way."""

from __future__ import annotations

from amorsize.engine.encoding import sendable
from amorsize.engine.fed.link import Link
from amorsize.engine.message import AGAIN, ERROR, READY, REFUSED, REST, RESULTS, SETUP, TASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections import deque
    from collections.abc import Iterator

    from amorsize.engine.message import Message
else:
    from _collections import deque  # the C half is all that is needed; `collections` itself costs 2 ms

SENT, ANSWERED, RUN = 0, 1, 2
"""How far a worker is with its last SETUP: it has been sent that, has answered it, has run something since."""


class Line(Link):
    """The caller's end, which remembers what the worker has not answered yet.

    Args:
        end: as of `Link`.
        idle_s: seconds for which a worker that was told to rest waits.

    Attributes:
        n_setups: SETUP and AGAIN frames sent so far; the answer to any but the last one is stale.
        stage: how far the worker is with the last SETUP; an AGAIN leaves it where it is.
        is_told_to_rest: the last thing that it was told.
    """

    __slots__ = ("_begins", "_idle_s", "_owed", "is_told_to_rest", "n_setups", "stage")

    def __init__(self, end: socket.socket, idle_s: float) -> None:
        super().__init__(end)
        self._idle_s = idle_s
        self._begins = False
        self.n_setups = 0
        self.stage, self.is_told_to_rest = SENT, False
        self._owed: deque[Owed] = deque()

    @property
    def is_quiet(self) -> bool:
        """Whether everything that was sent has arrived, and every task been answered."""
        return self.is_free and not self.is_sending

    @property
    def is_free(self) -> bool:
        """Whether every task has been answered; a SETUP may still be on its way."""
        return not self._owed and not self.at_end

    def set_up(self, payload: bytes) -> None:
        """Send a SETUP, and once more the tasks that no worker has begun: items travel as the function does."""
        self.n_setups += 1
        self.stage, self.is_told_to_rest = SENT, False
        self.send(SETUP, 0, self.n_setups, 0.0, payload)
        for owed in self._owed:
            super().send_values(TASK, owed.start, owed.values, owed.seconds)

    def set_up_again(self) -> None:
        """Have the worker told, with its first task, that everything is as it was."""
        self.n_setups += 1
        self.is_told_to_rest = False
        self._begins = True

    def send_values(
        self, kind: bytes, start: int, values: list[object], seconds: float = 0.0, *, is_last: bool = False
    ) -> int:
        """Send a task; see `Link`. Where one small task is all that a call has, it begins and ends the call, too: the
        worker wakes up once instead of three times.

        That it is owed is noted first: Ctrl-C between the two would let a worker rest that has something to do still.
        """
        encoding, payload, buffers = sendable(values, self.dumps)
        if values:
            self._owed.append(Owed(start, values, seconds))
        if self._begins:
            self.send(AGAIN, 0, self.n_setups, waits=True)
            self._begins = False
        self.send(kind, start, len(values), seconds, payload, encoding, buffers, waits=is_last)
        self.is_told_to_rest = is_last
        if is_last:
            self.send(REST, seconds=self._idle_s)
        return len(payload) + sum([buffer.nbytes for buffer in buffers])

    def rest(self) -> None:
        """Tell the worker that the call is over."""
        self.is_told_to_rest = True
        self.send(REST, seconds=self._idle_s)

    def receive(self) -> Iterator[Message]:
        """Yield every message that has arrived; see `Link`."""
        for message in super().receive():
            if message.kind in (READY, REFUSED):
                if message.start != self.n_setups:
                    continue
                self.stage = max(self.stage, ANSWERED)
            elif message.kind == ERROR:
                self._settle(None)
            elif message.kind == RESULTS:
                self._settle(message.count)
            yield message

    def _settle(self, count: int | None) -> None:
        """Note the answer to so many items of the task in hand, or to all that were left of it."""
        self.stage = RUN
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
