"""One call from its first item to its report: what is known, what is decided, what is kept."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import logging
import os
import random
import signal
import socket
import sys
import threading
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import amorsize.feeding
import amorsize.identity.function
from amorsize import AmorsizeWarning, errors, parallelizable, pmap
from amorsize.advice import knowledge
from amorsize.calibration.costs import Costs
from amorsize.call import Call
from amorsize.engine.job import Job
from amorsize.identity.code import code_facts
from amorsize.identity.machine import capacity
from amorsize.inline import advance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from types import CodeType

    from amorsize.identity.code import CodeFacts
    from amorsize.records import RunReport

pytestmark = pytest.mark.usefixtures("undisturbed")


@parallelizable
def burn(n: int) -> int:
    return sum(range(n))


@parallelizable
def whose(n: int) -> int:
    sum(range(n))
    return os.getpid()


def report(func: Any) -> RunReport:
    last: RunReport | None = func.last_run
    assert last is not None
    return last


def affine(x: int) -> int:
    return 3 * x + 1


plans = st.fixed_dictionaries(
    {},
    optional={
        "n_jobs": st.sampled_from(["auto", 1, 2, 3, -1]),
        "chunksize": st.sampled_from(["auto", 1, 7]),
        "backend": st.sampled_from(["auto", "process"]),
        "isolate": st.booleans(),
    },
)


@pytest.mark.needs_fork
@settings(max_examples=40, deadline=None)
@given(items=st.lists(st.integers(), max_size=60), plan=plans, as_iterator=st.booleans())
def test_every_plan_gives_what_the_loop_gives(items: list[int], plan: dict[str, Any], as_iterator: bool) -> None:
    assert pmap(affine, iter(items) if as_iterator else items, **plan) == [affine(item) for item in items]


@pytest.mark.needs_fork
@pytest.mark.parametrize("options", [{}, {"n_jobs": 2, "backend": "process"}, {"isolate": True}], ids=str)
@pytest.mark.parametrize("as_iterator", [False, True], ids=["list", "generator"])
def test_each_item_is_called_exactly_once(options: dict[str, Any], as_iterator: bool, tmp_path: Path) -> None:
    def work(item: int) -> int:
        with open(tmp_path / "calls", "ab", buffering=0) as calls:
            calls.write(b"%d\n" % item)
        return sum(range(10_000)) * 0 + item

    for _ in ("cold", "warm"):
        (tmp_path / "calls").write_bytes(b"")
        items = iter(range(400)) if as_iterator else range(400)
        assert pmap(work, items, **options) == list(range(400))
        assert sorted(map(int, (tmp_path / "calls").read_bytes().split())) == list(range(400))


@pytest.mark.needs_fork
@pytest.mark.usefixtures("gaining")
def test_a_call_that_pays_starts_workers_and_a_small_one_does_not() -> None:
    pids = whose.pmap([50_000] * 400)
    assert report(whose).backend == "process"
    assert set(pids) > {os.getpid()}


def test_a_small_call_starts_nothing() -> None:
    assert set(pmap(lambda n: os.getpid() + 0 * n, range(1000))) == {os.getpid()}


@pytest.mark.needs_fork
@pytest.mark.usefixtures("gaining")
def test_the_second_call_samples_nothing() -> None:
    burn.pmap([20_000] * 50)
    assert report(burn).n_sampled
    burn.pmap([20_000] * 80)
    assert report(burn).n_sampled == 0
    assert "items" in report(burn).reason


@pytest.mark.usefixtures("computing")
def test_what_is_left_at_the_end_is_no_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    one_by_one = lambda work, results, timings, _size, _until_s: advance(work, results, timings, 1, 0.0)  # noqa: E731
    monkeypatch.setattr("amorsize.call.advance", one_by_one)
    monkeypatch.setattr("amorsize.call.Call.is_time_to_ask", True)
    burn.pmap([1] * 5)
    assert "only one item" not in report(burn).reason
    burn.pmap([1])
    assert "only one item" in report(burn).reason


def test_small_and_large_numbers_are_known_apart() -> None:
    small, large = [1] * 2000, [1_000_000] * 10
    for items in (small, large, small):
        burn.pmap(items)
    of_small, of_large = burn.explain(small).serial_s, burn.explain(large * 200).serial_s
    assert of_small is not None
    assert of_large is not None
    assert of_large > 100 * of_small


def test_without_the_cache_every_call_samples_again() -> None:
    for _ in range(2):
        burn.pmap([20_000] * 50, cache=False)
        assert report(burn).n_sampled


def test_nothing_is_written_where_the_environment_turns_the_store_off(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setenv("AMORSIZE_CACHE", "0")
    burn.pmap([20_000] * 50)
    assert not (home / ".cache").exists()


def test_a_disabled_amorsize_is_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMORSIZE_DISABLE", "1")
    assert set(whose.pmap([20_000] * 200, n_jobs=2, backend="process")) == {os.getpid()}
    assert "AMORSIZE_DISABLE" in report(whose).reason
    assert "AMORSIZE_DISABLE" in whose.explain([1]).reason


@pytest.mark.needs_fork
def test_the_environments_ceiling_is_above_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMORSIZE_N_JOBS", "1")
    assert set(whose.pmap([20_000] * 200, n_jobs=2)) == {os.getpid()}


def nest(n: int) -> tuple[int, str]:
    burn.pmap([20_000] * 400)
    return n, report(burn).reason


@pytest.mark.fault("R13")
@pytest.mark.needs_fork
@pytest.mark.usefixtures("gaining")
def test_a_call_inside_a_worker_stays_in_the_loop() -> None:
    for index, (n, reason) in enumerate(pmap(nest, range(4), isolate=True, n_jobs=2)):
        assert n == index
        assert "inside another" in reason


@pytest.mark.fault("R21")
@pytest.mark.needs_fork
@pytest.mark.usefixtures("gaining")
def test_a_live_socket_keeps_the_call_in_the_loop_and_is_named() -> None:
    left, right = socket.socketpair()

    def ask(n: int) -> int:
        assert left.fileno() > 0
        return whose(n)

    with left, right, pytest.warns(AmorsizeWarning, match=r"left \(socket\.socket\).*Open or make it inside"):
        assert set(pmap(ask, [20_000] * 300)) == {os.getpid()}


@pytest.mark.fault("R21")
@pytest.mark.needs_fork
@pytest.mark.usefixtures("gaining")
def test_a_cached_connection_keeps_the_call_in_the_loop_and_is_named() -> None:
    left, right = socket.socketpair()
    wires = [left]
    connect = functools.cache(lambda: wires.pop())

    @parallelizable
    def ask(n: int) -> int:
        assert connect().fileno() > 0
        return whose(n)

    with left, right, pytest.warns(AmorsizeWarning, match=r"connect\(\) \(socket\.socket\).*Open or make it inside"):
        assert set(ask.pmap([20_000] * 300)) == {os.getpid()}
    assert "connect() (socket.socket), which two workers must not share" in report(ask).reason


chance = random.Random()


def drawn(_: int) -> tuple[int, float]:
    return whose(20_000), chance.random()


@pytest.mark.fault("R21")
@pytest.mark.parametrize("items", [range(200), iter(range(200))], ids=["sized", "stream"])
@pytest.mark.usefixtures("gaining")
def test_a_random_generator_that_all_items_draw_from_keeps_the_call_in_the_loop(
    items: Iterable[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errors, "_warned", set())
    chance.seed(1)
    with pytest.warns(AmorsizeWarning, match=r"chance \(random\.Random\), which two workers must not share"):
        found = pmap(drawn, items)
    chance.seed(1)
    assert found == [(os.getpid(), chance.random()) for _ in found]


@parallelizable
def read_at(file: Any, at: int) -> tuple[bytes, int]:
    file.seek(at)
    pid = whose(20_000)
    return file.read(1), pid


@pytest.mark.fault("R21")
@pytest.mark.needs_fork
@pytest.mark.parametrize(
    "call",
    [
        lambda files, places: read_at.pmap(files, places),
        lambda files, places: read_at.pstarmap(list(zip(files, places, strict=True))),
        lambda files, places: list(read_at.pimap(files, places)),
    ],
    ids=["pmap", "pstarmap", "pimap"],
)
@pytest.mark.usefixtures("gaining")
def test_a_file_that_several_items_hold_keeps_the_call_in_the_loop_and_is_named(
    call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errors, "_warned", set())
    places = [n % 256 for n in range(300)]
    (tmp_path / "bytes").write_bytes(bytes(range(256)))
    warned = pytest.warns(AmorsizeWarning, match=r"item\[0\] \(_io\.FileIO\), which two workers must not share")
    with (tmp_path / "bytes").open("rb", buffering=0) as file, warned:
        read = call([file] * 300, places)
    assert read == [(bytes([at]), os.getpid()) for at in places]


@pytest.mark.needs_fork
def test_a_file_that_one_item_alone_holds_keeps_nobody_from_processes(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"a" * 300)
    with contextlib.ExitStack() as opened:
        files = [opened.enter_context((tmp_path / "bytes").open("rb", buffering=0)) for _ in range(300)]
        read = read_at.pmap(files, [0] * 300)
    assert {byte for byte, _ in read} == {b"a"}
    assert "must not share" not in report(read_at).reason


LOCAL = threading.local()


class Session:
    __module__ = "requests.sessions"


@parallelizable
def ask_its_own(n: int) -> int:
    if not hasattr(LOCAL, "session"):
        LOCAL.session = Session()
    return whose(n)


@pytest.mark.needs_fork
@pytest.mark.usefixtures("computing")
def test_a_connection_of_this_thread_is_not_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knowledge, "_ASSUMED", Costs(spawn_s=60.0))  # dearer than the items, on a busy machine too
    assert set(ask_its_own.pmap([20_000] * 300)) == {os.getpid()}
    assert "it uses LOCAL.session (requests.sessions.Session), which a forked worker" in report(ask_its_own).reason


LEVEL: contextvars.ContextVar[int] = contextvars.ContextVar("LEVEL", default=0)


@parallelizable
def levelled(n: int) -> tuple[int, int]:
    burn(n)
    return os.getpid(), LEVEL.get()


@pytest.mark.usefixtures("gaining")
def test_a_function_that_uses_a_context_variable_runs_where_that_has_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    context = contextvars.copy_context()
    context.run(LEVEL.set, 7)
    found = context.run(levelled.pmap, [20_000] * 300, start_method="spawn")
    assert found == [(os.getpid(), 7)] * 300
    if capacity(0.0).n_effective >= 2:
        assert "it uses LEVEL, a context variable that has its value here only" in report(levelled).reason


@parallelizable
def hashed(text: str) -> tuple[int, int]:
    burn(20_000)
    return os.getpid(), hash(text)


@pytest.mark.usefixtures("gaining")
@pytest.mark.skipif(not sys.flags.hash_randomization, reason="here every interpreter gives a text the same number")
def test_a_function_that_hashes_runs_where_a_text_has_one_hash_only() -> None:
    assert hashed.pmap(["a"] * 300, start_method="spawn") == [(os.getpid(), hash("a"))] * 300
    if capacity(0.0).n_effective >= 2:
        assert "it calls hash, which gives a text another number in a fresh interpreter" in report(hashed).reason


@pytest.mark.skipif(not sys.flags.hash_randomization, reason="here every interpreter gives a text the same number")
def test_who_asks_for_fresh_interpreters_gets_them_and_is_told_of_their_hashes() -> None:
    with pytest.warns(AmorsizeWarning, match="hashed calls hash, which gives a text another number"):
        found = hashed.pmap(["a"] * 10, backend="process", start_method="spawn", n_jobs=2)
    assert os.getpid() not in {pid for pid, _ in found}


LOG = logging.getLogger("amorsize.test.call")


@parallelizable
def logged(n: int) -> int:
    burn(n)
    LOG.info("done")
    return os.getpid()


@pytest.mark.usefixtures("gaining")
def test_a_function_that_logs_runs_where_handlers_are(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[logging.LogRecord] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", heard.append)
    monkeypatch.setattr(LOG, "handlers", [handler])
    monkeypatch.setattr(LOG, "propagate", False)
    monkeypatch.setattr(LOG, "isEnabledFor", lambda level: level >= logging.INFO)
    assert logged.pmap([20_000] * 300, start_method="spawn") == [os.getpid()] * 300
    assert len(heard) == 300
    if capacity(0.0).n_effective >= 2:
        assert "it logs with LOG, whose handlers are here only" in report(logged).reason
    with pytest.warns(AmorsizeWarning, match="logs with LOG, whose handlers a fresh interpreter does not have"):
        assert os.getpid() not in logged.pmap([20_000] * 4, start_method="spawn", isolate=True, n_jobs=2)
    logged.pmap([20_000] * 4, start_method="spawn", isolate=True, n_jobs=2, initializer=int)
    assert report(logged).warnings == ()


COUNT = 0


def count(n: int) -> int:
    global COUNT
    COUNT += 1
    return burn(n)


@pytest.mark.needs_fork
@pytest.mark.parametrize(
    "given", [{}, {"backend": "process", "n_jobs": 2}, {"backend": "thread", "n_jobs": 2}, {"isolate": True}]
)
@pytest.mark.usefixtures("gaining")
def test_a_function_that_assigns_globals_is_warned_about_once(given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "_warned", set())
    with pytest.warns(AmorsizeWarning, match="assigns the global COUNT"):
        pmap(count, [20_000] * 300, **given)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pmap(count, [20_000] * 300, **given)


def test_results_that_cannot_be_pickled_keep_the_call_in_the_loop() -> None:
    def lock(n: int) -> Any:
        burn(n)
        return threading.Lock()

    assert len(pmap(lock, [20_000] * 200)) == 200


@pytest.mark.fault("R11")
@pytest.mark.needs_fork
@pytest.mark.usefixtures("computing")
def test_other_threads_forbid_forks_and_fresh_interpreters_take_over_where_they_pay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(knowledge, "_ASSUMED", Costs(spawn_s=60.0))  # dearer than the items, on a busy machine too
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert set(whose.pmap([60_000] * 200)) == {os.getpid()}
        assert "threads are alive" in report(whose).reason
        assert os.getpid() not in whose.pmap([20_000] * 20, isolate=True)
        with pytest.warns(AmorsizeWarning, match="although workers were to run it"):
            whose.pmap([20_000] * 20, backend="process", start_method="fork")
        with pytest.raises(amorsize.BackendUnavailable, match="isolate=True"):
            whose.pmap([20_000] * 20, isolate=True, start_method="fork")
    finally:
        done.set()
        thread.join()


def test_a_debugger_keeps_the_call_in_the_loop() -> None:
    before = sys.gettrace()
    sys.settrace(lambda *_: None)
    try:
        assert set(whose.pmap([20_000] * 100)) == {os.getpid()}
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("options", [{"backend": "serial"}, {}], ids=str)
def test_the_functions_exception_comes_back_as_itself(options: dict[str, Any]) -> None:
    def invert(x: int) -> float:
        return 1 / x

    with pytest.raises(ZeroDivisionError) as caught:
        pmap(invert, [4, 2, 0, 1], **options)
    assert caught.value.__notes__[0] == "amorsize: raised by item 2: 0"
    assert vars(caught.value)["finished"] == {0: 0.25, 1: 0.5}


@dataclass(frozen=True)
class Frozen(Exception):
    code: int


def test_an_exception_that_takes_no_attributes_is_raised_all_the_same() -> None:
    def fail(x: int) -> int:
        raise Frozen(x)

    with pytest.raises(Frozen) as caught:
        pmap(fail, [7])
    assert caught.value.code == 7
    assert any("raised by item 0" in note for note in caught.value.__notes__)


@pytest.mark.needs_fork
@pytest.mark.parametrize("items", [list, iter])
@pytest.mark.parametrize("given", [{}, {"retries": 1}])
def test_what_a_signals_handler_raises_comes_with_what_is_finished(
    items: Callable[[range], Any], given: dict[str, Any]
) -> None:
    def stop(*_: object) -> None:
        raise LookupError("stopped")

    def signals(x: int) -> int:
        if x == 20:
            os.kill(caller, signal.SIGUSR1)
            time.sleep(60)
        return x

    caller, before = os.getpid(), signal.signal(signal.SIGUSR1, stop)
    try:
        with pytest.raises(LookupError, match="stopped") as caught:
            pmap(signals, items(range(40)), isolate=True, n_jobs=1, chunksize=1, buffersize=1, **given)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert vars(caught.value)["finished"] == {x: x for x in range(20)}


@pytest.mark.needs_fork
def test_a_timeout_of_a_signals_handler_before_workers_are_started_is_no_shortage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_late(_: Call) -> int:
        raise TimeoutError("too late")

    monkeypatch.setattr(amorsize.feeding, "_window", too_late)
    with pytest.raises(TimeoutError, match="too late"):
        pmap(abs, iter(range(20)), backend="process", n_jobs=2)


def test_what_a_signals_handler_raises_while_a_function_is_looked_at_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise LookupError("stopped")

    def work(n: int) -> int:
        return sum(range(n))

    def interrupted(code: CodeType) -> CodeFacts:
        if code is work.__code__:
            signal.raise_signal(signal.SIGINT)
        return code_facts(code)

    monkeypatch.setattr(amorsize.identity.function, "code_facts", interrupted)
    before = signal.signal(signal.SIGINT, stop)
    try:
        with pytest.raises(LookupError, match="stopped"):
            pmap(work, [20_000] * 100, n_jobs=2)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.needs_fork
def test_a_warning_that_is_an_error_comes_with_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "_warned", set())
    told = property(lambda job: "no room" if job.n_started else None, lambda *_: None)
    monkeypatch.setattr(Job, "shortage", told, raising=False)
    with pytest.raises(AmorsizeWarning, match="no room") as caught:
        pmap(abs, range(300), backend="process", n_jobs=2)
    assert vars(caught.value)["finished"] == {x: x for x in range(300)}


@pytest.mark.needs_fork
@pytest.mark.filterwarnings("ignore:.*no room for it:amorsize.AmorsizeWarning")
def test_a_run_without_the_planned_workers_says_so_and_is_not_held_against_its_prediction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> int:
        raise OSError("no room for it")

    squared = parallelizable(backend="process", n_jobs=2)(lambda n: n * n)
    for _ in range(2):  # the first one is predicted from nothing
        squared.pmap(range(300))
    assert report(squared).predicted_s is not None
    monkeypatch.setattr(os, "fork", fail)
    assert squared.pmap(range(300)) == [n * n for n in range(300)]
    assert "no room for it" in report(squared).reason
    assert report(squared).predicted_s is None


def test_ctrl_c_while_a_list_is_planned_keeps_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(call: Call, n_left: int, results: list[object], *_: object, **__: object) -> None:
        if results:
            raise KeyboardInterrupt

    monkeypatch.setattr(Call, "ask", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        pmap(burn, [20_000] * 100, n_jobs=2)
    assert vars(caught.value)["finished"][0] == burn(20_000)


def test_an_iterator_is_pulled_in_bounded_blocks() -> None:
    pulled = 0

    def numbers() -> Iterator[int]:
        nonlocal pulled
        for n in range(10**9):
            pulled += 1
            yield n

    def fail(n: int) -> int:
        if n == 1000:
            raise ValueError(n)
        return n

    with pytest.raises(ValueError, match="1000"):
        pmap(fail, numbers())
    assert pulled < 70_000


def makes(constant: int) -> Callable[[int], int]:
    def func(n: int) -> int:
        return burn(n) + constant

    return func


def test_a_changed_closure_is_a_miss_and_the_same_one_a_hit() -> None:
    for constant, is_known in [(1, False), (1, True), (2, False), (1, True)]:
        func = parallelizable(makes(constant))
        func.pmap([20_000] * 40)
        assert (report(func).n_sampled == 0) is is_known


@pytest.mark.needs_fork
def test_a_chunksize_beyond_all_reason_is_no_reason_to_lose_results() -> None:
    assert pmap(affine, range(200), chunksize=10**17, backend="process") == [affine(x) for x in range(200)]


def test_a_function_that_shortens_its_input_comes_to_an_end() -> None:
    def shorten(x: int) -> int:
        items.pop()
        return x

    items = list(range(100))
    results = pmap(shorten, items)
    assert results == list(range(len(results)))


DEEP = """
import sys, time
import amorsize

@amorsize.parallelizable
def double(x):
    if x == {failing}:
        raise ValueError(x)
    time.sleep(0.001)
    return 2 * x

def below(n_levels):
    return double.pmap(range(100)) if not n_levels else below(n_levels - 1)

try:
    print(sum(below(sys.getrecursionlimit() - 40)))
except ValueError as error:
    print(repr(error))
if {again}:
    print(sum(double.pmap(range(100))))
    print(sum(below(sys.getrecursionlimit() - 40)), double.last_run.backend)
"""


@pytest.mark.parametrize(
    ("failing", "again", "told"),
    [(None, False, "9900\n"), (12, False, "ValueError(12)\n"), (None, True, "9900\n9900\n9900 serial\n")],
)
def test_deep_in_a_recursion_a_call_is_the_loop(
    failing: int | None, told: str, *, again: bool, fresh_python: Callable[..., str]
) -> None:
    assert fresh_python("-c", DEEP.format(failing=failing, again=again)) == told
