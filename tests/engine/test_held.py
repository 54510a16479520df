"""Signal handlers wait where an exception out of nowhere would lose something, and have their turn right afterwards."""

from __future__ import annotations

import gc
import inspect
import os
import signal
import sys
import threading
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import amorsize
from amorsize.clocks import count_now
from amorsize.engine.held import Held
from amorsize.engine.safety import _threads_of_surviving_pools
from amorsize.identity.cgroup import read_text
from amorsize.store.disk import DiskStore
from amorsize.store.place import network_file_system
from amorsize.testing import Holdings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

    from amorsize.engine.job import Job


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Have SIGINT raise KeyboardInterrupt, whatever the shell that runs the tests has it do."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_handler_waits_for_the_end_of_the_block() -> None:
    steps = []

    def go_on() -> None:
        with Held():
            signal.raise_signal(signal.SIGINT)
            steps.append("went on")
        steps.append("never reached")

    with pytest.raises(KeyboardInterrupt):
        go_on()
    assert steps == ["went on"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.needs_fork
def test_what_a_server_in_c_does_at_an_interrupt_stays(fresh_python: Callable[..., str]) -> None:
    source = """
import ctypes, signal, sys, types
from amorsize import pmap
sys.modules["uwsgi"] = types.ModuleType("uwsgi")
signal.signal(signal.SIGINT, signal.default_int_handler)
ctypes.CDLL(None).signal(signal.SIGINT, ctypes.c_void_p(int(signal.SIG_IGN)))  # Python does not learn of it
print(pmap(abs, range(9), n_jobs=2, backend="process") == list(range(9)))
signal.raise_signal(signal.SIGINT)
print("ignored")
"""
    assert fresh_python("-c", source) == "True\nignored\n"


def test_who_holds_a_signal_back_can_ask_whether_one_waits() -> None:
    held = Held()
    seen = [held.awaited]

    def look() -> None:
        with held:
            seen.append(held.awaited)
            signal.raise_signal(signal.SIGINT)
            seen.append(held.awaited)

    with pytest.raises(KeyboardInterrupt):
        look()
    assert [*seen, held.awaited] == [False, False, True, False]


def test_a_signal_whose_handler_was_taken_back_since_does_what_it_does_by_default(start: Callable[..., Any]) -> None:
    program = start("""
import os, signal
from amorsize.engine.held import Held
signal.signal(signal.SIGTERM, print)
held = Held()
signal.signal(signal.SIGTERM, signal.SIG_DFL)
with held:
    os.kill(os.getpid(), signal.SIGTERM)
    print("went on", flush=True)
print("never reached")
""")
    assert program.communicate() == (b"went on\n", b"")
    assert program.returncode == -signal.SIGTERM


def test_every_signal_that_came_is_answered_by_its_own_handler_with_its_frame() -> None:
    came: list[tuple[int, str]] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append((number, frame.f_code.co_name)))  # type: ignore[union-attr]
    try:
        with Held():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            assert came == []
    finally:
        signal.signal(signal.SIGTERM, before)
    here = "test_every_signal_that_came_is_answered_by_its_own_handler_with_its_frame"
    assert came == [(signal.SIGTERM, here)] * 2


def test_a_handler_that_raises_keeps_no_other_from_its_turn() -> None:
    came: list[int] = []

    def be_told_twice() -> None:
        with Held():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        with pytest.raises(KeyboardInterrupt):
            be_told_twice()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert came == [signal.SIGTERM]


def test_what_the_block_raises_is_not_lost_behind_an_interrupt() -> None:
    def fail() -> None:
        with Held():
            signal.raise_signal(signal.SIGINT)
            raise ValueError("of the block")

    with pytest.raises(KeyboardInterrupt) as caught:
        fail()
    assert isinstance(caught.value.__context__, ValueError)


