"""System calls that fail for ever, SQLite's own included (faults.md R19): the kernel refuses them, as a filter asks.

What Python calls is counted and refused one by one in `test_nth_operation`; what SQLite calls, nobody sees from here. A
filter (seccomp) can only be put on, so each case is a forked child that is thrown away.
"""

from __future__ import annotations

import errno
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    pytest.mark.fault("R19"),
    pytest.mark.needs_fork,
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or platform.machine() != "x86_64", reason="the numbers are of one machine"
    ),
]

CALLS = {
    "read": 0, "stat": 4, "fstat": 5, "lstat": 6, "lseek": 8, "pread64": 17, "pwrite64": 18, "access": 21, "fcntl": 72,
    "flock": 73, "fsync": 74, "fdatasync": 75, "ftruncate": 77, "getcwd": 79, "rename": 82, "mkdir": 83, "rmdir": 84,
    "unlink": 87, "getdents64": 217, "openat": 257, "newfstatat": 262, "getrandom": 318,
}  # fmt: skip
"""All that a session asks of the kernel and that can fail, but memory and closing."""

ERRORS = {
    "openat": ("EACCES", "EMFILE", "ENOSPC"),
    "pwrite64": ("EIO", "ENOSPC", "EFBIG"),
    "fcntl": ("EACCES", "ENOLCK"),
}

SESSIONS = """
import ctypes, os, struct, sys, traceback
from contextlib import suppress
from amorsize.store.base import StoreError
from amorsize.store.disk import DiskStore
import amorsize.store.safe_disk

ALLOW, REFUSE, IF_EQUAL, LOAD, RETURN = 0x7fff0000, 0x00050000, 0x15, 0x20, 0x06
libc = ctypes.CDLL(None, use_errno=True)

def refuse(number, error):
    lines = [(LOAD, 0, 0, 0), (IF_EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE | error), (RETURN, 0, 0, ALLOW)]
    code = b"".join(struct.pack("HBBI", *line) for line in lines)
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("HxxxxxxP", len(lines), ctypes.addressof(buffer))
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
        os._exit(77)

def count(facts):
    return {"n": (facts or {"n": 0})["n"] + 1}

def session(store, done, deletes=True):
    for n_updates in (1, 2):
        store.update({"a": count})
        known = store.read(["a", "old"])
        assert known.get("a", {"n": 1})["n"] in range(1, n_updates + done + 1), known
        assert known.get("old") in (None, {"n": 7}), known
    with suppress(StoreError):
        assert dict(store.entries()).keys() <= {"a", "old"}
    assert store.size_bytes >= 0
    store.flush(0.0)
    if deletes:
        with suppress(StoreError):
            store.delete(["old"])
    store.close()

def case(directory, number, error, is_open):
    store = DiskStore(directory)
    if is_open:
        store.update({"old": lambda _: {"n": 7}, "a": count})
        store.read(["a"])
    refuse(number, error)
    session(store, done=int(is_open), deletes=number != 72)  # without locks, it is tried for seconds
    assert store.problem is None or number not in (74, 75), "something waits for the disk"

def warm(directory):
    store = DiskStore(directory)
    session(store, done=0)

warm(sys.argv[1] + "/warm")
for case_number, line in enumerate(sys.stdin):
    name, number, error, is_open = line.split()
    directory = f"{sys.argv[1]}/{case_number}"
    pid = os.fork()
    if not pid:
        try:
            case(directory, int(number), int(error), is_open == "True")
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    after = DiskStore(directory)
    is_well = after.update({"new": count}) and after.read(["new"]) == {"new": {"n": 1}}
    after.close()
    print(name, error, is_open, status, is_well, flush=True)
"""


@pytest.mark.slow
def test_a_system_call_that_is_refused_for_ever_costs_what_was_known_at_most(
    fresh_python_fed: Callable[[str, str, str], str], home: Path
) -> None:
    cases = [
        (name, number, getattr(errno, error), is_open)
        for name, number in CALLS.items()
        for error in ERRORS.get(name, ("EIO",))
        for is_open in (False, True)
    ]
    lines = "".join(f"{name} {number} {error} {is_open}\n" for name, number, error, is_open in cases)
    said = fresh_python_fed(SESSIONS, str(home), lines).splitlines()
    if said and said[0].split()[3] == "77":
        pytest.skip("no filter may be put on here")
    assert said == [f"{name} {error} {is_open} 0 True" for name, _, error, is_open in cases]


@pytest.fixture
def fresh_python_fed() -> Callable[[str, str, str], str]:
    """Return a function that runs a program in a fresh interpreter, and gives it words to read."""
    root = str(Path(__file__).resolve().parents[2])

    def run(program: str, argument: str, words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, argument],
            input=words,
            env={**os.environ, "PYTHONPATH": root},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    return run
