"""Hire fresh interpreters as fed workers, and keep them warm between calls.

    launch --> SETUP --> tasks, results --> release: idle ones rest, warm --> SETUP of the next call ...
                 |                                                  |
                 +--> REFUSED --> answer: the same, sent otherwise   +--> nothing heard for IDLE_S: ends itself

A call that needs more than are warm launches the rest all at once and waits for none: what it sends waits in the line.
"""

from __future__ import annotations

import marshal
import os
import sys
from time import monotonic

from amorsize.engine import launch, surroundings
from amorsize.engine.encoding import MARSHALLED
from amorsize.engine.errand import Errand, Packed, user_modules
from amorsize.engine.held import Held
from amorsize.engine.launch import refusal
from amorsize.engine.link import Link
from amorsize.engine.message import ERROR, RESULTS, SETUP, TASK
from amorsize.errors import BackendUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections import deque
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from amorsize.engine.launch import ChildProcess
    from amorsize.engine.message import Message
else:
    from _collections import deque  # the C half is all that is needed; `collections` itself costs 2 ms

__all__ = ["Errand", "SpawnedWorker", "hire", "refusal", "release", "shutdown"]

IDLE_S = 30.0
"""A worker that rests for so many seconds ends itself. A session's next call within them starts 15 ms earlier per
worker; an idle worker holds about 10 MB and what the function has loaded."""

MOST_PER_CORE = 2
"""Workers that rest at most, for each core; the oldest make room. They hold about 10 MB each."""

SURE_S = 5.0
"""A worker that will end itself within so many seconds is not hired any more: it might be on its way out already."""


class Line(Link):
    """The caller's end, which keeps count of what the worker has not answered yet."""

    __slots__ = ("_owed",)

    def __init__(self, end: socket.socket) -> None:
        super().__init__(end)
        self._owed: deque[int] = deque()

    @property
    def is_quiet(self) -> bool:
        """Whether everything that was sent has been answered."""
        return not self._owed and not self.is_sending and not self.at_end

    def send(
        self,
        kind: bytes,
        start: int = 0,
        count: int = 0,
        seconds: float = 0.0,
        payload: bytes = b"",
        encoding: bytes = MARSHALLED,
        buffers: Sequence[memoryview] = (),
    ) -> None:
        """Send a frame; see `Link`."""
        if kind == TASK and count:
            self._owed.append(count)
        super().send(kind, start, count, seconds, payload, encoding, buffers)

    def receive(self) -> Iterator[Message]:
        """Yield every message that has arrived; see `Link`."""
        for message in super().receive():
            if message.kind == ERROR:
                self._settle(None)
            elif message.kind == RESULTS:
                self._settle(message.count)
            yield message

    def _settle(self, count: int | None) -> None:
        """Note the answer to some of the items of the task in hand, or, with its failure, to all of them."""
        if self._owed:
            self._owed[0] -= self._owed[0] if count is None else count
            if self._owed[0] <= 0:
                self._owed.popleft()


