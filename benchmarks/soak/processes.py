"""The processes of a soak: how they are started, found and ended."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import psutil

from benchmarks.launch import AT_ROOT, command, environment, timings_in

MARK = "BENCHMARKS_SOAK_HOME"
"""Environment variable that tells the processes of a soak from all others."""

_LOOK_S = 5e-3
ONE_ARENA = {"MALLOC_ARENA_MAX": "1"}
"""The C library keeps freed memory for every thread there ever was, up to eight arenas a core: after 14,000 runs, of
which some use threads, 93 MB. With one arena, what grows is Python's: 36 MB after 300 runs and after 2,000."""

GONE_S = 2.0
"""Seconds after which no process of a killed program may be left: they need milliseconds, on a full machine more."""


def start(home: str, program: str, *arguments: str, stderr: int | None = None) -> subprocess.Popen[bytes]:
    """Start a program of this package, with pipes, in a session of its own."""
    temp_directory = Path(home, "tmp")
    temp_directory.mkdir(exist_ok=True)
    return subprocess.Popen(
        command(AT_ROOT + program, *arguments),
        env={**environment(home), **ONE_ARENA, MARK: home + ":" + program, "TMPDIR": str(temp_directory)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,
    )


def store_of(home: str) -> str:
    """Return the directory of the store that all of them share."""
    return timings_in(home)


def children(pid: int) -> list[int]:
    """Return the children of a process."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:  # a kernel without them, or no Linux
        pass
    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.Error:
        return []


def survivors(home: str, program: str = "") -> list[psutil.Process]:
    """Return the processes of a soak, or of one program of it, that run."""
    found = []
    for process in psutil.process_iter():
        try:
            is_alive = process.status() != psutil.STATUS_ZOMBIE
            if is_alive and process.environ().get(MARK, "").startswith(home + ":" + program):
                found.append(process)
        except (psutil.Error, OSError):
            continue  # not ours to look into, or gone meanwhile
    return found


def gone(home: str, program: str = "") -> list[str]:
    """Wait for the end of all such processes; return those that survive."""
    until_s = time.perf_counter() + GONE_S
    while left := survivors(home, program):
        if time.perf_counter() > until_s:
            return [str(process) for process in left]
        time.sleep(_LOOK_S)
    return []


def end_all(home: str) -> None:
    """Kill what is left of a soak."""
    while left := survivors(home):
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(left, timeout=1.0)


def signalled(pid: int, number: int) -> bool:
    """Send a signal; return whether there was somebody to get it."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
