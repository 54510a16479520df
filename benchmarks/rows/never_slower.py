"""The worst of all cases: `pmap` on auto beside the loop, over every workload and from one item up.

a glance at every case    one or two rounds each
the worst of them         measured again, in as many rounds as a verdict needs
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from shutil import copytree
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.contest import limit_s
from benchmarks.figures import Figure, Goal, Row, missing
from benchmarks.goals import allowed_s
from benchmarks.launch import Child, ContenderFailed
from benchmarks.pairing import in_turn
from benchmarks.poison import Lie, poison
from benchmarks.tour import TOUR, ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from benchmarks.pairing import Effort
    from benchmarks.sizes import Size
    from benchmarks.tour import Workload

    Seconds = Mapping[str, Sequence[float]]
    Way = Callable[[str, Size, int, float], Seconds]

FEW = (1, 2, 3, 10, 100, 1000)
QUICK_FEW = (1, 10)
QUICK_NAMES = ("loop_30us", "loop_10ms", "big_results")
LIED_ABOUT = (
    *("noop", "loop_30us", "loop_10ms", "lognormal", "giant_last", "json_20k"),
    *("numpy_matmul", "big_results", "sleep_5ms", "long_strings"),
)
"""Workloads that every lie is told about: one of each kind. All of them would take minutes more, and show the same."""

N_WORST = 2
"""Cases of each way that are measured again."""


@dataclass(frozen=True, slots=True)
class Case:
    """One of the calls that ought not to be slower than the loop.

    Attributes:
        workload: what is mapped.
        n_items: how many items of it; None for all.
    """

    workload: Workload
    n_items: int | None

    def measured(self, way: Way, loop_s: float, n_rounds: int) -> Seconds:
        """Return the seconds of the loop and of `pmap`."""
        with ready(self.workload, loop_s) as whole:
            size = whole if self.n_items is None else replace(whole, n_items=self.n_items)
            return way(self.workload.name, size, n_rounds, loop_s)

    def __str__(self) -> str:
        return f"{self.workload.name} x {'all' if self.n_items is None else self.n_items}"


def never_slower(effort: Effort) -> list[Row]:
    """Look for the worst case warm, cold, in the next process, and with every lie in the store."""
    workloads = TOUR if effort.parts else [workload for workload in TOUR if workload.name in QUICK_NAMES]
    few = list(_cases(workloads, effort, FEW if effort.parts else QUICK_FEW))
    whole = [Case(workload, None) for workload in workloads]
    rows = [
        *_worst("warm, few items", few, _warm, effort),
        *_worst("cold, few items", few, _cold, effort, is_first=True),
        *_worst("next process", whole, _next_process, effort, is_first=True),
    ]
    lied_about = [case for case in whole if case.workload.name in LIED_ABOUT]
    for lie in Lie:
        rows += _worst(f"poisoned: {lie}", lied_about, partial(_poisoned, lie), effort, ratio=1.05)
    return rows


def _cases(workloads: Iterable[Workload], effort: Effort, counts: Sequence[int]) -> Iterable[Case]:
    for workload in workloads:
        try:
            n_items = workload.size(effort.loop_s).n_items
        except ImportError:
            n_items = min(counts) + 1  # one case stands for all that cannot be measured here
        yield from (Case(workload, count) for count in counts if count < n_items)


def _worst(
    called: str, cases: Sequence[Case], way: Way, effort: Effort, *, is_first: bool = False, ratio: float = 1.02
) -> list[Row]:
    """Return a row for each of the cases that looked worst."""
    seen: dict[Case, float] = {}
    missed: list[str] = []
    for case in cases:
        try:
            seconds = case.measured(way, effort.loop_s, 0)
        except ImportError as error:
            missed.append(f"{case.workload.name} ({error})")
            continue
        seen[case] = median(_shares(seconds, is_first=is_first, ratio=ratio))
    worst = sorted(seen, key=lambda case: -seen[case])[:N_WORST]
    if not worst:
        return [missing("never_slower", "P3", called, ", ".join(missed))]
    note = f"looked worst of {len(seen)} cases" + (f"; without {', '.join(dict.fromkeys(missed))}" if missed else "")
    rows = []
    for case in worst:
        seconds = case.measured(way, effort.loop_s, effort.n_tour_rounds)
        rows.append(
            Row(
                benchmark="never_slower",
                number="P3",
                measure=f"{called}: pmap / allowed ({case})",
                unit="x",
                figure=Figure.of(_shares(seconds, is_first=is_first, ratio=ratio)),
                goal=Goal(bound=1.0),
                note=note,
                seconds=seconds,
            )
        )
    return rows


def _shares(seconds: Seconds, *, is_first: bool, ratio: float) -> list[float]:
    """Return how much of what it may take `pmap` took, round by round."""
    return [
        pmap_s / allowed_s(loop_s, is_first=is_first, ratio=ratio)
        for loop_s, pmap_s in zip(seconds["loop"], seconds["pmap"], strict=True)
    ]


def _rounds(contenders: Mapping[str, Callable[[], float]], n_rounds: int) -> Seconds:
    """Run in turn; 0 rounds are a glance: one call each, and it counts."""
    if n_rounds:
        return in_turn(contenders, n_rounds)
    return {name: [contender()] for name, contender in contenders.items()}


def _warm(workload: str, size: Size, n_rounds: int, loop_s: float) -> Seconds:
    with Child("loop") as loop, Child("pmap", limit_s=limit_s(loop_s)) as pmap:
        for child in (loop, pmap):
            child.call(workload, size)
        return _rounds(
            {"loop": partial(loop.call, workload, size), "pmap": partial(pmap.call, workload, size)},
            n_rounds or 1,
        )


def _cold(workload: str, size: Size, n_rounds: int, loop_s: float) -> Seconds:
    return _rounds(
        {peer: partial(_first_call, peer, workload, size, None, loop_s) for peer in ("loop", "pmap")}, n_rounds
    )


def _next_process(workload: str, size: Size, n_rounds: int, loop_s: float) -> Seconds:
    """Measure first calls of processes, each of which finds what the ones before it have learned."""
    with TemporaryDirectory(prefix="benchmarks-") as home:
        _first_call("pmap", workload, size, home, loop_s)
        return _rounds(
            {peer: partial(_first_call, peer, workload, size, home, loop_s) for peer in ("loop", "pmap")}, n_rounds
        )


def _poisoned(lie: Lie, workload: str, size: Size, n_rounds: int, loop_s: float) -> Seconds:
    """Measure first calls of processes, each of which finds the same lie."""
    with TemporaryDirectory(prefix="benchmarks-") as home:
        _first_call("pmap", workload, size, home, loop_s)
        poison(home, lie)

        def lied_to() -> float:
            with TemporaryDirectory(prefix="benchmarks-") as copied:
                copytree(home, copied, dirs_exist_ok=True)
                return _first_call("pmap", workload, size, copied, loop_s)

        loop = partial(_first_call, "loop", workload, size, None, loop_s)
        return _rounds({"loop": loop, "pmap": lied_to}, n_rounds)


def _first_call(peer: str, workload: str, size: Size, home: str | None, loop_s: float) -> float:
    """Return the seconds of a fresh process's first call."""
    try:
        with Child(peer, home=home, limit_s=limit_s(loop_s)) as child:
            return child.call(workload, size)
    except ContenderFailed as failed:
        raise type(failed)(f"{peer} over {workload}: {failed}") from failed
