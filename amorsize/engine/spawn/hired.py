"""A fresh interpreter that runs tasks, seen from the caller."""

from __future__ import annotations

import marshal
import os
import sys
from time import monotonic

from amorsize.engine.message import REFUSED
from amorsize.engine.spawn import launch, surroundings
from amorsize.engine.spawn.by_value import Luggage
from amorsize.engine.spawn.errand import user_modules
from amorsize.engine.spawn.line import ANSWERED, RUN, SENT, Line
from amorsize.engine.spawn.stale import STALE

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from amorsize.engine.message import Message
    from amorsize.engine.process import Status
    from amorsize.engine.spawn.errand import Packed
    from amorsize.engine.spawn.launch import ChildProcess

IDLE_S = 30.0
"""A worker that rests for so many seconds ends itself. A session's next call within them starts 15 ms earlier per
worker; an idle worker holds about 10 MB and what the function has loaded."""

SURE_S = 5.0
"""A worker that will end itself within so many seconds is not hired any more: it might be on its way out already."""

SHORT_CALL_S = 1.0
"""A worker that was told to rest with its last task is told once more after a call longer than this: since when it has
rested is not known."""

_open: dict[int, tuple[socket.socket, ChildProcess, int | None]] = {}
"""By process id: the line, the process, and the lifeline of every worker that is not closed."""


class SpawnedWorker:
    """A fresh interpreter that runs tasks, seen from the caller.

    Attributes:
        link: the line to it; non-blocking.
        process: its process.
        is_outdated: it has loaded what has changed since, or was launched otherwise than one would be now.
        knows: names of functions that it was ready for: what they import is loaded there.
        has_run: those of them that it has run: what their first call loads or compiles is there, too.
    """

    def __init__(self, end: socket.socket, process: ChildProcess, lifeline: int | None) -> None:
        self.link = Line(end, IDLE_S)
        self.process = process
        self.is_outdated = False
        self.knows: set[str] = set()
        self.has_run: set[str] = set()
        self._owner = os.getpid()
        _open[process.pid] = end, process, lifeline
        self._rests_since_s = self._hired_s = 0.0
        self._held_before_bytes: int | None = None
        self._key = b""
        self._around: surroundings.Surroundings | None = None
        self._packed: Packed | None = None
        self._has_run_initializer = False
        self._is_closed = False
        self._place = place()
        self._files: dict[str, tuple[int, int]] = {}

    def send(self, packed: Packed, around: surroundings.Surroundings) -> None:
        """Tell it what to run; the function only where it does not have it, and nothing where all is as it was."""
        has_function = packed.key == self._key
        self.link.dumps = Luggage(packed.modules, packed.classes).dumps
        self._packed = packed
        if has_function and around == self._around and self.link.stage != ANSWERED:
            if self.link.stage == RUN:  # else it is still at it: told at each call, it would have no room for more
                self.link.set_up_again()
            return
        self._key, self._around = packed.key, around
        self._has_run_initializer |= packed.errand.initializer is not None
        content = None if has_function else packed.content
        told = around, packed.key, packed.digest, packed.foreign, packed.errand.n_threads, content, packed.is_named
        self.link.set_up(marshal.dumps(told, 2))

    def answer(self, refused: Message) -> None:
        """Send the function in another way to a worker that has refused it, and the tasks so far once more: it has
        dropped them.

        Raises:
            BackendUnavailable: where there is no other way.
            BaseException: what the initializer raised.
        """
        self._key, self._around = b"", None
        packed = self._packed.next_step() if refused.count == STALE and self._packed is not None else None
        if packed is not None:
            self.send(packed, surroundings.here())
            return
        if refused.count and self._packed is not None:
            raise self._packed.not_rebuilt(*refused.load())
        from amorsize.engine import failure

        raise failure.unpack(refused.load())

    def suits(
        self,
        packed: Packed,
        files: dict[str, tuple[int, int]],
        now: tuple[object, ...],
        around: surroundings.Surroundings,
    ) -> bool:
        """Tell whether this resting worker may run an errand: nothing that it has loaded has changed since, and it has
        run the initializer that this errand asks for, or none where it asks for none; and it finds the way to where the
        caller is.

        Args:
            packed: the errand.
            files: as `files_now` returns them.
            now: as `place` returns it.
            around: as `surroundings.here` returns them.
        """
        if self._place != now or any(self._files.get(name, facts) != facts for name, facts in files.items()):
            self.is_outdated = True
        if self.is_useless or not _can_be_entered(around):
            return False
        return packed.key == self._key or not (self._has_run_initializer or packed.errand.initializer is not None)

    @property
    def is_ready(self) -> bool:
        """Whether it has answered what it was sent last, and begins at once."""
        return self.link.stage != SENT

    @property
    def is_useless(self) -> bool:
        """Whether this resting worker will not be hired again: it has ended, soon will, or is outdated."""
        return self.is_outdated or _may_leave(self._rests_since_s) or self.process.has_ended()

    def hire(self, packed: Packed, around: surroundings.Surroundings, files: dict[str, tuple[int, int]]) -> None:
        """Begin a call with it."""
        self._hired_s, self._held_before_bytes = monotonic(), None
        if self._files.keys() != files.keys():
            self._files = {**files, **self._files}
        self.send(packed, around)

    def rest(self) -> bool:
        """Let it rest until the next call; False where it has not answered all that it was asked, or has ended."""
        if (
            self._owner != os.getpid()
            or self._is_closed
            or self._around is None
            or not _can_be_entered(self._around)
            or not self.link.is_free
            or self.process.has_ended()
        ):
            return False
        if self._has_run_initializer and self.link.stage != RUN:  # it had no task: did the initializer fail?
            return False
        self._note_function()
        self._rests_since_s = self._hired_s
        if not self.link.is_told_to_rest or monotonic() - self._hired_s > SHORT_CALL_S:
            self._rests_since_s = monotonic()
            self.link.rest()
        return self.link.is_free

    def look(self) -> None:
        """Send this resting worker more of what it has to load, and notice whether it has answered: one that was hired
        ahead may still be starting."""
        self.link.flush()
        for message in self.link.receive():
            if message.kind == REFUSED:
                self._key = b""  # asked once more, it tells why
        self._note_function()

    def _note_function(self) -> None:
        """Note that it is ready for its function, and has run it, as far as it has come."""
        if self._packed is not None and self.is_ready:
            self.knows.add(self._packed.errand.name)
            if self.link.stage == RUN:
                self.has_run.add(self._packed.errand.name)

    @property
    def pidfd(self) -> int | None:
        return self.process.pidfd

    @property
    def cpu_s(self) -> float | None:
        return self.process.cpu_s

    def highest_bytes(self) -> int | None:
        """Return the most memory that it has held; None while that was in an earlier call, for all that anybody knows.

        What it has loaded counts: no other process shares that with it.
        """
        found = self.process.highest_bytes() or 0
        if self._held_before_bytes is None:
            self._held_before_bytes = found if self.has_run else 0
        return found if found > self._held_before_bytes else None

    def has_ended(self) -> bool:
        """Tell, without waiting, whether it has ended, or had its last task, as was thought, so long ago that it may be
        about to."""
        is_leaving = self.link.is_told_to_rest and self.link.is_quiet and _may_leave(self._hired_s)
        return self.process.has_ended() or is_leaving

    def end(self) -> Status:
        return self.process.end()

    def leave(self) -> None:
        """Close the line: an idle worker ends itself then."""
        self.link.end.close()

    def kill(self) -> None:
        """End it at once; harmless where it has ended already, or is the worker of a parent of this process."""
        if self._owner == os.getpid():
            self.process.kill()

    def close(self) -> None:
        """End it if it still lives, and give its descriptors back; a second time, do nothing."""
        if self._owner == os.getpid() and not self._is_closed:
            self._is_closed = True
            self.leave()
            self.process.close()
            _, _, lifeline = _open.pop(self.process.pid)
            if lifeline is not None:
                os.close(lifeline)

    def __del__(self) -> None:
        """End a worker that nobody knows of any more: Ctrl-C came between its launch and its use.

        At the interpreter's end its lifeline does so.
        """
        if not sys.is_finalizing():
            self.close()


