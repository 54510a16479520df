"""Where a fork would be dangerous it is refused, with the reason."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import types
from typing import TYPE_CHECKING

import pytest

from amorsize.engine import bare, safety

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.needs_fork


def reason() -> str:
    found = safety.refusal()
    assert found is not None
    return found


def test_nothing_is_refused_in_an_ordinary_program(fresh_python: Callable[..., str]) -> None:
    assert fresh_python("-c", "from amorsize.engine import safety; print(safety.refusal())") == "None\n"


@pytest.mark.fault("R11")
def test_another_thread_is_a_reason() -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert "1 other threads are alive" in reason()
    finally:
        done.set()
        thread.join()


@pytest.mark.fault("R11")
def test_a_thread_that_is_not_the_main_one_does_not_fork() -> None:
    found: list[str | None] = []
    thread = threading.Thread(target=lambda: found.append(safety.refusal()))
    thread.start()
    thread.join()
    assert found[0] is not None


@pytest.mark.fault("R11")
def test_a_native_thread_that_nobody_knows_is_a_reason(fresh_python: Callable[..., str]) -> None:
    source = """
import faulthandler
faulthandler.dump_traceback_later(600)  # its watchdog is a thread that Python does not list
from amorsize.engine import safety
print(safety.refusal())
"""
    assert "thread" in fresh_python("-c", source)


@pytest.mark.parametrize("name", safety.THREADS_THAT_SURVIVE)
def test_a_native_thread_that_its_library_stops_around_a_fork_is_none(
    name: bytes, fresh_python: Callable[..., str]
) -> None:
    source = f"""
import faulthandler, os
faulthandler.dump_traceback_later(600)
other = max(map(int, os.listdir("/proc/self/task")))
with open(f"/proc/self/task/{{other}}/comm", "wb") as comm:
    comm.write({name!r})
from amorsize.engine import safety
print(safety.refusal())
faulthandler.cancel_dump_traceback_later()
while len(os.listdir("/proc/self/task")) > 1:
    pass
faulthandler.dump_traceback_later(600)  # another one in its place
import colorsys
print(safety.refusal())
"""
    allowed, refused = fresh_python("-c", source).splitlines()
    assert allowed == "None"
    assert "thread" in refused


STRANGER = """
import ctypes, os
import numpy as np
from amorsize.engine import safety
square = np.ones((700, 700))
square @ square
print(safety.no_fork())
if not os.fork():
    os._exit(0)
os.wait()  # which has ended the threads of OpenBLAS, until there is more for them to do
ctypes.CDLL(None).pthread_create(ctypes.byref(ctypes.c_ulong()), None, ctypes.CDLL(None).pause, None)
others = set(os.listdir("/proc/self/task")) - {str(os.getpid())}
while others and "S (sleeping)" not in open(f"/proc/self/task/{max(others)}/status").read():
    pass  # until it waits
print(safety.no_fork())
square @ square
print(safety.no_fork())
"""


@pytest.mark.fault("R11")
@pytest.mark.filterwarnings("ignore:unclosed")
def test_threads_of_another_library_do_not_pass_for_those_of_blas_that_a_fork_has_ended(
    fresh_python: Callable[..., str],
) -> None:
    before, instead, beside = fresh_python("-W", "ignore", "-c", STRANGER).splitlines()
    assert before == "None"
    assert "1 native threads" in instead
    assert "native threads" in beside


@pytest.mark.fault("R11")
def test_where_a_pool_is_loaded_that_hangs_in_a_child_threads_at_work_do_not_pass_for_those_of_blas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = {"/proc/self/maps": b"7f00-7f10 r-xp 0 08:01 1 /lib/libopenblas.so\n7f10-7f20 rw-p 0 00:00 0 "}
    files |= {"/proc/self/task/5/syscall": b"running", "/proc/self/task/6/syscall": b"202 0x7f10 0x189 0x0 0x0"}
    monkeypatch.setattr(safety, "read_kernel_file", files.get)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert safety._threads_of_surviving_pools(["5", "6"]) == (2, True)
    files["/proc/self/maps"] += b"\n7f30-7f40 r-xp 0 08:01 1 /lib/libgomp-e985bcbb.so.1.0.0"
    assert safety._threads_of_surviving_pools(["5", "6"]) == (1, False)
    files["/proc/self/task/6/syscall"] = b"202 0x7f20 0x189 0x0 0x0"  # behind its data
    assert safety._threads_of_surviving_pools(["6"]) == (0, True)


@pytest.mark.parametrize("name", sorted(safety.FORK_UNSAFE))
def test_a_module_that_does_not_survive_a_fork_is_a_reason(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    assert name in reason()


@pytest.mark.parametrize("is_up", [True, False])
def test_torch_is_a_reason_only_with_a_cuda_context(*, is_up: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = types.ModuleType("torch.cuda")
    cuda.__dict__["is_initialized"] = lambda: is_up
    monkeypatch.setitem(sys.modules, "torch.cuda", cuda)
    assert ("CUDA" in (safety.refusal() or "")) is is_up


def test_a_tracer_is_a_reason() -> None:
    before = sys.gettrace()
    sys.settrace(lambda *_: None)
    try:
        found = safety.refusal()
    finally:
        sys.settrace(before)
    assert "debugger or tracer" in (found or "")


def test_a_debugger_that_uses_the_monitoring_events_is_a_reason() -> None:
    if sys.version_info < (3, 12):
        pytest.skip("sys.monitoring is new in Python 3.12")
    sys.monitoring.use_tool_id(sys.monitoring.DEBUGGER_ID, "a debugger")
    try:
        assert "debugger" in reason()
    finally:
        sys.monitoring.free_tool_id(sys.monitoring.DEBUGGER_ID)


@pytest.mark.fault("R13")
def test_a_worker_of_multiprocessing_stays_in_its_loop() -> None:
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=lambda: theirs.send(safety.refusal()))
    process.start()
    found = mine.recv()
    process.join()
    process.close()
    mine.close()
    theirs.close()
    assert "multiprocessing worker" in found


@pytest.mark.parametrize(("method", "is_refused"), [("spawn", True), ("forkserver", True), ("fork", False)])
def test_a_programs_choice_of_a_start_method_is_respected(
    *, method: str, is_refused: bool, fresh_python: Callable[..., str]
) -> None:
    source = f"""
