"""What a worker has of its caller, and what it must not share with it."""

from __future__ import annotations

import gc
import io
import os
import random
import signal
import subprocess
import sys
import types
import warnings
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from amorsize import AmorsizeWarning, errors, pmap

if sys.platform != "linux" or not hasattr(os, "fork") or not hasattr(os, "memfd_create"):
    pytest.skip("forked workers exist on Linux only", allow_module_level=True)

from amorsize.engine import lifeline
from amorsize.engine.fork import WOKEN, Elsewhere, ForkedWorker, start_workers
from amorsize.engine.held import Held
from amorsize.engine.lifeline import Lifeline
from amorsize.engine.watch import CELLS_PER_WORKER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from amorsize.testing.items import Gate

    Gates = tuple[Gate, Gate]

pytestmark = pytest.mark.needs_fork

INTERRUPT_ME = "import signal; signal.raise_signal(signal.SIGINT)"


def in_a_worker(look: Callable[[], object]) -> object:
    """Return what a function returns in a worker."""
    (found,) = pmap(lambda _: look(), [0], isolate=True, n_jobs=1)
    return found


def in_two_workers(look: Callable[[], object], gates: Gates) -> list[object]:
    """Return what a function returns in each of two workers that live at the same time."""

    def meet_and_look(item: int) -> object:
        gates[item].open()
        gates[1 - item].wait()
        return look()

    return pmap(meet_and_look, [0, 1], isolate=True, n_jobs=2, chunksize=1)


def test_what_the_caller_has_in_memory_is_there_and_was_not_sent() -> None:
    class Unsendable:
        def __reduce__(self) -> str:
            raise RuntimeError("nobody may pickle this")

    items = [Unsendable() for _ in range(10)]
    assert pmap(lambda item: items.index(item), items, isolate=True, n_jobs=2) == list(range(10))


def test_what_a_worker_changes_does_not_reach_the_caller() -> None:
    seen: list[int] = []
    pmap(seen.append, range(10), isolate=True, n_jobs=2)
    assert seen == []


@pytest.mark.fault("R8")
def test_a_worker_leaves_ctrl_c_to_the_caller() -> None:
    def be_interrupted() -> str:
        signal.raise_signal(signal.SIGINT)
        return "unharmed"

    assert in_a_worker(be_interrupted) == "unharmed"


def test_a_program_that_an_item_runs_listens_to_ctrl_c() -> None:
    def run_a_program() -> int:
        return subprocess.run([sys.executable, "-c", INTERRUPT_ME], stderr=subprocess.DEVNULL, check=False).returncode

    assert in_a_worker(run_a_program) == -signal.SIGINT