def test_of_several_handlers_that_raise_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    coming = [signal.SIGTERM]
    raised = iter([SystemExit("on the way in"), SystemExit("on the way out")])

    def end(*_: object) -> None:
        raise next(raised)

    def change(number: int, handler: Any) -> Any:
        if number == signal.SIGINT and coming:  # the first to be changed, and the last to be given back
            signal.raise_signal(coming.pop())
        return signal.signal(number, handler)

    def be_told() -> None:
        with held:
            signal.raise_signal(signal.SIGINT)
            coming.append(signal.SIGTERM)
            raise ValueError("of the block")

    before = signal.signal(signal.SIGTERM, end)
    try:
        held = Held()
        monkeypatch.setattr(
            "amorsize.engine.held.signal",
            SimpleNamespace(signal=change, getsignal=signal.getsignal, SIGINT=signal.SIGINT),
        )
        with pytest.raises(KeyboardInterrupt) as caught:
            be_told()
    finally:
        signal.signal(signal.SIGTERM, before)
    chain: list[BaseException] = [caught.value]
    while chain[-1].__context__ is not None:
        chain.append(chain[-1].__context__)
    assert [str(error) for error in chain] == ["", "on the way out", "on the way in", "of the block"]


def test_signals_without_a_handler_in_python_keep_their_disposition() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with Held():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_outside_the_main_thread_there_is_nothing_to_hold_back() -> None:
    found: list[object] = []

    def look() -> None:
        with Held():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]


HOLD = """
import signal, sys
sys.path[:] = {path!r}
from amorsize.engine.held import Held
before = signal.getsignal(signal.SIGINT)
with Held():
    print(signal.getsignal(signal.SIGINT) is before, flush=True)
"""

BY_A_THREAD = """
import _thread, signal, sys
sys.modules.pop("threading", None)

def work():
    try:
        import threading  # takes this thread for the main one
        exec({hold!r})
    finally:
        over.release()

signal.signal(signal.SIGINT, signal.default_int_handler)
over = _thread.allocate_lock()
over.acquire()
_thread.start_new_thread(work, ())
over.acquire()
"""

IN_A_SUBINTERPRETER = """
import signal
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
signal.signal(signal.SIGINT, signal.default_int_handler)
number = interpreters.create("legacy") if {new} else interpreters.create(isolated=False)
interpreters.run_string(number, "import threading\\n" + {hold!r})
interpreters.destroy(number)
"""


@pytest.mark.parametrize("program", [BY_A_THREAD, IN_A_SUBINTERPRETER], ids=["first thread", "sub-interpreter"])
def test_where_python_lets_nobody_change_handlers_none_is_held(fresh_python: Callable[..., str], program: str) -> None:
    hold = HOLD.format(path=sys.path)
    source = program.format(hold=hold, new=sys.version_info >= (3, 13))
    assert fresh_python("-c", source) == "True\n"


def interrupting_at(moment: int, act: Callable[[], object]) -> int:
    """Run `act` and press Ctrl-C at the given call or return in it; return how many there were until the end."""
    count, caller = 0, os.getpid()

    def press(frame: FrameType, event: str, argument: Any) -> None:  # Any: at a C call, the function
        nonlocal count
        if not str(frame.f_globals.get("__name__")).startswith("amorsize."):
            return  # of a callback of the garbage collector, say, which nobody can raise out of
        if event == "c_call":
            return  # a signal is looked for when a function in C has returned, not before it is called
        if event in ("call", "return") and frame.f_code.co_flags & inspect.CO_GENERATOR:
            return  # also where one is closed or yields: no signal is looked for there, and no `finally` would run
        if event == "c_call" and argument.__module__ == "gc":
            return  # signals are looked for when it is over; only a call that waits is given up for one
        count += 1
        if count == moment and os.getpid() == caller:
            signal.raise_signal(signal.SIGINT)

    sys.setprofile(press)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.needs_fork
