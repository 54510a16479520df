"""Every item of a feed is given out once and comes back once, whatever happens to workers, input and consumer.

Here nothing runs by itself: a `Script` stands in for the workers, and a test says what each of them sends, and when it
ends. `test_forked` does the same with real processes.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorsize import ItemNotPicklable, ItemTimeout, WorkerDied
from amorsize.engine import failure
from amorsize.engine.encoding import Refused
from amorsize.engine.fed.feed import Feed
from amorsize.engine.fed.sink import OrderedSink, Sink
from amorsize.engine.fed.source import Pulled, Sliced
from amorsize.engine.fed.table import Rules, Table
from amorsize.engine.guard import Failed
from amorsize.engine.held import Held
from amorsize.engine.job import Range
from amorsize.engine.message import BEGUN, ERROR, READY, REFUSED, RESULTS, TASK, UNREAD, Message
from amorsize.inline import Work
from amorsize.records import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from amorsize.engine.process import Status
    from amorsize.records import Evidence

PLAN = Plan(backend="process", n_jobs=2, chunksize=1, reason="a test asks for it", start_method="fork")

KILLED: Status = (None, 9)


class Sent(Message):
    """A message whose content is at hand."""

    def __init__(self, kind: bytes, start: int, count: int, content: object = None, seconds: float = 0.001) -> None:
        super().__init__(kind, start, count, seconds, b"", b"", [])
        self.content = content

    def load(self) -> Any:  # Any: as what it stands in for
        if isinstance(self.content, BaseException):
            raise self.content
        return self.content

    def error(self) -> BaseException:
        assert isinstance(self.content, BaseException)
        return self.content


class Script:
    """One worker, as a test wants it: seat and link in one.

    Attributes:
        given: (first index, how many) of each task that it got.
        items: the items of each.
        sends: what it sends the next time that somebody listens.
        status: how it ended; None while it lives.
    """

    pidfd: int | None = None
    cpu_s: float | None = None
    is_sending = False
    broken: OSError | None = None
    has_arrived = True  # nobody ever waits for it

    def __init__(self, item_s: float, goes_on: bool) -> None:
        self.item_s = item_s
        self.goes_on = goes_on
        self.given: list[tuple[int, int]] = []
        self.is_told_that_it_is_the_last: list[bool] = []
        self.items: list[list[object] | None] = []
        self.sends: list[Message] = [Sent(READY, 0, 0)]
        self.last_words: list[Message] = []
        self.status: Status | None = None
        self.at_end = False

    @property
    def link(self) -> Any:  # Any: it stands in for the link, too
        return self

    def highest_bytes(self) -> int | None:
        return None

    # What a link does.

    def flush(self) -> None:
        pass

    def send(self, kind: bytes, start: int, count: int, seconds: float = 0.0) -> None:
        assert kind == TASK
        self.given.append((start, count))
        self.items.append(None)

    def send_values(
        self, kind: bytes, start: int, values: list[object], seconds: float = 0.0, *, is_last: bool = False
    ) -> int:
        self.is_told_that_it_is_the_last.append(is_last)
        if any(isinstance(value, Unsendable) for value in values):
            raise Refused(TypeError("it cannot be pickled"))
        self.send(kind, start, len(values), seconds)
        self.items[-1] = values[:]
        return len(values)

    def receive(self) -> Iterator[Message]:
        while self.sends:
            yield self.sends.pop(0)
        if self.last_words:
            self.sends, self.last_words = self.last_words, []
            self.status = KILLED

    # What a seat does.

    def has_ended(self) -> bool:
        return self.status is not None

    def end(self) -> Status:
        return self.status or (0, None)

    def answer(self, refused: Message) -> None:
        raise refused.error()

    # What a test has it do.

    def finish(self, n_items: int | None = None) -> None:
        """Finish the oldest task, or so many items of it: the result of item k is k * 10."""
        start, count = self.given[0]
        n_items = count if n_items is None else n_items
        results = [k * 10 for k in range(start, start + n_items)]
        self.sends.append(Sent(RESULTS, start, n_items, results, n_items * self.item_s))
        self.given[0] = start + n_items, count - n_items
        if n_items == count:
            del self.given[0], self.items[0]

    def fail(self, error: BaseException) -> None:
        """Raise in the first item of the oldest task; where that ends the call, begin nothing above it any more."""
        index, _ = self.given.pop(0)
        self.sends.append(Sent(ERROR, index, 1, error))
        del self.items[0]
        if not self.goes_on:
            self.given = [task for task in self.given if task[0] < index]

    def die(self) -> None:
        """End at once."""
        self.status = KILLED


class Unsendable:
    """An item that no pickler takes."""

    def __reduce__(self) -> str:
        raise TypeError("it cannot be pickled")


class Scripts:
    """A crew of them.

    Attributes:
        n_stillborn: how many of the next that are hired end before they can run the function.
    """

    def __init__(self, room: float, item_s: float, goes_on: bool) -> None:
        self.item_s = item_s
        self.goes_on = goes_on
        self.hired: list[Script] = []
        self.dismissed: list[Script] = []
        self.released: list[Script] = []
        self.room = room
        self.n_stillborn = 0

    def hire(self, n_workers: int) -> list[Script]:
        n_workers = int(min(n_workers, self.room))
        if not n_workers:
            raise BlockingIOError("no more processes")
        self.room -= n_workers
        hired = [Script(self.item_s, self.goes_on) for _ in range(n_workers)]
        for script in hired[: self.n_stillborn]:
            script.sends.clear()
            script.die()
        self.n_stillborn = max(0, self.n_stillborn - n_workers)
        self.hired += hired
        return hired

    def dismiss(self, seat: Script) -> None:
        self.dismissed.append(seat)

    def release(self, seats: list[Script]) -> None:
        self.released += seats

    def close(self) -> None:
        pass


class Office:
    """A feed over scripts, and all that belongs to it.

    Attributes:
        out: results that the consumer has taken, in the order in which they came.
    """

    def __init__(
        self,
        items: Iterable[object],
        *,
        n_jobs: int = 2,
        ordered: bool = True,
        goes_on: bool = False,
        item_s: float | None = None,
        room: float = inf,
        decide: Callable[[Evidence], Plan | None] | None = None,
        alone_s: float | None = None,
        **rules: Any,
    ) -> None:
        self.source: Any
        if isinstance(items, list):
            self.source = Sliced(Work(str, (items,)), 0, inherited=False)
        else:
            self.source = Pulled(iter(items), 0)
        self.sink = (OrderedSink if ordered else Sink)(0, goes_on=goes_on)
        self.crew = Scripts(room, item_s or 1e-3, goes_on)
        crew: Any = self.crew
        self.table = Table(self.source, self.sink, crew, Rules(n_jobs=n_jobs, **rules))
        self.feed = Feed(self.table, PLAN, Range(n_jobs, None, item_s), Held(), decide, alone_s)
        self.out: list[object] = []

    def step(self) -> None:
        self.feed.step()
        self.out += self.sink.take()

    def __getitem__(self, k: int) -> Script:
        return self.crew.hired[k]

    def run(self, most: int = 1000) -> None:
        """Let every worker finish whatever it gets, until the feed is over."""
        for _ in range(most):
            if self.feed.is_over:
                return
            for worker in self.crew.hired:
                if worker.given and worker.status is None:
                    worker.finish()
            self.step()
        raise AssertionError(f"not over after {most} steps: {self.out}")


def tens(n_items: int) -> list[object]:
    return [k * 10 for k in range(n_items)]


# ---- each item once


def test_each_item_comes_back_once_and_in_order() -> None:
    office = Office(range(100))
    office.run()
    assert office.out == tens(100)
    assert office.sink.error is None


def test_the_last_tasks_of_a_short_call_are_told_to_be_the_last() -> None:
    office = Office(list(range(100)), item_s=1e-6)
    office.run()
    assert [worker.is_told_that_it_is_the_last for worker in office.crew.hired] == [[True], [True]]
    assert office.out == tens(100)


@pytest.mark.parametrize("item_s", [None, 1.0])
def test_no_task_is_told_to_be_the_last_that_may_take_long(item_s: float | None) -> None:
    office = Office([0, 1], item_s=item_s)
    office.run()
    assert not any(told for worker in office.crew.hired for told in worker.is_told_that_it_is_the_last)


def test_what_is_given_after_the_last_task_is_done_as_well() -> None:
    office = Office(list(range(4)), item_s=1e-6, retries=1)
    office.step()
    office[0].die()
    office.run()
    assert office.out == tens(4)


@given(st.integers(0, 60), st.integers(1, 4), st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=60))
def test_any_order_of_workers_gives_the_same_results(n_items: int, n_jobs: int, order: list[tuple[int, bool]]) -> None:
    office = Office(range(n_items), n_jobs=n_jobs, item_s=5e-4)
    office.step()
    for k, all_of_it in order:
        worker = office[k % len(office.crew.hired)] if office.crew.hired else None
        if worker is not None and worker.given:
            worker.finish(None if all_of_it else 1)
        office.step()
    office.run()
    assert office.out == tens(n_items)


@given(st.integers(1, 40), st.integers(1, 3), st.lists(st.integers(0, 5), max_size=40), st.integers(0, 3))
def test_whoever_dies_no_item_is_lost_and_none_comes_twice(
    n_items: int, n_jobs: int, events: list[int], retries: int
) -> None:
    """With retries left an item is called again; without, the call goes on with a WorkerDied in its place."""
    office = Office(range(n_items), n_jobs=n_jobs, goes_on=True, item_s=5e-4, retries=retries)
    office.step()
    for event in events:
        alive = [worker for worker in office.crew.hired if worker.given and worker.status is None]
        if alive and event < 3:
            alive[0].die()
        elif alive:
            alive[-1].finish(1)
        office.step()
    office.run()
    assert len(office.out) == n_items
    for index, result in enumerate(office.out):
        assert result == index * 10 or isinstance(getattr(result, "error", None), WorkerDied)


def test_what_a_worker_sends_just_before_its_end_is_taken_in() -> None:
    """Its last results arrive after the caller has read all there was, and before it asks whether the worker lives."""
    office = Office(range(4), n_jobs=1)
    office.step()
    worker = office[0]
    worker.finish()
    worker.last_words, worker.sends = worker.sends, []
    office.step()
    office.step()
    assert office.out == [0]
    assert "item 1" in str(office.sink.error)


def test_a_worker_that_dies_before_it_can_run_the_function_is_replaced_and_no_item_is_blamed() -> None:
    office = Office(range(4), n_jobs=2, item_s=1.0)
    office.crew.n_stillborn = 2
    office.run()
    assert (office.out, office.sink.error) == (tens(4), None)
    assert len(office.crew.hired) == 4


def test_a_function_that_kills_every_worker_before_its_first_item_ends_the_call() -> None:
    office = Office(range(4), n_jobs=2, item_s=1.0)
    office.crew.n_stillborn = 100
    office.run()
    error = office.sink.error
    assert isinstance(error, WorkerDied)
    assert str(error) == (
        "a worker was ended by signal 9 (SIGKILL), which is also how the kernel ends a process when memory runs out, "
        "outside of any item"
    )
    assert (error.first, error.stop) == (None, None)
    assert office.crew.n_stillborn >= 95


# ---- items and results that do not travel


def failures(office: Office) -> dict[int, BaseException]:
    return {k: result.error for k, result in enumerate(office.out) if isinstance(result, Failed)}


def test_results_that_cannot_be_rebuilt_fail_together_and_lose_nobody_else() -> None:
    office = Office(range(8), n_jobs=1, goes_on=True, item_s=5e-4)
    office.step()
    start, count = office[0].given.pop(0)
    assert (start, count) == (0, 4)
    office[0].sends.append(Sent(RESULTS, 0, 4, ValueError("no")))
    office.step()
    office.run()
    assert {k: type(error) for k, error in failures(office).items()} == dict.fromkeys(range(4), ItemNotPicklable)
    assert office.out[4:] == tens(8)[4:]


def test_items_that_a_worker_cannot_rebuild_are_told_apart_one_by_one() -> None:
    office = Office(range(4), n_jobs=1, goes_on=True, item_s=5e-4)
    office.step()
    office[0].given.clear()
    cause = failure.not_rebuilt("argument", Sent(TASK, 2, 1), ValueError("no"))
    office[0].sends.append(Sent(UNREAD, 0, 4, cause))
    seen: list[tuple[int, int]] = []
    while not office.feed.is_over:
        office.step()
        while office[0].given:
            seen.append(office[0].given.pop(0))
            index = seen[-1][0]
            office[0].sends.append(Sent(UNREAD, 2, 1, cause) if index == 2 else Sent(RESULTS, index, 1, [index * 10]))
    assert seen == [(k, 1) for k in range(4)]
    assert failures(office) == {2: cause}
    assert [office.out[k] for k in (0, 1, 3)] == [0, 10, 30]


def test_an_item_that_cannot_be_sent_fails_alone() -> None:
    items: list[object] = [*range(5), Unsendable(), *range(6, 10)]
    office = Office(iter(items), n_jobs=1, goes_on=True, item_s=5e-4)
    office.run()
    assert {k: type(error) for k, error in failures(office).items()} == {5: ItemNotPicklable}
    assert [result for k, result in enumerate(office.out) if k != 5] == [k * 10 for k in range(10) if k != 5]


def test_an_item_that_cannot_be_sent_ends_the_call_after_those_before_it() -> None:
    items: list[object] = [*range(5), Unsendable(), *range(6, 10)]
    office = Office(iter(items), n_jobs=1, item_s=5e-4)
    office.run()
    assert office.out == tens(5)
    assert isinstance(office.sink.error, ItemNotPicklable)
    assert office.sink.error.index == 5


# ---- how far it looks ahead


@pytest.mark.fault("R10")
@given(st.integers(1, 12), st.integers(1, 3), st.booleans(), st.lists(st.integers(0, 2), max_size=60))
def test_no_more_is_pulled_than_the_window_allows(
    window: int,
    n_jobs: int,
    ordered: bool,
    order: list[int],
) -> None:
    pulled: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(40):
            pulled.append(number)
            yield number

    office = Office(numbers(), n_jobs=n_jobs, ordered=ordered, window=window, item_s=5e-4)
    for k in order:
        office.step()
        assert len(pulled) - len(office.out) <= window
        worker = office[k % n_jobs]
        if worker.given:
            worker.finish(1)
    office.run()
    assert sorted(office.out, key=repr) == sorted(tens(40), key=repr)


def test_a_first_item_that_lasts_holds_nobody_back_where_nothing_bounds_the_window() -> None:
    office = Office([*range(50)], n_jobs=2, item_s=1.0, window=10**9)
    for _ in range(60):
        office.step()
        if office[1].given:
            office[1].finish()
    assert office[1].given == []
    assert office[0].given[0][0] == 0
    office.run()
    assert office.out == tens(50)


def test_a_window_of_its_own_making_does_not_shrink_where_little_is_left() -> None:
    office = Office([*range(40)], n_jobs=2, item_s=5e-4)
    window = office.feed._giver.window
    office.run()
    assert office.feed._giver.window >= window // 2


def test_a_worker_that_never_runs_dry_does_not_count_as_one_with_endless_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    from amorsize.engine.fed import give

    monkeypatch.setattr(give, "MOST_BYTES", 20)  # a script counts a byte an item
    office = Office(range(200), n_jobs=1, window=10**9, item_s=1.0)
    for _ in range(100):
        office.step()
        office[0].finish()
    office.step()
    office.step()
    assert len(office[0].given) == 2


def test_a_small_window_is_shared_by_all_workers() -> None:
    office = Office(range(100), n_jobs=2, window=4, item_s=1e-6)
    office.step()
    assert [worker.given for worker in office.crew.hired] == [[(0, 1), (2, 1)], [(1, 1), (3, 1)]]


@pytest.mark.parametrize(
    ("item_s", "first", "second"),
    [
        (1e-7, [(0, 50)], [(50, 50)]),
        (5e-5, [(0, 25), (45, 13)], [(25, 20), (58, 10)]),
        (5e-3, [(0, 3), (6, 3)], [(3, 3), (9, 3)]),
        (None, [(0, 1), (2, 1)], [(1, 1), (3, 1)]),
    ],
)
def test_only_tiny_items_go_out_in_equal_shares(
    item_s: float | None, first: list[tuple[int, int]], second: list[tuple[int, int]]
) -> None:
    office = Office([*range(100)], n_jobs=2, item_s=item_s)
    office.step()
    assert [worker.given for worker in office.crew.hired] == [first, second]


def test_a_busy_worker_gets_no_equal_share_ahead() -> None:
    office = Office([*range(100)], n_jobs=2)
    office.step()
    office.feed._giver._sizes.item_s = 1e-7  # as its first item has shown; what the other one is at may be long
    office[0].finish()
    office.step()
    office.step()
    assert sum(count for _, count in office[0].given) < 75


# ---- input that ends otherwise than by its end


def broken_after(n_items: int) -> Iterator[int]:
    yield from range(n_items)
    raise OSError("the disk is gone")


@pytest.mark.parametrize("n_jobs", [1, 2, 3])
@pytest.mark.parametrize("n_items", [0, 1, 2, 3, 5, 20])
@pytest.mark.parametrize("rules", [{}, {"timeout_s": 100.0}, {"window": 1}, {"window": 2}])
def test_what_the_input_raises_is_met_after_the_items_before_it(
    n_jobs: int, n_items: int, rules: dict[str, Any]
) -> None:
    office = Office(broken_after(n_items), n_jobs=n_jobs, **rules)
    office.run()
    assert office.out == tens(n_items)
    assert isinstance(office.sink.error, OSError)
    assert office.sink.failed_at == n_items


def test_a_list_that_becomes_shorter_ends_where_the_loop_would_end() -> None:
    items: list[object] = [*range(40)]
    office = Office(items, n_jobs=1, item_s=5e-3)
    office.step()
    del items[10:]
    office.run()
    assert office.out == tens(10)


# ---- deaths


def test_who_dies_without_a_task_is_replaced_and_blames_nobody() -> None:
    office = Office(range(10), n_jobs=2, window=2, item_s=1.0)
    office.step()
    for worker in office.crew.hired:
        worker.finish()
    office.step()
    office[0].die()
    office[1].die()
    office.run()
    assert office.out == tens(10)
    assert len(office.crew.hired) == 4


def test_a_task_that_waits_at_a_dead_worker_is_given_to_another() -> None:
    office = Office(range(6), n_jobs=2, item_s=1.0, goes_on=True)
    office.step()
    assert office[0].given == [(0, 1), (2, 1)]
    office[0].die()
    office.run()
    assert list(failures(office)) == [0]
    assert office.out[1:] == tens(6)[1:]


@pytest.mark.fault("R2")
@pytest.mark.parametrize("retries", [0, 1, 2])
def test_an_item_that_always_kills_takes_one_worker_more_than_it_has_retries(retries: int) -> None:
    office = Office(range(5), n_jobs=1, item_s=1.0, retries=retries)
    deaths = 0
    while not office.feed.is_over:
        worker = office.crew.hired[-1] if office.crew.hired else None
        if worker is not None and worker.given and worker.status is None:
            if worker.given[0][0] == 3:
                deaths += 1
                worker.die()
            else:
                worker.finish()
        office.step()
    assert deaths == retries + 1
    assert office.out == tens(3)
    error = office.sink.error
    assert isinstance(error, WorkerDied)
    assert (error.first, error.stop) == (3, 4)


def test_only_items_without_a_result_are_called_again_after_a_death() -> None:
    office = Office(range(8), n_jobs=1, item_s=5e-4, retries=1)
    office.step()
    office[0].finish(2)  # of four
    office.step()
    office[0].die()
    office.run()
    assert office.out == tens(8)


@pytest.mark.fault("R2")
def test_a_death_in_a_task_of_many_is_retried_item_by_item() -> None:
    office = Office(range(8), n_jobs=1, item_s=5e-4, retries=1)
    office.step()
    assert office[0].given[0] == (0, 4)
    office[0].finish(1)
    office.step()
    office[0].die()
    office.step()
    office.step()
    assert office[1].given == [(1, 1), (2, 1)]


# ---- failures


@pytest.mark.fault("R5")
def test_the_lowest_failure_counts_whichever_comes_first() -> None:
    office = Office(range(10), n_jobs=2)
    office.step()
    assert (office[0].given[0], office[1].given[0]) == ((0, 1), (1, 1))
    office[1].fail(ValueError("one"))
    office.step()
    office[0].fail(ValueError("zero"))
    office.run()
    assert str(office.sink.error) == "zero"
    assert office.out == []


@pytest.mark.fault("R5")
def test_after_a_failure_nothing_above_it_is_begun() -> None:
    office = Office(range(100), n_jobs=2)
    office.step()
    office[0].fail(ValueError("zero"))
    office.run()
    assert office.source.n_taken == 4
    assert str(office.sink.error) == "zero"


@pytest.mark.fault("R5")
def test_a_task_below_a_failure_is_run_even_where_it_waits_behind_one_above(clock: Clock) -> None:
    """It came back from a worker that died, and its item may hold the failure that the loop would meet."""
    office = Office(range(20), n_jobs=3, retries=1, item_s=1.0)
    office.step()
    office[0].die()  # in item 0; items 0 and 3 come back
    office[1].finish()
    office.step()
    office.crew.room = 0
    office.step()
    assert [worker.given for worker in office.crew.hired[1:]] == [[(4, 1), (0, 1)], [(2, 1), (5, 1)]]
    office[2].fail(ValueError("two"))
    office.step()
    clock.now_s += 1
    office.step()
    assert office[1] in office.crew.dismissed
    office.step()
    assert office[2].given == [(0, 1)]
    office[2].finish()
    office.step()
    assert office.feed.is_over
    assert office.out == [0, 10]


class Clock:
    """Tells the time that a test sets."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("amorsize.engine.fed.take.monotonic", made)
    monkeypatch.setattr("amorsize.engine.fed.table.monotonic", made)
    return made