class SpawnedWorker:
    """A fresh interpreter that runs tasks, seen from the caller.

    Attributes:
        link: the line to it; non-blocking.
        process: its process.
        expected: its end is no death: it was told to end.
        is_outdated: it has loaded what has changed since, or was launched otherwise than one would be now.
    """

    __slots__ = (
        "_files", "_has_run_initializer", "_is_closed", "_is_refused", "_key", "_owner", "_packed", "_place",
        "_rests_since_s", "expected", "is_outdated", "link", "process",
    )  # fmt: skip

    def __init__(self, end: socket.socket, process: ChildProcess, lifeline: int | None) -> None:
        self.link = Line(end)
        self.process = process
        self.expected = self.is_outdated = False
        self._owner = os.getpid()
        _open[process.pid] = end, process, lifeline
        self._rests_since_s = 0.0
        self._key = b""
        self._packed: Packed | None = None
        self._has_run_initializer = False
        self._is_refused = False
        self._is_closed = False
        self._place = _place()
        self._files: dict[str, tuple[int, int]] = {}

    def send(self, packed: Packed, around: surroundings.Surroundings) -> None:
        """Tell it what to run; the function only where it does not have it."""
        content = None if packed.key == self._key else packed.content
        if content is not None:
            from amorsize.engine.by_value import Luggage

            self.link.dumps = Luggage(packed.modules, packed.classes).dumps
            self._key, self._packed = packed.key, packed
            self._has_run_initializer |= packed.errand.initializer is not None
        setup = marshal.dumps((around, packed.key, packed.digest, content), 2)
        self.link.send(SETUP, packed.errand.offset, 1, 0.0, setup)

    def answer(self, refused: Message) -> None:
        """Send the function in another way to a worker that has refused it; tasks sent so far wait there.

        Raises:
            BackendUnavailable: where there is no other way.
            BaseException: what the initializer raised.
        """
        packed = self._packed.next_step() if refused.count and self._packed is not None else None
        if packed is not None:
            self._key = b""  # it has refused what it had; the next may be the same bytes, only compared otherwise
            self.send(packed, surroundings.here())
            return
        self._is_refused = True
        if refused.count and self._packed is not None:
            raise BackendUnavailable(self._packed.not_rebuilt(refused.load()))
        from amorsize.engine import failure

        raise failure.unpack(refused.load())

    def suits(self, packed: Packed, files: dict[str, tuple[int, int]]) -> bool:
        """Tell whether this resting worker may run an errand: nothing that it has loaded has changed since, and it has
        run the initializer that this errand asks for, or none where it asks for none."""
        if self._place != _place() or any(self._files.get(name, facts) != facts for name, facts in files.items()):
            self.is_outdated = True
        if self.is_useless:
            return False
        return packed.key == self._key or not (self._has_run_initializer or packed.errand.initializer is not None)

    @property
    def is_useless(self) -> bool:
        """Whether this resting worker will not be hired again: it has ended, soon will, or is outdated."""
        return self.is_outdated or monotonic() - self._rests_since_s > IDLE_S - SURE_S or self.process.has_ended()

    def hire(self, packed: Packed, around: surroundings.Surroundings, files: dict[str, tuple[int, int]]) -> None:
        """Begin a call with it."""
        self._files = {**files, **self._files}
        self.send(packed, around)

    def rest(self) -> bool:
        """Let it rest until the next call; False where it has not answered all that it was asked, or has ended."""
        if self._is_closed or self._is_refused or not self.link.is_quiet or self.process.has_ended():
            return False
        self.link.send(SETUP, seconds=IDLE_S)
        self._rests_since_s = monotonic()
        return self.link.is_quiet

    def leave(self) -> None:
        """Close the line: an idle worker ends itself then."""
        self.expected = True
        self.link.end.close()

    def close(self) -> None:
        """End it if it still lives, and give its descriptors back; a second time, do nothing."""
        if not self._is_closed:
            self._is_closed = True
            self.leave()
            self.process.close()
            _, _, lifeline = _open.pop(self.process.pid)
            if lifeline is not None:
                os.close(lifeline)

    def __del__(self) -> None:
        """End a worker that nobody knows of any more: Ctrl-C came between its launch and its use."""
        if not self._is_closed and self._owner == os.getpid():
            self.close()


def _place() -> tuple[object, ...]:
    """Return what a worker must have been launched with to be as good as a new one."""
    return sys.executable, launch.flags(), surroundings.import_path()


def _files_now() -> dict[str, tuple[int, int]]:
    """Return size and time of the files that the user's loaded modules came from."""
    found = {}
    for name, file in user_modules().items():
        try:
            facts = os.stat(file)
        except OSError:  # deleted: a fresh worker could not load it at all
            continue
        found[name] = facts.st_mtime_ns, facts.st_size
    return found


_resting: list[SpawnedWorker] = []

