"""What runs in a fresh interpreter that is a worker, between its first line and `os._exit`.

wait for the SETUP -> take over the caller's surroundings, rebuild the function -> run tasks -> rest -> next SETUP ...
                                                                                                \\-> AGAIN: the same

A SETUP that it cannot follow it answers with REFUSED, and drops the tasks that come before the next one.
"""

from __future__ import annotations

import marshal
import os
import sys

from amorsize.engine import encoding, safety
from amorsize.engine.child import leave, leave_to_caller, save_coverage, told
from amorsize.engine.fed import serve
from amorsize.engine.fed.link import Link
from amorsize.engine.message import AGAIN, READY, REFUSED, REST, SETUP, TASK, UNREAD
from amorsize.engine.native import limit
from amorsize.engine.spawn.names import Importing, found
from amorsize.engine.spawn.stale import FINAL, Foreign, Stale, lines_of
from amorsize.engine.spawn.surroundings import directory_of, enter, let_go, put_right, take_over
from amorsize.inline import Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
    from collections.abc import Callable
    from typing import Any, NoReturn

    from amorsize.engine.desk import Desk
    from amorsize.engine.message import Message
    from amorsize.engine.spawn.by_value import Luggage
    from amorsize.engine.spawn.surroundings import Surroundings
else:
    import _signal as signal  # the C half is loaded anyway; `signal` itself costs 3.3 ms
    import _socket as socket  # the C half is all that is needed; `socket` itself costs 5 ms

LINGER_S = 0.05
"""For so long a worker that is to rest stays in the caller's directory: the next call may come at once, and finds it
where it is. Longer, and who removes the directory of a file system that is to be unmounted would have to wait."""


