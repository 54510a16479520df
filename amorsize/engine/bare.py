"""Threads of ours, which rest between calls.

    start(task) --> one that rests, or a new one --> task --> rests --> the next task ... or IDLE_S without one: it ends
                                                                |
    a fork, `amorsize.shutdown()`, the program's end -----------+--> it ends at once

They rest because 61 new ones that wait 5 ms each took 1.5 times as long as an executor that somebody keeps. They are
bare (`_thread`) because `threading.Thread.start` waits until each new thread has begun, which makes a run of 128 of
them 1.3 times as long, and because `threading` costs a fresh process 2 ms; what a bare thread owes to `threading`,
where that is loaded, it gets here.

A thread that rests holds nothing of the call before, takes no signal, and is used only where a new one would inherit
the same from whoever starts it.
"""

from __future__ import annotations

import os
import sys
from _operator import methodcaller
from _thread import get_ident, start_new_thread
from time import perf_counter, sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from queue import SimpleQueue

    from amorsize.engine.guard import Guard

    Given = tuple[Callable[[], object], Callable[[], object], bool]  # the task, what tells its end, whether to rest
    Tasks = SimpleQueue[Given | None]  # of one thread, which ends after None
else:
    import _signal as signal  # the C half is loaded anyway; `signal` itself costs 3.3 ms

IDLE_S = 30.0
"""A thread that rests for so many seconds ends itself."""

MOST_RESTING = 256
"""Threads that rest at most: as many as a call starts of its own accord. Each holds about 30 kB."""

ENDING_S = 0.1
"""For how long threads that are to end are waited for, each time that there are fewer. 100 of them take 2 ms in all on
an idle machine, and 50 times that with four other programs for each core."""

SIGNALS = tuple(signal.valid_signals())
"""What a thread that rests blocks, where a thread can."""

_resting: dict[tuple[object, ...], list[Tasks]] = {}
"""Those that rest, by what they have inherited; the last in each list has rested for the shortest time."""

_n_before: int | None = None
"""How many threads lived before we started some that may still be on their way to rest or out: the system sees a thread
for a moment after its last line. None where there can be none."""

_has_registered = False


class Threads:
    """What one call starts threads with.

    Args:
        guard: what is put around each item. Threads that its initializer has changed serve no other call.
    """

    def __init__(self, guard: Guard | None = None) -> None:
        self._may_rest = guard is None or guard.initializer is None
        self._resting = _resting.setdefault(_inheritance(), [])
        self._is_noted = False
        _register()

    def start(self, task: Callable[[], object], over: Callable[[], object]) -> None:
        """Have a thread run a task.

        Args:
            task: what it does.
            over: called by the thread when that has ended, and it already rests or is about to end.

        Raises:
            RuntimeError: where no thread can be started.
        """
        given = task, over, self._may_rest
        if not _gives(self._resting, given):
            self._note()
            start_new_thread(_live, (self._resting, [given]))

    def _note(self) -> None:
        """Note how many threads there are before the first new one. It takes 3 us: not where all have rested."""
        global _n_before
        if not self._is_noted:
            self._is_noted = True
            n_alive = n_busy()
            _n_before = n_alive if _n_before is None else min(n_alive, _n_before)  # of earlier ones some may be counted


def _gives(resting: list[Tasks], given: Given | None) -> bool:
    """Give a thread that rests something to do, or its end; tell whether there was one.

    In one step of the interpreter: after a signal handler that raises in between, it would rest for ever.
    """
    try:
        next(map(methodcaller("put", given), map(list.pop, (resting,))))
    except IndexError:
        return False
    return True


def n_resting() -> int:
    """Return how many threads wait for the next call."""
    return sum(map(len, list(_resting.values())))


def shutdown() -> None:
    """End the threads that rest, and wait until the system has none of them any more."""
    if not n_resting():
        return
    n_others = n_busy()
    for resting in list(_resting.values()):
        while _gives(resting, None):
            continue
    _let_end(n_others)


def settle() -> None:
    """Wait until all threads that earlier calls have started rest, or have ended, as far as they do."""
    global _n_before
    if _n_before is not None:
        _let_end(_n_before)
        _n_before = None


