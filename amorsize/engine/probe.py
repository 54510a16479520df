"""Measure what this machine charges, with the engine's own pieces: for `doctor` and `optimize`, never inside a `pmap`.

    forked workers      start and reap, wake-up of the caller, crowding      fork_s, fork_s_per_byte, join_s, crowding
    one process alone   both ends of a pipe and its memory file              range_s, publish_s, drain_s, encode_s, ...
    multiprocessing     a real Pool                                          pool_s, pool_worker_s, pool_chunk_s, ...

Prices are medians; what others on the machine may disturb is the best of a few. Takes about 0.2 s. Linux only, and only
where `safety.refusal()` has nothing against a fork.
"""

from __future__ import annotations

import mmap
import os
import select
import sys
from contextlib import ExitStack, contextmanager
from statistics import median
from time import perf_counter

assert sys.platform == "linux"  # before the imports: elsewhere, type checkers find nothing behind them

from amorsize.calibration.costs import MAX_CROWDING, MIN_COST_S, Costs, Unmeasured
from amorsize.engine import pools, wire
from amorsize.engine.collect import Collector
from amorsize.engine.counter import open_counter
from amorsize.engine.desk import Desk
from amorsize.engine.encoding import decode, encode
from amorsize.engine.fork import ForkedWorker, start_workers
from amorsize.engine.held import Held
from amorsize.engine.lifeline import Lifeline
from amorsize.engine.message import DONE
from amorsize.engine.watch import CELLS_PER_WORKER
from amorsize.inline import Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from amorsize.engine.message import Message
    from amorsize.records import Capacity

REPEATS = 7
"""Times that a thing is measured. A worker's start varies by half; the median of 7 by about a tenth."""

BALLAST_BYTES = 32 << 20
"""Memory that every second worker is given to inherit: its page tables cost 1 ms, which stands out of the noise, and
filling it takes 5 ms."""

MOST_OF_PAGES = 0.8
"""Share of a start that page tables may explain: noise must not make the rest of it free of charge."""

LATE_S = 0.5e-3
"""A worker answers after this many seconds, when the caller surely sleeps: waking up is a part of what is measured."""

N_TRIPS = 200
"""Messages sent and received one by one, for the median: 4 ms in all."""

N_SIMPLE = 2000
"""Results encoded at once, to tell the price of one."""

BLOCK_BYTES = 1 << 20
"""A large result, to tell the price of a byte; it fits into the caches no better than real ones do."""

N_TAKES = 1000
"""Ranges taken from the counter between two readings of the clock."""

SPINS, SPIN_STEPS = 5, 10_000
"""Batches that a worker computes, and the steps of one: 0.5 ms, less than a slice that the scheduler gives away, so
that the best of five is undisturbed on all but the busiest machine."""

SPIN_ROUNDS = 3
"""Crowds of each size, each beside one worker alone; the best count. On a busy machine with 2 true cores, where 1.0 is
right, one round said 0.7 to 1.8, and three said 1.0 to 1.1 nine times in ten."""

CROWDING_BUDGET_S = 0.12
"""No other crowd is started once this is spent. That of all cores comes first: 64 workers take 0.05 s to start. Crowds
that were not measured are expected to suffer what the next smaller one does."""


def measure(capacity: Capacity) -> Costs:
    """Return this machine's prices.

    Starts some short-lived workers and Pools; calls no function of the user's.

    Raises:
        Unmeasured: where descriptors, processes or memory are exhausted, which is the cause, or a worker dies.
    """
    prices: dict[str, float] = {}
    crowds: tuple[tuple[int, float], ...] = ()
    fault: OSError | None = None
    try:
        prices |= {**start_prices(capacity.rss_bytes), "range_s": _range_s(), **_message_prices()}
        crowds = crowding(capacity.n_cores)
        prices |= pools.prices()
    except OSError as error:  # what was measured until then counts
        fault = error
    costs = Costs().replace(crowding=crowds, **{name: max(MIN_COST_S, price) for name, price in prices.items()})
    if fault is not None:
        raise Unmeasured(fault.strerror or str(fault), costs) from fault
    return costs


