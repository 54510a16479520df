"""Run contenders in turn, so that whatever drifts on the machine drifts under all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Name = TypeVar("Name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is measured.

    Attributes:
        n_rounds: rounds of contenders that take tenths of a second.
        n_launches: rounds of contenders that take milliseconds, most of them the system's own.
        n_tour_rounds: rounds of each of the many workloads.
        parts: chunks a worker that a search tries; none where peers only run as documented.
        loop_s: seconds that the plain loop of a workload is sized to.
    """

    n_rounds: int
    n_launches: int
    n_tour_rounds: int
    parts: tuple[int, ...]
    loop_s: float


FULL = Effort(n_rounds=11, n_launches=61, n_tour_rounds=8, parts=(1, 4, 16), loop_s=0.3)
QUICK = Effort(n_rounds=3, n_launches=3, n_tour_rounds=1, parts=(), loop_s=0.03)


def in_turn(contenders: Mapping[Name, Callable[[], float]], n_rounds: int) -> dict[Name, list[float]]:
    """Run every contender once a round, and return the seconds that each reports.

    The order is turned round every other round (A B, B A, A B, ...): none is always the one that finds the machine
    warm. A first round is run and not counted: it fills the page cache, and warm contenders open their pools in it.
    """
    order = list(contenders)
    seconds: dict[Name, list[float]] = {name: [] for name in order}
    for _ in range(n_rounds + 1):
        for name in order:
            seconds[name].append(contenders[name]())
        order.reverse()
    return {name: found[1:] for name, found in seconds.items()}
