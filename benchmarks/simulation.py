"""A run with forked workers, played through without any: when would it end, if each stage took what it was measured at?

    caller     decides, starts workers one after the other, computes ranges too or supervises, hears, reaps, learns
    worker     begins, takes a range, runs it, publishes it, takes the next ...; says that it is done, and leaves

Ranges are sized by the engine's own `Range`, out of what each process knows: the mean of all items, the ranges that it
has run itself, and where the last of them ended. Everyone has a core, and finds room in the pipe. Pure: no clock, no
process.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heappush, heapreplace
from itertools import accumulate
from typing import TYPE_CHECKING

from amorsize.engine.job import Range
from amorsize.planning.model import SUPERVISES_FROM_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Seconds that each stage of a run takes.

    Attributes:
        call_s: the caller decides, and afterwards reports and learns.
        crew_s: the caller makes what all share, and gives it back.
        start_s: the caller is kept by the start of one worker of many.
        begin_s: from the begin of that start until the worker takes its first range.
        take_s: size a range, and take it.
        publish_s: a worker encodes, writes and announces a range of no results; or says that it is done.
        encode_s: a worker encodes one result.
        drain_s: the caller reads, decodes and places a range of no results.
        decode_s: the caller decodes one result.
        wake_s: a sleeping caller is awake after something was announced.
        leave_s: from a worker's last word until its end shows.
        reap_s: the caller takes a worker's exit status and closes what it had open for it.
    """

    call_s: float = 0.0
    crew_s: float = 0.0
    start_s: float = 0.0
    begin_s: float = 0.0
    take_s: float = 0.0
    publish_s: float = 0.0
    encode_s: float = 0.0
    drain_s: float = 0.0
    decode_s: float = 0.0
    wake_s: float = 0.0
    leave_s: float = 0.0
    reap_s: float = 0.0


def efficiency(items_s: Sequence[float], n_jobs: int, prices: Prices) -> float:
    """Return which share of `n_jobs` cores the items keep busy: the loop's seconds / (n_jobs x the run's)."""
    return sum(items_s) / (n_jobs * makespan_s(items_s, n_jobs, prices))


def makespan_s(items_s: Sequence[float], n_jobs: int, prices: Prices) -> float:
    """Return the seconds of a run over items that take these seconds, of which the mean is known.

    One job is the plain loop, which pays for no stage.
    """
    return sum(items_s) if n_jobs == 1 else _Run(items_s, n_jobs, prices).ended_s()


class _Run:
    """One run with workers: every process is a generator of the seconds, since the begin, at which it goes on."""

    def __init__(self, items_s: Sequence[float], n_jobs: int, prices: Prices) -> None:
        self._prices = prices
        self._n_jobs = n_jobs
        self._n_items = len(items_s)
        self._until_s = [0.0, *accumulate(items_s)]
        self._mean_s = self._until_s[-1] / self._n_items
        self._n_taken = 0
        self._said: list[tuple[float, float]] = []  # when, and the seconds that it takes the caller to hear it
        self._caller_s = 0.0

    def ended_s(self) -> float:
        """Have everyone go on in the order of their times, and the caller hear what is said after the last range."""
        prices = self._prices
        computes = self._mean_s < SUPERVISES_FROM_S
        n_workers = self._n_jobs - 1 if computes else self._n_jobs
        open_s = prices.call_s + prices.crew_s
        self._caller_s = open_s + n_workers * prices.start_s
        going = [self._worker(open_s + number * prices.start_s + prices.begin_s) for number in range(n_workers)]
        if computes:
            going.append(self._caller())
        queue = [(next(process), number, process) for number, process in enumerate(going)]
        heapify(queue)
        while queue:
            _, number, process = queue[0]
            at_s = next(process, None)
            if at_s is None:
                heappop(queue)
            else:
                heapreplace(queue, (at_s, number, process))
        while self._said:
            self._hear()
        return self._caller_s

    def _worker(self, now_s: float) -> Iterator[float]:
        prices = self._prices
        yield now_s
        for n_items, seconds, sizes in self._ranges():
            costs_s = prices.publish_s + n_items * prices.encode_s
            sizes.saw(n_items, seconds + costs_s)
            now_s += prices.take_s + seconds + costs_s
            heappush(self._said, (now_s, prices.drain_s + n_items * prices.decode_s))
            yield now_s
        now_s += prices.take_s + prices.publish_s
        heappush(self._said, (now_s, prices.drain_s))
        heappush(self._said, (now_s + prices.leave_s, prices.reap_s))

    def _caller(self) -> Iterator[float]:
        yield self._caller_s
        for n_items, seconds, sizes in self._ranges():
            sizes.saw(n_items, seconds)
            self._caller_s += self._prices.take_s + seconds
            yield self._caller_s  # until then, others go on; what they have said by then is heard
            until_s = self._caller_s
            while self._said and self._said[0][0] <= until_s:
                self._hear()
            yield self._caller_s

    def _ranges(self) -> Iterator[tuple[int, float, Range]]:
        """Take ranges until none is left, each when it is asked for: its items, their seconds, and who sizes the
        next."""
        sizes, position = Range(self._n_jobs, None, self._mean_s), 0
        while self._n_taken < self._n_items:
            start = self._n_taken
            self._n_taken += sizes.wanted(self._n_items - position)
            position = min(self._n_taken, self._n_items)
            yield position - start, self._until_s[position] - self._until_s[start], sizes

    def _hear(self) -> None:
        """Have the caller take in what was said first; where that is yet to come, it sleeps until then."""
        said_s, costs_s = heappop(self._said)
        if said_s > self._caller_s:
            self._caller_s = said_s + self._prices.wake_s
        self._caller_s += costs_s
