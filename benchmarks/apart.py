"""Where the time of a call went: said of each that misses its goal."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from benchmarks.contest import limit_s
from benchmarks.launch import Child

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.sizes import Size

N_CALLS = 5
"""Calls that are taken apart; of each part the median counts."""

N_LEARNING = 5
"""Calls before these where they are to be warm: by then what there is to learn is known."""

LEAST_SHARE = 0.005
"""What takes less of a call is not worth a word."""


def apart(workload: str, size: Size, loop_s: float, *, is_cold: bool) -> str:
    """Take some calls of `pmap` apart, cold or warm, and return what their caller's time went into, in words."""
    calls: list[Mapping[str, float]] = []
    if is_cold:
        for _ in range(N_CALLS):
            with Child("pmap-in-parts", limit_s=limit_s(loop_s)) as child:
                calls.append(child.answer(workload, size).parts)
    else:
        with Child("pmap-in-parts", limit_s=limit_s(loop_s)) as child:
            calls = [child.answer(workload, size).parts for _ in range(N_LEARNING + N_CALLS)][N_LEARNING:]
    return in_words(calls)


def in_words(calls: Sequence[Mapping[str, float]]) -> str:
    """Return the medians of each part's milliseconds over some calls, the longest part first."""
    parts = {part for parts in calls for part in parts}
    medians = {part: median(parts.get(part, 0.0) for parts in calls) for part in parts}
    least = LEAST_SHARE * sum(medians.values())
    told = [
        f"{part} {ms:.3g} ms"
        for part, ms in sorted(medians.items(), key=lambda each: each[1], reverse=True)
        if ms >= least
    ]
    return f"pmap taken apart: {', '.join(told)}"