_open: dict[int, tuple[socket.socket, ChildProcess, int | None]] = {}
"""By process id: the line, the process, and the lifeline of every worker that is not closed."""

_is_watched = False


def hire(n_workers: int, errand: Errand, held: Held) -> list[SpawnedWorker]:
    """Return workers that have been told what to run, at most so many: resting ones first, then new ones.

    Raises:
        OSError: where there is none, and no room to launch one.
        BackendUnavailable: where the function cannot be sent.
    """
    hired: list[SpawnedWorker] = []
    try:
        shortage = _launch(n_workers - len(_resting), hired, held)  # they start while the function is pickled
        packed, around, files = Packed(errand), surroundings.here(), _files_now()
        _take_resting(n_workers, hired, held, lambda worker: worker.suits(packed, files))
        shortage = shortage or _launch(n_workers - len(hired), hired, held)
        if not hired and shortage is not None:
            raise shortage
        for worker in hired:
            worker.hire(packed, around, files)
    except BaseException:
        _end(hired)
        raise
    return hired


def _launch(n_workers: int, hired: list[SpawnedWorker], held: Held) -> OSError | None:
    """Launch so many workers, or as many as there is room for; return what was in the way of the others."""
    for _ in range(n_workers):
        try:
            with held:
                hired.append(SpawnedWorker(*launch.start()))
                _watch()
        except OSError as error:
            return error
    return None


def _watch() -> None:
    """Have the workers end with this process, and be its own: a child that the program forks has none."""
    global _is_watched
    if not _is_watched:
        import atexit

        atexit.register(shutdown)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_disown)
        _is_watched = True


def _disown() -> None:
    """Close this forked child's copies of what is its parent's: while they are open, no worker sees its parent end."""
    _resting.clear()
    while _open:
        _, (end, process, lifeline) = _open.popitem()
        end.close()
        for fd in process.descriptors() + ([] if lifeline is None else [lifeline]):
            os.close(fd)


def _take_resting(
    n_workers: int, hired: list[SpawnedWorker], held: Held, suits: Callable[[SpawnedWorker], bool]
) -> None:
    """Hire those resting workers that suit until there are enough; end those that have become useless."""
    useless: list[SpawnedWorker] = []
    with held:
        for worker in list(_resting):
            fits = len(hired) < n_workers and suits(worker)
            if fits or worker.is_useless:
                try:
                    _resting.remove(worker)
                except ValueError:  # another thread was faster
                    continue
                (hired if fits else useless).append(worker)
        _dismiss(useless)


def release(workers: Iterable[SpawnedWorker]) -> None:
    """End a call: workers that have answered all they were asked rest, the others are ended; a second time, do nothing.

    Resting workers that are of no use any more, or too many, are ended, too.
    """
    with Held():
        hired = [worker for worker in workers if worker not in _resting]
        resting = [worker for worker in hired if worker.rest()]
        _resting.extend(resting)
        _end([worker for worker in hired if worker not in resting])
        surplus = len(_resting) - MOST_PER_CORE * (os.cpu_count() or 1)
        ended = [worker for k, worker in enumerate(_resting) if k < surplus or worker.is_useless]
        _resting[:] = [worker for worker in _resting if worker not in ended]
        _dismiss(ended)


def shutdown() -> None:
    """End the worker processes that wait for the next call; it starts new ones then.

    They also end by themselves: after 30 seconds without a call, and with this process.

    Example:
        >>> shutdown()
    """
    with Held():
        workers, _resting[:] = list(_resting), ()
        _dismiss(workers)


def _dismiss(workers: list[SpawnedWorker]) -> None:
    """Let resting workers end themselves, all at once, and wait for that."""
    for worker in workers:
        worker.leave()
    for worker in workers:
        worker.process.end()
        worker.close()


def _end(workers: list[SpawnedWorker]) -> None:
    """End workers at once, whatever they do."""
    for worker in workers:
        worker.expected = True
        worker.process.kill()
    for worker in workers:
        worker.close()
