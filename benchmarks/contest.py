"""Contenders over one workload: cold, each call in a fresh process, and warm, each in a process that stays.

    search     every peer's settings                          ->  Timed: every setting once
    finalists  those that came out on top
    cold, warm these in turn with `pmap` and the loop         ->  Timed, one entry a contender

Whoever fails, hangs or is not installed is left out, with the reason.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.figures import failure, missing
from benchmarks.launch import Child, ContenderFailed
from benchmarks.machine import usable_cores
from benchmarks.pairing import in_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from benchmarks.figures import Row
    from benchmarks.pairing import Effort
    from benchmarks.sizes import Size

COMPARED = ("pool", "executor", "threads", "joblib", "joblib-threads", "mpire")
"""The peers of a contest."""

WITHOUT_CHUNKS = ("threads", "joblib-threads")
"""Peers whose workers share the caller's memory: a chunk would save them next to nothing."""

SPELLED = {"pool": "Pool", "executor": "ProcessPoolExecutor", "threads": "ThreadPoolExecutor"}
"""Names that people know better than ours."""

EVERY_ITEM_ALONE = 5_000
"""The search tries chunks of one item up to this many items: beyond, it takes seconds and never wins."""

NOT_INSTALLED = "ModuleNotFoundError"

HOPELESS = 3.0
"""Times the best: what is that far behind as documented is not tried with other settings where none can help."""

SEARCH_S = 8.0
"""A peer's settings are tried for so long; the order is from the likeliest to the least likely."""