class Worker:
    """A worker's own view of itself.

    Args:
        link: to the caller; blocking.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self._desk: Desk = serve.desk_of(link)
        self._work: Work | None = None
        self._key = b""
        self._around: Surroundings | None = None
        self._idle_s = 0.0
        self._lingers = False
        self._unlimit: Callable[[], None] = lambda: None

    def serve(self) -> None:
        """Do what is asked until the line ends, or nothing is heard for as long as a worker rests."""
        self._hear()
        while self._lingers:
            self._rest()
            self._hear()

    def _hear(self) -> None:
        """Do what is asked until the line ends, or is silent."""
        for message in self.link.receive():
            if message.kind == SETUP:
                self._set_up(message)
            elif message.kind == AGAIN:
                self._set_up_again(message)
            elif message.kind == REST:
                self._linger(message.seconds)
            elif message.kind == TASK and self._work is not None:
                self._run(self._work, message)

    def _run(self, work: Work, task: Message) -> None:
        if self._idle_s:  # a task that another has left behind
            try:
                enter(directory_of(self._around) if self._around else None)
            except OSError as error:  # deleted meanwhile, perhaps by another item
                from amorsize.engine import failure

                self.link.send(UNREAD, task.start, task.count, 0.0, failure.pack(error))
                return
            self._wake()
        serve.run_task(self._desk, work, task)

    def _wake(self) -> None:
        self._idle_s, self._lingers = 0.0, False
        self.link.end.settimeout(None)

    def _set_up_again(self, message: Message) -> None:
        """Begin a call that is like the one before: what its items have changed here is put right."""
        self._wake()
        if self._work is None or self._around is None:
            return
        try:
            take_over(self._around, self._desk.tell)
        except OSError as error:
            self._refuse(message, error)
            return
        self._begin(message)

    def _begin(self, message: Message) -> None:
        self._desk.failed_at = None
        self.link.send(READY, message.count)

    def _set_up(self, message: Message) -> None:
        self._wake()
        surroundings, key, digest, foreign, n_threads, content, is_named = message.load()
        self._around = surroundings
        try:
            take_over(surroundings, self._desk.tell)
            if key != self._key:
                self._work, self._key = None, b""
                self._unlimit()
                self._work = self._rebuilt(_by_name if is_named else _anew, content, digest, foreign)
                self._unlimit = limit(n_threads)
                self._key = key
        except Stale as stale:
            self.link.send(REFUSED, message.count, stale.way, 0.0, marshal.dumps(stale.args))
        except BaseException as error:  # of an initializer, say; SystemExit included: the caller is to raise it
            self._refuse(message, error)
        if self._work is not None:
            self._begin(message)

    def _refuse(self, message: Message, error: BaseException) -> None:
        """Have the caller raise why a call cannot begin, and run nothing of it."""
        from amorsize.engine import failure

        self._work, self._key = None, b""
        self.link.send(REFUSED, message.count, FINAL, 0.0, failure.pack(error))

    def _linger(self, idle_s: float) -> None:
        """Rest when nothing is heard for a moment; at once where a directory in use cannot be removed."""
        self._idle_s = idle_s
        if sys.platform == "win32":
            self._rest()
        else:
            self._lingers = True
            self.link.end.settimeout(LINGER_S)

    def _rest(self) -> None:
        """Hold no directory to which there is a way back, and end when nothing is heard for a while."""
        self._lingers = self.link.at_end = False
        save_coverage()  # who asks for it may do so before this worker ends, as pytest-cov does
        let_go(self._around)
        self.link.end.settimeout(self._idle_s)

    def _rebuilt(self, load: Callable[[bytes], Any], content: bytes, digest: object, foreign: Any) -> Work:
        """Return the work of an errand, once the initializer has run.

        Raises:
            Stale: where it cannot be rebuilt, or what is found here, or libraries hold, is not what the caller has.
            BaseException: what the initializer raises.
        """
        try:
            with Importing():
                func, star, guard, identify, kinds = load(content)
                differs = digest is not None and identify((func, *kinds) if kinds else func) != digest
        except BaseException as error:  # of the import of a user's module, which may raise anything, or exit
            raise Stale(f"{type(error).__name__}: {error}", lines_of(error)) from error
        if differs:
            raise Stale("its module, or what it uses, has changed since the caller loaded it", "")
        put_right(self._around)
        if guard is not None:
            guard.prepare()
        otherwise, held = foreign or (None, None)
        changed = None if otherwise is None else found(otherwise)(held)
        if changed is not None:
            raise Foreign(f"{changed} was set after its import; an initializer could set it there, too", "")
        return Work(func, ((),), star=star, guard=guard)


def _by_name(content: bytes) -> tuple[Any, ...]:
    func, star, identify = marshal.loads(content)
    return found(func), star, None, found(identify), ()


def _anew(content: bytes) -> tuple[Any, ...]:
    """Rebuild what was pickled, in a `__main__` without what came there before: the caller may have deleted that, as
    who has called a variable `max` does to have the builtin back."""
    names = vars(sys.modules["__main__"])
    left = [names.pop(name) for name in list(names) if name[:2] != "__"]
    try:
        rebuilt: tuple[Any, ...] = encoding.unpickled(content)
    finally:
        left.clear()  # only now, for a `__del__` that names what is there again
    return rebuilt


_luggage: list[Luggage] = []


def _pickled(value: object, buffers: list[memoryview] | None) -> bytes:
    """Pickle for the caller, who knows all that came from it; loaded when first needed (simple results need none)."""
    if not _luggage:
        from amorsize.engine.spawn.by_value import Luggage

        _luggage.append(Luggage(is_worker=True))
    with Importing():
        return _luggage[0].dumps(value, buffers)


def main(line_fd: int, lifeline_fd: int, caller: int, ahead: str) -> NoReturn:
    """Be a worker.

    Args:
        line_fd: the socket to the caller; on Windows standard input tells it.
        lifeline_fd: the reading end of a pipe that ends with the caller.
        caller: process id of the caller.
        ahead: a module to load while the caller is still packing; empty for none.
    """
    status = 1
    try:
        end = _connected(line_fd, lifeline_fd, caller)
        end.setblocking(True)  # whatever `socket.setdefaulttimeout` says, here or where the line was made
        safety.cores_are_taken = True
        encoding.travels_as(_pickled)
        if ahead:
            __import__(ahead)
        Worker(Link(end)).serve()
        save_coverage()
        status = 0
    except BaseException as error:  # what is left to tell goes to stderr
        status = told(error)
    finally:
        leave(status)


if sys.platform != "win32":

    def _connected(line_fd: int, lifeline_fd: int, caller: int) -> socket.socket:
        """Take hold of line and lifeline, and let nothing else in."""
        _leave_interrupts_to_caller()
        _close_all_but(line_fd, lifeline_fd)
        hold(lifeline_fd)
        if os.getppid() != caller:
            leave(0)  # it has gone before its end could be noticed
        return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, line_fd)

    def _leave_interrupts_to_caller() -> None:
        """Let Ctrl-C pass, which has been held back so far."""
        if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
            signal.signal(signal.SIGINT, leave_to_caller)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))

    def _close_all_but(*wanted: int) -> None:
        """Close what the caller has left open for every program that it starts: nobody else shall wait for its end.

        What an item starts gets nothing either. What Python has opened here is not inheritable, and stays.
        """
        try:
            open_here = os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")
        except OSError:
            return
        for number in open_here:
            fd = int(number)
            try:
                if fd in wanted:
                    os.set_inheritable(fd, False)
                elif fd > 2 and os.get_inheritable(fd):
                    os.close(fd)
            except OSError:  # what listed the directory
                continue

else:

    def _connected(line_fd: int, lifeline_fd: int, caller: int) -> socket.socket:
        """Learn the socket from standard input, whose end is the caller's; items find it empty."""
        n_bytes = int.from_bytes(os.read(0, 4), "little")
        end = socket.socket(0, 0, 0, os.read(0, n_bytes))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # what `socket.fromshare` does
        lifeline = os.dup(0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        hold(lifeline)
        return end


def _signals_owners() -> bool:
    """Tell whether the kernel can be told to end this process with its caller: Linux, with Python's module for it."""
    try:
        import fcntl as _  # noqa: F401 - whether it is there is the question
    except ImportError:
        return False
    return sys.platform == "linux"


if sys.platform == "linux" and _signals_owners():
    from amorsize.engine.lifeline import hold
else:
    from amorsize.engine.child import hold
