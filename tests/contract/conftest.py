"""What every backend does, and what cannot occur: `python -m pytest tests/contract -q --contract-table` prints it."""

from __future__ import annotations

import pytest

FAULTS = {
    "R1": ("a_worker_that_dies", "works_after_a_death", "a_death_in_a_stream", "a_death_is_a_result"),
    "R2": ("whose_worker_died_is_tried_again", "kills_again_and_again"),
    "R3": ("an_argument_that_cannot_be_pickled", "a_result_that_cannot_be_pickled"),
    "R4": ("an_exception_that_cannot_be_pickled", "an_exception_that_its_arguments_do_not_rebuild"),
    "R5": ("names_the_item", "below_a_failure", "after_a_failure", "lowest_failing", "a_lower_item"),
    "R6": ("what_usually_ends_a_program",),
    "R7": ("an_iterable_that_breaks", "whose_iterable_breaks"),
    "R8": ("ctrl_c", "an_interrupt"),
    "R10": ("no_more_items_are_pulled", "a_buffer_of_one", "an_endless_iterator", "nothing_is_pulled"),
    "R12": ("every_kind_of_function",),
    "R13": ("a_call_inside_a_call", "two_threads"),
    "R20": ("takes_too_long",),
}
"""Parts of the names of behaviours that meet a fault: those are public, and bear no mark that only these tests know."""

MARKS = {"passed": "yes", "failed": "FAILS", "error": "FAILS", "xfailed": "open"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--contract-table", action="store_true", help="print backend x behaviour at the end")


def pytest_itemcollected(item: pytest.Item) -> None:
    for fault, parts in FAULTS.items():
        if any(part in item.name for part in parts):
            item.add_marker(pytest.mark.fault(fault))


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
