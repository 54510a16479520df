"""Give out tasks: how large, to whom, and how many at a time."""

from __future__ import annotations

from math import ceil, inf
from time import perf_counter

from amorsize.calibration.facts import SHORTEST_S
from amorsize.engine.encoding import Refused
from amorsize.engine.message import TASK
from amorsize.planning.chunks import SHARES_LEFT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from amorsize.engine.fed.source import Task
    from amorsize.engine.fed.table import Chair, Table
    from amorsize.engine.job import Range

TASKS_AHEAD = 2
"""Tasks that a worker holds: one runs, one waits. With one, it idles for the 50 us that an answer takes; more delay the
moment at which a failure stops it, and hold items back from others."""

TASK_S = 2e-3
"""Seconds of work in a task of a stream that has just begun: long enough for the 50 to 100 us that sending it and
receiving its results cost the caller, short enough for who waits for the first results."""

LONGEST_TASK_S = 16e-3
"""Seconds of work in a task where the end is far. With 10 ms, 300 items of 1 ms cost the caller of two workers 1.15
times the CPU time; with more than 20, a worker sends what is finished before the task's end, and nothing is gained."""

LEAST_TASK_S = 1e-3
"""Seconds of work that an idle worker gets at least, up to its equal share: less is not worth the 100 to 200 us that a
task takes from those who compute where no core is free. With a tenth of it, 100 items of 10 us take 1.4 times as long;
with twice as much, the others might wait for that long at the end."""

GROWTH = 1 / 25
"""Where nobody knows the end, a task may last this share of the time so far: 4 % of a run waits for the last one."""

MOST_BYTES = 64 << 20
"""Bytes of arguments that may be on their way: beyond, a worker gets a task only when it has none."""

SHORT_S = 0.05
"""Seconds of work up to which the last task of a call is told to be the last."""


class Giver:
    """Gives tasks to the workers at a table.

    Args:
        table: who is there.
        sizes: how long items are.

    Attributes:
        takes_more: False where nothing but what was given out before is given out any more.
        pulling_s: seconds that the source has taken to hand out items.
    """

    def __init__(self, table: Table, sizes: Range) -> None:
        self._table = table
        self._sizes = sizes
        self._is_timed = table.rules.timeout_s is not None
        self._began_s = perf_counter()
        self.pulling_s = 0.0
        self.takes_more = True

    def give_all(self) -> None:
        """Give every worker that has room for it one more task, the idle ones first."""
        if self._table.source.n_left() == 0 and not self._table.again:
            return
        for n_tasks in range(1 if self._is_timed else TASKS_AHEAD):
            for chair, task in self._round(n_tasks):
                self._give(chair, task)

    def _round(self, n_tasks: int) -> Iterable[tuple[Chair, Task]]:
        """Return who of those with so many tasks gets which; where the end is known, before the first is given: only
        then is it known which are the last."""
        table = self._table
        n_left = table.source.n_left()
        found = self._dealt(n_tasks, ceil((n_left or 0) / table.rules.n_jobs))
        return found if n_left is None else list(found)

    def _dealt(self, n_tasks: int, equal_share: int) -> Iterator[tuple[Chair, Task]]:
        table = self._table
        for chair in table.chairs:
            if len(chair.tasks) != n_tasks or (n_tasks and table.n_bytes > MOST_BYTES):
                continue
            task = self._next(0 if n_tasks else equal_share)
            if task is None:
                return
            yield chair, task

    def _next(self, equal_share: int) -> Task | None:
        """Return the next task: one to be done again, or new items as far as the window allows.

        Args:
            equal_share: items that may be taken at once where they are known to be tiny.
        """
        table = self._table
        if table.again:
            return table.again.popleft()
        if table.sink.error is not None or not self.takes_more:
            return None
        room = self.window - (table.source.n_taken - table.sink.n_out)
        began_s = perf_counter()
        task = table.source.take(min(self._size(equal_share), room))
        self.pulling_s += perf_counter() - began_s
        return task

    def _size(self, equal_share: int) -> int:
        """Return how many items to give out at once."""
        n_left = self._table.source.n_left()
        if n_left is None:
            return self._largest
        worth_it = min(equal_share, int(LEAST_TASK_S / max(self._sizes.item_s or inf, SHORTEST_S)))
        return max(1, min(self._largest, max(worth_it, n_left // (SHARES_LEFT * self._table.rules.n_jobs))))

    @property
    def _largest(self) -> int:
        """The size of a task, while enough is left for every worker."""
        rules, item_s = self._table.rules, self._sizes.item_s
        if item_s is None or self._is_timed:
            return 1
        sizes = [int(self._task_s / max(item_s, SHORTEST_S)), self._sizes.chunksize]
        if rules.window is not None:
            sizes.append(rules.window // (TASKS_AHEAD * rules.n_jobs))
        return max(1, min([size for size in sizes if size is not None]))

    @property
    def _task_s(self) -> float:
        """The seconds of work in a task, while enough is left for every worker."""
        if self._table.source.n_left() is not None:
            return LONGEST_TASK_S
        return max(TASK_S, min(LONGEST_TASK_S, GROWTH * (perf_counter() - self._began_s)))

    @property
    def window(self) -> int:
        """Items that may have been taken from the source and not yet by the consumer."""
        window = self._table.rules.window
        return 2 * TASKS_AHEAD * self._table.rules.n_jobs * self._largest if window is None else window

    def _give(self, chair: Chair, task: Task) -> None:
        rules, link = self._table.rules, chair.seat.link
        tells_begin = float(rules.timeout_s is not None or rules.deadline_s is not None)
        try:
            if task.values is None:
                link.send(TASK, task.start, task.n_left, tells_begin)
            else:
                is_last = self._is_last(task)
                task.n_bytes = link.send_values(TASK, task.start, task.values, tells_begin, is_last=is_last)
        except Refused as refused:
            self._blame(task, refused.why)
        else:
            chair.tasks.append(task)

    def _is_last(self, task: Task) -> bool:
        """Tell whether nothing will follow a task, as far as anybody knows; None of that length is sure to be one: who
        was told that it is the last one ends itself after a while, and others may take much longer."""
        table, item_s = self._table, self._sizes.item_s
        if table.source.n_left() != 0 or table.again or item_s is None:
            return False
        return item_s * task.n_left <= SHORT_S

    def _blame(self, task: Task, cause: BaseException) -> None:
        """Find the item that cannot be pickled; those before and behind it are given out again.

        Raises:
            BaseException: the cause, where each of them can be: it is what a signal's handler raised meanwhile.
        """
        from amorsize.engine import failure

        table, values = self._table, task.values or ()
        if not isinstance(cause, MemoryError) and all(failure.refusal(value) is None for value in values):
            raise cause
        culprit, error = failure.not_picklable("argument", values, task.start, cause)
        table.do_again(task.part(task.start, culprit), task.part(culprit + 1, task.stop))
        table.blame(task, culprit, error)
