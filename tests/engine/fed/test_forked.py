"""A feed with real processes: every item is called once, whoever dies wherever, and nobody is left."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import select
import signal
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from amorsize import ItemNotPicklable, WorkerDied
from amorsize.engine import encoding
from amorsize.engine.fed.feed import Feed
from amorsize.engine.fed.link import Link
from amorsize.engine.fed.sink import OrderedSink
from amorsize.engine.fed.source import Pulled, Sliced
from amorsize.engine.fed.table import Rules, Table
from amorsize.engine.held import Held
from amorsize.engine.job import Range
from amorsize.inline import Work
from amorsize.records import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from amorsize.testing.items import Calls, Gate

pytestmark = pytest.mark.needs_fork

PLAN = Plan(backend="process", n_jobs=2, chunksize=1, reason="a test asks for it", start_method="fork")


@contextlib.contextmanager
def feeding(
    func: Callable[[Any], object], items: Iterable[object], *, goes_on: bool = False, item_s: float = 1.0, **rules: Any
) -> Iterator[tuple[Feed, OrderedSink]]:
    """Feed two forked workers."""
    from amorsize.engine.fed.forked import ForkedCrew

    if isinstance(items, list):
        work = Work(func, (items,))
        source: Any = Sliced(work, 0, inherited=True)
    else:
        work, source = Work(func, ((),)), Pulled(iter(items), 0)
    sink, held = OrderedSink(0, goes_on=goes_on), Held()
    crew = ForkedCrew(work, held)
    table = Table(source, sink, crew, Rules(n_jobs=2, **rules))  # type: ignore[arg-type]  # seats of one kind
    feed = Feed(table, PLAN, Range(2, None, item_s), held, None, None)
    try:
        yield feed, sink
    finally:
        feed.close()


def run(func: Callable[[Any], object], items: Iterable[object], **given: Any) -> tuple[list[object], OrderedSink]:
    """Return the results, and the sink with the failure."""
    out: list[object] = []
    with feeding(func, items, **given) as (feed, sink):
        while not feed.is_over:
            feed.step()
            out += sink.take()
    return out, sink


@contextlib.contextmanager
def out_of_time() -> Iterator[Callable[[], None]]:
    """Have SIGALRM raise a TimeoutError, which is an OSError; yield what sends it to this process, and to no worker."""
    before, caller = signal.signal(signal.SIGALRM, too_late), os.getpid()
    try:
        yield lambda: signal.raise_signal(signal.SIGALRM) if os.getpid() == caller else None
    finally:
        signal.signal(signal.SIGALRM, before)


def too_late(*_: object) -> None:
    raise TimeoutError("too late")


def test_what_a_handler_raises_while_workers_are_started_is_no_shortage(monkeypatch: pytest.MonkeyPatch) -> None:
    from amorsize.engine.fed.forked import ForkedCrew

    hire = ForkedCrew.hire
    with out_of_time() as interrupt:
        monkeypatch.setattr(ForkedCrew, "hire", lambda crew, n_workers: (hire(crew, n_workers), interrupt())[0])
        with pytest.raises(TimeoutError, match="too late"):
            run(ten_times, range(4))


def test_what_a_handler_raises_while_a_task_is_sent_breaks_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    send = Link._send_some
    with out_of_time() as interrupt:
        monkeypatch.setattr(Link, "_send_some", lambda link: (send(link), interrupt())[0])
        with pytest.raises(TimeoutError, match="too late"):
            run(ten_times, range(4))


def test_what_a_handler_raises_while_an_item_is_pickled_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    encode = encoding.encode
    with out_of_time() as interrupt:
        monkeypatch.setattr(encoding, "encode", lambda *given: (encode(*given), interrupt())[0])
        with pytest.raises(TimeoutError, match="too late"):
            run(ten_times, range(4))


def test_the_end_of_workers_counts_into_their_price(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amorsize.engine.fork.save_coverage", lambda: time.sleep(0.2))
    with feeding(abs, range(4)) as (feed, _):
        while not feed.is_over:
            feed.step()
    assert feed.start_s >= 0.2


def ten_times(x: int) -> int:
    return 10 * x


@pytest.mark.parametrize("kind", [list, iter], ids=["inherited", "sent"])
@pytest.mark.parametrize("item_s", [1.0, 1e-5], ids=["one by one", "many at once"])
def test_each_item_is_called_once_and_comes_back_in_order(kind: Any, item_s: float, calls: Calls) -> None:
    def noted(x: int) -> int:
        calls.note(x)
        return 10 * x

    out, sink = run(noted, kind([*range(200)]), item_s=item_s)
    assert out == [10 * x for x in range(200)]
    assert sink.error is None
    assert sorted(calls.items()) == list(range(200))
    assert os.getpid() not in {process for process, _, _ in calls.lines()}


@pytest.mark.fault("R1")
@pytest.mark.parametrize("item_s", [1.0, 1e-5], ids=["one by one", "many at once"])
@pytest.mark.parametrize("how", ["exits", "is killed"])
def test_a_death_names_its_item_and_keeps_what_is_finished(item_s: float, how: str) -> None:
    def dies_at_seven(x: int) -> int:
        if x == 7:
            os._exit(3) if how == "exits" else os.kill(os.getpid(), signal.SIGKILL)
        return 10 * x

    out, sink = run(dies_at_seven, iter(range(40)), item_s=item_s)
    assert isinstance(sink.error, WorkerDied)
    assert (sink.error.exitcode, sink.error.signal) == ((3, None) if how == "exits" else (None, signal.SIGKILL))
    assert sink.error.first is not None
    assert sink.error.stop is not None
    assert sink.error.first <= 7 < sink.error.stop
    assert out == [10 * x for x in range(len(out))]


@pytest.mark.fault("R2")
@pytest.mark.parametrize("item_s", [1.0, 1e-5], ids=["one by one", "many at once"])
def test_with_retries_only_items_that_have_no_result_are_called_again(item_s: float, calls: Calls) -> None:
    def dies_once(x: int) -> int:
        calls.note(x)
        if x == 7 and calls.items().count(7) == 1:
            os._exit(3)
        return 10 * x

    out, sink = run(dies_once, iter(range(40)), item_s=item_s, retries=1)
    assert (out, sink.error) == ([10 * x for x in range(40)], None)
    again = {x for x in range(40) if calls.items().count(x) > 1}
    assert 7 in again
    assert again <= set(range(8))
    assert all(calls.items().count(x) <= 2 for x in range(40))


@pytest.mark.fault("R1")
def test_a_result_that_is_finished_survives_the_death_of_its_worker() -> None:
    def dies_second(x: int) -> int:
        if x == 1:
            os._exit(3)
        return 10 * x

    out, sink = run(dies_second, iter([0, 1]), timeout_s=100.0)
    assert out == [0]
    assert isinstance(sink.error, WorkerDied)
    assert sink.error.first == 1


@pytest.mark.fault("R1")
def test_who_is_killed_between_two_items_takes_nothing_along() -> None:
    with feeding(ten_times, iter(range(6)), window=1) as (feed, sink):
        out: list[object] = []
        while len(out) < 3:
            feed.step()
            out += sink.take()
        _kill_all(feed)
        while not feed.is_over:
            feed.step()
            out += sink.take()
    assert (out, sink.error) == ([10 * x for x in range(6)], None)


def _kill_all(feed: Feed) -> None:
    for chair in feed._table.chairs:
        assert chair.seat.pidfd is not None
        signal.pidfd_send_signal(chair.seat.pidfd, signal.SIGKILL)
        select.select([chair.seat.pidfd], [], [])


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have the system refuse to take what this process sends for the n-th time, for each n in the list."""
    refused: list[int] = []
    caller, n_sent, real = os.getpid(), itertools.count(), Link._send_some

    def send_some(link: Link) -> int:
        if os.getpid() == caller and next(n_sent) in refused:
            raise OSError(errno.ENOBUFS, "No buffer space available")
        return real(link)

    monkeypatch.setattr(Link, "_send_some", send_some)
    return refused


