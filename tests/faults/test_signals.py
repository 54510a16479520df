"""R8 and R9: Ctrl-C, SIGINT to the caller only, SIGTERM, a terminal that is closed, a caller that is killed.

Here they come to calls whose items are sent (over an iterator, as a stream, to fresh interpreters) and from a real
terminal. The rest is held elsewhere. Workers forked over a list, all of R8 and R9, and what was finished before Ctrl-C:
`tests/engine/test_endings.py`. Spawned workers that are busy, that rest and that start:
`tests/engine/spawn/test_spawn_endings.py`. Ctrl-C with threads: `tests/test_threads.py`. SIGINT to all and to the
caller, for every backend: the contract's `Endings`.

All processes of a program share its standard output: that this ends shows that nobody is left.
"""

from __future__ import annotations

import importlib.util
import os
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., subprocess.Popen[bytes]]
    Lines = Callable[[subprocess.Popen[bytes], int], list[str]]
    Watch = Callable[[int], Callable[[], bool]]

termios = pytest.importorskip("termios")

PROGRAM = """
import os, sys, time
from pathlib import Path
from amorsize import pimap, pmap
from amorsize.testing.items import Gate

def work(item):
    os.write(1, b"%d\\n" % os.getpid())
    BUSY
    return item
"""

FORK, SPAWN = 'isolate=True, n_jobs=2, start_method="fork"', 'isolate=True, n_jobs=2, start_method="spawn"'
THREADS = 'backend="thread", n_jobs=2'

CALLS = {
    "fork over a list": f"pmap(work, range(20), {FORK})",
    "fork over an iterator": f"pmap(work, iter(range(20)), {FORK})",
    "fork, a stream": f"list(pimap(work, iter(range(20)), {FORK}))",
    "spawn": f"pmap(work, range(20), {SPAWN})",
    "spawn, a stream": f"list(pimap(work, iter(range(20)), {SPAWN}))",
    "threads": f"pmap(work, range(20), {THREADS})",
    "the loop": 'pmap(work, range(20), backend="serial")',
}

SENT = ("fork over an iterator", "fork, a stream", "spawn", "spawn, a stream")
PROCESSES = ("fork over a list", *SENT)
QUICK = ("fork over an iterator", "spawn")
"""One of each engine that sends items: the others are tested where time is no matter."""

BUSY = {
    "in C code that holds the GIL": "sum(range(10**12))",
    "in Python code": "while True: pass",
    "in a system call": "time.sleep(600)",
}
IN_C, *_ = BUSY


def cases(calls: tuple[str, ...], quick: tuple[str, ...] = QUICK) -> list[object]:
    """Name calls as parameters: those that are not quick are slow, and forks are skipped where there are none."""
    return [
        pytest.param(
            call,
            marks=[*[pytest.mark.slow] * (call not in quick), *[pytest.mark.needs_fork] * call.startswith("fork")],
        )
        for call in calls
    ]


def source(call: str, busy: str) -> str:
    return PROGRAM.replace("BUSY", busy) + CALLS[call] + "\n"


def shared_memory() -> set[str]:
    return set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()


@pytest.fixture
def terminal() -> Iterator[list[int]]:
    """The two ends of a terminal: the person's and the program's; those that a test has closed it takes out."""
    ends = list(os.openpty())
    yield ends
    for end in ends:
        os.close(end)


CAN_END_C_CODE = importlib.util.find_spec("fcntl") is not None and hasattr(os, "pidfd_open")

IN_TERMINAL = """
import fcntl, signal, termios
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where nohup runs these tests
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # it leads a session of its own: from here on, this is the terminal of all of it
"""


# ---- R9: the caller is killed


@pytest.mark.fault("R9")
@pytest.mark.parametrize("busy", [pytest.param(busy, marks=[pytest.mark.slow] * (busy != IN_C)) for busy in BUSY])
@pytest.mark.parametrize("call", cases(SENT))
def test_workers_die_with_a_caller_that_is_killed(
    call: str, busy: str, start: Start, lines_of: Lines, watch: Watch
) -> None:
    before = shared_memory()
    program = start(source(call, BUSY[busy]))
    pids = {int(pid) for pid in lines_of(program, 2)}
    ends = [watch(pid) for pid in pids]
    os.kill(program.pid, signal.SIGKILL)
    assert [end() for end in ends] == [True, True]
    assert shared_memory() <= before


# ---- R8: Ctrl-C


def assert_one_traceback(program: subprocess.Popen[bytes]) -> None:
    _, errors = program.communicate()
    told = errors.decode()
    assert told.count("Traceback (most recent call last)") == 1, told
    assert told.rstrip().splitlines()[-1].startswith(("KeyboardInterrupt", "amorsize: "))
    assert program.returncode == -signal.SIGINT


