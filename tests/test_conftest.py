"""The check that a test left nothing behind sees each kind of thing that can be left."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = "pytester"

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


@pytest.mark.needs_fork
def test_a_test_that_leaves_something_behind_fails_and_says_what(pytester: pytest.Pytester) -> None:
    pytester.makeconftest((Path(__file__).parent / "conftest.py").read_text(encoding="utf-8"))
    pytester.makepyfile(LEAKS)
    outcome = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    outcome.assert_outcomes(passed=6, errors=6)
    for kind in ("children", "threads", "descriptors", "memory files", "temp files", "signal handlers"):
        outcome.stdout.re_match_lines([rf"E .*left behind: (.*; )?{kind}: "])