def counter_fault(n_takes: int = 100_000) -> str | None:
    """Have two processes take positions from the shared counter at once; return what went wrong, None for nothing.

    Raises:
        OSError: where no worker can be started.
    """
    marks = [mmap.mmap(-1, n_takes) for _ in range(2)]
    counter = open_counter()

    def take_all(outbox: wire.Outbox, index: int) -> None:
        own, position = marks[index], counter.take(1)
        while position < n_takes:
            own[position] += 1
            position = counter.take(1)
        outbox.send(DONE, 0, 0, 0.0, b"")

    try:
        with _together(2, take_all) as workers:
            for worker in workers:
                _hear(worker)
        times = [first + second for first, second in zip(*(bytes(own) for own in marks), strict=True)]
    finally:
        counter.close()
        for own in marks:
            own.close()
    n_lost = times.count(0)
    n_twice = n_takes - n_lost - times.count(1)
    return f"of {n_takes:,} positions {n_lost:,} were lost and {n_twice:,} taken twice" if n_lost or n_twice else None


@contextmanager
def _together(n_workers: int, serve: Callable[[wire.Outbox, int], None]) -> Iterator[list[ForkedWorker]]:
    """Start workers, let them begin at the same moment, and leave none behind; `serve` is told its worker's number."""
    memory = mmap.mmap(-1, (n_workers * CELLS_PER_WORKER + 1) * 8)
    cells = memoryview(memory).cast("q")
    lifeline, held = Lifeline(), Held()
    workers: list[ForkedWorker] = []

    def live(outbox: wire.Outbox, number: int) -> None:
        while not cells[-1]:
            pass
        serve(outbox, number)

    try:
        while len(workers) < n_workers:
            start_workers(live, n_workers - len(workers), cells, lifeline, workers, held)
        cells[-1] = True
        yield workers
    finally:
        for worker in workers:
            worker.close()
        lifeline.close()
        cells.release()
        memory.close()


def _hear(worker: ForkedWorker) -> Message:
    """Wait for the worker's next message."""
    watch = select.poll()
    watch.register(worker.pipe, select.POLLIN)
    while not worker.inbox.at_end:
        watch.poll()
        for message in worker.inbox.receive():
            return message
    raise ChildProcessError("a worker that was started to measure costs ended before it answered")


