"""What all tests stand on: the leak check sees each kind of leak, and every fault is done by a test and shown."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

import amorsize.testing

pytest_plugins = "pytester"

TESTS = Path(__file__).parent
CONFTEST = TESTS / "conftest.py"

LEAKS = """
import mmap, os, signal, tempfile, threading

kept = []

def test_children():
    if os.fork() == 0:
        os._exit(0)

def test_threads():
    threading.Thread(target=threading.Event().wait, daemon=True).start()

def test_descriptors():
    os.open(os.devnull, os.O_RDONLY)

def test_memory_files():
    number = os.memfd_create("kept")
    os.truncate(number, 1)
    kept.append(mmap.mmap(number, 1))
    os.close(number)

def test_temp_files():
    tempfile.mkdtemp()

def test_signal_handlers():
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
"""

pytestmark = pytest.mark.slow


@pytest.mark.needs_fork
def test_a_test_that_leaves_something_behind_fails_and_says_what(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    pytester.makepyfile(LEAKS)
    outcome = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    outcome.assert_outcomes(passed=6, errors=6)
    for kind in ("children", "threads", "descriptors", "memory files", "temp files", "signal handlers"):
        outcome.stdout.re_match_lines([rf"E .*left behind: (.*; )?{kind}: "])


# ---- the table of faults

FAULTS: dict[str, str] = runpy.run_path(str(CONFTEST))["FAULTS"]

FAULTY = """
import pytest

@pytest.mark.fault("R1")
@pytest.mark.parametrize("way", ["fork over a list", "fork over an iterator", "spawn", "threads", "serial", "auto"])
def test_it_is_met(way):
    if way == "threads":
        pytest.skip("cannot occur")
    assert way != "spawn"

@pytest.mark.fault("R1", "R2")
class TestFork:
    def test_it_is_met_again(self):
        pass
"""


def marked_in(test_file: Path) -> set[str]:
    """Return the faults that tests of a file are marked with."""
    tree = ast.parse(test_file.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    marks = [call for call in calls if ast.unparse(call.func) == "pytest.mark.fault"]
    return {str(argument.value) for mark in marks for argument in mark.args if isinstance(argument, ast.Constant)}


def test_every_fault_is_done_by_a_test() -> None:
    assert set().union(*map(marked_in, TESTS.rglob("test_*.py"))) >= FAULTS.keys()


def test_what_the_contract_does_is_found_by_its_name() -> None:
    behaviours = dir(amorsize.testing.BackendContract)
    parts: dict[str, tuple[str, ...]] = runpy.run_path(str(TESTS / "contract" / "conftest.py"))["FAULTS"]
    assert parts.keys() <= FAULTS.keys()
    for part in [part for named in parts.values() for part in named]:
        assert any(part in behaviour for behaviour in behaviours), part


@pytest.fixture
def faulty(pytester: pytest.Pytester) -> Any:
    """Return a function that runs tests of faults and returns what that printed."""
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    pytester.makeini("[pytest]\nmarkers =\n    fault: which")

    def run(source: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(source)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *options)

    return run


def test_the_table_tells_for_each_fault_and_backend_how_many_tests_passed(faulty: Any) -> None:
    shown = faulty(FAULTY, "--fault-table").stdout
    passed = r"1  \d\.\d\d s"
    line = " +".join(["R1", "2" + passed[1:], passed, "1 FAIL", "skipped", passed, passed])
    shown.re_match_lines([f"{line}$", f"    {re.escape(FAULTS['R1'])}$", f"R2  {passed}$"])
    shown.fnmatch_lines(["R3  no test ran"])


def test_the_table_names_its_tests_where_that_is_asked_for(faulty: Any) -> None:
    faulty(FAULTY, "--fault-table", "-v").stdout.re_match_lines([" +.*.py::TestFork::test_it_is_met_again"])


def test_the_table_is_shown_where_it_is_asked_for(faulty: Any) -> None:
    faulty(FAULTY).stdout.no_fnmatch_line("*fault x backend*")


def test_a_fault_that_there_is_not_is_refused(faulty: Any) -> None:
    outcome = faulty(FAULTY.replace("R2", "R99"))
    assert outcome.ret == pytest.ExitCode.USAGE_ERROR
    outcome.stderr.fnmatch_lines(["*is marked with a fault that there is not: *R99*"])