@pytest.mark.fault("R8")
@pytest.mark.parametrize("call", cases(tuple(CALLS), ("fork over a list", "spawn")))
def test_ctrl_c_at_a_terminal_ends_everything_with_one_traceback(
    call: str, start: Start, lines_of: Lines, terminal: list[int]
) -> None:
    person, its_end = terminal
    program = start(IN_TERMINAL + source(call, "time.sleep(600)"), stdin=its_end)
    lines_of(program, 1 if call == "the loop" else 2)
    os.write(person, b"\x03")
    assert_one_traceback(program)


@pytest.mark.fault("R8")
@pytest.mark.slow
@pytest.mark.parametrize("call", cases(PROCESSES))
def test_ctrl_c_at_a_terminal_does_not_wait_for_c_code_that_holds_the_gil(
    call: str, start: Start, lines_of: Lines, terminal: list[int]
) -> None:
    person, its_end = terminal
    program = start(IN_TERMINAL + source(call, BUSY[IN_C]), stdin=its_end)
    lines_of(program, 2)
    os.write(person, b"\x03")
    assert_one_traceback(program)


@pytest.mark.fault("R8")
@pytest.mark.slow
@pytest.mark.parametrize("call", cases(SENT))
@pytest.mark.parametrize("busy", BUSY)
def test_sigint_to_the_caller_only_ends_everything_with_one_traceback(
    call: str, busy: str, start: Start, lines_of: Lines
) -> None:
    program = start(source(call, BUSY[busy]))
    lines_of(program, 2)
    os.kill(program.pid, signal.SIGINT)
    assert_one_traceback(program)


@pytest.mark.fault("R8")
@pytest.mark.parametrize("call", cases(PROCESSES, ("fork over an iterator",)))
def test_a_terminal_that_is_closed_ends_everything(
    call: str, start: Start, lines_of: Lines, watch: Watch, terminal: list[int]
) -> None:
    program = start(IN_TERMINAL + source(call, BUSY[IN_C]), stdin=terminal[1])
    ends = [watch(int(pid)) for pid in lines_of(program, 2)]
    os.close(terminal.pop(0))
    assert [end() for end in ends] == [True, True]
    assert program.wait() == -signal.SIGHUP


# ---- R8: SIGTERM


@pytest.mark.fault("R8")
@pytest.mark.parametrize(
    "to_group", [pytest.param(True, marks=pytest.mark.slow), False], ids=["to all", "to the caller"]
)
@pytest.mark.skipif(not CAN_END_C_CODE, reason="only Linux ends a worker in C code that holds the GIL")
@pytest.mark.parametrize("call", cases(SENT))
def test_sigterm_ends_a_program_silently_and_its_workers_with_it(
    call: str, to_group: bool, start: Start, lines_of: Lines
) -> None:
    program = start(source(call, BUSY[IN_C]))
    lines_of(program, 2)
    (os.killpg if to_group else os.kill)(program.pid, signal.SIGTERM)
    _, errors = program.communicate()
    assert (program.returncode, errors) == (-signal.SIGTERM, b"")


@pytest.mark.fault("R8")
@pytest.mark.slow
@pytest.mark.parametrize("call", cases((*SENT, "the loop")))
def test_a_handler_that_exits_ends_everything_with_its_status(call: str, start: Start, lines_of: Lines) -> None:
    program = start("signal.signal(signal.SIGTERM, lambda *_: exit(9))\n" + source(call, "time.sleep(600)"))
    lines_of(program, 1 if call == "the loop" else 2)
    program.terminate()
    _, errors = program.communicate()
    assert (program.returncode, errors.decode()) == (9, "")


@pytest.mark.fault("R8")
@pytest.mark.parametrize("call", cases(tuple(CALLS), ("fork over a list",)))
@pytest.mark.parametrize(
    ("number", "kill"),
    [
        (signal.SIGTERM, os.killpg),
        pytest.param(signal.SIGTERM, os.kill, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, os.killpg, marks=pytest.mark.slow),
    ],
    ids=["SIGTERM to all", "SIGTERM to the caller", "Ctrl-C"],
)
def test_a_handler_that_takes_note_lets_the_call_go_on(
    call: str,
    number: signal.Signals,
    kill: Callable[[int, int], None],
    start: Start,
    lines_of: Lines,
    tmp_path: Path,
) -> None:
    """Items wait until the handler has run in the caller."""
    program = start(f"""
import amorsize
from pathlib import Path
from amorsize.testing.items import Gate
path = Path({str(tmp_path / "gate")!r})
gate = Gate(path)
signal.signal({int(number)}, lambda *_: gate.open())
{PROGRAM.replace("BUSY", "GATE.wait() if item in (0, 1) else None")}
GATE = gate
found = {CALLS[call]}
os.write(2, repr(found == list(range(20))).encode())
""")
    lines_of(program, 1 if call == "the loop" else 2)
    kill(program.pid, number)
    _, told = program.communicate()
    assert (program.returncode, told.decode()) == (0, "True")
