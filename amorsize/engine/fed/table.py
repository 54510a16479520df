"""What a feed has on its table: who works at what, what is to be done again, and what has failed."""

from __future__ import annotations

from math import inf
from time import monotonic

from amorsize.engine.collect import name_item
from amorsize.record import Record

TYPE_CHECKING = False
if not TYPE_CHECKING:
    from _collections import deque  # the C half is all that is needed; `collections` itself costs 2 ms
else:
    from collections import deque
    from typing import Protocol, TypeVar

    from amorsize.engine.fed.link import Link
    from amorsize.engine.fed.sink import Sink
    from amorsize.engine.fed.source import Source, Task
    from amorsize.engine.message import Message
    from amorsize.engine.process import Status
    from amorsize.errors import WorkerDied

    class Seat(Protocol):
        """A worker, as the feed knows it."""

        @property
        def link(self) -> Link:
            """The line to it."""
            ...

        @property
        def pidfd(self) -> int | None:
            """A descriptor that becomes readable when it has ended, where there is one."""
            ...

        @property
        def cpu_s(self) -> float | None:
            """CPU seconds that it has used, where that is known."""
            ...

        def highest_bytes(self) -> int | None:
            """Return the most memory that it has held, where that is known."""
            ...

        def has_ended(self) -> bool:
            """Tell, without waiting, whether it has ended."""
            ...

        def end(self) -> Status:
            """Wait for its end."""
            ...

        def answer(self, refused: Message) -> None:
            """Make it able to run what it has refused to; raise what stands in the way."""
            ...

    SeatT = TypeVar("SeatT", bound=Seat)

    class Crew(Protocol[SeatT]):
        """Who finds workers and lets them go."""

        def hire(self, n_workers: int) -> list[SeatT]:
            """Start workers, fewer where the system has no room for all; raise OSError where it has room for none."""
            ...

        def dismiss(self, seat: SeatT) -> None:
            """End a worker at once, however busy it is; harmless where it has ended."""
            ...

        def release(self, seats: list[SeatT]) -> None:
            """Let idle workers go."""
            ...

        def close(self) -> None:
            """End all that are left; a second time, do nothing."""
            ...


class Rules(Record):
    """What a feed has to keep to.

    Attributes:
        n_jobs: workers.
        window: items that may have been taken from the source and their results not yet by the consumer; None for
            as many as keep the workers busy.
        timeout_s: seconds that one item may take; None for any time.
        deadline_s: reading of `time.monotonic` after which everything ends; None for never.
        retries: how many more workers an item may take along before it is given up.
    """

    n_jobs: int
    window: int | None = None
    timeout_s: float | None = None
    deadline_s: float | None = None
    retries: int = 0


class Chair:
    """A worker, and what it has to do.

    Attributes:
        seat: the worker.
        tasks: the one that runs, and those that wait for it.
        began_s: when the running one began, where that is asked for.
        spared: the task that ran when the call failed.
        is_ready: the worker has said that it can run the function: before, it has begun no item.
    """

    __slots__ = ("began_s", "is_ready", "seat", "spared", "tasks")

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.tasks: deque[Task] = deque()
        self.began_s: float | None = None
        self.spared: Task | None = None
        self.is_ready = False

    def finish(self) -> Task:
        """Take away the task that runs."""
        self.began_s = None
        return self.tasks.popleft()

    def forget_from(self, index: int) -> None:
        """Take away the tasks that the worker does not begin any more, because its item of this index has failed."""
        self.tasks = deque([task for task in self.tasks if task.start < index])


class Table:
    """Everything about one feed that giver and taker share.

    Args:
        source: the items.
        sink: their results.
        crew: the workers.
        rules: bounds.

    Attributes:
        chairs: workers and their tasks.
        again: tasks that were given out and are to be given out again.
        survived: deaths of workers whose items were given out again.
        refused: tasks of workers that cannot run the function: none of their items has begun.
        failed_s: when the first failure was noted, on the clock of `time.monotonic`.
        n_lost_early: workers that have died before they could run the function.
    """

    def __init__(self, source: Source, sink: Sink, crew: Crew[Seat], rules: Rules) -> None:
        self.source = source
        self.sink = sink
        self.crew = crew
        self.rules = rules
        self.chairs: list[Chair] = []
        self.again: deque[Task] = deque()
        self.survived: list[WorkerDied] = []
        self.refused: list[Task] = []
        self.failed_s = inf
        self.n_lost_early = 0

    @property
    def is_idle(self) -> bool:
        """Whether no worker has a task."""
        return not any(chair.tasks for chair in self.chairs)

    @property
    def n_bytes(self) -> int:
        """Bytes of arguments on their way."""
        return sum([task.n_bytes for chair in self.chairs for task in chair.tasks])

    def do_again(self, *tasks: Task) -> None:
        """Have these tasks given out again, before anything else, in this order."""
        self.again.extendleft(reversed([task for task in tasks if task.n_left > 0]))

    def fail(self, index: int, error: BaseException) -> None:
        """Note an item's failure: as its result where the call goes on, else as the end of the call."""
        if not self.sink.survive(index, error):
            self.give_up(index, error)

    def blame(self, task: Task, index: int, error: BaseException) -> None:
        """Note the failure of an item of a task; as `fail`."""
        name_item(error, index, lambda: self.source.item(task, index))
        self.fail(index, error)

    def fail_all(self, start: int, stop: int, error: BaseException) -> None:
        """Note that what befell these items cannot be told apart: each has failed, where the call goes on."""
        for index in range(start, stop if self.sink.goes_on else start + 1):
            self.fail(index, error)

    def give_up(self, index: int, error: BaseException) -> None:
        """End the call with what the loop would have met at this index: what is above it is not done any more."""
        if self.sink.error is None:
            for chair in self.chairs:
                chair.spared = chair.tasks[0] if chair.tasks else None
        self.sink.fail(index, error)
        self.failed_s = min(self.failed_s, monotonic())
        failed_at = self.sink.failed_at or 0
        self.again = deque([task for task in self.again if task.start < failed_at])

    def dismiss(self, chair: Chair) -> None:
        """End a worker, whatever it does."""
        self.chairs.remove(chair)
        self.crew.dismiss(chair.seat)
