"""Run a `Work` with workers beside the caller, and leave nothing behind.

    caller                          counter                     workers
      |-- starts workers -------------|---------------------------> take ranges
      |-- takes ranges too, ----------|                             |
      |   drains between them <-------|----- results, errors -------|
      |-- waits, reaps, closes        |

Where items are long (`plan.caller_computes` is False) the caller only drains, so that an error, a death or Ctrl-C is
seen at once. Everything ends through `Crew.close`, whatever happens.
"""

from __future__ import annotations

import mmap
import os
import select
import sys
from math import inf
from time import perf_counter

assert sys.platform == "linux"  # before the imports: elsewhere, type checkers find nothing behind them

from amorsize.engine import safety, wire
from amorsize.engine.collect import GRACE_S, LOWER_GRACE_S
from amorsize.engine.counter import open_counter
from amorsize.engine.desk import Desk
from amorsize.engine.fork import ForkedWorker, start_workers
from amorsize.engine.held import Held
from amorsize.engine.lifeline import Lifeline
from amorsize.engine.message import DONE, ERROR, PRINTED
from amorsize.engine.process import Spare
from amorsize.engine.said import hear
from amorsize.engine.watch import CELLS_PER_WORKER, Watch
from amorsize.engine.worker import serve
from amorsize.errors import WorkerDied
from amorsize.planning.model import SUPERVISES_FROM_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.engine.counter import Counter
    from amorsize.engine.job import Job
    from amorsize.engine.message import Message

WAKE_MS = 10
"""How long a supervising caller sleeps at most: the plan is reconsidered, and grace periods end, this exactly."""


def run(job: Job) -> bool:
    """Run the rest of the work; results, failure and timings are in the job afterwards.

    Returns:
        False where nobody could be found to run items: none was touched, and `job.shortage` says why.

    Raises:
        BaseException: what an item in the caller raised that is no Exception, and Ctrl-C; workers are gone by then.
    """
    crew = Crew(job)
    try:
        safety.cores_are_taken = True
        if not crew.open():
            return False
        crew.start()
        if not crew.workers and job.shortage is not None:
            return False
        if crew.workers and job.plan.caller_computes:
            crew.compute()
        crew.wait()
        if job.caller_may_run:
            crew.finish_alone()
    except BaseException:
        crew.drain(0)  # what was finished is kept, whatever ended the call
        raise
    finally:
        safety.cores_are_taken = False
        try:
            crew.close()
        finally:
            crew.close()  # where Ctrl-C came on the way into the first; else it finds nothing to do
    return True


