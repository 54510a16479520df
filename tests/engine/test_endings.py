"""However a program ends, its workers end with it, and one traceback is enough.

All processes of a program share its standard output: that this ends shows that nobody is left.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    Start = Callable[[str], subprocess.Popen[bytes]]
    Lines = Callable[[subprocess.Popen[bytes], int], list[str]]
    Watch = Callable[[int], Callable[[], bool]]

pytestmark = pytest.mark.needs_fork

ANNOUNCE = """
import os, sys, time
from amorsize import pmap

def announce(item):
    os.write(1, b"%d\\n" % os.getpid())
"""

BUSY = {
    "in Python code": "while True: pass",
    "in C code that holds the GIL": "sum(range(10**12))",
    "in a system call": "time.sleep(600)",
}


def busy_program(busy: str, call: str = "pmap(work, range(100), isolate=True, n_jobs=3, chunksize=1)") -> str:
    return f"""{ANNOUNCE}
def work(item):
    announce(item)
    {busy}

{call}
"""


@pytest.mark.fault("R9")
@pytest.mark.parametrize("busy", BUSY.values(), ids=BUSY.keys())
def test_workers_die_with_a_caller_that_is_killed(busy: str, start: Start, lines_of: Lines, watch: Watch) -> None:
    program = start(busy_program(busy))
    ends = [watch(int(pid)) for pid in lines_of(program, 3)]
    os.kill(program.pid, signal.SIGKILL)
    assert [end() for end in ends] == [True, True, True]


@pytest.mark.fault("R9")
def test_workers_die_with_a_caller_that_computes_and_is_killed(start: Start, lines_of: Lines, watch: Watch) -> None:
    call = 'pmap(work, range(100), backend="process", n_jobs=2, chunksize=1, cache=False)'
    program = start(busy_program("sum(range(10**12))", call))
    pids = {int(pid) for pid in lines_of(program, 2)}
    ends = [watch(pid) for pid in pids - {program.pid}]
    os.kill(program.pid, signal.SIGKILL)
    assert [end() for end in ends] == [True] * len(ends) != []


@pytest.mark.fault("R8")
def test_workers_die_with_a_caller_whose_sigterm_has_no_handler(start: Start, lines_of: Lines, watch: Watch) -> None:
    program = start(busy_program("sum(range(10**12))"))
    ends = [watch(int(pid)) for pid in lines_of(program, 3)]
    program.terminate()
    assert [end() for end in ends] == [True, True, True]
    assert program.wait() == -signal.SIGTERM


@pytest.mark.fault("R8")
def test_a_sigterm_handler_of_the_users_own_decides(start: Start, lines_of: Lines) -> None:
    program = start(
        "signal.signal(signal.SIGTERM, lambda *_: exit(9))\n" + busy_program("sum(range(10**12))"),
    )
    lines_of(program, 3)
    program.terminate()
    _, errors = program.communicate()
    assert (program.returncode, errors) == (9, b"")


@pytest.mark.fault("R8")
@pytest.mark.parametrize("to", ["the group", "the caller only"])
@pytest.mark.parametrize("busy", ["time.sleep(600)", "sum(range(10**12))"])
def test_ctrl_c_ends_everything_with_one_traceback(to: str, busy: str, start: Start, lines_of: Lines) -> None:
    program = start(busy_program(busy))
    lines_of(program, 3)
    if to == "the group":
        os.killpg(program.pid, signal.SIGINT)
    else:
        os.kill(program.pid, signal.SIGINT)
    _, errors = program.communicate()
    assert errors.count(b"Traceback (most recent call last)") == 1
    assert errors.rstrip().splitlines()[-1].startswith((b"KeyboardInterrupt", b"amorsize: "))
    assert program.returncode == -signal.SIGINT


@pytest.mark.fault("R8")
def test_ctrl_c_while_the_caller_computes_ends_everything_with_one_traceback(start: Start, lines_of: Lines) -> None:
    call = 'pmap(work, range(100), backend="process", n_jobs=2, chunksize=1, cache=False)'
    program = start(busy_program("time.sleep(600)", call))
    lines_of(program, 2)
    os.killpg(program.pid, signal.SIGINT)
    _, errors = program.communicate()
    assert errors.count(b"Traceback (most recent call last)") == 1
    assert b"KeyboardInterrupt" in errors


@pytest.mark.fault("R8")
def test_after_ctrl_c_the_finished_results_are_in_reach(start: Start, lines_of: Lines) -> None:
    program = start(f"""{ANNOUNCE}
def work(item):
    if item == 5:
        announce(item)
        time.sleep(600)
    return item

try:
    pmap(work, range(10), isolate=True, n_jobs=1, chunksize=1)
except KeyboardInterrupt as interrupt:
    print(sorted(interrupt.finished.items()))