@pytest.mark.fault("R5")
def test_items_above_a_failure_may_end_for_a_moment_and_no_other_is_given_out(clock: Clock) -> None:
    office = Office(range(10), n_jobs=2)
    office.step()
    office[0].fail(ValueError("zero"))
    office.step()
    office.step()
    assert office[1] not in office.crew.dismissed
    assert office.source.n_taken == 4
    clock.now_s += 1
    office.step()
    assert office[1] in office.crew.dismissed
    assert office.feed.is_over


# ---- the clock


@pytest.mark.fault("R20")
def test_an_item_that_takes_too_long_loses_its_worker_and_no_other(clock: Clock) -> None:
    office = Office(range(6), n_jobs=2, timeout_s=10.0, goes_on=True)
    office.step()
    office[0].sends.append(Sent(BEGUN, 0, 1))
    office.step()
    clock.now_s += 11
    office.step()
    office.run()
    assert {k: type(error) for k, error in failures(office).items()} == {0: ItemTimeout}
    assert office.out[1:] == tens(6)[1:]
    assert office.crew.dismissed == [office[0]]


def test_a_result_that_has_arrived_is_in_time(clock: Clock) -> None:
    office = Office(range(3), n_jobs=1, timeout_s=10.0)
    office.step()
    office[0].sends.append(Sent(BEGUN, 0, 1))
    office.step()
    clock.now_s += 100  # the consumer was away
    office.run()
    assert office.out == tens(3)