@pytest.fixture
def handled_signal() -> Iterator[signal.Signals]:
    """A signal that the caller handles, and a wake-up descriptor."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    before = signal.signal(signal.SIGUSR2, lambda *_: None)
    wakeup = signal.set_wakeup_fd(write_end)
    yield signal.SIGUSR2
    signal.set_wakeup_fd(wakeup)
    signal.signal(signal.SIGUSR2, before)
    os.close(read_end)
    os.close(write_end)


def test_the_callers_signal_handlers_do_not_run_in_a_worker() -> None:
    before = signal.signal(signal.SIGIO, lambda *_: None)
    try:
        assert in_a_worker(lambda: signal.getsignal(signal.SIGIO)) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGIO, before)


def test_a_worker_leaves_a_signal_for_all_processes_to_the_caller(handled_signal: signal.Signals) -> None:
    def be_told() -> str:
        signal.raise_signal(handled_signal)
        return "unharmed"

    assert in_a_worker(be_told) == "unharmed"


@pytest.mark.usefixtures("handled_signal")
def test_a_signal_to_a_worker_does_not_wake_the_callers_event_loop() -> None:
    assert in_a_worker(lambda: signal.set_wakeup_fd(-1)) == -1


def test_an_ignored_signal_stays_ignored_in_a_worker() -> None:
    before = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    try:
        assert in_a_worker(lambda: signal.getsignal(signal.SIGUSR2)) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_the_callers_signal_mask_is_the_workers_and_is_left_as_it_was() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        mask = in_a_worker(lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        assert mask == signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before | {signal.SIGUSR2}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_the_callers_handlers_are_in_place_after_a_call() -> None:
    before = [signal.getsignal(number) for number in sorted(signal.valid_signals())]
    pmap(abs, range(10), isolate=True, n_jobs=2)
    assert [signal.getsignal(number) for number in sorted(signal.valid_signals())] == before


def test_a_worker_holds_nothing_of_its_siblings(gates: Gates) -> None:
    def memory_files() -> set[int]:
        shown = "/proc/self/fd"
        found = set()
        for name in os.listdir(shown):
            try:
                if "amorsize-results" in os.readlink(f"{shown}/{name}"):
                    found.add(os.stat(f"{shown}/{name}").st_ino)
            except FileNotFoundError:
                continue  # the descriptor that listed the directory
        return found

    first, second = in_two_workers(memory_files, gates)
    assert isinstance(first, set)
    assert isinstance(second, set)
    assert len(first) == len(second) == 1
    assert first != second


def test_each_worker_has_its_own_random_numbers(gates: Gates) -> None:
    random.seed(1)
    first, second = in_two_workers(random.random, gates)
    assert first != second


def test_each_worker_has_its_own_random_numbers_of_torch(gates: Gates, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = types.ModuleType("torch")
    monkeypatch.setitem(sys.modules, "torch", torch)
    generator = torch.__dict__["default_generator"] = random.Random(1)
    first, second = in_two_workers(generator.random, gates)
    assert first != second


def test_each_worker_has_its_own_random_numbers_of_numpys(gates: Gates) -> None:
    numpy = pytest.importorskip("numpy")
    numpy.random.seed(1)
    first, second = in_two_workers(lambda: float(numpy.random.random()), gates)
    assert first != second


def test_the_callers_objects_are_kept_out_of_the_workers_garbage_collection() -> None:
    before = gc.get_freeze_count()
    assert int(str(in_a_worker(gc.get_freeze_count))) > before
    assert gc.get_freeze_count() == before


def test_a_new_worker_may_soon_use_every_cpu_of_its_caller() -> None:
    usable = os.sched_getaffinity(0)

    def wait_for_all_cpus() -> bool:
        while os.sched_getaffinity(0) != usable:  # at its very start it is kept off the caller's own
            pass
        return True

    assert in_a_worker(wait_for_all_cpus)


def test_the_caller_looks_once_where_it_runs_however_many_workers_start(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    look = os.sched_getaffinity

    def note_and_look(pid: int) -> set[int]:
        looked.append(os.getpid())
        return look(pid)

    monkeypatch.setattr(os, "sched_getaffinity", note_and_look)
    workers: list[ForkedWorker] = []
    with closing(Lifeline()) as line:
        cells = memoryview(bytearray(3 * CELLS_PER_WORKER * 8)).cast("q")
        start_workers(lambda _outbox, _number: None, 3, cells, line, workers, Held())
        for worker in workers:
            worker.close()
    assert looked == [os.getpid()]
    assert len(workers) == 3


def test_only_the_first_of_many_workers_are_named_where_to_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    named: list[int] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(64)))
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, _cpus: named.append(pid))
    elsewhere = Elsewhere()
    for pid in range(2 * WOKEN):
        elsewhere.wake(pid)
    assert sorted(set(named)) == list(range(WOKEN))


def test_where_every_cpu_gets_a_worker_the_last_one_may_begin_on_the_callers_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named: list[tuple[int, set[int]]] = []
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cpus: named.append((pid, set(cpus))))
    usable = os.sched_getaffinity(0)
    elsewhere = Elsewhere()
    for pid in range(len(usable)):
        elsewhere.wake(pid)
    n_others = min(WOKEN, len(usable) - 1)
    assert sorted({pid for pid, _ in named}) == list(range(n_others))
    assert [cpus for _, cpus in named[1::2]] == [usable] * n_others  # and all get all CPUs back


@pytest.mark.parametrize("made", ["list", "iter"])
def test_a_worker_loads_no_module_that_its_caller_could_have_loaded_for_all(
    made: str, fresh_python: Callable[..., str]
) -> None:
    printed = fresh_python(
        "-c",
        f"""
import sys
import warnings
from amorsize import pmap
(found,) = pmap(lambda _: set(sys.modules), {made}([0]), backend="process", isolate=True, n_jobs=1)
print(sorted(found - set(sys.modules)))
""",
    )
    assert printed == "[]\n"


@pytest.mark.fault("R9")
def test_a_worker_whose_caller_died_before_it_could_tie_its_life_to_it_ends_at_once() -> None:
    read_end, write_end = os.pipe()
    os.close(write_end)
    pid = os.fork()
    if not pid:
        try:
            lifeline.hold(read_end)
        finally:
            os._exit(7)
    os.close(read_end)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


def test_an_exit_function_of_the_callers_does_not_run_in_workers(fresh_python: Callable[..., str]) -> None:
    printed = fresh_python(
        "-c",
        """
import atexit
from amorsize import pmap
atexit.register(print, "bye")
print(pmap(abs, range(4), isolate=True, n_jobs=2))
""",
    )
    assert printed.splitlines() == ["[0, 1, 2, 3]", "bye"]


@pytest.mark.parametrize("items", [list, iter])
@pytest.mark.parametrize("given", [{"backend": "process"}, {"retries": 1, "backend": "process"}])
def test_where_the_interpreter_forks_no_more_the_call_is_a_loop(
    items: Callable[[range], Any], given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> int:
        raise RuntimeError("can't fork at interpreter shutdown")  # as Python 3.12 does in exit functions

    monkeypatch.setattr(os, "fork", refuse)
    monkeypatch.setattr(errors, "_warned", set())
    with pytest.warns(AmorsizeWarning, match="can't fork at interpreter shutdown"):
        assert pmap(abs, items(range(20)), n_jobs=2, **given) == list(range(20))


def test_what_is_printed_before_in_and_after_a_call_appears_once(
    fresh_python: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    printed = fresh_python(
        "-c",
        """
