"""Start and end workers by fork (Linux).

A worker is a copy of the caller: function and data are there already, nothing is pickled on the way in. What a forked
child must not share with its parent is undone in `_become_worker`, once, in order.
"""

from __future__ import annotations

import gc
import os
import sys
from _io import FileIO  # a test may have put a mock in the place of `open`

assert sys.platform == "linux"  # before the imports: elsewhere, type checkers find nothing behind them

from amorsize.engine import wire
from amorsize.engine.child import flush_output, handled_for_all, leave, leave_to_caller, save_coverage, told
from amorsize.engine.process import Process, as_many
from amorsize.engine.watch import CELLS_PER_WORKER

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Sequence
    from typing import NoReturn, TypeAlias

    from amorsize.engine.held import Held
    from amorsize.engine.lifeline import Lifeline

    Ends: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]  # descriptors of a line: the caller's, and the child's
else:
    import _signal as signal  # the C half is loaded anyway; `signal` itself costs 3.3 ms

WOKEN = 16
"""So many of the workers that start together are named the CPUs to begin on. To start more takes longer than the
1-4 ms that each of the others may wait; to name CPUs for all makes 63 starts a tenth longer."""


class ForkedWorker(Process):
    """A running worker, seen from the caller.

    Attributes:
        pipe: where it announces results.
        inbox: reads them.
        cell: index of its shared integers.
        expected: it has said that it is done, or was told to end: its end is no death.
        done_s: when it has said so, on the clock of `perf_counter`.
    """

    __slots__ = ("_arena", "cell", "done_s", "expected", "inbox", "pipe")

    def __init__(self, pid: int, pipe: int, arena: int, cells: memoryview, cell: int) -> None:
        super().__init__(pid)
        self.pipe = pipe
        self.cell = cell
        self.expected = False
        self.done_s: float | None = None
        self._arena = arena
        self.inbox = wire.Inbox(pipe, arena, cells, cell + 2)

    def events(self) -> list[int]:
        """Return the descriptors that become readable when it announces something or ends."""
        return [self.pipe] if self.pidfd is None else [self.pipe, self.pidfd]

    def descriptors(self) -> list[int]:
        return [self.pipe, self._arena, *super().descriptors()]


class Elsewhere:
    """All usable CPUs but the caller's own, where workers that start together are to begin.

    Left alone, one often waits 1-4 ms for the caller's own CPU. Naming the other CPUs and taking the limit back at once
    made a job of 3.7 ms 1.23x the loop instead of 0.77x; from 12 ms of work on it makes no difference.

    No more are named than there are such CPUs: where as many workers start as there are CPUs, the caller is about to
    sleep. Sent away from its CPU, too, the last one waited behind another for up to 4 ms: 10 items of 8 ms took 50 ms
    on two cores instead of 45.

    Made before the first fork: to look takes 20 us there, and 200 us after it, where all that is touched is copied.
    """

    __slots__ = ("_n_left", "_others", "_usable")

    def __init__(self) -> None:
        self._usable: set[int] = set()
        self._others: set[int] = set()
        self._n_left = 0
        try:
            self._usable = os.sched_getaffinity(0)
            with FileIO("/proc/self/stat") as stat:
                here = int(stat.readall().rpartition(b") ")[2].split()[36])
            self._others = self._usable - {here}
            self._n_left = min(WOKEN, len(self._others))
        except (OSError, ValueError, IndexError):
            return  # a sandbox hides these files: they begin where they begin

    def wake(self, pid: int) -> None:
        """Have a new worker begin there, if it is among the first."""
        if not self._others or not self._n_left:
            return
        self._n_left -= 1
        try:
            os.sched_setaffinity(pid, self._others)
            os.sched_setaffinity(pid, self._usable)
        except OSError:
            return  # it has ended already, or a sandbox forbids it


def start_workers(
    serve: Callable[[wire.Outbox, int], None],
    n_workers: int,
    cells: memoryview,
    lifeline: Lifeline,
    workers: list[ForkedWorker],
    held: Held,
) -> None:
    """Fork workers that run `serve`, each with its outbox and its number, and end; they join `workers`.

    Signal handlers are held back, so that none, Ctrl-C's least of all, can find a child that nobody knows of. Where one
    waits for its turn, this returns early, but not before a worker has started.

    One forks all. As a tree, whose root adopts what its 4 or 8 branches have forked, 63 begin in 0.73-0.78x of the time
    on two cores, before anything is paid for a branch that dies, and for loading what adopts (ctypes: 2-5 ms).

    Raises:
        OSError: where descriptors, processes or memory are exhausted; of the worker that found no room, nothing is
            left behind.
    """
    with held:
        n_before = len(workers)
        pids: list[int] = []
        # The writing ends are closed before each worker takes one more descriptor here.
        lines, shortage = as_many(n_workers, wire.open_ends)

        def live(number: int) -> None:
            _, write_end, arena = lines[number]
            number += n_before
            serve(wire.Outbox(write_end, arena, cells, number * CELLS_PER_WORKER + 2), number)

        strange = [fd for worker in workers for fd in worker.descriptors()]
        ends = [((read_end,), (write_end, arena)) for read_end, write_end, arena in lines]
        try:
            fork_children(live, ends, strange, pids, lifeline, held)
        except OSError as error:
            shortage = error
        finally:
            for _, write_end, _ in lines:
                os.close(write_end)
            for pid, (read_end, _, arena) in zip(pids, lines, strict=False):
                workers.append(ForkedWorker(pid, read_end, arena, cells, len(workers) * CELLS_PER_WORKER))
            for read_end, _, arena in lines[len(pids) :]:
                os.close(read_end)
                os.close(arena)
        if shortage is not None:
            raise shortage


