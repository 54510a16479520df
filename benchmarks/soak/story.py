"""A soak from its beginning to its summary."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.launch import compile_packages
from benchmarks.machine import Surroundings
from benchmarks.soak.watchdog import Tally, Watchdog
from benchmarks.table import surroundings_of

if TYPE_CHECKING:
    from collections.abc import Iterable

_CHECK_EVERY = 25
_TELL_EVERY_S = 30.0
_MOST_GROWTH_KB = 32 * 1024.0
"""Growth of the caller's memory, from the second quarter of a soak to the last: the first fills caches of Python's own
(code, regular expressions, memory arenas), which 32 MB hold with ease."""

_LEAST_CHECKS = 8


def soak(*, minutes: float, seed: int, numbers: Iterable[int], file: str | None) -> int:
    """Run until the time or the numbers are over, print what was seen, and return the exit status."""
    place = Surroundings.now()
    print(f"{surroundings_of(place)}\nseed {seed}", flush=True)
    compile_packages()
    tally = Tally()
    with TemporaryDirectory(prefix="benchmarks-", ignore_cleanup_errors=True) as home:
        _soaked(Watchdog(home, seed, tally), tally, time.perf_counter() + 60.0 * minutes, numbers)
    tally.complaints += _growing(tally)
    print(summary_of(tally))
    if file is not None:
        with open(file, "w", encoding="utf-8") as written:
            told = {"surroundings": asdict(place), "seed": seed, **asdict(tally)}
            json.dump(told, written, indent=1, allow_nan=False)
    return 1 if tally.complaints else 0


def _soaked(watchdog: Watchdog, tally: Tally, until_s: float, numbers: Iterable[int]) -> None:
    told_s, n_told = time.perf_counter(), 0
    number = 0
    try:
        for n_runs, number in enumerate(numbers, 1):
            watchdog.run(number)
            if n_runs % _CHECK_EVERY == 0:
                watchdog.check(number)
            for complaint in tally.complaints[n_told:]:
                print(complaint, file=sys.stderr, flush=True)
            n_told = len(tally.complaints)
            if time.perf_counter() > told_s + _TELL_EVERY_S:
                told_s = time.perf_counter()
                print(f"{n_runs:,} runs, {n_told} complaints", file=sys.stderr, flush=True)
            if time.perf_counter() > until_s:
                break
        watchdog.check(number)
    finally:
        watchdog.close()


def _growing(tally: Tally) -> list[str]:
    """Say what grows with the runs; too few checks tell nothing."""
    if len(tally.checks) < _LEAST_CHECKS:
        return []
    grown_kb = _ends(tally, "rss_kb")[1] - _ends(tally, "rss_kb")[0]
    more = _ends(tally, "n_descriptors")[1] - _ends(tally, "n_descriptors")[0]
    found = [f"the caller's memory grew by {grown_kb:,.0f} KB"] if grown_kb > _MOST_GROWTH_KB else []
    return [*found, f"{more:.0f} more descriptors"] if more else found


def _ends(tally: Tally, name: str) -> tuple[float, float]:
    """Return the medians of a figure in the second and the last quarter of the checks; of few checks, the ends."""
    values = [check[name] for check in tally.checks]
    quarter = max(1, len(values) // 4)
    return median(values[quarter : 2 * quarter] or values[:1]), median(values[-quarter:])


def summary_of(tally: Tally) -> str:
    """Return the summary."""
    lines = [f"{sum(tally.runs.values()):,} runs, meanwhile:"]
    lines += [f"  {tally.runs[fault]:>6,}  {fault}{_struck(tally, fault)}" for fault in sorted(tally.runs)]
    lines.append(f"{sum(tally.errors.values()):,} ended with an error that says what has happened:")
    lines += [f"  {n_runs:>6,}  {name}" for name, n_runs in sorted(tally.errors.items())]
    if tally.checks:
        for name, unit, factor in (("rss_kb", "MB", 1 / 1024), ("n_descriptors", "", 1), ("reference_s", "ms", 1e3)):
            first, last = _ends(tally, name)
            said = {"rss_kb": "memory of the caller", "n_descriptors": "its descriptors"}.get(
                name, "a run always the same"
            )
            lines.append(
                f"{said}: {first * factor:.3g} {unit} in the second quarter, {last * factor:.3g} {unit} in the last"
            )
    lines.append(f"{len(tally.complaints)} complaints" + "".join(f"\n- {each}" for each in tally.complaints))
    return "\n".join(lines)


def _struck(tally: Tally, fault: str) -> str:
    return f" ({tally.struck[fault]:,} signals)" if fault in tally.struck else ""
