"""What every backend does, and what cannot occur: `python -m pytest tests/contract -q --contract-table` prints it."""

from __future__ import annotations

import pytest

MARKS = {"passed": "yes", "failed": "FAILS", "error": "FAILS", "xfailed": "open"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--contract-table", action="store_true", help="print backend x behaviour at the end")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.getoption("--contract-table"):
        return
    table, reasons = table_of(terminalreporter.stats)
    backends = list(dict.fromkeys(backend for row in table.values() for backend in row))
    width = max([len(behaviour) for behaviour in table], default=0)
    terminalreporter.section("backend x behaviour")
    terminalreporter.line(" " * width + "".join(f"  {backend:<13}" for backend in backends).rstrip())
    for behaviour, row in table.items():
        cells = "".join(f"  {row.get(backend, ''):<13}" for backend in backends)
        terminalreporter.line(f"{behaviour:<{width}}{cells}".rstrip())
    for reason, number in reasons.items():
        terminalreporter.line(f"({number}) {reason}")


def table_of(stats: dict[str, list[object]]) -> tuple[dict[str, dict[str, str]], dict[str, int]]:
    """Return a cell for each behaviour and backend, the worst of its cases, and the reasons of what cannot occur."""
    table: dict[str, dict[str, str]] = {}
    reasons: dict[str, int] = {}
    for outcome in ("passed", "skipped", "xfailed", "failed", "error"):  # what comes later is worse
        for report in stats.get(outcome, []):
            if not isinstance(report, pytest.TestReport):
                continue
            parts = report.nodeid.split("::")
            if len(parts) < 3:
                continue
            mark = MARKS.get(outcome, "")
            if outcome == "skipped" and isinstance(report.longrepr, tuple):
                reason = report.longrepr[2].removeprefix("Skipped: ")
                mark = f"- ({reasons.setdefault(reason, len(reasons) + 1)})"
            behaviour = parts[2].partition("[")[0].removeprefix("test_").replace("_", " ").replace(" s ", "'s ")
            table.setdefault(behaviour, {})[parts[1].removeprefix("Test")] = mark
    return dict(sorted(table.items())), reasons