def _may_leave(rests_since_s: float) -> bool:
    """Tell whether a worker that has rested since then may be about to end itself."""
    return monotonic() - rests_since_s > IDLE_S - SURE_S


def _can_be_entered(around: surroundings.Surroundings) -> bool:
    """Tell whether a worker that has rested, and left its directory for that, gets to the caller's."""
    return surroundings.directory_of(around) is not None


def place() -> tuple[object, ...]:
    """Return what a worker must have been launched with to be as good as a new one."""
    return sys.executable, launch.flags(), surroundings.import_path(), _outlet(1), _outlet(2)


def _outlet(fd: int) -> tuple[int, int] | None:
    """Return which file a standard stream of this process leads to, as those do that are launched now: a program, or a
    test that captures what is printed, may put another in its place."""
    try:
        facts = os.fstat(fd)
    except OSError as error:
        if error.errno is None:  # a signal handler's
            raise
        return None
    return facts.st_dev, facts.st_ino


def files_now() -> dict[str, tuple[int, int]]:
    """Return size and time of the files that the user's loaded modules came from."""
    found = {}
    for name, file in user_modules().items():
        try:
            facts = os.stat(file)
        except OSError:  # deleted: a fresh worker could not load it at all
            continue
        found[name] = facts.st_mtime_ns, facts.st_size
    return found


def disown() -> None:
    """Close this forked child's copies of what is its parent's: while they are open, no worker sees its parent end."""
    while _open:
        _, (end, process, lifeline) = _open.popitem()
        end.close()
        for fd in process.descriptors() + ([] if lifeline is None else [lifeline]):
            os.close(fd)