def start_prices(rss_bytes: int | None) -> dict[str, float]:
    """Return the prices of starting a worker, and of the caller's waking up."""
    light: list[float] = []
    heavy: list[float] = []
    joins: list[float] = []
    ballast = mmap.mmap(-1, BALLAST_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    ballast.madvise(mmap.MADV_NOHUGEPAGE)  # most of a Python program lies in small pages
    for offset in range(0, BALLAST_BYTES, mmap.PAGESIZE):
        ballast[offset] = 1
    for _ in range(REPEATS):
        for inherits, seconds in ((mmap.MADV_DONTFORK, light), (mmap.MADV_DOFORK, heavy)):
            ballast.madvise(inherits)
            start_s, join_s = _start_one()
            seconds.append(start_s)
            joins.append(join_s)
    ballast.close()
    start_s, join_s = median(light), median(joins)
    if not rss_bytes:
        return {"fork_s": start_s, "fork_s_per_byte": 0.0, "join_s": join_s}
    of_pages_s = rss_bytes * max(0.0, median(heavy) - start_s) / BALLAST_BYTES
    of_pages_s = min(of_pages_s, MOST_OF_PAGES * start_s)
    return {"fork_s": start_s - of_pages_s, "fork_s_per_byte": of_pages_s / rss_bytes, "join_s": join_s}


def _start_one() -> tuple[float, float]:
    """Return the caller's seconds to start and to reap a worker, and those from a message sent to the caller awake."""
    began = perf_counter()
    with _together(1, _answer_late) as (worker,):
        started = perf_counter()
        sent = _hear(worker).seconds
        heard = perf_counter()
    return started - began + perf_counter() - heard, heard - sent


def _answer_late(outbox: wire.Outbox, _index: int) -> None:
    until = perf_counter() + LATE_S
    while perf_counter() < until:
        pass
    outbox.send(DONE, 0, 0, perf_counter(), b"")  # on Linux all processes read one clock


def _range_s() -> float:
    """Return the seconds to take a range."""
    counter = open_counter()
    try:
        return median(_timed(lambda: [counter.take(1) for _ in range(N_TAKES)]) for _ in range(REPEATS)) / N_TAKES
    finally:
        counter.close()


def _timed(act: Callable[[], object]) -> float:
    began = perf_counter()
    act()
    return perf_counter() - began


def _message_prices() -> dict[str, float]:
    """Return the prices of a message and of what is in it; this process is both the worker and the caller."""
    cells = memoryview(bytearray(8 * CELLS_PER_WORKER)).cast("q")
    with ExitStack() as opened:
        read_end, write_end = os.pipe()
        opened.callback(os.close, read_end)
        opened.callback(os.close, write_end)
        arena = os.memfd_create("amorsize-results")
        opened.callback(os.close, arena)
        desk = Desk(wire.Outbox(write_end, arena, cells, 2), cells, 0)
        inbox = wire.Inbox(read_end, arena, cells, 2)
        small = [_trip(desk, inbox, read_end, [0]) for _ in range(N_TRIPS)]
        block = bytes(range(256)) * (BLOCK_BYTES // 256)
        large = [sum(_trip(desk, inbox, read_end, [block])) for _ in range(REPEATS)]
    publish_s, drain_s = median([sent_s for sent_s, _ in small]), median([read_s for _, read_s in small])
    simple: list[object] = [*range(N_SIMPLE)]
    encoded = encode(simple)[:2]
    return {
        "publish_s": publish_s,
        "drain_s": drain_s,
        "encode_s": median(_timed(lambda: encode(simple)) for _ in range(REPEATS)) / N_SIMPLE,
        "decode_s": median(_timed(lambda: decode(*encoded, [])) for _ in range(REPEATS)) / N_SIMPLE,
        "byte_s": (median(large) - publish_s - drain_s) / BLOCK_BYTES / 2,
    }


def _trip(desk: Desk, inbox: wire.Inbox, pipe: int, results: list[object]) -> tuple[float, float]:
    """Return the seconds to publish these results and to take them in."""
    collector = Collector(Work(id, (results,)), [])
    watch = select.poll()
    watch.register(pipe, select.POLLIN)
    desk.open(0, len(results)).extend(results)
    began = perf_counter()
    desk.publish()
    sent = perf_counter()
    watch.poll()
    for message in inbox.receive():
        collector.add(message.start, message.load())
    return sent - began, perf_counter() - sent


def crowding(n_cores: int) -> tuple[tuple[int, float], ...]:
    """Return how many times as long computing takes on all cores at once, on 2, on 4, ..., while time allows."""
    began = perf_counter()
    found: dict[int, float] = {}
    for n_jobs in (n_cores, *(2**power for power in range(1, MAX_CROWDING))):
        if 2 <= n_jobs <= n_cores and perf_counter() - began < CROWDING_BUDGET_S:
            rounds = [(_spin_s(1), _spin_s(n_jobs)) for _ in range(SPIN_ROUNDS)]
            alone_s, crowded_s = map(min, zip(*rounds, strict=True))
            found[n_jobs] = max(1.0, crowded_s / alone_s)
    return tuple(sorted(found.items()))


def _spin_s(n_workers: int) -> float:
    """Return the seconds of a fixed piece of work while so many processes do it at once."""
    with _together(n_workers, _spin) as workers:
        return median([_hear(worker).seconds for worker in workers])


def _spin(outbox: wire.Outbox, _index: int) -> None:
    best_s = min(_timed(lambda: sum(step * step for step in range(SPIN_STEPS))) for _ in range(SPINS))
    outbox.send(DONE, 0, 0, best_s, b"")