WAITING_JOBS = (1, 4, 16, 64)
"""Workers a core that are tried where items wait; processes stop before the last."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A peer with a setting.

    Attributes:
        peer: its name in `peers`.
        n_jobs: workers; None for what its documentation recommends.
        parts: chunks that each worker's share is divided into; None for what its documentation recommends.
    """

    peer: str
    n_jobs: int | None = None
    parts: int | None = None

    @property
    def label(self) -> str:
        """Name and setting: `Pool 2x16` is a Pool of two workers, 16 chunks for each of them."""
        name = SPELLED.get(self.peer, self.peer)
        setting = "" if self.n_jobs is None else f" {self.n_jobs}"
        return name + setting + ("" if self.parts is None else f"x{self.parts}")

    def chunksize(self, n_items: int) -> int | None:
        """Return the items of a chunk; None for what the documentation recommends."""
        return None if self.parts is None else max(1, n_items // ((self.n_jobs or 1) * self.parts))

    @property
    def uses_processes(self) -> bool:
        """Whether it is a peer that sends items to other processes."""
        return self.peer in COMPARED and self.peer not in WITHOUT_CHUNKS

    @property
    def is_measured_for(self) -> bool:
        """Whether it is what others are compared with: a failure of it is no row, but an end."""
        return self.peer == "loop" or self.peer.startswith("pmap")


LOOP, PMAP = Contender("loop"), Contender("pmap")


@dataclass(slots=True)
class Timed:
    """What contenders took.

    Attributes:
        seconds: of every round of those that gave answers.
        predicted_s: what `pmap` predicted of each of its rounds; empty where it did not always predict.
        failures: of the others, why.
    """

    seconds: dict[Contender, list[float]] = field(default_factory=dict)
    predicted_s: list[float] = field(default_factory=list)
    failures: dict[Contender, str] = field(default_factory=dict)

    def best(self, among: Iterable[Contender] | None = None) -> Contender | None:
        """Return the contender with the lowest median; None where there is none."""
        rated = [contender for contender in (self.seconds if among is None else among) if contender in self.seconds]
        return min(rated, key=lambda contender: median(self.seconds[contender]), default=None)

    def best_of(self, peer: str) -> Contender | None:
        """Return the quickest setting of one peer."""
        return self.best([contender for contender in self.seconds if contender.peer == peer])

    def failed_rows(self, benchmark: str) -> list[Row]:
        """Return a row for each contender that was left out, with the reason."""
        return [
            missing(benchmark, "", contender.label, f"{why}: it comes with amorsize[bench]")
            if NOT_INSTALLED in why
            else failure(benchmark, contender.label, why)
            for contender, why in self.failures.items()
        ]

    def labelled(self) -> dict[str, list[float]]:
        """Return the seconds by the contenders' labels."""
        return {contender.label: seconds for contender, seconds in self.seconds.items()}


def grid(peer: str, n_items: int, *, waits: bool, effort: Effort) -> dict[int, tuple[int | None, ...]]:
    """Return what to search: for each number of workers, the numbers of chunks for each of them.

    Twice as many workers as cores are tried with the chunks that a plain sharing out gives: they help only where items
    differ much in length.
    """
    n_cores = usable_cores()
    if not effort.parts:
        return {}
    if peer in WITHOUT_CHUNKS:
        return {factor * n_cores: (None,) for factor in (WAITING_JOBS if waits else WAITING_JOBS[:1])}
    if waits:
        return {factor * n_cores: effort.parts[:1] for factor in WAITING_JOBS[:-1]}
    single = max(1, n_items // n_cores)
    possible = [each for each in effort.parts if each <= single]
    if n_items <= EVERY_ITEM_ALONE:
        possible.append(single)
    return {n_cores: tuple(dict.fromkeys(possible)), 2 * n_cores: effort.parts[:1]}


def limit_s(loop_s: float) -> float:
    """Return the seconds after which a contender hangs: no sensible one is 10 times as slow as the plain loop."""
    return 5.0 + 10 * loop_s


def search(workload: str, size: Size, loop_s: float, effort: Effort, *, waits: bool = False) -> Timed:
    """Try what each peer's documentation recommends and a bounded grid of settings, once each, in pools that are warm.

    Threads far behind the best are given up: no setting makes more of the GIL.
    """
    found = Timed()
    for peer in COMPARED:
        _try([Contender(peer)], workload, size, loop_s, found)
    best = found.best()
    for peer in COMPARED:
        documented = Contender(peer)
        seconds = found.seconds.get(documented, [])
        is_behind = best is None or not seconds or seconds[0] > HOPELESS * found.seconds[best][0]
        if NOT_INSTALLED in found.failures.get(documented, "") or (peer in WITHOUT_CHUNKS and is_behind and not waits):
            continue
        until_s = perf_counter() + SEARCH_S
        for n_jobs, parts in grid(peer, size.n_items, waits=waits, effort=effort).items():
            if perf_counter() < until_s:
                _try([Contender(peer, n_jobs, each) for each in parts], workload, size, loop_s, found)
    return found


def _try(settings: Sequence[Contender], workload: str, size: Size, loop_s: float, found: Timed) -> None:
    """Run settings that share one pool; the call that opens the pool is not counted."""
    with Child(settings[0].peer, settings[0].n_jobs, limit_s=limit_s(loop_s)) as child:
        for setting in (settings[0], *settings):
            try:
                found.seconds[setting] = [child.call(workload, size, setting.chunksize(size.n_items))]
            except ContenderFailed as failed:
                found.seconds.pop(setting, None)
                found.failures[setting] = str(failed)
                return  # whatever hung has been ended, with its pool


def finalists(found: Timed, n_best: int = 2) -> list[Contender]:
    """Return the settings that came out on top, and the best one that uses processes."""
    order = sorted(found.seconds, key=lambda contender: min(found.seconds[contender]))
    processes = [contender for contender in order if contender.uses_processes]
    return list(dict.fromkeys(order[:n_best] + processes[:1]))


def warm(contenders: Sequence[Contender], workload: str, size: Size, n_rounds: int, loop_s: float) -> Timed:
    """Run contenders in turn, each in a process of its own that stays, with its pool open after the first round."""
    predicted: list[float | None] = []

    def attempt(left: Sequence[Contender]) -> dict[Contender, list[float]]:
        predicted.clear()
        with ExitStack() as open_children:
            calls = {}
            for contender in left:
                child = open_children.enter_context(Child(contender.peer, contender.n_jobs, limit_s=limit_s(loop_s)))
                calls[contender] = _call(child, contender, workload, size, predicted)
            return in_turn(calls, n_rounds)

    timed = _without_failing(contenders, attempt)
    known = [seconds for seconds in predicted[1:] if seconds is not None]
    timed.predicted_s = known if len(known) == n_rounds else []
    return timed


def cold(
    contenders: Sequence[Contender], workload: str, size: Size, n_rounds: int, loop_s: float, home: str | None = None
) -> Timed:
    """Run contenders in turn, every call in a fresh process: it pays for imports and start.

    Args:
        contenders: who runs.
        workload: what is mapped.
        size: how much of it.
        n_rounds: rounds that count.
        loop_s: seconds of the plain loop.
        home: folder of the store of all of them; None for an empty one for each call.
    """

    return _without_failing(
        contenders,
        lambda left: in_turn(
            {contender: _fresh(contender, workload, size, loop_s, home) for contender in left}, n_rounds
        ),
    )


def try_cold(contenders: Iterable[Contender], workload: str, size: Size, loop_s: float) -> Timed:
    """Run each contender once, in a fresh process."""
    found = Timed()
    for contender in contenders:
        try:
            found.seconds[contender] = [_fresh(contender, workload, size, loop_s)()]
        except _Dropped as dropped:
            found.failures[contender] = str(dropped.why)
    return found


def _fresh(
    contender: Contender, workload: str, size: Size, loop_s: float, home: str | None = None
) -> Callable[[], float]:
    def call() -> float:
        with Child(contender.peer, contender.n_jobs, home=home, limit_s=limit_s(loop_s)) as child:
            return _call(child, contender, workload, size)()

    return call


class _Dropped(Exception):
    """Tell which contender failed in the middle of a contest."""

    def __init__(self, contender: Contender, why: ContenderFailed) -> None:
        super().__init__(contender, why)
        self.contender, self.why = contender, why


def _call(
    child: Child, contender: Contender, workload: str, size: Size, predicted: list[float | None] | None = None
) -> Callable[[], float]:
    def call() -> float:
        try:
            answer = child.answer(workload, size, contender.chunksize(size.n_items))
        except ContenderFailed as failed:
            if contender.is_measured_for:
                raise
            raise _Dropped(contender, failed) from failed
        if contender is PMAP and predicted is not None:
            predicted.append(answer.predicted_s)
        return answer.seconds

    return call


def _without_failing(
    contenders: Sequence[Contender], attempt: Callable[[Sequence[Contender]], Mapping[Contender, list[float]]]
) -> Timed:
    """Run a contest, and again without each one that fails in it."""
    timed, left = Timed(), list(contenders)
    while True:
        try:
            timed.seconds = dict(attempt(left))
            return timed
        except _Dropped as dropped:
            left.remove(dropped.contender)
            timed.failures[dropped.contender] = str(dropped.why)
