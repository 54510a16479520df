"""Fed threads: tasks and results pass by reference, and a socket wakes the caller, who waits for processes as well.

    caller  --- tasks: a queue -----------> thread
    caller  <-- messages: a list + a byte on a socket --- thread

No thread can be ended from outside: one that is dismissed in the middle of an item hands nothing in any more, takes no
further task, and dies with its item or with the process.
"""

from __future__ import annotations

import sys
from _contextvars import copy_context
from _queue import SimpleQueue
from _thread import allocate_lock
from time import perf_counter

from amorsize.engine import modes, safety
from amorsize.engine.bare import Threads
from amorsize.engine.message import ERROR, REFUSED, RESULTS, TASK, Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator

    from amorsize.engine.process import Status
    from amorsize.inline import Work
else:
    from _collections import deque  # the C half is all that is needed; `collections` itself costs 2 ms

if TYPE_CHECKING or sys.platform == "win32":
    import socket
else:
    import _socket as socket  # the C half, which lacks `socketpair` on Windows alone; `socket` itself costs 5 ms

GRACE_S = 0.5
"""An idle thread is waited for this long when it is released: its last lines take 50 us."""

Given = tuple[int, list[object] | None, int]  # first index, items, how many


class LocalMessage(Message):
    """A message whose content is the very objects."""

    __slots__ = ("_content",)

    def __init__(self, kind: bytes, start: int, content: list[object] | BaseException, seconds: float = 0.0) -> None:
        super().__init__(kind, start, len(content) if isinstance(content, list) else 1, seconds, b"", b"", [])
        self._content = content

    def load(self) -> object:
        return self._content

    def error(self) -> BaseException:
        assert isinstance(self._content, BaseException)
        return self._content


class Bell:
    """A socket by which threads wake the caller: one for all of them, because there may be hundreds."""

    def __init__(self) -> None:
        self.end, self._other = socket.socketpair()
        self.end.setblocking(False)
        self._other.setblocking(False)
        self._lock = allocate_lock()
        self._is_open = True

    def ring(self) -> None:
        """Wake the caller; a second time before it has looked does nothing more."""
        with self._lock:
            if self._is_open:
                try:
                    self._other.send(b".")
                except BlockingIOError:  # so many bytes lie there already that the caller wakes up anyhow
                    return

    def silence(self) -> None:
        """Be ready to be rung again."""
        try:
            self.end.recv(1 << 16)
        except BlockingIOError:
            return

    def close(self) -> None:
        """Give the sockets back; a second time, do nothing: the end of the interpreter may have stopped a thread that
        holds the lock."""
        if not self._is_open:
            return
        with self._lock:
            self._is_open = False
            self.end.close()
            self._other.close()


class ThreadLink:
    """The caller's line to one thread; it offers what a `Link` offers.

    Attributes:
        end: readable when some thread has sent a message.
        at_end: whether the thread has left: never seen by the caller.
        is_dismissed: the thread is to take no further task.
    """

    is_sending = False
    at_end = False

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self.end = bell.end
        self.is_dismissed = False
        self.tasks: SimpleQueue[Given | None] = SimpleQueue()
        self._messages: deque[LocalMessage] = deque()

    @property
    def has_arrived(self) -> bool:
        """Whether a message waits, for which the bell may have been silenced already."""
        return bool(self._messages)

    def send(self, kind: bytes, start: int, count: int, seconds: float = 0.0) -> None:
        """Give a task whose items the work has."""
        assert kind == TASK
        self.tasks.put((start, None, count))

    def send_values(
        self, kind: bytes, start: int, values: list[object], seconds: float = 0.0, *, is_last: bool = False
    ) -> int:
        """Give a task; a thread needs no bytes for it."""
        assert kind == TASK
        self.tasks.put((start, values[:], len(values)))
        return 0

    def flush(self) -> None:
        """Do nothing: nothing ever waits to be sent."""

    def post(self, message: LocalMessage) -> None:
        """Have the caller find a message; called by the thread."""
        self._messages.append(message)
        self._bell.ring()

    def receive(self) -> Iterator[Message]:
        """Yield the messages that have come."""
        self._bell.silence()
        while self._messages:
            yield self._messages.popleft()