class Crew:
    """The workers of one job, and what they share with the caller."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.workers: list[ForkedWorker] = []
        self._n_items = job.work.n_items
        self._n_wanted = job.plan.n_jobs - 1 if job.plan.caller_computes else job.plan.n_jobs
        self._pid = os.getpid()
        self._cells = memoryview(b"")
        self._held = Held()
        self._opened: list[Lifeline | Counter] = []
        self._poll = select.poll()
        self._by_fd: dict[int, ForkedWorker] = {}
        self._untaken_from: int | None = None
        self._silent_death: WorkerDied | None = None
        self._waits_from_s = inf

    def open(self) -> bool:
        """Make what all share; return False where the system has no room for it."""
        try:
            with self._held, Spare():
                self._cells = memoryview(mmap.mmap(-1, self.job.plan.n_jobs * CELLS_PER_WORKER * 8)).cast("q")
                self._lifeline = Lifeline()
                self._opened.append(self._lifeline)
                self._counter = open_counter()
                self._opened.append(self._counter)
        except (ImportError, OSError) as error:  # with no descriptor left, a module cannot be loaded, either
            self.job.shortage = f"no worker could be started: {error}"
            return False
        self._counter.take(len(self.job.collector.head))
        return True

    def start(self) -> None:
        """Start the planned workers, or as many as the system has room for."""
        began = perf_counter()
        while len(self.workers) < self._n_wanted and self.job.shortage is None:
            self._start_some()
        self.job.n_started = len(self.workers)
        self.job.start_s += perf_counter() - began
        self._watch = Watch(self.job.alone_s, self.job.collector.n_done, caller_computes=self.job.plan.caller_computes)

    def _start_some(self) -> None:
        """Start those that are missing; fewer where a signal's handler waits for its turn, which it has then."""
        n_before, n_missing = len(self.workers), self._n_wanted - len(self.workers)
        with self._held:
            try:
                start_workers(self._live, n_missing, self._cells, self._lifeline, self.workers, self._held)
            except OSError as error:
                self.job.shortage = f"only {len(self.workers)} of {self._n_wanted} workers could be started: {error}"
            for worker in self.workers[n_before:]:
                for fd in worker.events():
                    self._by_fd[fd] = worker
                    self._poll.register(fd, select.POLLIN)

    def _live(self, outbox: wire.Outbox, number: int) -> None:
        serve(self.job.work, self._counter, self.job.sizes, Desk(outbox, self._cells, number * CELLS_PER_WORKER))

    def compute(self) -> None:
        """Take ranges like a worker, draining between them, until none is left or items turn out to be long."""
        sizes, position = self.job.sizes, len(self.job.collector.head)
        while self.job.collector.error is None:
            wanted = sizes.wanted(self._n_items - position)
            start = self._counter.take(wanted)
            if start >= self._n_items:
                return
            position = min(start + wanted, self._n_items)
            self._run_range(start, position)
            self.drain(0)
            self._reconsider()
            if sizes.item_s is not None and sizes.item_s > SUPERVISES_FROM_S and position < self._n_items:
                self._n_wanted += 1
                self.start()
                return

    def _run_range(self, start: int, stop: int) -> None:
        """Run items in the caller; those before a failing one are kept."""
        results: list[object] = []
        began = perf_counter()
        try:
            self.job.work.run(start, stop, results)
        except BaseException as error:  # noted for the end, with its item; only an Exception waits until then
            if os.getpid() != self._pid:  # in a child that an item has forked: all of this is its parent's
                self.workers, self._opened, self._by_fd, self._poll = [], [], {}, select.poll()
                raise
            self._fail(start + len(results), error)
            if not isinstance(error, Exception):
                raise
        finally:
            self.job.collector.add(start, results)
        if results:
            seconds = perf_counter() - began
            self.job.ran(len(results), seconds, self.job.by_caller)
            self.job.sizes.saw(len(results), seconds)

    def wait(self) -> None:
        """Drain until every worker has ended, hurrying those that a failure has made useless."""
        self._waits_from_s = perf_counter()
        while self._by_fd and self.job.collector.error is None:
            self.drain(WAKE_MS)
            self._reconsider()
        failed_s = perf_counter()
        while self._by_fd:
            self.drain(WAKE_MS)
            if perf_counter() - failed_s > GRACE_S:
                self._kill_useless(perf_counter() - failed_s)
        if self._silent_death is not None and self.job.collector.error is None:
            untaken = self._stop_feeding()  # left to the caller, where it may run items
            stop = untaken if self.job.caller_may_run else self._n_items
            if (missing := self.job.collector.first_missing(stop)) is not None:
                self._fail(missing, self._silent_death)

    def _kill_useless(self, waited_s: float) -> None:
        """End the workers whose items the plain loop would not have reached. Those below a failed item may hold a lower
        failure and are waited for; below a dead worker, for a while."""
        patience_is_over = isinstance(self.job.collector.error, WorkerDied) and waited_s > LOWER_GRACE_S
        for worker in set(self._by_fd.values()):
            if patience_is_over or self._cells[worker.cell] > (self.job.collector.failed_at or 0):
                worker.expected = True
                worker.kill()

    def finish_alone(self) -> None:
        """Run in the caller what no worker was given: after a retreat, or where all have died before they took it."""
        start = self._stop_feeding()
        while start < self._n_items and self.job.collector.error is None:
            stop = min(self._n_items, start + self.job.sizes.wanted(self._n_items - start))
            self._run_range(start, stop)
            start = stop

    def drain(self, timeout_ms: int) -> None:
        """Take in whatever workers have announced, waiting up to `timeout_ms` for the first.

        Ctrl-C comes before or after, never between reading a result and having it.
        """
        if not (events := self._poll.poll(timeout_ms)):
            return
        with self._held:
            for fd, _ in events:
                if fd in self._by_fd:
                    self._receive(self._by_fd[fd], has_ended=fd == self._by_fd[fd].pidfd)

    def _receive(self, worker: ForkedWorker, *, has_ended: bool) -> None:
        began_s = perf_counter()
        for message in worker.inbox.receive():
            self._take(worker, message)
            began_s = self.job.taken.add(message.count, began_s)
        if worker.inbox.at_end or has_ended:
            self._ended(worker)

    def _take(self, worker: ForkedWorker, message: Message) -> None:
        if message.kind == DONE:
            worker.expected, worker.done_s = True, perf_counter()
        elif message.kind == ERROR:
            self._fail(message.start, message.error())
        elif message.kind == PRINTED:
            self.job.unsaid = hear(message.load()) or self.job.unsaid
        else:
            self.job.ran(message.count, message.seconds, self.job.by_workers)
            results, unread = message.results()
            self.job.collector.add(message.start, results)
            if unread is not None:
                self._fail(message.start, unread)

    def _ended(self, worker: ForkedWorker) -> None:
        for fd in worker.events():
            self._poll.unregister(fd)
            del self._by_fd[fd]
        status = worker.end()
        if worker.done_s is not None:
            self.job.start_s += max(0.0, perf_counter() - max(worker.done_s, self._waits_from_s))
        if worker.expected:
            return
        from amorsize.engine import failure

        first, stop = self._cells[worker.cell], self._cells[worker.cell + 1]
        died = failure.worker_died(first, stop, status)
        if first < stop:
            self._fail(first, died)
        else:
            self._silent_death = died  # between two ranges: nothing may be lost at all

    def _fail(self, index: int, error: BaseException) -> None:
        self.job.collector.fail(index, error)
        self._stop_feeding()

    def _stop_feeding(self) -> int:
        """Let nobody take another range; return the first index that nobody had taken."""
        if self._untaken_from is None:
            self._untaken_from = min(self._counter.take(self._n_items), self._n_items)
        return self._untaken_from

    def _reconsider(self) -> None:
        """Tell, now and then, how far it has come; stop feeding the workers where the plan does not hold."""
        if not self._watch.is_time():
            return
        if self.job.progress is not None and self.job.collector.error is None:
            self.job.progress(self.job.collector.n_done, self._n_items)
        alive = set(self._by_fd.values())
        self.job.heaviest_bytes = self._watch.heaviest_bytes(alive)
        if self._untaken_from is not None or not self.job.caller_may_run:  # there is nothing to go back to
            return
        cpu_s, n_done = [worker.cpu_s for worker in self.workers], self.job.collector.n_done
        plan = self.job.decide(self._watch.evidence(cpu_s, self._n_items - n_done, n_done, len(alive)))
        if plan is not None and not plan.is_parallel:
            self.job.retreat = plan.reason
            self._stop_feeding()
            self.job.unlimit()

    def close(self) -> None:
        """End and reap every worker and give everything back; a second time, do nothing."""
        with self._held:
            for worker in self.workers:
                worker.kill()  # all at once, before the first is waited for
            for worker in self.workers:
                worker.close()
            self._cells.release()  # and with their last view their memory
            while self._opened:
                self._opened.pop().close()
