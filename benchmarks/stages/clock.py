"""How a stage is timed."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Measure = Callable[[], float]
    Sides = tuple[Measure, Measure]  # measure the stage, and its floor, once: seconds


def timed(act: Callable[[], object], n_times: int = 1, n_inside: int = 1) -> float:
    """Do something so many times, and return the seconds of one of the so many things that each time consists of."""
    began_s = perf_counter()
    for _ in range(n_times):
        act()
    return (perf_counter() - began_s) / n_times / n_inside
