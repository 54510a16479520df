"""What more than one question is judged by. Pure."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from benchmarks.figures import Goal

if TYPE_CHECKING:
    from collections.abc import Sequence

WARM_REGRET = "warm: pmap / best"
COLD_REGRET = "cold: pmap / best"
SHORT_REGRET = "cold, half the work: pmap / best"
MOVED = "warm, processes"

BESIDE_BEST = 1.05
BESIDE_BEST_ALLOCATING = 1.08
COLD_MOVED = 0.33
MOVED_TIMES = {"big_results": 3.0, "big_arrays": 5.0, "big_args": 5.0}
"""How many times as fast as the best peer megabytes are to be moved."""

RATIO_FROM_S = 0.05
"""Loops of this length and more are judged by the ratio, shorter ones by the difference."""

FIRST_LOOK_S = 0.003
"""What a process's first look into the store may add, once."""


def allowed_s(loop_s: float, *, is_first: bool = False, ratio: float = 1.02) -> float:
    """Return the seconds that `pmap` may take where the loop takes `loop_s`."""
    most_s = ratio * loop_s if loop_s >= RATIO_FROM_S else loop_s + 0.001
    return most_s + (FIRST_LOOK_S if is_first else 0.0)


def never_slower(loop_s: Sequence[float], *, is_first: bool) -> Goal:
    """Return the bound on `pmap / loop` beside these times of the loop."""
    middle_s = median(loop_s)
    return Goal(bound=allowed_s(middle_s, is_first=is_first) / middle_s)
