"""What runs in a worker, between its birth and `os._exit`.

    take a range -> run its items -> publish the results -> take the next ...

A range that turns out longer than expected is published piece by piece: a timer that counts this process's computing
time (ITIMER_VIRTUAL) interrupts it every 20 ms. No item pays for a clock reading, and because that timer stands still
while the process is inside the kernel, it interrupts no system call of the user's.
"""

from __future__ import annotations

import sys
from time import perf_counter

from amorsize.engine import wire
from amorsize.engine.message import DONE, ERROR

assert sys.platform == "linux"

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal

    from amorsize.engine.counter import Counter
    from amorsize.engine.inline import Work
    from amorsize.engine.job import Range
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
    """

    def __init__(self, outbox: wire.Outbox, cells: memoryview, cell: int) -> None:
        self.outbox = outbox
        self._cells = cells
        self._cell = cell
        self.results: list[object] = []
        self.start = 0
        self._busy = False
        self._began_s = 0.0

    def open(self, start: int, stop: int) -> list[object]:
        """Note that a range was taken; return the list that its results go to."""
        self._cells[self._cell] = start
        self._cells[self._cell + 1] = stop
        self.start, self.results = start, []
        self._began_s = perf_counter()
        return self.results

    def publish(self) -> float:
        """Send what is finished and not yet sent; return the seconds since the last time."""
        self._busy = True
        now = perf_counter()
        seconds = now - self._began_s
        n_done = len(self.results)
        if n_done:
            self.outbox.send_results(self.start, self.results[:n_done], seconds)
            del self.results[:n_done]
            self.start += n_done
            self._cells[self._cell] = self.start
        self._began_s = now
        self._busy = False
        return seconds

    def publish_on_timer(self, _signal_number: int, _frame: object) -> None:
        """Handle the timer: publish, unless that is what was interrupted.

        A result that cannot be pickled must not raise in the middle of the user's code: the timer then stays silent
        (`_busy` is left set), and the end of the range raises it again.
        """
        if not self._busy:
            try:
                self.publish()
            except Exception:  # of pickling, which may raise anything: see above
                return

    @property
    def position(self) -> int:
        """Index of the item that is running, or runs next."""
        return self.start + len(self.results)


def serve(work: Work, counter: Counter, sizes: Range, desk: Desk) -> None:
    """Take and run ranges until none is left or an item fails, and say which."""
    signal.signal(signal.SIGVTALRM, desk.publish_on_timer)
    signal.setitimer(signal.ITIMER_VIRTUAL, PUBLISH_EVERY_S, PUBLISH_EVERY_S)
    try:
        _take_and_run(work, counter, sizes, desk)
    except BaseException as error:  # whatever an item raises, SystemExit included, is the caller's to raise
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        counter.take(work.n_items)
        _report(error, work, desk)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    desk.outbox.send(DONE, 0, 0, 0.0, b"")


def _take_and_run(work: Work, counter: Counter, sizes: Range, desk: Desk) -> None:
    n_items, position = work.n_items, 0
    while True:
        wanted = sizes.wanted(n_items - position)
        start = counter.take(wanted)
        if start >= n_items:
            return
        position = stop = min(start + wanted, n_items)
        began = perf_counter()
        work.run(start, stop, desk.open(start, stop))
        desk.publish()
        sizes.saw(stop - start, perf_counter() - began)


def _report(error: BaseException, work: Work, desk: Desk) -> None:
    """Publish what was finished before the failure, then the failure."""
    from amorsize.engine import failure

    index = desk.position
    try:
        desk.publish()
    except Exception as unpicklable:  # a result that pickle refuses, with whatever exception it likes
        error = failure.not_picklable(desk.results, desk.start, work.offset, unpicklable)
        index = error.index - work.offset
        desk.outbox.send_results(desk.start, desk.results[: index - desk.start], 0.0)
    desk.outbox.send(ERROR, index, 1, 0.0, failure.pack(error))