@pytest.mark.parametrize("every", [23, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("caller_computes", [False, True])
def test_ctrl_c_at_any_moment_of_a_call_leaves_nothing_behind(
    job: Callable[..., Job], every: int, *, caller_computes: bool
) -> None:
    from amorsize.engine.supervise import run

    def call() -> None:
        assert run(task)
        task.collector.raise_failure()
        assert task.collector.ordered() == list(range(12))

    descriptors = os.listdir("/proc/self/fd")
    n_interrupted, moment = 0, 1
    while True:
        task: Any = job(int, range(12), n_jobs=2, chunksize=2, item_s=1e-5, caller_computes=caller_computes)
        try:
            n_moments = interrupting_at(moment, call)
        except KeyboardInterrupt:
            n_interrupted += 1
        else:
            if moment > n_moments:
                break
        assert os.listdir("/proc/self/fd") == descriptors
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        with pytest.raises(ChildProcessError):
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        moment += every
    assert n_interrupted


def streamed(**options: Any) -> None:
    with amorsize.pimap(abs, iter(range(12)), n_jobs=2, chunksize=2, retries=1, cache=False, **options) as stream:
        assert list(stream) == list(range(12))


def supervised(**options: Any) -> None:
    assert amorsize.pmap(abs, range(12), n_jobs=2, chunksize=2, retries=1, cache=False, **options) == list(range(12))


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # Ctrl-C right after `open`: closed by itself
@pytest.mark.parametrize("every", [97, pytest.param(11, marks=pytest.mark.slow)])
@pytest.mark.parametrize("act", [streamed, supervised])
@pytest.mark.parametrize(
    "backend",
    [
        pytest.param({"backend": "process", "start_method": "fork"}, id="fork", marks=pytest.mark.needs_fork),
        pytest.param({"backend": "process", "start_method": "spawn"}, id="spawn"),
        pytest.param({"backend": "thread"}, id="thread"),
    ],
)
def test_ctrl_c_at_any_moment_of_a_fed_call_leaves_nothing_behind(
    act: Callable[..., None], backend: dict[str, Any], every: int, tmp_path: Path
) -> None:
    act(**backend)
    amorsize.shutdown()
    n_interrupted, moment = 0, 1
    while True:
        before = Holdings.now(tmp_path)
        try:
            n_moments = interrupting_at(moment, lambda: act(**backend))
        except KeyboardInterrupt:
            n_interrupted += 1
        else:
            if moment > n_moments:
                break
        amorsize.shutdown()
        assert not Holdings.now(tmp_path).beyond(before), f"at moment {moment}"
        assert gc.isenabled()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        moment += every
    assert n_interrupted


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # Ctrl-C right after `open`: closed by itself
@pytest.mark.parametrize("every", [13, pytest.param(1, marks=pytest.mark.slow)])
def test_ctrl_c_at_any_moment_of_a_look_into_the_store_leaves_nothing_open(every: int, tmp_path: Path) -> None:
    written = DiskStore(str(tmp_path / "timings"))
    assert written.update({"key": lambda _: {"count": 1}})
    written.close()
    n_interrupted, moment = 0, 1
    while True:
        store = DiskStore(str(tmp_path / "timings"))
        before = Holdings.now()
        try:
            n_moments = interrupting_at(moment, lambda: store.read(["key"]))  # noqa: B023  # called at once
        except KeyboardInterrupt:
            n_interrupted += 1
        else:
            if moment > n_moments:
                break
        store.close()
        gc.collect()  # of SQLite's connections, which refer to themselves
        assert not Holdings.now().beyond(before), f"at moment {moment}"
        moment += every
    assert n_interrupted


LOOKS: dict[str, Callable[[], object]] = {
    "count": count_now,
    "kernel file": lambda: read_text("/proc/self/status"),
    "no kernel file": lambda: read_text("/proc/self/none"),
    "file systems": lambda: network_file_system("/proc"),
    "pools": lambda: _threads_of_surviving_pools(os.listdir("/proc/self/task")),
    "store": lambda: DiskStore(os.path.expanduser("~/timings")).read(["key"]),
}
"""What a call looks at, where nothing that it misses is an error."""


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # a signal right after `open`: closed by itself
@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_timeout_of_the_program_s_own_comes_out_of_a_look_at_any_moment(
    look: Callable[[], object], home: Path
) -> None:
    def end(*_: object) -> None:
        raise TimeoutError("the program's own")

    DiskStore(str(home / "timings")).update({"key": lambda _: {"count": 1}})
    signal.signal(signal.SIGINT, end)
    lost: list[int] = []
    for moment in count(1):
        try:
            if moment > interrupting_at(moment, look):
                break
            lost.append(moment)
        except TimeoutError:
            continue
    gc.collect()  # of SQLite's connections, which refer to themselves
    assert lost == []


def test_in_another_thread_it_holds_nothing_and_returns() -> None:
    """A stream may be begun in the main thread and dropped in another, which must not wait for ever."""
    held, passed = Held(), threading.Event()

    def use() -> None:
        with held:
            passed.set()

    thread = threading.Thread(target=use, daemon=True)
    thread.start()
    thread.join(20)
    assert passed.is_set()