def test_what_the_system_does_not_send_another_worker_does_and_no_item_is_blamed(
    no_room: list[int], calls: Calls
) -> None:
    def noted(x: int) -> int:
        calls.note(x)
        return 10 * x

    no_room.append(5)
    with feeding(noted, iter(range(20)), goes_on=True) as (feed, sink):
        out: list[object] = []
        while not feed.is_over:
            feed.step()
            out += sink.take()
        assert feed.n_started == 3
    assert (out, sink.error) == ([10 * x for x in range(20)], None)
    assert sorted(calls.items()) == list(range(20))


def test_where_the_system_sends_nothing_any_more_the_call_ends_with_what_it_said(no_room: list[int]) -> None:
    no_room += range(1000)
    _, sink = run(ten_times, iter(range(20)))
    assert isinstance(sink.error, WorkerDied)
    assert sink.error.first is None
    assert isinstance(sink.error.__cause__, OSError)
    assert sink.error.__cause__.errno == errno.ENOBUFS


def test_a_fault_of_our_own_while_sending_is_not_blamed_on_the_item(monkeypatch: pytest.MonkeyPatch) -> None:
    def flush(_link: Link) -> None:
        raise AssertionError("a defect")

    monkeypatch.setattr(Link, "flush", flush)
    with pytest.raises(AssertionError, match="a defect"):
        run(ten_times, iter(range(20)))


