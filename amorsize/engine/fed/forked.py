"""Fed workers by fork (Linux): they have the function, and data that can be sliced, from the caller."""

from __future__ import annotations

import sys

assert sys.platform == "linux"  # before the imports: elsewhere, type checkers find nothing behind them

from amorsize.engine import safety
from amorsize.engine.fed import serve
from amorsize.engine.fed.link import Link
from amorsize.engine.fork import fork_children
from amorsize.engine.lifeline import Lifeline
from amorsize.engine.native import limit
from amorsize.engine.process import Process, as_many

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from amorsize.engine.held import Held
    from amorsize.engine.message import Message
    from amorsize.inline import Work
else:
    import _socket as socket  # the C half is all that is needed; `socket` itself costs 5 ms


class ForkedSeat(Process):
    """A fed worker, seen from the caller.

    Attributes:
        link: the line to it.
    """

    __slots__ = ("link",)

    def __init__(self, pid: int, end: socket.socket) -> None:
        super().__init__(pid)
        end.setblocking(False)
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

    Args:
        work: what they run.
        held: what its caller holds signal handlers back with meanwhile.
        n_threads: native threads that each library may use in a worker; None for any number.
    """

    def __init__(self, work: Work, held: Held, n_threads: int | None = None) -> None:
        self._work = work
        self._held = held
        self._n_threads = n_threads
        self._lifeline: Lifeline | None = None
        self._seats: list[ForkedSeat] = []

    def hire(self, n_workers: int) -> list[ForkedSeat]:
        """Start workers, fewer where the system has no room for all.

        Raises:
            OSError: where there is room for none.
        """
        give_back = limit(self._n_threads)  # workers inherit it
        try:
            return self._fork(n_workers)
        finally:
            give_back()

    def _fork(self, n_workers: int) -> list[ForkedSeat]:
        self._lifeline = self._lifeline or Lifeline()
        pids: list[int] = []
        lines, shortage = as_many(n_workers, socket.socketpair)

        def live(number: int) -> None:
            safety.cores_are_taken = True
            _, there = lines[number]
            there.setblocking(True)  # whatever `socket.setdefaulttimeout` says here, it waits for as long as it takes
            serve.serve(Link(there), self._work)

        strange = [fd for seat in self._seats for fd in seat.descriptors()]
        ends = [((here.fileno(),), (there.fileno(),)) for here, there in lines]
        try:
            fork_children(live, ends, strange, pids, self._lifeline, self._held)
        except OSError as error:
            shortage = error
        finally:
            for _, there in lines:
                there.close()
            for here, _ in lines[len(pids) :]:
                here.close()
            hired = [ForkedSeat(pid, here) for pid, (here, _) in zip(pids, lines, strict=False)]
            self._seats += hired
        if shortage is not None and not hired:
            raise shortage
        return hired

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
