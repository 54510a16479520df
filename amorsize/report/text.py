"""Values as text that a person reads in a terminal: lines, never printed here."""

from __future__ import annotations

from amorsize.planning.words import span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TypeVar

    from amorsize.calibration.profile import Profile
    from amorsize.calibration.runs import Run
    from amorsize.records import Plan

    T = TypeVar("T")

_AGES = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_SIZES = ("bytes", "KiB", "MiB", "GiB", "TiB")


def printable(text: str) -> str:
    r"""Escape all that a terminal would obey instead of showing: controls, escapes, marks that turn text around.

    Names in a store may be planted.

    Example:
        >>> print(printable("safe \x1b[31m \u202e"))
        safe \x1b[31m \u202e
    """
    return "".join([mark if mark.isprintable() else repr(mark)[1:-1] for mark in text])


def age(seconds: float) -> str:
    """Write how long ago something was: `5 min ago`, `3 d ago`; `just now` too where a clock was put back."""
    for unit_s, unit in _AGES:
        if seconds >= unit_s:
            return f"{seconds // unit_s:,.0f} {unit} ago"
    return "just now"


def size(n_bytes: float) -> str:
    """Write a number of bytes in the unit that fits: `12 KiB`, `1.5 GiB`."""
    step = 0
    while n_bytes >= 1024 and step < len(_SIZES) - 1:
        n_bytes /= 1024
        step += 1
    return f"{n_bytes:.1f} {_SIZES[step]}" if step and n_bytes < 9.95 else f"{n_bytes:,.0f} {_SIZES[step]}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return lines with the columns under each other."""
    cells = [tuple(head), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]


def named(pairs: Iterable[tuple[str, str | None]]) -> list[str]:
    """Return a line for each name and its text, the texts under each other; what is not known is left out."""
    known = [(name, text) for name, text in pairs if text is not None]
    width = max([len(name) for name, _ in known], default=0)
    return [f"{name:{width}}  {text}" for name, text in known]


def if_known(value: T | None, write: Callable[[T], str]) -> str | None:
    """Write a value; None for what is not known, which `named` leaves out."""
    return None if value is None else write(value)


def describe_run(run: Run) -> str:
    """Tell one real run in a few words, with what had been predicted for it."""
    return f"{_how(run.backend, run.n_jobs)}: {span(run.measured_s)}, predicted {span(run.predicted_s)}"


def _how(backend: str, n_jobs: int) -> str:
    return "the loop" if backend == "serial" else f"{backend} x {n_jobs}"


def describe_profile(profile: Profile, now_s: float) -> list[str]:
    """Tell everything that is known about a function's items.

    Args:
        profile: its statistics.
        now_s: seconds since 1970.
    """
    variance = profile.item.variance
    lines = named(
        [
            ("items seen", f"{profile.item.weight:,.0f}, the last {age(now_s - profile.updated_s)}"),
            ("an item takes", span(profile.item.mean)),
            ("standard deviation", None if variance is None else span(variance**0.5)),
            ("longest", span(profile.longest_s)),
            ("first call", if_known(profile.first_call_s, lambda seconds: f"{span(seconds)} longer than the others")),
            ("CPU share", if_known(profile.cpu_share, "{:.2f}".format)),
            ("GIL-free share", if_known(profile.gil_free_share, "{:.2f}".format)),
            ("first items of a call", if_known(profile.front, "{:.2f} times as long as all".format)),
            ("crowding", if_known(profile.crowding, "{:.0%} longer for each further process".format)),
            ("argument", if_known(profile.argument_bytes, size)),
            ("result", if_known(profile.result_bytes, size)),
            ("sending a result", if_known(profile.send_s, span)),
            ("memory of a worker", if_known(profile.worker_bytes, size)),
            ("items of a stream", if_known(profile.stream_items, "{:,.0f}".format)),
        ]
    )
    runs = [
        (
            _how(run.backend, run.n_jobs),
            f"{run.n_items:,}",
            f"{run.chunksize:,}",
            span(run.predicted_s),
            span(run.measured_s),
        )
        for run in reversed(profile.runs)
    ]
    return [*lines, "", *table(("LAST RUNS", "ITEMS", "CHUNKS", "PREDICTED", "MEASURED"), runs)] if runs else lines


def describe_plan(plan: Plan) -> list[str]:
    """Tell a plan: what, how long, why, and what was rejected."""
    how = _how(plan.backend, plan.n_jobs)
    lines = named(
        [
            ("plan", f"{how}, chunks of {plan.chunksize:,} at most" if plan.is_parallel else how),
            ("predicted", if_known(plan.predicted_s, span)),
            ("the loop", if_known(plan.serial_s, span)),
            ("reason", plan.reason),
        ]
    )
    rejected = [
        (_how(other.backend, other.n_jobs), if_known(other.predicted_s, span) or "unknown", other.why_not)
        for other in plan.alternatives
    ]
    return [*lines, "", *table(("REJECTED", "PREDICTED", "BECAUSE"), rejected)] if rejected else lines