@pytest.fixture
def impatient() -> Iterator[None]:
    """Have this program's sockets give up when nothing happens for a moment."""
    socket.setdefaulttimeout(0.001)
    yield
    socket.setdefaulttimeout(None)


@pytest.mark.usefixtures("impatient")
def test_a_worker_waits_for_its_next_task_however_short_the_program_s_sockets_wait() -> None:
    with feeding(ten_times, iter(range(6)), window=1) as (feed, sink):
        out: list[object] = []
        while not out:
            feed.step()
            out += sink.take()
        assert _ended(feed, 0.1) == []
        while not feed.is_over:
            feed.step()
            out += sink.take()
    assert (out, sink.error) == ([10 * x for x in range(6)], None)


@pytest.mark.usefixtures("impatient")
def test_a_result_waits_for_the_consumer_however_short_the_program_s_sockets_wait() -> None:
    def large(_item: int) -> bytes:
        return bytes(4 << 20)

    with feeding(large, iter(range(3)), window=3) as (feed, sink):
        feed.step()
        assert _ended(feed, 0.1) == []  # by now, what the socket takes is full
        out: list[object] = []
        while not feed.is_over:
            feed.step()
            out += sink.take()
    assert (list(map(len, out)), sink.error) == ([4 << 20] * 3, None)  # type: ignore[arg-type]


def _ended(feed: Feed, timeout_s: float) -> list[int]:
    """Return the workers that end before so many seconds are over."""
    pidfds = [chair.seat.pidfd for chair in feed._table.chairs if chair.seat.pidfd is not None]
    assert pidfds
    return select.select(pidfds, [], [], timeout_s)[0]


class Refuses:
    """Is pickled, and cannot be rebuilt."""

    def __init__(self, x: int) -> None:
        self.x = x

    def __setstate__(self, state: object) -> None:
        raise LookupError("not here")


def test_an_item_that_cannot_be_rebuilt_is_told_from_its_neighbours(calls: Calls) -> None:
    def noted(x: object) -> int:
        number = getattr(x, "x", x)
        calls.note(number)
        return 10 * int(number)  # type: ignore[call-overload, no-any-return]

    items: list[object] = [*range(5), Refuses(5), *range(6, 10)]
    out, _ = run(noted, iter(items), goes_on=True, item_s=1e-5)
    errors = {k: getattr(result, "error", None) for k, result in enumerate(out) if hasattr(result, "error")}
    assert {k: type(error) for k, error in errors.items()} == {5: ItemNotPicklable}
    assert "item 5 cannot be rebuilt in a worker: LookupError: not here" in str(errors[5])
    assert sorted(calls.items()) == [0, 1, 2, 3, 4, 6, 7, 8, 9]


def test_an_input_that_shrinks_in_a_worker_is_told_and_does_not_hang() -> None:
    items: list[object] = [*range(40)]

    def shrinks(x: int) -> int:
        del items[10:]
        return x

    _, sink = run(shrinks, items, item_s=5e-4)
    assert isinstance(sink.error, RuntimeError)
    assert "the input became shorter" in str(sink.error)


@pytest.mark.parametrize("n_steps", range(6))
def test_it_can_be_closed_after_any_step(n_steps: int) -> None:
    with feeding(ten_times, iter(range(10**6))) as (feed, sink):
        for _ in range(n_steps):
            feed.step()
            sink.take()


def test_where_forking_fails_nothing_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise MemoryError("no room")

    monkeypatch.setattr(os, "fork", refuse)
    with pytest.raises(MemoryError), feeding(ten_times, iter(range(9))) as (feed, _):
        feed.step()


def test_a_bound_that_no_system_call_takes_is_no_bound() -> None:
    out, _ = run(ten_times, iter(range(3)), timeout_s=1e12, deadline_s=1e300)
    assert out == [0, 10, 20]


@pytest.mark.fault("R5")
def test_a_worker_whose_item_has_failed_does_not_begin_the_task_that_waits_for_it(
    calls: Calls, gates: tuple[Gate, Gate]
) -> None:
    """The plain loop would not have reached it."""
    gate, _ = gates

    def fails_first(x: int) -> int:
        calls.note(x)
        if x == 0:
            gate.wait()
            raise ValueError("zero")
        if x == 1:
            gate.open()
            signal.pause()
        return x

    out, sink = run(fails_first, iter(range(20)))
    assert (out, repr(sink.error)) == ([], "ValueError('zero')")
    assert sorted(calls.items()) == [0, 1]