def test_past_the_deadline_nothing_goes_on_and_what_was_finished_is_there(clock: Clock) -> None:
    office = Office(range(100), n_jobs=2, deadline_s=clock.now_s + 10)
    office.step()
    office[1].finish()
    office.step()
    clock.now_s += 11
    office.step()
    assert office.feed.is_over
    assert isinstance(office.sink.error, ItemTimeout)
    assert office.sink.failed_at == 0
    assert [part for part in office.sink.waiting() if part[1]] == [(1, [10])]
    assert sorted(map(id, office.crew.dismissed)) == sorted(map(id, office.crew.hired))


# ---- workers that cannot be had


def test_a_crew_that_is_smaller_than_planned_does_all(clock: Clock) -> None:
    office = Office(range(20), n_jobs=4, room=1)
    office.run()
    assert office.out == tens(20)
    assert office.feed.shortage is not None
    assert office.feed.shortage.startswith("only 1 of 4 workers")


def test_where_no_worker_can_be_had_nothing_is_pulled() -> None:
    office = Office(range(20), room=0)
    with pytest.raises(OSError, match="no more processes"):
        office.step()
    assert office.source.n_taken == 0


def test_what_a_worker_refuses_ends_the_call() -> None:
    office = Office(range(10), n_jobs=1)
    office.step()
    office[0].sends.append(Sent(REFUSED, 0, 0, SystemExit("of an initializer")))
    office.step()
    assert office.feed.is_over
    assert isinstance(office.sink.error, SystemExit)