import sys
import warnings
from amorsize import pmap
sys.stdout.write("before\\n")  # stays in the buffer: standard output is no terminal here
pmap(lambda item: sys.stdout.write(f"item {item}\\n"), range(20), isolate=True, n_jobs=2)
print("after")
""",
    )
    lines = printed.splitlines()
    assert sorted(lines) == sorted(["before", "after", *(f"item {item}" for item in range(20))])
    assert (lines[0], lines[-1]) == ("before", "after")


def test_what_finished_items_have_printed_is_there_when_another_one_fails(
    fresh_python: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker that had printed it is killed: its item comes behind the one that fails."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    printed = fresh_python(
        "-c",
        """
import time
from amorsize import pmap

def work(item):
    print("item", item)
    if item == 20:
        raise ValueError
    if item == 21:
        time.sleep(600)
    return item

try:
    pmap(work, range(40), isolate=True, n_jobs=2, chunksize=1)
except ValueError as error:
    print(*error.finished)
""",
    )
    *items, finished = printed.splitlines()
    assert {f"item {index}" for index in finished.split()} <= set(items)


@pytest.mark.parametrize("items", ["range(20)", "iter(range(20))"])
def test_an_item_may_set_an_alarm_that_the_program_handles(items: str, fresh_python: Callable[..., str]) -> None:
    printed = fresh_python(
        "-c",
        f"""
import signal, time
from amorsize import pmap

class Slow(Exception):
    pass

def on_alarm(*_):
    raise Slow

def work(item):
    signal.setitimer(signal.ITIMER_REAL, 0.01 if item % 5 == 0 else 600)
    try:
        time.sleep(600 if item % 5 == 0 else 0)
        return item
    except Slow:
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)

signal.signal(signal.SIGALRM, on_alarm)
print(pmap(work, {items}, isolate=True, n_jobs=2) == [item if item % 5 else None for item in range(20)])
""",
    )
    assert printed == "True\n"


@pytest.mark.parametrize("code", ["0", "'no'"])
@pytest.mark.parametrize(
    "given",
    [
        "",
        "isolate=True",
        "isolate=True, timeout=60",
        'backend="process", n_jobs=2',
        'isolate=True, start_method="spawn"',
    ],
)
def test_a_child_that_an_item_has_forked_ends_as_in_the_loop(
    given: str, code: str, fresh_python: Callable[..., str]
) -> None:
    """It finds itself in the middle of the engine, with all that its parent has open."""
    printed = fresh_python(
        "-c",
        f"""
import os, sys
from amorsize import pmap

def work(item):
    sum(range(20_000))
    pid = os.fork()
    if not pid:
        sys.stderr = None
        sys.exit({code})
    return item, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

caller = os.getpid()
found = pmap(work, range(30), {given})
if os.getpid() == caller:
    print(found == [(item, {code if code.isdigit() else 1}) for item in range(30)])
""",
    )
    assert printed == "True\n"


PRINTS_INTO_NOTHING = """
import os, warnings
from amorsize import pmap

def shout(item):
    print("item", item)
    return item

told = os.dup(1)
os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for items in (range(20), iter(range(20))):
        found = pmap(shout, items, isolate=True, n_jobs=2, start_method={start_method!r}, cache=False)
        assert found == list(range(20))
os.write(told, "; ".join([str(warning.message) for warning in caught]).encode())
"""


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_output_of_items_that_finds_no_room_is_told(
    fresh_python: Callable[..., str], start_method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # where set, to print fails in the item
    found = fresh_python("-c", PRINTS_INTO_NOTHING.format(start_method=start_method))
    assert found == "a worker could not write what its items print: [Errno 28] No space left on device"


class Refusing(io.StringIO):
    def flush(self) -> None:
        raise RuntimeError("not connected")


@pytest.mark.parametrize("items", [list, iter])
def test_a_standard_stream_that_refuses_to_be_flushed_costs_nobody_the_results(
    items: Callable[[range], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Refusing())
    assert pmap(abs, items(range(20)), isolate=True, n_jobs=2) == list(range(20))


def test_a_program_without_standard_streams_gets_its_results(fresh_python: Callable[..., str]) -> None:
    printed = fresh_python(
        "-c",
        """
import os, sys
from amorsize import pmap
kept, sys.stdout, sys.stderr = sys.stdout, None, None
found = pmap(abs, [-1, -2], isolate=True)
sys.stdout = kept
print(found)
""",
    )
    assert printed == "[1, 2]\n"


def test_a_warning_of_newer_pythons_about_forks_is_not_shown() -> None:
    if sys.version_info < (3, 12):
        pytest.skip("older Pythons do not warn")
    assert in_a_worker(lambda: 1) == 1  # a warning would be an error here


def test_what_was_shown_once_is_not_shown_again_after_a_fork() -> None:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        filters = list(warnings.filters)
        for _ in range(2):
            warnings.warn("shown", UserWarning, stacklevel=1)
            pmap(abs, range(4), backend="process", n_jobs=2, start_method="fork", isolate=True)
        assert list(warnings.filters) == filters
    assert [str(each.message) for each in found] == ["shown"]
