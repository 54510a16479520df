"""Take in what workers send, and deal with those who die or take too long."""

from __future__ import annotations

from time import monotonic

from amorsize.engine.collect import GRACE_S, LOWER_GRACE_S
from amorsize.engine.message import BEGUN, ERROR, PRINTED, READY, REFUSED, RESULTS, UNREAD
from amorsize.engine.said import hear
from amorsize.errors import ItemTimeout, WorkerDied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.engine.fed.table import Chair, Table
    from amorsize.engine.job import Range
    from amorsize.engine.message import Message
    from amorsize.inline import Timings


WAKE_S = 0.05
"""How long the caller sleeps at most. A signal that comes just before it falls asleep is answered when it wakes up;
twenty times a second costs 0.1 % of a core. It also bounds how exactly grace periods end."""


class Taker:
    """Takes in what the workers at a table send.

    Args:
        table: who is there.
        sizes: learns how long items are.
        timings: what workers have timed; grows.
    """

    def __init__(self, table: Table, sizes: Range, timings: Timings) -> None:
        self._table = table
        self._sizes = sizes
        self._timings = timings

    def hear(self, chair: Chair) -> None:
        """Take in what a worker has sent, and its end if that has come."""
        link = chair.seat.link
        link.flush()
        has_ended = chair.seat.has_ended()  # asked first: what it sent before its end has arrived then
        for message in link.receive():
            self._take(chair, message)
        if chair in self._table.chairs and (link.at_end or has_ended):
            self._lost(chair)

    def _take(self, chair: Chair, message: Message) -> None:
        if message.kind == REFUSED:
            self._refused(chair, message)
        elif message.kind == READY:
            chair.is_ready = True
        elif message.kind == PRINTED:
            self._table.sink.unsaid = hear(message.load()) or self._table.sink.unsaid
        elif not chair.tasks:
            return
        elif message.kind == BEGUN:
            chair.began_s = monotonic()
        elif message.kind == UNREAD:
            self._unread(chair, message)
        elif message.kind == RESULTS:
            self._add(message)
            task = chair.tasks[0]
            task.done(message.count)
            if task.start >= task.stop:
                chair.finish()
        elif message.kind == ERROR:
            self._failed(chair, message)

    def _add(self, message: Message) -> None:
        results, unread = message.results()
        if unread is not None:
            self._table.fail_all(message.start, message.start + message.count, unread)
            return
        self._sizes.saw(message.count, message.seconds)
        self._timings.add(message.count, message.seconds)
        self._table.sink.add(message.start, results)

    def _failed(self, chair: Chair, message: Message) -> None:
        """Note an item's failure; where the call goes on, the items behind it are given out again."""
        table, task, index = self._table, chair.finish(), message.start
        if not table.sink.goes_on:
            chair.forget_from(index)
        table.do_again(task.part(index + 1, task.stop))
        table.blame(task, index, message.error())

    def _unread(self, chair: Chair, message: Message) -> None:
        """Have the items of a task, of which one cannot be rebuilt in the worker, given out one by one: none was
        called."""
        table, task = self._table, chair.finish()
        if task.n_left > 1:
            table.do_again(*task.singles())
        else:
            table.blame(task, task.start, message.error())

    def _refused(self, chair: Chair, message: Message) -> None:
        """Help a worker that cannot run the function, or end the call."""
        try:
            chair.seat.answer(message)
        except BaseException as error:  # of an initializer, SystemExit included: the caller's to raise
            lowest = min([task.start for task in chair.tasks], default=self._table.source.n_taken)
            self._table.refused += chair.tasks
            chair.tasks.clear()
            self._table.give_up(lowest, error)

    # Whoever dies, or takes too long.

    def _lost(self, chair: Chair) -> None:
        """Deal with the end of a worker: its task is to be done again, or has failed.

        One that had begun nothing is replaced, as often as all who were warm may have been on their way out: it may
        have died of its last call, been killed while it rested, or ended itself because the line to it was broken.
        """
        from amorsize.engine import failure

        table = self._table
        status = chair.seat.end()
        table.dismiss(chair)
        if not chair.tasks:
            return
        broken = chair.seat.link.broken
        may_have_begun = chair.is_ready and (broken is None or status != (0, None))
        if not may_have_begun and table.n_lost_early < table.rules.n_jobs:
            table.n_lost_early += 1
            table.do_again(*chair.tasks)
            return
        task = chair.tasks.popleft()
        table.do_again(*chair.tasks)
        died = failure.worker_died(task.start, task.stop if may_have_begun else task.start, status)
        died.__cause__ = broken
        task.n_deaths += 1
        if task.n_deaths <= table.rules.retries:
            table.survived.append(died)
            table.do_again(*task.singles())
            return
        table.fail_all(task.start, task.stop, died)

    def wait_s(self) -> float:
        """Return how long nobody has to be looked after."""
        table, now_s = self._table, monotonic()
        until_s = now_s + WAKE_S
        if table.rules.timeout_s is not None:
            ends = [chair.began_s + table.rules.timeout_s for chair in table.chairs if chair.began_s]
            until_s = min([until_s, *ends])
        if table.rules.deadline_s is not None:
            until_s = min(until_s, table.rules.deadline_s)
        return max(0.0, until_s - now_s)

    def look_at_the_clock(self) -> None:
        """End those who have run out of time."""
        table, rules, now_s = self._table, self._table.rules, monotonic()
        if rules.timeout_s is not None:
            late = [chair for chair in table.chairs if chair.began_s and now_s - chair.began_s > rules.timeout_s]
            for chair in late:
                self._expire(chair, rules.timeout_s)
        if rules.deadline_s is not None and now_s > rules.deadline_s:
            self._end_all()
        if table.sink.error is not None:
            self._dismiss_useless(now_s - table.failed_s)

    def _expire(self, chair: Chair, timeout_s: float) -> None:
        table, task = self._table, chair.finish()
        table.dismiss(chair)
        index = task.start
        why = f"item {index} took longer than timeout={timeout_s:g} seconds; its worker was ended"
        table.fail(index, ItemTimeout(why, index=index, timeout_s=timeout_s))

    def _end_all(self) -> None:
        """End everything where the whole call has taken too long."""
        table = self._table
        tasks = [*table.again, *[task for chair in table.chairs for task in chair.tasks]]
        index = min([task.start for task in tasks], default=table.source.n_taken)
        why = f"the call took longer than its deadline allows; item {index} is the first that is not finished"
        for chair in list(table.chairs):
            chair.tasks.clear()
            table.dismiss(chair)
        table.again.clear()
        table.give_up(index, ItemTimeout(why, index=index, timeout_s=None))

    def _dismiss_useless(self, waited_s: float) -> None:
        """End the workers whose items the plain loop would not have reached.

        They may finish what they were at when the failure came, for a while, and begin nothing more; those below a
        failure are waited for. So are those who have still to say whether they can run the function, where one cannot.
        """
        table = self._table
        failed_at = table.sink.failed_at or 0
        patience_is_over = isinstance(table.sink.error, WorkerDied) and waited_s > LOWER_GRACE_S
        for chair in [chair for chair in table.chairs if chair.tasks and (chair.is_ready or not table.refused)]:
            task = chair.tasks[0]
            is_out_of_time = waited_s > GRACE_S or task is not chair.spared
            if patience_is_over or (task.start > failed_at and is_out_of_time):
                below = [task for task in chair.tasks if task.start < failed_at]
                chair.tasks.clear()
                table.dismiss(chair)
                table.do_again(*below)
        if patience_is_over:
            table.again.clear()