def fork_children(
    serve: Callable[[int], None],
    lines: Sequence[Ends],
    strange: Sequence[int],
    pids: list[int],
    lifeline: Lifeline,
    held: Held,
) -> None:
    """Fork a process for each line that runs `serve` with its number and ends. Where a signal's handler waits for its
    turn, the first of them is the last.

    What the caller has forgotten and not yet collected is never collected in a child: it would be finalized twice.

    Args:
        serve: what they do.
        lines: between caller and child. While a child held an end of one of its siblings', that one's end-of-file would
            never come.
        strange: descriptors that every child has to close.
        pids: their ids are added to it.
        lifeline: ends them with the caller.
        held: holds signal handlers back.

    Raises:
        OSError: where there is no room for another.
    """
    collects = gc.isenabled()
    gc.disable()  # what others have registered for a fork runs in the child first
    try:
        number = _fork(len(lines), pids, held)
        if number is not None:
            gc.freeze()
    finally:
        if collects:
            gc.enable()
    if number is not None:
        _become_worker(serve, number, lines, strange, lifeline, held)


QUIET = ("ignore", None, DeprecationWarning, None, 0)
"""A filter, as `warnings.simplefilter` writes it."""


def _fork(n_children: int, pids: list[int], held: Held) -> int | None:
    """Fork; whether that is safe here was decided before (`safety.refusal`). Return, in a child, its number.

    Python 3.12 warns of every native thread; those of a BLAS pool, which survive a fork, are the only ones here. After
    `warnings.catch_warnings` it would show once more all that has been shown: the filter is put there without its word.
    """
    flush_output()
    warnings = sys.modules.get("warnings")
    if warnings is None or sys.version_info < (3, 12):
        return _fork_each(n_children, pids, held)
    filters = warnings.filters
    filters.insert(0, QUIET)
    try:
        return _fork_each(n_children, pids, held)
    finally:
        filters.remove(QUIET)


def _fork_each(n_children: int, pids: list[int], held: Held) -> int | None:
    """Fork one after the other, and do hardly anything else.

    After a fork, every page that the caller writes to is copied for it, and Python writes wherever it looks: with all
    that a start takes between two forks, 63 copied 5,400 pages of a caller of 30 MB; so they copy 2,000, in 0.65x of
    the CPU time.
    """
    elsewhere = Elsewhere()
    for number in range(n_children):
        try:
            pid = os.fork()
        except RuntimeError as error:  # from Python 3.12 on, in what runs at the program's end
            raise OSError(str(error)) from error
        if not pid:
            return number
        pids.append(pid)
        elsewhere.wake(pid)
        if held.awaited:
            break
    return None


def _become_worker(
    serve: Callable[[int], None],
    number: int,
    lines: Sequence[Ends],
    strange: Sequence[int],
    lifeline: Lifeline,
    held: Held,
) -> NoReturn:
    """Undo what a child must not share with its parent, serve, and leave without running the parent's exit code."""
    status = 1
    try:
        not_ours = list(strange)
        for other, (here, there) in enumerate(lines):
            not_ours += here if other == number else here + there
        for fd in not_ours:
            os.close(fd)
        lifeline.hold()  # which takes a descriptor
        _reset_signals(held)
        _reseed()
        serve(number)
        save_coverage()
        status = 0
    except BrokenPipeError:
        pass  # the caller has stopped listening and is about to end this worker
    except BaseException as error:  # nothing may unwind into the parent's frames; what is left to tell goes to stderr
        status = told(error)
    finally:
        leave(status)


ALARMS = frozenset((signal.SIGALRM, signal.SIGPROF))
"""Signals that a process has sent to itself, by timers that no fork inherits: an item that sets one means the program's
handler."""


def _reset_signals(held: Held) -> None:
    """Give every signal that the caller handles in Python its default again, or leave it to the caller."""
    signal.set_wakeup_fd(-1)
    for_caller = handled_for_all()
    for number in signal.valid_signals():
        if number in ALARMS:
            held.give_back(number)
        elif callable(signal.getsignal(number)):
            signal.signal(number, leave_to_caller if number in for_caller else signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, leave_to_caller)


def _reseed() -> None:
    """Give the worker its own random numbers; Python's `random` does that by itself at a fork."""
    for generator in (sys.modules.get("numpy.random"), getattr(sys.modules.get("torch"), "default_generator", None)):
        if generator is not None:
            generator.seed()
