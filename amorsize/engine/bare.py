"""Threads of ours, which rest between calls.

    start(task) --> one that rests, or a new one --> task --> rests --> the next task ... or IDLE_S without one: it ends
                                                                |
    a fork, `amorsize.shutdown()`, the program's end -----------+--> it ends at once

They rest because 61 new ones that wait 5 ms each took 1.5 times as long as an executor that somebody keeps. They are
bare (`_thread`) because `threading.Thread.start` waits until each new thread has begun, which makes a run of 128 of
them 1.3 times as long, and because `threading` costs a fresh process 2 ms; what a bare thread owes to `threading`,
where that is loaded, it gets here.

A thread that rests holds nothing of the call before, takes no signal, and is used only where a new one would inherit
the same from whoever starts it. What items change of their thread (its cores, its priority) or keep in
`threading.local()` stays there, as it would in the thread of a loop; to look for it took 10 us a thread.
"""

from __future__ import annotations

import os
import sys
from _operator import methodcaller
from _thread import get_ident, get_native_id, start_new_thread
from time import perf_counter, sleep

from amorsize.engine import alive
from amorsize.engine.held import SIGNALS, Held

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterable
    from queue import SimpleQueue

    from amorsize.engine.guard import Guard
    from amorsize.engine.held import Came

    Given = tuple[Callable[[], object], Callable[[], object], bool]  # the task, what tells its end, whether to rest
    Gone = list[tuple[int, int]]  # of threads that are about to end: both of their numbers, Python's and the kernel's
    Tasks = SimpleQueue[Given | Gone]  # of one thread, which ends after it is given the list that it is to join
else:
    import _signal as signal  # the C half is loaded anyway; `signal` itself costs 3.3 ms

IDLE_S = 30.0
"""A thread that rests for so many seconds ends itself."""

MOST_RESTING = 256
"""Threads that rest at most: as many as a call starts of its own accord. Each holds about 30 kB."""

ENDING_S = 0.1
"""For how long threads that are about to end are waited for, each time that there are fewer. 100 of them take 2 ms in
all on an idle machine, and 50 times that with four other programs for each core."""

MOST_ENDING_S = 5 * ENDING_S
"""For how long in all: beside calls of other threads there will always be some, and a destructor may hang."""

_resting: dict[tuple[object, ...], list[Tasks]] = {}
"""Those that rest, by what they have inherited; the last in each list has rested for the shortest time."""

_n_before: int | None = None
"""How many threads lived before we started some that may still be on their way to rest or out: the system sees a thread
for a moment after its last line. None where there can be none."""

AFTER_S = 0.01  # what is left of a fork takes a hundredth of it
_came: Came = []
"""Signals that came while threads were ended before a fork."""

_has_registered = False


class Threads:
    """What one call starts threads with.

    Args:
        guard: what is put around each item. Threads that its initializer has changed serve no other call.
    """

    def __init__(self, guard: Guard | None = None) -> None:
        global _n_before
        n_alive = n_busy()
        _n_before = n_alive if _n_before is None else min(n_alive, _n_before)  # of earlier ones some may be among these
        has_changed = guard is not None and guard.initializer is not None
        self._may_rest = not has_changed and alive.greenlets() is None
        self._resting = _resting.setdefault(alive.inheritance(), [])
        _register()

    def start(self, task: Callable[[], object], over: Callable[[], object]) -> None:
        """Have a thread run a task.

        Args:
            task: what it does.
            over: called by the thread when that has ended, and it already rests or is about to end. What it refers to
                lives for a moment longer than the call.

        Raises:
            RuntimeError: where no thread can be started.
        """
        given = task, over, self._may_rest
        if not _gives(self._resting, given):
            start_new_thread(Thread(self._resting).live, ([given],))


def _gives(resting: list[Tasks], given: Given | Gone) -> bool:
    """Give a thread that rests something to do, or its end; tell whether there was one. In one step of the interpreter:
    after a signal handler that raises in between, it would rest for ever."""
    try:
        next(map(methodcaller("put", given), map(list.pop, (resting,))))
    except IndexError:
        return False
    return True


def n_resting() -> int:
    """Return how many threads wait for the next call."""
    return sum(map(len, _ours()))


def _ours() -> list[list[Tasks]]:
    """Return the lists of this process: after a fork in C code, which calls no hook, its parent's are here, too."""
    pid = os.getpid()
    return [resting for (owner, *_), resting in list(_resting.items()) if owner == pid]


def shutdown() -> None:
    """End the threads that rest, and wait until the system has none of them any more."""
    gone: Gone = []
    n_told = 0
    for resting in _ours():
        while _gives(resting, gone):
            n_told += 1
    until_s = perf_counter() + MOST_ENDING_S
    while n_told and perf_counter() < until_s:
        if gone and not alive.is_alive(*gone[-1]):
            gone.pop()
            n_told -= 1
        else:
            sleep(1e-4)


def settle() -> None:
    """Wait until all threads that earlier calls have started rest, or have ended, as far as they do."""
    global _n_before
    if _n_before is not None:
        _let_end(_n_before)
        _n_before = None