import multiprocessing
multiprocessing.set_start_method({method!r})
from amorsize.engine import safety
print(safety.refusal())
"""
    assert (method in fresh_python("-c", source)) is is_refused


def test_multiprocessing_that_was_only_imported_is_no_reason(fresh_python: Callable[..., str]) -> None:
    source = "import multiprocessing\nfrom amorsize.engine import safety\nprint(safety.refusal())"
    assert fresh_python("-c", source) == "None\n"


def test_the_threads_of_a_blas_pool_that_survives_a_fork_are_no_reason(fresh_python: Callable[..., str]) -> None:
    pytest.importorskip("numpy")
    source = """
import numpy
numpy.ones((300, 300)) @ numpy.ones((300, 300))
from amorsize.engine import safety
print(safety.refusal())
"""
    assert fresh_python("-c", source) == "None\n"


def test_a_platform_without_a_safe_fork_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "darwin" in reason()


def test_a_python_without_memory_files_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    assert "memory files" in reason()


@pytest.mark.fault("R21")
def test_children_of_the_users_own_are_no_reason() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert safety.refusal() is None
    finally:
        child.communicate(b"\n")


@pytest.mark.fault("R11")
def test_threads_of_the_program_are_not_waited_for_like_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a thread of the user's, every call after one with threads of ours would take 20 ms longer."""
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    monkeypatch.setattr(bare, "sleep", pytest.fail)
    bare.Threads()
    try:
        assert "other threads are alive" in (safety.refusal() or "")
    finally:
        done.set()
        other.join()


def test_threads_with_less_stack_than_the_main_one_has_are_a_reason() -> None:
    before = threading.stack_size(64 << 10)
    try:
        assert safety.thread_refusal() == "threads have a stack of 64 kB here, less than this one"
    finally:
        threading.stack_size(before)
    assert safety.thread_refusal() is None


DEEP = """
import resource, sys, threading
from amorsize.advice.clearance import how_to_start
from amorsize.engine.safety import thread_refusal
from amorsize.identity.reach import reach_with

_, hard = resource.getrlimit(resource.RLIMIT_STACK)
resource.setrlimit(resource.RLIMIT_STACK, ({main_bytes}, hard))
threading.stack_size({thread_bytes})
sys.setrecursionlimit({levels})
answers = lambda: print(thread_refusal(), "|", how_to_start("spawn", abs, reach_with(abs, ()))[2])
if {in_main}:
    answers()
else:
    thread = threading.Thread(target=answers)
    thread.start()
    thread.join()
"""


@pytest.mark.parametrize(
    ("levels", "main_bytes", "thread_bytes", "in_main", "told"),
    [
        (1000, 64 << 20, 0, True, "None | None"),
        (10**6, 8 << 20, 0, True, "None | None"),
        (10**6, 64 << 20, 0, True, "threads have a stack of 8192 kB here, less than this one | None"),
        (10**6, 64 << 20, 64 << 20, True, "None | None"),
        (1000, 8 << 20, 64 << 20, False, "None | None"),
        (10**6, 8 << 20, 0, False, "None | None"),
        (10**6, 8 << 20, 64 << 20, False, "None | fresh interpreters have a stack of 8192 kB, less than this thread"),
        (10**6, 64 << 20, 64 << 20, False, "None | None"),
    ],
)
def test_so_are_threads_and_interpreters_with_less_stack_than_a_program_that_recurses_deep_has_made_room_for(
    levels: int, main_bytes: int, thread_bytes: int, *, in_main: bool, told: str, fresh_python: Callable[..., str]
) -> None:
    source = DEEP.format(levels=levels, main_bytes=main_bytes, thread_bytes=thread_bytes, in_main=in_main)
    assert fresh_python("-c", source) == f"{told}\n"


IN_A_SUBINTERPRETER = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
number = interpreters.create("legacy") if {new} else interpreters.create(isolated=False)
interpreters.run_string(number, {source!r})
interpreters.destroy(number)
"""


@pytest.mark.fault("R11")
def test_a_sub_interpreter_does_not_fork(fresh_python: Callable[..., str]) -> None:
    source = f"import sys; sys.path[:] = {sys.path!r}; from amorsize.engine import safety; print(safety.no_fork())"
    source = IN_A_SUBINTERPRETER.format(source=source, new=sys.version_info >= (3, 13))
    assert fresh_python("-c", source) == "this is not the main thread\n"
