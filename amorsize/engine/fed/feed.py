"""Feed workers: give out tasks, take in what comes back.

    source --> give --> Link --> worker --> Link --> take --> sink
                 ^                                     |
                 '---- `Table.again`: after a death ---'

Nothing happens but in `step`, which the caller runs: no thread, no timer. A worker holds one task to run and one to
begin next, so that it never waits for a caller that is merely slow to look; a caller that does not look for long stops
it, and that is how a slow consumer slows the workers.
"""

from __future__ import annotations

import os
import sys
from _thread import get_ident
from time import perf_counter

from amorsize.engine.fed.give import Giver
from amorsize.engine.fed.link import wait_for
from amorsize.engine.fed.table import Chair, Table
from amorsize.engine.fed.take import Taker
from amorsize.engine.job import Outcome
from amorsize.engine.watch import Watch
from amorsize.errors import WorkerDied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.engine.fed.table import Seat
    from amorsize.engine.held import Held
    from amorsize.engine.job import Decide, Range
    from amorsize.records import Plan


class Feed(Outcome):
    """One run of fed workers.

    Args:
        table: source, sink, crew and rules.
        plan: how it was decided to run it.
        sizes: how large a task is.
        held: holds signal handlers back.
        decide: asked now and then whether the plan still holds; None where there is nothing to go back to.
        alone_s: seconds an item took while the caller computed alone; None where it did not.
    """

    def __init__(
        self, table: Table, plan: Plan, sizes: Range, held: Held, decide: Decide | None, alone_s: float | None
    ) -> None:
        super().__init__(plan)
        self.by_workers = self.timings
        self._began_s: float | None = None
        self._table = table
        self._held = held
        self._giver = Giver(table, sizes)
        self._taker = Taker(table, sizes, self.timings)
        self._decide = decide
        self._watch = Watch(alone_s, table.source.n_taken, caller_computes=False)
        self._left_s = perf_counter()
        self._pid, self._thread = os.getpid(), get_ident()

    @property
    def is_over(self) -> bool:
        """Whether all that was given out is back, and nothing is left to give out."""
        table = self._table
        if table.again or not table.is_idle:
            return False
        if table.sink.error is None and table.source.error is not None:
            table.give_up(table.source.n_taken, table.source.error)
        return table.sink.error is not None or self.retreat is not None or table.source.n_left() == 0

    @property
    def survived(self) -> str | None:
        """Which deaths of workers the call has survived because of its retries, in words."""
        deaths = self._table.survived
        if not deaths:
            return None
        more = f", and {len(deaths) - 1} more died" if deaths[1:] else ""
        return f"{deaths[0]}{more}; what they were at was run again, as retries={self._table.rules.retries} allows"

    def follow(self, plan: Plan) -> None:
        """Go on with the workers of another plan, who are of the same kind and not fewer."""
        self.plan = plan
        self._table.rules = self._table.rules.replace(n_jobs=plan.n_jobs)

    def gives_back(self) -> bool:
        """Give the source back all that is not done, where workers have refused all of that; tell whether they have."""
        table, source = self._table, self._table.source
        tasks = sorted([*table.refused, *table.again], key=lambda task: task.start)
        n_refused = sum([task.n_left for task in tasks])
        n_out = table.sink.n_out
        if (
            not table.refused
            or tasks[0].start != n_out
            or n_refused != source.n_taken - n_out
            or source.error is not None
        ):
            return False
        source.give_back(tasks)
        return True

    def step(self) -> None:
        """Give out tasks, wait until something arrives, and take it in.

        Raises:
            OSError: where no worker can be started at all.
        """
        if os.getpid() != self._pid:
            self._leave_to_parent()
            return
        table, self._thread = self._table, get_ident()
        pulling_s, away_s = self._giver.pulling_s, perf_counter() - self._left_s
        self._staff()
        self._giver.give_all()
        if table.is_idle:
            return
        links = [chair.seat.link for chair in table.chairs]
        ends = [chair.seat.pidfd for chair in table.chairs if chair.seat.pidfd is not None]
        ready = wait_for(links, ends, self._taker.wait_s())
        with self._held:
            for chair in [chair for chair in table.chairs if _has_news(chair.seat, ready)]:
                self._taker.hear(chair)
            self._taker.look_at_the_clock()
        if self.first_s is None and self._began_s is not None and self.timings.n_items:
            self.first_s = perf_counter() - self._began_s - self.timings.batches[0][1]
        self._watch.pause(away_s + self._giver.pulling_s - pulling_s)
        self._reconsider()
        self._left_s = perf_counter()

    def _reconsider(self) -> None:
        """Give out nothing new where workers are slower than the caller alone was: it goes on when all is back.

        The time for which the consumer is away, or the input lets them wait, does not count.
        """
        table = self._table
        if not self._watch.is_time():
            return
        self.heaviest_bytes = self._watch.heaviest_bytes(chair.seat for chair in table.chairs)
        if self._decide is None or self.retreat is not None or table.source.n_left() == 0:
            return
        cpu_s = [chair.seat.cpu_s for chair in table.chairs]
        plan = self._decide(self._watch.evidence(cpu_s, table.source.n_left(), table.source.n_taken, len(table.chairs)))
        if plan is not None and not plan.is_parallel:
            self._go_back(plan.reason)

    def _go_back(self, reason: str) -> None:
        self.retreat = reason
        self._giver.takes_more = False

    def _staff(self) -> None:
        """Find workers for what is to be done."""
        table = self._table
        self._miss_the_dead()
        n_wanted, n_left = table.rules.n_jobs - len(table.chairs), table.source.n_left()
        if table.sink.error is not None or self.retreat is not None:
            n_wanted = min(n_wanted, len(table.again))
        elif n_left is not None:
            n_wanted = min(n_wanted, n_left + len(table.again))
        if n_wanted <= 0 or (self.shortage is not None and table.chairs):
            return
        began = perf_counter()
        self._began_s = self._began_s or began
        error = self._hire(n_wanted)
        if error is None:
            self.start_s += perf_counter() - began
            self._watch.pause(perf_counter() - began)
        elif table.chairs:
            self.shortage = f"only {len(table.chairs)} of {table.rules.n_jobs} workers could be started: {error}"
        elif self.n_started and self._decide is not None and not table.again:
            self._go_back(f"no worker is left, and none can be started: {error}")
        else:
            raise error

    def _miss_the_dead(self) -> None:
        """Notice who has ended without a task, before one is sent that nobody would run."""
        for chair in [chair for chair in self._table.chairs if not chair.tasks and chair.seat.has_ended()]:
            with self._held:
                self._table.dismiss(chair)

    def _hire(self, n_workers: int) -> OSError | None:
        """Start workers; return why none could be. What a signal's handler raises meanwhile, an OSError it may be, is
        raised."""
        with self._held:
            try:
                hired = self._table.crew.hire(n_workers)
            except OSError as error:
                return error
            self._table.chairs += map(Chair, hired)
            self.n_started += len(hired)
        return None

    def close(self) -> None:
        """Let idle workers go and end all others; a second time, and in a copy of the process that a user has forked
        meanwhile, do nothing.

        What these were at is not done again: whoever still waits for it, at the program's end, is told so.
        """
        if os.getpid() != self._pid:
            return
        began_s = perf_counter()
        with self._held:
            self._abandon("the program has ended its workers", self._unfinished())
            chairs, self._table.chairs = self._table.chairs, []
            self._table.crew.release([chair.seat for chair in chairs if not chair.tasks])
            self._table.crew.close()
        self.start_s += perf_counter() - began_s

    def close_at_exit(self) -> None:
        """Close at the program's end; where another thread is still at work here, which stops where it is, do nothing:
        its workers end with this process."""
        if self._thread == get_ident() or self._thread not in sys._current_frames():
            self.close()

    def _leave_to_parent(self) -> None:
        """End the call in a copy of the process that a user has forked meanwhile: what it took from its parent's
        workers, the parent would wait for in vain."""
        why = "its workers belong to the process that has forked this one"
        self._abandon(why, [*self._unfinished(), self._table.source.n_taken])
        self._table.chairs = []

    def _unfinished(self) -> list[int]:
        """Return where the tasks begin that were given out and are not done."""
        table = self._table
        return [task.start for task in table.again] + [task.start for chair in table.chairs for task in chair.tasks]

    def _abandon(self, why: str, starts: list[int]) -> None:
        """End the call at the first of these items, if there is one."""
        if starts:
            self._table.again.clear()
            why = f"{why}; item {min(starts)} is the first that is not finished"
            self._table.give_up(min(starts), WorkerDied(why))


def _has_news(seat: Seat, ready: set[int]) -> bool:
    """Tell whether a worker has sent something, can be sent what waits, or has ended; one without a descriptor for its
    end may have."""
    link = seat.link
    return seat.pidfd is None or seat.pidfd in ready or link.has_arrived or link.end.fileno() in ready
