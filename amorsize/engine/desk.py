"""A worker's side of what it sends: finished results soon, and what went wrong with the rest.

A range that turns out longer than expected is published piece by piece: a timer that counts this process's computing
time (ITIMER_VIRTUAL) interrupts it every 20 ms. No item pays for a clock reading, and because that timer stands still
while the process is inside the kernel, it interrupts no system call of the user's.
"""

from __future__ import annotations

import os
import sys
from _thread import get_ident
from time import perf_counter

from amorsize.engine import logged, warned
from amorsize.engine.child import flush_output
from amorsize.engine.encoding import Refused
from amorsize.engine.held import Held
from amorsize.engine.message import ERROR, PRINTED
from amorsize.engine.said import Said, packed

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import Protocol

    class Outbox(Protocol):
        """What carries results to the caller."""

        def send_results(self, start: int, results: list[object], seconds: float) -> None:
            """Send finished results; raise Refused, before anything is sent, where they cannot be pickled."""

        def send(self, kind: bytes, start: int, count: int, seconds: float, payload: bytes) -> None:
            """Send anything else."""
else:
    import _signal as signal  # the C half is loaded anyway; `signal` itself costs 3.3 ms

PUBLISH_EVERY_S = 0.02
"""A finished result is in the caller's reach after at most this many seconds of computing."""


class Desk:
    """A worker's side of what it shares with the caller.

    Args:
        outbox: where results go.
        cells: shared integers, in which the worker notes the range that it has taken, so that its death can be told
            with the items that it may have died in.
        cell: index of its first integer.

    Attributes:
        start: index of the first item whose result is not yet sent.
        results: the finished results from there on.
        failed_at: index of the item whose failure ends the call; None while there is none.
    """

    def __init__(self, outbox: Outbox, cells: memoryview, cell: int) -> None:
        self.outbox = outbox
        self._cells = cells
        self._cell = cell
        self.results: list[object] = []
        self._said = Said()
        self.start = 0
        self.failed_at: int | None = None
        self._busy = False
        self._began_s = self._told_s = 0.0
        self._pid, self._thread = os.getpid(), get_ident()

    def open(self, start: int, stop: int) -> list[object]:
        """Note that a range was taken; return the list that its results go to."""
        self._cells[self._cell] = start
        self._cells[self._cell + 1] = stop
        self.start, self.results = start, []
        self._said.begin()
        self._began_s = perf_counter()
        return self.results

    def publish(self) -> None:
        """Send what is finished and not yet sent, with the seconds since the last time that there was any."""
        self._busy = True
        n_done = len(self.results)
        if n_done:
            now = perf_counter()
            self.outbox.send_results(self.start, self.results[:n_done], now - self._began_s)
            del self.results[:n_done]
            self.start += n_done
            self._cells[self._cell] = self.start
            self._began_s = now
        self._busy = False

    def publish_on_timer(self, _signal_number: int, _frame: object) -> None:
        """Handle the timer: publish, unless that is what was interrupted.

        A result that cannot be pickled must not raise in the middle of the user's code: the timer then stays silent
        (`_busy` is left set), and the end of the range raises it again. What a handler of the user's raises there
        belongs to the item that runs; it waits until all is sent and noted.
        """
        if self._busy:
            return
        with Held():
            try:
                self.publish()
            except BaseException:  # of pickling or sending; nothing is given up: see above
                return

    def disown(self, error: BaseException) -> None:
        """Raise it again in a child that an item has forked: it ends there, as in the loop, and is no item's."""
        if os.getpid() != self._pid:
            raise error

    def print(self) -> None:
        """Print what the items have left in the buffers of the standard streams; tell where that fails, what they have
        printed into memory, and what they have warned of and logged."""
        busy, self._busy = self._busy, True
        unprinted, added = flush_output(), self._said.take()
        unshown, warnings = warned.take()
        unlogged, records = logged.take()
        lost = unprinted or unshown or unlogged
        if lost or added or warnings or records:
            self.outbox.send(PRINTED, self.start, 0, 0.0, packed(lost, added, warnings, records))
        self._busy = busy

    def tell(self) -> None:
        """Do so in the middle of an item, unless that is what was interrupted, another thread of the item's asks, or it
        was done just now: one by one, 10,000 took as long as their loop again."""
        now = perf_counter()
        if not self._busy and get_ident() == self._thread and now - self._told_s > PUBLISH_EVERY_S:
            self._told_s = now
            self.print()

    @property
    def position(self) -> int:
        """Index of the item that is running, or runs next."""
        return self.start + len(self.results)

    def start_timer(self, *, counts_waiting: bool = False) -> None:
        """Publish every 20 ms of computing, where the platform can; or every 20 ms, whatever the items do.

        The latter interrupts system calls, which Python resumes; it is for calls that may be ended from outside at any
        moment, and are not to lose what was finished before an item that waits.
        """
        if sys.platform != "win32":
            number, clock = signal.SIGVTALRM, signal.ITIMER_VIRTUAL
            if counts_waiting:
                number, clock = signal.SIGALRM, signal.ITIMER_REAL
            signal.signal(number, self.publish_on_timer)
            signal.setitimer(clock, PUBLISH_EVERY_S, PUBLISH_EVERY_S)

    def stop_timer(self) -> None:
        """Publish only when asked."""
        if sys.platform != "win32":
            for clock in (signal.ITIMER_VIRTUAL, signal.ITIMER_REAL):
                signal.setitimer(clock, 0)

    def report(self, error: BaseException) -> None:
        """Publish what was finished before a failure, then the failure.

        Args:
            error: what the item at `position` raised, or what stopped the worker there.
        """
        from amorsize.engine import failure

        index = self.position
        with Held():
            if not isinstance(error, Refused):
                try:
                    self.publish()
                except Refused as refused:
                    error = refused
            if isinstance(error, Refused):
                index, error = failure.not_picklable("result", self.results, self.start, error.why)
                if index > self.start:
                    self.outbox.send_results(self.start, self.results[: index - self.start], 0.0)
            self.outbox.send(ERROR, index, 1, 0.0, failure.pack(error))
