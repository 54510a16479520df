"""A call that is like the one before: little is said, and everything is as if it had been."""

from __future__ import annotations

import marshal
import os
import signal
import socket
import sys
import threading
import warnings
from math import inf
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

import amorsize
from amorsize.engine import alive
from amorsize.engine.desk import Desk
from amorsize.engine.fed.link import Link, wait_for
from amorsize.engine.message import AGAIN, REFUSED, REST, RESULTS, SETUP, TASK, UNREAD
from amorsize.engine.spawn import hired, surroundings, warm
from amorsize.engine.spawn import worker as spawned
from amorsize.engine.spawn.errand import Errand, Packed, user_modules
from amorsize.errors import WorkerDied
from amorsize.identity.likeness import likeness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from amorsize.engine.message import Message

    Feed = Callable[..., list[Any]]

SPAWNED: Any = {"backend": "process", "start_method": "spawn", "n_jobs": 2, "cache": False}

needs_pidfd = pytest.mark.skipif(
    not hasattr(os, "pidfd_open"), reason="deaths are awaited by pidfd, which is missing or hidden"
)


def pid(_item: object) -> int:
    return os.getpid()


def look(_item: object) -> tuple[object, ...]:
    umask = os.umask(0)
    os.umask(umask)
    filters = len(warnings.filters)
    return os.getcwd(), os.environ.get("COLOUR"), umask, list(sys.path), sys.getrecursionlimit(), filters


def change_all(_item: object) -> int:
    os.chdir(os.path.abspath(os.sep))
    os.environ["COLOUR"] = "red"
    os.umask(0o077)
    sys.path.append("/somewhere")
    sys.setrecursionlimit(3000)
    warnings.simplefilter("error")
    return os.getpid()


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The kinds of all that callers send."""
    sent: list[bytes] = []
    send = Link.send

    def noted(self: Link, kind: bytes, *arguments: Any, **options: Any) -> None:
        sent.append(kind)
        send(self, kind, *arguments, **options)

    monkeypatch.setattr(Link, "send", noted)
    return sent


def test_what_items_have_changed_in_their_worker_is_put_right(feed: Feed, frames: list[bytes]) -> None:
    def either(changes: bool) -> object:
        return change_all(0) if changes else look(0)

    (before,) = feed(either, [False], 1)
    (worker,) = feed(either, [True], 1)
    frames.clear()
    assert feed(either, [False], 1) == [before]
    assert SETUP not in frames
    assert feed(either, [True], 1) == [worker]


def test_the_second_of_two_short_calls_is_told_with_one_frame_each_way(frames: list[bytes]) -> None:
    for _ in range(2):
        frames.clear()
        assert amorsize.pmap(abs, [-1, -2, -3, -4], **SPAWNED) == [1, 2, 3, 4]
    assert SETUP not in frames


@pytest.mark.parametrize("name", ["COLOUR", "AMORSIZE_N_JOBS"])
def test_a_changed_environment_is_told(feed: Feed, frames: list[bytes], name: str, monkeypatch: Any) -> None:
    for _ in range(2):
        feed(pid, [0], 1)
    frames.clear()
    monkeypatch.setenv(name, "7")
    assert feed(lambda x: x, [0], 1) == [0]
    assert SETUP in frames


def test_a_worker_that_has_run_nothing_yet_is_told_once_more(
    feed: Feed, hire: Callable[..., Any], frames: list[bytes]
) -> None:
    (worker,) = hire(pid, 1)
    while not worker.is_ready:
        wait_for([worker.link], [], None)
        list(worker.link.receive())
    warm.release([worker])  # it had no task
    assert warm.n_resting() == 1
    frames.clear()
    assert feed(pid, [0], 1) == [worker.process.pid]
    assert SETUP in frames


def test_a_worker_that_has_not_answered_yet_is_told_the_same_once(
    feed: Feed, hire: Callable[..., Any], frames: list[bytes]
) -> None:
    (worker,) = hire(pid, 1)
    warm.release([worker])
    frames.clear()
    assert feed(pid, [0], 1) == [worker.process.pid]
    assert SETUP not in frames


# ---- deaths


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="a process cannot be stopped here")
@needs_pidfd
def test_a_worker_that_is_killed_before_it_has_read_its_task_is_replaced() -> None:
    first = {*amorsize.pmap(pid, range(4), **SPAWNED), *amorsize.pmap(pid, range(4), **SPAWNED)}
    for worker in first:
        os.kill(worker, signal.SIGSTOP)

    def kill() -> None:
        for worker in first:
            os.kill(worker, signal.SIGKILL)

    killer = threading.Timer(0.2, kill)
    killer.start()
    try:
        second = amorsize.pmap(pid, range(4), **SPAWNED)
    finally:
        killer.join()
    assert first.isdisjoint(second)


def test_a_worker_that_dies_in_its_only_task_is_told_of(tmp_path: Path) -> None:
    def die_once(item: int) -> int:
        if item < 0:
            with (tmp_path / "deaths").open("a") as deaths:
                deaths.write("x")
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    for _ in range(2):
        assert amorsize.pmap(die_once, [1, 2], **SPAWNED) == [1, 2]
    with pytest.raises(WorkerDied):
        amorsize.pmap(die_once, [-1, 2], **SPAWNED)
    assert (tmp_path / "deaths").read_text() == "x"


# ---- the worker's part, played here


def set_up(caller: Link, func: Callable[..., object], directory: str | None) -> None:
    packed = Packed(Errand(func=func, identify=likeness))
    path, arguments, _, *rest = surroundings.here()
    setup = (
        (path, arguments, directory, *rest),
        packed.key,
        packed.digest,
        packed.foreign,
        packed.errand.n_threads,
        packed.content,
        packed.is_named,
    )
    caller.send(SETUP, 0, 1, 0.0, marshal.dumps(setup, 2))


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Link, spawned.Worker]]:
    """The caller's end, and a worker that is set up."""
    monkeypatch.chdir(os.getcwd())  # and back
    monkeypatch.setattr(Desk, "start_timer", lambda desk, **_: None)  # whose handler would stay
    here, there = socket.socketpair()
    with here, there:
        caller, worker = Link(here), spawned.Worker(Link(there))
        set_up(caller, abs, os.getcwd())
        yield caller, worker


