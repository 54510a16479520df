"""Run a `Work` with threads, while the caller supervises.

    caller                            threads
      |-- starts the first one ---------> starts the next one, ... up to n_jobs
      |                                   take ranges from one position, under one lock
      |   looks after them every 10 ms    hand their results to the collector, under the same lock
      |<- is woken by the last one -------|

The caller runs no item, so that a failure, a wrong plan or Ctrl-C is seen at once. Each thread runs its items in a copy
of the context that the call was made in.

No thread can be ended from outside. After a failure or Ctrl-C none starts another item that the plain loop would not
have reached, and the call waits for those under way: for ever where the loop would have run them, too, else for
`GRACE_S`. A thread that is still in its item then is left behind: it dies with the process, hands nothing in and starts
nothing, and the call says so in a warning. To wait longer would make one request without a timeout hang the program.

Nothing in here needs a particular platform.
"""

from __future__ import annotations

from _contextvars import copy_context
from time import perf_counter

from amorsize.engine import modes, safety
from amorsize.engine.bare import Threads
from amorsize.engine.hands import Hand, Lock, Roll
from amorsize.inline import Timings, Work, thread_time
from amorsize.records import Evidence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from functools import partial

    from amorsize.engine.job import Job
else:
    from _functools import partial  # the C half: `functools` itself costs 1.9 ms

WAKE_S = 0.01
"""How long the caller sleeps at most: the plan is reconsidered, and grace periods end, this exactly."""

GRACE_S = 0.5
"""After a failure or Ctrl-C, items that the loop would not have run may take this long. Longer is felt as a hang."""


def run(job: Job) -> bool:
    """Run the rest of the work in threads; results, failure and timings are in the job afterwards.

    Returns:
        False where no thread could be started: no item was touched, and `job.shortage` says why.

    Raises:
        BaseException: Ctrl-C, and what an item in the caller (after a retreat) raised that is no Exception.
    """
    crew = Crew(job)
    try:
        if not crew.start():
            return False
        crew.wait()
        if job.retreat is not None:
            crew.finish_alone()
            crew.wait()
    except BaseException:
        crew.stop()
        raise
    finally:
        crew.close()
    return True