def n_busy() -> int:
    """Return how many Python and native threads do not rest: one that ends is first no longer the one, then gone."""
    n_resting_now = n_resting()
    return len(sys._current_frames()) + (n_native() or n_resting_now) - 2 * n_resting_now


def n_native() -> int | None:
    """Return how many threads the kernel has for this process; None where it does not tell.

    Counted by the links of their folder, one a thread beside its own two: that takes 2 us, and `/proc/self/stat`, for
    which the kernel looks up much more, 10.
    """
    try:
        n_links = os.stat("/proc/self/task").st_nlink
    except OSError:
        return None
    return n_links - 2 if n_links > 2 else None  # some other file system's folder has two or one


def _let_end(n_left: int) -> None:
    """Wait until no more threads than these are busy, for as long as they become fewer."""
    n_alive, until_s = n_busy(), perf_counter() + ENDING_S
    while n_alive > n_left and perf_counter() < until_s:
        sleep(1e-4)
        n_now = n_busy()
        if n_now < n_alive:
            until_s = perf_counter() + ENDING_S
        n_alive = n_now


def _inheritance() -> tuple[object, ...]:
    """Return what a new thread takes over from the one that starts it: cores, blocked signals, niceness. Takes 3 us."""
    if sys.platform == "win32":
        return ()
    blocked = frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    if sys.platform != "linux":
        return (blocked,)
    return blocked, frozenset(os.sched_getaffinity(0)), os.getpriority(os.PRIO_PROCESS, 0)


def _register() -> None:
    """Have threads that rest end before a fork, whose child would lack them, and with the program."""
    global _has_registered
    if not _has_registered:
        import atexit

        _has_registered = True
        atexit.register(shutdown)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=shutdown, after_in_child=_resting.clear)


# ---- in the thread


def _live(resting: list[Tasks], first: list[Given]) -> None:
    """Be a thread: run what is given, rest, and so on.

    What a call has made does not live for as long as its threads rest: arguments would, so the first task is in a list.
    """
    tasks: Tasks | None = None
    given: Given | None = first.pop()
    while given is not None:
        tasks = _run(given, resting, tasks)
        given = None
        given = None if tasks is None else _rest(resting, tasks)


def _run(given: Given, resting: list[Tasks], tasks: Tasks | None) -> Tasks | None:
    """Run a task as a thread of `threading` would; return where it waits for the next; None where it is to end."""
    task, over, may_rest = given
    is_watched = _let_watch()
    try:
        task()
    except BaseException:  # out of nowhere: somebody wants this thread to end
        may_rest = False
        raise
    finally:
        _forget_oneself(is_watched=is_watched)
        tasks = (tasks or _new_tasks()) if may_rest and n_resting() < MOST_RESTING else None
        if tasks is not None:
            resting.append(tasks)
        over()
    return tasks


def _new_tasks() -> Tasks:
    from _queue import SimpleQueue  # 0.26 ms, once

    return SimpleQueue()


def _rest(resting: list[Tasks], tasks: Tasks) -> Given | None:
    """Wait for the next task, with all signals blocked: a program that blocks some in its only thread means it."""
    if sys.platform == "win32":
        return _next(resting, tasks)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        return _next(resting, tasks)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _next(resting: list[Tasks], tasks: Tasks) -> Given | None:
    from _queue import Empty

    try:
        return tasks.get(timeout=IDLE_S)
    except Empty:
        try:
            resting.remove(tasks)
        except ValueError:  # just now somebody has taken this thread
            return tasks.get()
        return None


def _let_watch() -> bool:
    """Let who measures or follows all threads of a program (coverage, say) follow this one, as `threading` would; tell
    whether somebody does."""
    threading = sys.modules.get("threading")
    if threading is None:
        return False
    trace, profile = threading.gettrace(), threading.getprofile()
    if trace is not None:
        sys.settrace(trace)
    if profile is not None:
        sys.setprofile(profile)
    return trace is not None or profile is not None


def _forget_oneself(*, is_watched: bool) -> None:
    """Take this thread off `threading`'s list, where a task that asked for the current thread (logging does) has put
    it: it would be taken for alive, before Python 3.13 even when it has ended."""
    if is_watched:
        sys.settrace(None)
        sys.setprofile(None)
    threading = sys.modules.get("threading")
    if threading is not None:
        threading._active.pop(get_ident(), None)