def n_busy() -> int:
    """Return how many Python and native threads do not rest: one that ends is first no longer the one, then gone."""
    n_idle = n_resting()
    return (len(sys._current_frames()) - n_idle) + ((alive.n_native() or n_idle) - n_idle)


def _let_end(n_left: int) -> None:
    """Wait until no more threads than these are busy, for as long as they become fewer."""
    n_alive, now_s = n_busy(), perf_counter()
    latest_s, until_s = now_s + MOST_ENDING_S, now_s + ENDING_S
    while n_alive > n_left and (now_s := perf_counter()) < until_s:
        sleep(1e-4)
        if (n_now := n_busy()) < n_alive:
            until_s = min(now_s + ENDING_S, latest_s)
        n_alive = n_now


# ---- the end of the process, or of its having one thread


def _register() -> None:
    """Have threads that rest end before a fork, whose child would lack them, and with the program."""
    global _has_registered
    if not _has_registered:
        import atexit

        atexit.register(shutdown)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=_before_fork, after_in_parent=_send_again, after_in_child=_resting.clear)
            os.register_at_fork(after_in_child=_came.clear)
        _has_registered = True


def _before_fork() -> None:
    """End the threads that rest. What a signal's handler raised here would be lost: it has its turn after the fork."""
    if n_resting():
        with Held(_came.extend):
            shutdown()


def _send_again() -> None:
    """Send this process what came during the hook once more, after the fork: other libraries have hooks around it, too,
    and what a handler raises in one is lost."""
    while _came:
        start_new_thread(_send_late, _came.pop()[:1])


def _send_late(number: int) -> None:
    sleep(AFTER_S)
    os.kill(os.getpid(), number)


# ---- in the thread


class Thread:
    """One thread, as it sees itself.

    Args:
        resting: the list that it rests on.
    """

    __slots__ = ("_pid", "_resting", "_tasks")

    def __init__(self, resting: list[Tasks]) -> None:
        self._resting = resting
        self._pid = os.getpid()
        self._tasks: Tasks | None = None

    def live(self, first: list[Given]) -> None:
        """Run what is given, rest, and so on. The first task is in a list: an argument, and what the call has made with
        it, would live for as long as its threads rest."""
        blocked = alive.blocked_signals()
        given: Given | Gone | None = first.pop()
        while isinstance(given, tuple):
            box, given = [given], None
            given = self._rest(blocked) if self._runs(box) else None
        if given is not None:
            given.append((get_ident(), get_native_id()))

    def _runs(self, box: list[Given]) -> bool:
        """Run a task as a thread of `threading` would; tell whether this one rests now, and where not, is to end."""
        task, over, may_rest = box.pop()
        _let_watch()
        try:
            task()
            # Destructors of what the call has made run before this thread rests, and passes for one that holds no lock.
            del task
        except BaseException:  # out of nowhere: somebody wants this thread to end
            may_rest = False
            raise
        finally:
            _forget_oneself()
            # The child of an item that has forked is no place to rest in.
            may_rest = may_rest and len(self._resting) < MOST_RESTING and os.getpid() == self._pid and self._can_rest()
            over()
        return may_rest

    def _can_rest(self) -> bool:
        """List itself among those that rest; return False where there is no room for it: its call waits for `over`."""
        try:
            if self._tasks is None:
                from _queue import SimpleQueue  # 0.26 ms, once

                self._tasks = SimpleQueue()
            self._resting.append(self._tasks)
        except (ImportError, OSError, MemoryError):
            return False
        return True

    def _rest(self, blocked: Iterable[int]) -> Given | Gone | None:
        """Wait for the next task, with all signals blocked: a program that blocks some in its only thread means it."""
        if sys.platform == "win32":
            return self._next()
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            return self._next()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def _next(self) -> Given | Gone | None:
        """Return what comes within `IDLE_S`; None where nothing does, or somebody wants this thread to end."""
        assert self._tasks is not None
        inbox: list[Given | Gone] = []
        try:
            # In one step of the interpreter, too: an exception from outside that waited meanwhile comes right after it.
            next(map(inbox.append, map(methodcaller("get", timeout=IDLE_S), (self._tasks,))))
        except BaseException:  # nothing came, or this thread is to end; what has come, or is about to, is still done
            if not inbox:
                try:
                    self._resting.remove(self._tasks)
                except ValueError:  # just now somebody has taken this thread
                    inbox.append(self._tasks.get())
        return inbox[0] if inbox else None


def _let_watch() -> None:
    """Let who measures or follows all threads of a program (coverage, say) follow this one, as `threading` would."""
    threading = sys.modules.get("threading")
    if threading is not None:
        for set_it, wanted in ((sys.settrace, threading.gettrace()), (sys.setprofile, threading.getprofile())):
            if wanted is not None:
                set_it(wanted)


def _forget_oneself() -> None:
    """Be followed no more, and leave `threading`'s list, where a task that asked for the current thread (logging does)
    has put this one: it would be taken for alive, before Python 3.13 even when it has ended."""
    for get_it, set_it in ((sys.gettrace, sys.settrace), (sys.getprofile, sys.setprofile)):
        if get_it() is not None:
            set_it(None)
    threading = sys.modules.get("threading")
    if threading is not None:
        threading._active.pop(get_ident(), None)