class Crew:
    """The threads of one job, and what they share with the caller; from the item `cut` on none is started any more."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.cut = self._n_items = job.work.n_items
        # A list that the function changes meanwhile is nobody's input: workers see the items as they were at the start.
        columns = tuple([column[:] if type(column) is list else column for column in job.work.columns])
        self._work = Work(job.work.func, columns, star=job.work.star, guard=job.work.guard)
        self._threads = Threads(job.work.guard)
        self._context, self._modes = copy_context(), modes.here()
        self._lock, self._roll = Lock(), Roll()
        self._position = self._untaken_from = len(job.collector.head)
        self._up: tuple[float, int, float] | None = None  # seconds, results and CPU seconds when all had been started
        self._is_closed = False
        self._hands: list[Hand] = []
        self._walls, self._cpus = Timings(), Timings()
        self._began_s = perf_counter()

    def start(self) -> bool:
        """Start the first thread, which starts the others; tell whether that worked."""
        self._start_next()
        return self.job.n_started > 0

    def wait(self) -> None:
        """Wait until all threads have left, or can only be left behind, or a retreat leaves the caller items to run."""
        failed_s: float | None = None
        has_retreated = self.job.retreat is not None
        while self._roll.n_alive and not self._roll.has_ended.acquire(timeout=WAKE_S):
            now = perf_counter()
            if self.job.collector.error is None:
                if self.job.progress is not None:
                    self.job.progress(self.job.collector.n_done, self._n_items)
                self._reconsider(now)
                if self.job.retreat is not None and not has_retreated:
                    return
            elif failed_s is None:
                failed_s = now
            elif now - failed_s > GRACE_S and not any(hand.is_below(self.cut) for hand in self._hands):
                return  # whoever is left is in an item that the plain loop would not have run

    def stop(self) -> None:
        """Have no further item started, and give those under way their time; a second Ctrl-C shortens it."""
        with self._lock:
            self.cut = 0
            self._stop_feeding()
        if self._roll.n_alive:
            self._roll.has_ended.acquire(timeout=GRACE_S)

    def finish_alone(self) -> None:
        """Run in the caller what no thread has taken: after a retreat."""
        self.job.unlimit()
        own, start = Hand(), self._untaken_from
        while start < self._n_items and self.job.collector.error is None:
            stop = min(self._n_items, start + self.job.sizes.wanted(self._n_items - start))
            own.take(start, stop)
            self._run_range(own)
            start = stop
        error = self.job.collector.error
        if error is not None and not isinstance(error, Exception):
            raise error

    def close(self) -> None:
        """Take over what threads left behind have finished, and what all of them have timed."""
        with self._lock:
            self.cut, self._is_closed = 0, True
            late = [hand for hand in self._hands if hand.is_below(self._n_items)]
            for hand in self._hands:
                self.job.collector.add(hand.start, hand.results[:])
        job, elapsed_s = self.job, perf_counter() - self._began_s
        if late:
            name = getattr(job.work.func, "__qualname__", type(job.work.func).__qualname__)
            job.left_behind = (
                f"{len(late)} items of {name} went on when the call was over, and their results are lost, because "
                "threads cannot be ended: give what they wait for a timeout"
            )
        job.timings, job.cpu_timings = self._walls, self._cpus
        if elapsed_s > 0:  # the clock stands still where a test has frozen it
            job.cores_used = self._cpus.total_s / elapsed_s

    def _reconsider(self, now: float) -> None:
        """Ask, once all threads are up, whether the plan still holds; stop feeding them where it does not."""
        with self._lock:
            n_done, cpu_s = self.job.collector.n_done, self._cpus.total_s
            if self._up is None and (self.job.n_started == self.job.plan.n_jobs or self.job.shortage is not None):
                self._up = now, n_done, cpu_s
        if self._up is None:
            return
        up_s, n_done_then, cpu_then_s = self._up
        together_s = now - up_s
        if together_s <= 0:
            return
        evidence = Evidence(
            n_left=self._n_items - n_done,
            n_workers=self._roll.n_alive,
            alone_s=self.job.alone_s,
            n_together=n_done - n_done_then,
            together_s=together_s,
            cores_used=(cpu_s - cpu_then_s) / together_s,
        )
        plan = self.job.decide(evidence)
        if plan is not None and not plan.is_parallel and self._position < self._n_items:
            with self._lock:
                self._stop_feeding()
            self.job.retreat = plan.reason

    def _stop_feeding(self) -> None:
        """Let nobody take another range, and remember where they would have gone on; the lock is held."""
        if self._position < self._n_items:
            self._untaken_from, self._position = self._position, self._n_items

    def _start_next(self) -> None:
        """Start one more thread where one is planned and there is something left for it.

        Each starts the next one, so that the GIL goes from hand to hand and items begin to wait at once. With the
        caller starting all of them, 100 threads for 200 items of 5 ms took 1.15 times as long.
        """
        job, hand = self.job, Hand()
        with self._lock:
            if job.n_started >= job.plan.n_jobs or self._position >= self._n_items or job.shortage is not None:
                return
            job.n_started += 1
            self._hands.append(hand)
        self._roll.enter()
        try:
            self._threads.start(partial(self._live, hand), self._roll.leave)
            job.start_s = perf_counter() - self._began_s
        except RuntimeError as error:
            self._roll.leave()
            with self._lock:
                job.n_started -= 1
                self._hands.remove(hand)
                job.shortage = f"only {job.n_started} of {job.plan.n_jobs} threads could be started: {error}"

    def _live(self, hand: Hand) -> None:
        """Be a thread: run ranges until none is left."""
        try:
            self._context.copy().run(self._serve, hand)
        finally:
            hand.is_over = True

    def _serve(self, hand: Hand) -> None:
        safety.enter_thread(self._modes)
        self._start_next()
        while self._take(hand):
            self._run_range(hand)

    def _take(self, hand: Hand) -> bool:
        """Give the thread its next range, and tell whether there was one."""
        with self._lock:
            start = self._position
            if start >= self._n_items or self._is_closed:
                return False
            self._position = min(start + self.job.sizes.wanted(self._n_items - start), self._n_items)
            hand.take(start, self._position)
            return True

    def _run_range(self, hand: Hand) -> None:
        """Run the items of a range, and hand in what they gave; whatever one raises is the caller's to raise."""
        error: BaseException | None = None
        began_s, began_cpu_s = perf_counter(), thread_time()
        try:
            self._run_items(hand)
        except BaseException as raised:  # kept for the caller, SystemExit included: here it would end a thread only
            error = raised
        seconds, cpu_s = perf_counter() - began_s, thread_time() - began_cpu_s
        with self._lock:
            if not self._is_closed:
                self._hand_in(hand, seconds, cpu_s, error)

    def _run_items(self, hand: Hand) -> None:
        """Do as `Work.run` does, but look before each item whether it is still wanted."""
        func, star, guard, results = self._work.func, self._work.star, self._work.guard, hand.results
        index = hand.start
        for item in self._work.batch(index, hand.stop):
            if index >= self.cut:
                return
            if guard is not None:
                guard.run(func, (item,), index, results, star=star)
            else:
                results.append(func(*item) if star else func(item))  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
            index += 1

    def _hand_in(self, hand: Hand, seconds: float, cpu_s: float, error: BaseException | None) -> None:
        """Give the collector what a range gave; the lock is held."""
        n_done, collector = len(hand.results), self.job.collector
        collector.add(hand.start, hand.results)
        if n_done:
            self._walls.add(n_done, seconds)
            self._cpus.add(n_done, cpu_s)
            self.job.sizes.saw(n_done, seconds)
        index = hand.start + n_done
        hand.take(index, index)
        if error is not None:
            collector.fail(index, error)
            self.cut = min(self.cut, index)
            self._stop_feeding()