class ThreadSeat:
    """A fed thread, seen from the caller; it offers what a process offers."""

    pidfd: int | None = None
    cpu_s: float | None = None

    def highest_bytes(self) -> int | None:
        return None  # it has none of its own

    def __init__(self, work: Work, bell: Bell, threads: Threads) -> None:
        self.link = ThreadLink(bell)
        self._threads = threads
        self._work = work
        self._context, self._modes = copy_context(), modes.here()
        self._ended = allocate_lock()
        self._ended.acquire()
        self._failed_at: int | None = None

    def start(self) -> None:
        """Start the thread; raise OSError where that is not possible."""
        try:
            self._threads.start(lambda: self._context.run(self._serve), self._ended.release)
        except RuntimeError as error:
            raise OSError(str(error)) from error

    def has_ended(self) -> bool:
        """Return False: a thread ends only when it is told."""
        return False

    def end(self) -> Status:
        """Wait for its end, for a while."""
        if self._ended.acquire(timeout=GRACE_S):
            self._ended.release()
        return None, None

    def answer(self, refused: Message) -> None:
        """Raise what its initializer raised."""
        raise refused.error()

    def _serve(self) -> None:
        safety.enter_thread(self._modes)
        try:
            if self._work.guard is not None:
                self._work.guard.prepare()
        except BaseException as error:  # of an initializer: the caller's to raise
            self.link.post(LocalMessage(REFUSED, 0, error))
            return
        while (task := self.link.tasks.get()) is not None and not self.link.is_dismissed:
            start, values, count = task
            if self._failed_at is None or start <= self._failed_at:  # as `serve.run_task` does
                self._run(start, values, count)

    def _run(self, start: int, values: list[object] | None, count: int) -> None:
        results: list[object] = []
        began_s = perf_counter()
        work = self._work if values is None else self._work.with_items(values, start)
        first = start if values is None else 0
        error: BaseException | None = None
        try:
            work.run(first, first + count, results)
        except BaseException as raised:  # the caller's to raise, SystemExit included: here it would end a thread only
            error = raised
        if results:
            self.link.post(LocalMessage(RESULTS, start, results, perf_counter() - began_s))
        if error is not None:
            self.link.post(LocalMessage(ERROR, start + len(results), error))
            if not work.goes_on:
                self._failed_at = start + len(results)


class ThreadedCrew:
    """Starts threads for one call, and ends them with it.

    Args:
        work: what they run.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._threads = Threads(work.guard)
        self._bell: Bell | None = None
        self._seats: list[ThreadSeat] = []

    def hire(self, n_workers: int) -> list[ThreadSeat]:
        """Start threads, fewer where the system has no room for all; raise OSError where it has room for none."""
        hired: list[ThreadSeat] = []
        self._bell = self._bell or Bell()
        while len(hired) < n_workers:
            try:
                seat = ThreadSeat(self._work, self._bell, self._threads)
                seat.start()
            except OSError:
                if not hired:
                    raise
                break
            hired.append(seat)
            self._seats.append(seat)
        return hired

    def dismiss(self, seat: ThreadSeat) -> None:
        """Take nothing from a thread any more; it leaves when its item ends."""
        seat.link.is_dismissed = True
        seat.link.tasks.put(None)
        self._seats.remove(seat)

    def release(self, seats: list[ThreadSeat]) -> None:
        """Let idle threads go, and wait until they have."""
        for seat in seats:
            self.dismiss(seat)
        for seat in seats:
            seat.end()

    def close(self) -> None:
        """Let go of all; a second time, do nothing."""
        while self._seats:
            self.dismiss(self._seats[-1])
        if self._bell is not None:
            self._bell.close()