print(pmap(abs, [-1], isolate=True))
""")
    lines_of(program, 1)
    os.kill(program.pid, signal.SIGINT)
    printed, errors = program.communicate()
    assert printed.decode().splitlines() == [str([(index, index) for index in range(5)]), "[1]"]
    assert errors == b""


def test_a_program_that_stops_listening_to_a_worker_ends_it(start: Start) -> None:
    program = start(f"""{ANNOUNCE}
def work(item):
    if item == 0:
        raise ValueError("the first")
    return bytes(1000)  # the caller does not read these any more

try:
    pmap(work, range(100_000), isolate=True, n_jobs=2)
except ValueError as error:
    print(error)
""")
    printed, errors = program.communicate()
    assert (printed, errors) == (b"the first\n", b"")


@pytest.mark.parametrize("given", ["", ', backend="process"', ', backend="thread"', ", isolate=True", ", timeout=600"])
def test_a_program_may_end_in_the_middle_of_a_stream(given: str, start: Start) -> None:
    program = start(f"""
import time
from amorsize import pimap

stream = pimap(time.sleep, iter([0.001] * 10**6){given})
for _ in range(200):
    next(stream)
print("the end")
""")
    assert (program.communicate(), program.returncode) == ((b"the end\n", b""), 0)


@pytest.mark.fault("R9")
def test_workers_of_two_streams_at_once_do_not_keep_each_other_alive(start: Start, watch: Watch) -> None:
    """The second worker of the first stream was forked where the line to those of the second one is open."""
    program = start("""
import time
from amorsize.engine.fed.forked import ForkedCrew
from amorsize.engine.held import Held
from amorsize.inline import Work
from amorsize.engine.message import BEGUN, READY, TASK

one, other = (ForkedCrew(Work(time.sleep, ([600],)), Held()) for _ in range(2))
seats = one.hire(1) + other.hire(1) + one.hire(1)
for seat in seats:
    seat.link.send(TASK, 0, 1, 1.0)
    seat.link.end.setblocking(True)
    messages = seat.link.receive()
    assert [next(messages).kind, next(messages).kind] == [READY, BEGUN]
print(*[seat.pid for seat in seats], flush=True)
time.sleep(600)
""")
    assert program.stdout is not None
    ends = [watch(int(pid)) for pid in program.stdout.readline().split()]
    os.kill(program.pid, signal.SIGKILL)
    assert [end() for end in ends] == [True, True, True]


@pytest.mark.fault("R9")
def test_a_forked_child_that_lives_on_does_not_keep_the_workers_of_a_stream_alive(start: Start, watch: Watch) -> None:
    program = start("""
import os, time
from amorsize import pimap

stream = pimap(lambda _: os.getpid(), iter(range(10**6)), isolate=True, n_jobs=2)
workers = {next(stream) for _ in range(20)}
child = os.fork() or time.sleep(600)
print(child, *workers, flush=True)
time.sleep(600)
""")
    assert program.stdout is not None
    child, *workers = (int(pid) for pid in program.stdout.readline().split())
    ends = [watch(worker) for worker in workers]
    os.kill(program.pid, signal.SIGKILL)
    assert all(end() for end in ends)
    os.kill(child, signal.SIGKILL)


@pytest.mark.fault("R8")
@pytest.mark.parametrize("items", ["range(20)", "iter(range(20))"])
def test_a_stream_that_an_exit_function_goes_on_with_says_that_its_workers_were_ended(
    items: str, fresh_python: Callable[..., str]
) -> None:
    printed = fresh_python(
        "-c",
        f"""
import atexit, time
from amorsize import WorkerDied, pimap

def work(item):
    time.sleep(60 if item == 1 else 0)
    return item

stream = pimap(work, {items}, isolate=True, n_jobs=2)

def go_on():
    found = [0]
    try:
        found += stream
    except WorkerDied as error:
        print(error)
    assert found == list(range(len(found)))

atexit.register(go_on)
next(stream)
""",
    )
    assert "the program has ended its workers" in printed


@pytest.mark.parametrize("given", ["", ', backend="process"', ', backend="thread"'])
@pytest.mark.parametrize("call", ["pmap", "sum_of_pimap"])
def test_a_program_that_ends_beside_a_thread_in_a_call_is_silent(call: str, given: str, start: Start) -> None:
    """As where that thread is in a loop: it stops where it is."""
    program = start(f"""
import threading, time
from amorsize import pimap, pmap

def sum_of_pimap(*args, **options):
    return sum(map(bool, pimap(*args, **options)))

has_begun = threading.Event()

def work(seconds):
    time.sleep(seconds)
    return seconds

def items():
    for number in range(10**6):
        if number == 100:
            has_begun.set()
        yield 0.001

threading.Thread(target=lambda: {call}(work, items(){given}, n_jobs=2), daemon=True).start()
has_begun.wait()
print("the end")
""")
    assert (program.communicate(), program.returncode) == ((b"the end\n", b""), 0)