def answers(caller: Link) -> list[Message]:
    caller.end.setblocking(False)
    return [message for message in caller.receive() if message.kind == RESULTS]


def test_a_worker_that_was_told_to_rest_runs_what_another_has_left_behind(line: tuple[Link, spawned.Worker]) -> None:
    caller, worker = line
    caller.send_values(TASK, 0, [-1])
    caller.send(REST, seconds=30.0)
    caller.send_values(TASK, 1, [-2])
    caller.end.shutdown(socket.SHUT_WR)
    before = os.getcwd()
    worker.serve()
    assert [message.load() for message in answers(caller)] == [[1], [2]]
    assert os.getcwd() == before  # it was not told to rest again
    assert worker.link.end.gettimeout() is None


def test_a_worker_lingers_then_leaves_the_directory_then_ends(line: tuple[Link, spawned.Worker]) -> None:
    caller, worker = line
    caller.send_values(TASK, 0, [-1])
    caller.send(REST, seconds=0.01)
    worker.serve()  # the line does not end
    assert os.getcwd() == os.path.abspath(os.sep)
    assert len(answers(caller)) == 1


def test_a_worker_whose_directory_has_no_name_stays_there(line: tuple[Link, spawned.Worker]) -> None:
    caller, worker = line
    set_up(caller, abs, None)
    caller.send(REST, seconds=0.01)
    before = os.getcwd()
    worker.serve()
    assert os.getcwd() == before


@pytest.mark.skipif(sys.platform == "win32", reason="a directory in use cannot be deleted there")
@pytest.mark.parametrize(("kind", "answer"), [(SETUP, REFUSED), (AGAIN, REFUSED), (REST, UNREAD)])
def test_a_worker_that_cannot_get_to_its_caller_s_directory_runs_nothing_and_says_why(
    line: tuple[Link, spawned.Worker], tmp_path: Path, kind: bytes, answer: bytes
) -> None:
    caller, worker = line
    folder, other = tmp_path / "folder", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    set_up(caller, os.rmdir, str(folder))
    caller.send_values(TASK, 0, [str(folder)])
    if kind == SETUP:
        set_up(caller, os.rmdir, str(folder))
    else:
        caller.send(kind, 0, 1, 30.0)
    caller.send_values(TASK, 1, [str(other)])
    caller.end.shutdown(socket.SHUT_WR)
    worker.serve()
    caller.end.setblocking(False)
    *_, last = caller.receive()
    assert last.kind == answer
    assert isinstance(last.error(), FileNotFoundError)
    assert not folder.exists()
    assert other.exists()


# ---- the caller's part


def test_the_umask_is_read_alike_with_other_threads_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0o027)
    try:
        for n_threads in (1, 2, None):
            monkeypatch.setattr(alive, "n_native", lambda n=n_threads: n)
            assert surroundings.here()[4] == 0o027
    finally:
        assert os.umask(before) == 0o027


def test_after_a_long_call_a_worker_is_told_to_rest_once_more(
    hire: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (worker,) = hire(pid, 1)
    worker.link.send_values(TASK, 0, [0], is_last=True)
    while not worker.link.is_quiet:
        list(worker.link.receive())
    told: list[bool] = []
    monkeypatch.setattr(type(worker.link), "rest", lambda link: told.append(True))
    monkeypatch.setattr(hired, "SHORT_CALL_S", inf)
    assert worker.rest()
    assert told == []
    monkeypatch.setattr(hired, "SHORT_CALL_S", 0.0)
    assert worker.rest()
    assert told == [True]
    warm.release([worker])


def test_a_worker_that_may_have_gone_during_its_call_gets_no_other_task(
    hire: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (worker,) = hire(pid, 1)
    worker.link.send_values(TASK, 0, [0], is_last=True)
    monkeypatch.setattr(hired, "SURE_S", hired.IDLE_S)
    assert not worker.has_ended()  # it has a task
    while not worker.link.is_quiet:
        list(worker.link.receive())
    assert worker.has_ended()
    worker.link.rest()
    warm.release([worker])


def test_modules_that_have_come_and_gone_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    def made(name: str) -> ModuleType:
        module = ModuleType("again_made")
        module.__file__ = str(tmp_path / name)
        return module

    assert "again_made" not in user_modules()
    for name in ("one.py", "two.py"):
        monkeypatch.setitem(sys.modules, "again_made", made(name))
        assert user_modules()["again_made"] == str(tmp_path / name)
        assert user_modules() is user_modules()
    monkeypatch.delitem(sys.modules, "again_made")
    assert "again_made" not in user_modules()
