"""Fed workers by fork (Linux): they have the function, and data that can be sliced, from the caller."""

from __future__ import annotations

import socket
import sys

assert sys.platform == "linux"  # before the imports: elsewhere, type checkers find nothing behind them

from amorsize.engine import safety
from amorsize.engine.fed import serve
from amorsize.engine.fed.link import Link
from amorsize.engine.fork import Elsewhere, fork_child
from amorsize.engine.lifeline import Lifeline
from amorsize.engine.process import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.engine.message import Message
    from amorsize.inline import Work


class ForkedSeat(Process):
    """A fed worker, seen from the caller.

    Attributes:
        link: the line to it.
    """

    __slots__ = ("link",)

    def __init__(self, pid: int, end: socket.socket) -> None:
        super().__init__(pid)
        self.link = Link(end)

    def answer(self, refused: Message) -> None:
        raise refused.error()

    def descriptors(self) -> list[int]:
        return [self.link.end.fileno(), *super().descriptors()]

    def close(self) -> None:
        super().close()
        self.link.end.detach()  # its descriptor was among those that have just been closed


class ForkedCrew:
    """Forks workers for one call, and ends them with it.

    Its caller holds signal handlers back meanwhile.

    Args:
        work: what they run.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._lifeline: Lifeline | None = None
        self._seats: list[ForkedSeat] = []

    def hire(self, n_workers: int) -> list[ForkedSeat]:
        """Start workers, fewer where the system has no room for all.

        Raises:
            OSError: where there is room for none.
        """
        hired: list[ForkedSeat] = []
        elsewhere = Elsewhere()
        while len(hired) < n_workers:
            try:
                hired.append(self._start())
            except OSError:
                if not hired:
                    raise
                break
            elsewhere.wake(hired[-1].pid)
        return hired

    def _start(self) -> ForkedSeat:
        self._lifeline = self._lifeline or Lifeline()
        here, there = socket.socketpair()
        try:
            pid = fork_child(lambda: self._live(here, there), self._lifeline, self._seats)
        except BaseException:
            here.close()
            raise
        finally:
            there.close()
        here.setblocking(False)
        seat = ForkedSeat(pid, here)
        self._seats.append(seat)
        return seat

    def _live(self, here: socket.socket, there: socket.socket) -> None:
        here.close()
        safety.cores_are_taken = True
        serve.serve(Link(there), self._work)

    def dismiss(self, seat: ForkedSeat) -> None:
        """End a worker at once, however busy it is."""
        seat.kill()
        self._retire(seat)

    def release(self, seats: list[ForkedSeat]) -> None:
        """Let idle workers end by themselves: flush their output, save what measures them."""
        for seat in seats:
            seat.link.end.shutdown(socket.SHUT_RDWR)
        for seat in seats:
            self._retire(seat)

    def _retire(self, seat: ForkedSeat) -> None:
        seat.end()
        seat.close()
        self._seats.remove(seat)

    def close(self) -> None:
        """End all workers at once; a second time, do nothing."""
        for seat in self._seats:
            seat.kill()
        while self._seats:
            self._retire(self._seats[-1])
        if self._lifeline is not None:
            self._lifeline.close()
            self._lifeline = None
