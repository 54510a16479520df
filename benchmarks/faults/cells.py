"""What was seen of one contender under one fault, and the words for it. Pure: no clock, no process."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.faults.cases import Case, Setting

_LONG_CHARS = 2_000
_ENOUGH_MB = 64.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One contender under one fault.

    Attributes:
        case: its name.
        peer: the contender's name.
        why_not: why it could not be tried; None where it was.
        seconds: until it answered, or was gone; None where it did neither in time.
        limit_s: how long it was given.
        answer: `right` or `wrong`; None where it gave none.
        error: name of the exception that it raised.
        text: the exception's text, notes and causes, cut.
        n_chars: of the whole text.
        names_status: whether that tells how a worker ended.
        names_item: whether it tells the item.
        n_kept: finished results that the caller has in hand after the error.
        n_finished: items that were finished in all; None where they were not counted.
        n_called: items that were begun; None where they were not counted.
        n_after: items that were begun after the fault from outside.
        has_ended: whether the program ended by itself within the limit.
        n_orphans: of its processes alive some time after that.
        orphans_s: seconds after which these were looked for, or the last was gone.
        growth_mb: growth of the program's own memory.
        n_imports: how often `__main__` was run.
        n_lines: lines on stderr.
        n_tracebacks: tracebacks among them.
    """

    case: str
    peer: str
    why_not: str | None = None
    seconds: float | None = None
    limit_s: float = 0.0
    answer: str | None = None
    error: str | None = None
    text: str = ""
    n_chars: int = 0
    names_status: bool = False
    names_item: bool = False
    n_kept: int = 0
    n_finished: int | None = None
    n_called: int | None = None
    n_after: int = 0
    has_ended: bool = True
    n_orphans: int = 0
    orphans_s: float = 0.0
    growth_mb: float = 0.0
    n_imports: int = 0
    n_lines: int = 0
    n_tracebacks: int = 0

    @property
    def hangs(self) -> bool:
        """Whether it gave no answer in time."""
        return self.why_not is None and self.seconds is None

    def is_bad(self, case: Case) -> bool:
        """Whether a program that meets this fault is left without an answer, with a wrong one, or with processes."""
        if case.setting in (Setting.ENDLESS, Setting.ENDLESS_STREAM):
            return self.answer == "wrong" or self.n_orphans > 0 or self.growth_mb > _ENOUGH_MB
        return self.hangs or self.answer == "wrong" or self.n_orphans > 0 or not self.has_ended


def words_of(cell: Cell, case: Case) -> str:
    """Return a cell of the table."""
    if cell.why_not is not None:
        return cell.why_not
    if case.setting in (Setting.ENDLESS, Setting.ENDLESS_STREAM):
        return f"grew by {cell.growth_mb:,.0f} MB in {cell.limit_s:g} s, {cell.n_called or 0:,} items run" + _left(cell)
    said = {
        Setting.INTERRUPTED_GROUP: _interrupted,
        Setting.INTERRUPTED_PARENT: _interrupted,
        Setting.KILLED_PARENT: _parent_killed,
    }.get(case.setting, _answered)(cell, case)
    return said + _left(cell)


def _answered(cell: Cell, case: Case) -> str:
    storm = f", __main__ run {cell.n_imports:,} times" if cell.n_imports > 1 else ""
    noise = f", {cell.n_lines} lines on stderr" if case.setting is Setting.NO_GUARD and cell.n_lines else ""
    if cell.seconds is None:
        return f"HANG, ended after {cell.limit_s:g} s" + storm + noise
    if cell.answer is not None:
        return ("right answer" if cell.answer == "right" else "WRONG ANSWER") + storm + noise
    parts = [cell.error or "ended without an answer"]
    if case.tells_deaths:
        parts.append("says how it died" if cell.names_status else "not how it died")
    if case.tells_item:
        parts.append("names the item" if cell.names_item else "not the item")
    if cell.n_chars > _LONG_CHARS:
        parts.append(f"{cell.n_chars:,} characters")
    if cell.n_called is not None:
        parts.append(f"{cell.n_called} items run")
    if cell.n_finished is not None:
        parts.append(f"{cell.n_kept} of {cell.n_finished} finished results kept" if cell.n_kept else "results lost")
    return ", ".join(parts) + storm + noise


def _interrupted(cell: Cell, _case: Case) -> str:
    if cell.seconds is None:
        return f"HANG, still running after {cell.limit_s:g} s"
    return f"gone, {cell.n_tracebacks} traceback{'s' * (cell.n_tracebacks != 1)}, {cell.n_lines} lines"


def _parent_killed(cell: Cell, _case: Case) -> str:
    if cell.n_orphans:
        return f"{cell.n_after} more items"
    return f"all gone after {cell.orphans_s:.3f} s, {cell.n_after} more items"


def _left(cell: Cell) -> str:
    ended = "" if cell.has_ended or cell.seconds is None else ", then does not end"
    if not cell.n_orphans:
        return ended
    return f"{ended}, {cell.n_orphans} ORPHAN{'S' * (cell.n_orphans > 1)} alive after {cell.orphans_s:.3g} s"