@pytest.mark.parametrize("items", [range(10), list(range(10))])
def test_what_all_workers_refuse_is_given_back(items: Iterable[object]) -> None:
    office = Office(items)
    office.step()
    for worker in (office[1], office[0]):
        worker.sends = [Sent(REFUSED, 0, 0, KeyError("no such function"))]
    office.step()
    assert office.feed.is_over
    assert office.source.n_taken > 0
    assert office.feed.gives_back()
    assert office.source.n_taken == 0
    assert [int(item) for item in office.source.rest()] == list(range(10))


def test_what_one_worker_refuses_is_not_given_back_where_another_may_have_begun_something() -> None:
    office = Office(range(10))
    office.step()
    office[0].sends = [Sent(REFUSED, 0, 0, KeyError("no such function"))]
    office.step()
    office.run()
    assert not office.feed.gives_back()
    assert isinstance(office.sink.error, KeyError)


def test_those_who_have_still_to_accept_or_refuse_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amorsize.engine.fed.take.GRACE_S", -1.0)
    office = Office(range(10))
    office.step()
    office.table.chairs[1].is_ready = False
    office[0].sends = [Sent(REFUSED, 0, 0, KeyError("no such function"))]
    office.step()
    assert not office.feed.is_over
    office[1].sends = [Sent(REFUSED, 0, 0, KeyError("no such function"))]
    office.step()
    assert office.feed.is_over
    assert office.feed.gives_back()


