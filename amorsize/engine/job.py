"""What a crew of caller and workers is to do, and what became of it."""

from __future__ import annotations

from time import perf_counter

from amorsize.inline import Timings
from amorsize.planning.chunks import range_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from amorsize.engine.collect import Collector
    from amorsize.inline import Work
    from amorsize.records import Evidence, Plan

    Decide = Callable[[Evidence], Plan | None]


FRESH_SHARE = 0.3
"""Weight of the newest range in the running estimate of an item's seconds: about three ranges back are remembered."""


class Range:
    """How ranges are sized: what all who take part agree on.

    Attributes:
        n_jobs: how many take ranges.
        chunksize: the largest range; None for no limit.
        item_s: seconds an item is expected to take; None where nothing is known.
    """

    __slots__ = ("chunksize", "item_s", "n_jobs")

    def __init__(self, n_jobs: int, chunksize: int | None, item_s: float | None) -> None:
        self.n_jobs = n_jobs
        self.chunksize = chunksize
        self.item_s = item_s

    def wanted(self, n_left: int) -> int:
        """Return how many items to take next, when about `n_left` are left."""
        return range_size(self.item_s, n_left, self.n_jobs, self.chunksize)

    def saw(self, n_items: int, seconds: float) -> None:
        """Learn from a range that has been run."""
        seen_s = seconds / n_items
        self.item_s = seen_s if self.item_s is None else self.item_s + FRESH_SHARE * (seen_s - self.item_s)


class Taken:
    """What a caller has taken over from its workers.

    Attributes:
        n_items: results.
        n_messages: messages that they came in.
        seconds: for reading and rebuilding them.
    """

    __slots__ = ("n_items", "n_messages", "seconds")

    def __init__(self) -> None:
        self.n_items, self.n_messages, self.seconds = 0, 0, 0.0

    def add(self, n_items: int, began_s: float) -> float:
        """Note a message of so many results, none for one that brings something else; return the time."""
        now = perf_counter()
        if n_items:
            self.n_items += n_items
            self.n_messages += 1
            self.seconds += now - began_s
        return now


class Outcome:
    """What has become of a run with workers, so far.

    Attributes:
        plan: how it was decided to run it.
        timings: what caller and workers timed.
        by_caller, by_workers: the same, of each, where workers are processes.
        taken: what taking results over from workers has cost the caller, where it is told.
        n_started: workers that were started.
        start_s: seconds that starting them took, and for which the caller waited for their ends; of threads, until the
            last one was started.
        first_s: seconds from the first start of a fed worker until a first task was done, less its own; None before.
        shortage: why not all workers could be started, in words; None where they could.
        retreat: the reason for giving the workers up on the way; None where they stayed.
        cpu_timings: the same ranges in CPU time, where threads ran them: they may have waited for one another.
        heaviest_bytes: the most memory that a worker process was seen to hold, all that it shares with the caller
            included; None where nobody looked.
        cores_used: CPU seconds a second that the threads' items took, start and end included.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.timings, self.taken = Timings(), Taken()
        self.by_caller, self.by_workers = Timings(), Timings()
        self.n_started = 0
        self.start_s = 0.0
        self.first_s: float | None = None
        self.shortage: str | None = None
        self.retreat: str | None = None
        self.heaviest_bytes: int | None = None
        self.cpu_timings: Timings | None = None
        self.cores_used: float | None = None


class Job(Outcome):
    """What a crew is to do, and what becomes of it.

    Args:
        work: the items; those whose results are in `collector.head` are done.
        collector: where results go.
        plan: how to run it.
        decide: asked now and then whether the plan still holds; returns a new one where not.
        item_s: seconds an item is expected to take; None where nothing is known.
        alone_s: seconds an item took while the caller computed alone.
        caller_may_run: False keeps every item out of the caller, even where no worker can be started.

    Attributes:
        unlimit: gives the native threads back; called after a retreat, for a loop that had them before.
        progress: told how many items are done, of how many; None for nobody.
        left_behind: which threads were still in their items when the call ended, in words; None where none was.
        unsaid: that what items printed is lost, and why, in words; None where nothing is.
    """

    def __init__(
        self,
        work: Work,
        collector: Collector,
        plan: Plan,
        decide: Decide,
        item_s: float | None,
        alone_s: float | None,
        *,
        caller_may_run: bool = True,
    ) -> None:
        super().__init__(plan)
        self.work = work
        self.collector = collector
        self.decide = decide
        self.sizes = Range(plan.n_jobs, plan.chunksize, item_s)
        self.alone_s = alone_s
        self.caller_may_run = caller_may_run
        self.unlimit: Callable[[], None] = lambda: None
        self.progress: Callable[[int, int | None], None] | None = None
        self.left_behind: str | None = None
        self.unsaid: str | None = None

    def ran(self, n_items: int, seconds: float, by: Timings) -> None:
        """Note a range that has been run.

        Args:
            n_items: of the range.
            seconds: that it took.
            by: `by_caller` or `by_workers`.
        """
        self.timings.add(n_items, seconds)
        by.add(n_items, seconds)