def test_the_idle_are_released_and_the_others_ended() -> None:
    office = Office(range(2), n_jobs=2)
    office.step()
    office[0].finish()
    office.step()
    office.feed.close()
    office.feed.close()
    assert office.crew.released == [office[0]]


# ---- back to the caller


LOOP = PLAN.replace(backend="serial", n_jobs=1, reason="slower than alone", start_method=None)


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which workers and caller are compared."""
    made = Clock()
    for module in ("watch", "fed.feed", "fed.give"):
        monkeypatch.setattr(f"amorsize.engine.{module}.perf_counter", made)
    return made


def test_workers_that_are_slower_get_nothing_new_and_finish_what_they_have(stopwatch: Clock) -> None:
    office = Office(range(100), n_jobs=2, item_s=1.0, decide=lambda _: LOOP)
    office.step()
    assert office.feed.retreat is None
    office[0].has_arrived = True
    stopwatch.now_s += 0.02
    office.step()
    assert office.feed.retreat == "slower than alone"
    n_given = office.source.n_taken
    office.run()
    assert office.source.n_taken == n_given
    assert office.out == tens(n_given)
    assert next(office.source._rows) == n_given


def test_what_a_death_leaves_is_done_again_before_the_caller_goes_on(stopwatch: Clock) -> None:
    office = Office(range(100), n_jobs=1, item_s=1.0, retries=1, decide=lambda _: LOOP)
    office.step()
    stopwatch.now_s += 0.02
    office.step()
    office[0].die()
    office.run()
    assert office.out == tens(2)


def test_neither_the_consumers_time_nor_the_inputs_counts_as_the_workers(stopwatch: Clock) -> None:
    seen: list[Evidence] = []

    def slow_input() -> Iterator[int]:
        for number in range(100):
            stopwatch.now_s += 5
            yield number

    office = Office(slow_input(), n_jobs=1, item_s=1.0, alone_s=1.0, decide=lambda evidence: seen.append(evidence))
    for _ in range(4):
        stopwatch.now_s += 60  # the consumer is away
        office.step()
        office[0].finish()
    assert [evidence.together_s for evidence in seen] == [pytest.approx(0)] * len(seen)
    assert seen[-1].n_left is None
    assert seen[-1].n_together == office.source.n_taken


def test_where_the_caller_must_not_run_items_nobody_asks(stopwatch: Clock) -> None:
    office = Office(range(10), n_jobs=1)
    stopwatch.now_s += 1
    office.run()
    assert office.feed.retreat is None


def test_where_the_last_worker_is_gone_for_good_the_caller_goes_on() -> None:
    office = Office(range(10), n_jobs=1, room=1, window=1, item_s=1.0, decide=lambda _: None)
    office.step()
    office[0].finish()
    office.step()
    office[0].die()
    office.step()
    assert office.feed.is_over
    assert str(office.feed.retreat).startswith("no worker is left, and none can be started")
    assert office.out == tens(office.source.n_taken)


def test_more_workers_can_join_on_the_way() -> None:
    office = Office(range(40), n_jobs=1, item_s=1.0)
    office.step()
    office.feed.follow(PLAN.replace(n_jobs=4))
    office[0].finish()
    office.step()
    assert len(office.crew.hired) == 4
    assert all(worker.given for worker in office.crew.hired)
    office.run()
    assert office.out == tens(40)
    assert office.feed.plan.n_jobs == 4
