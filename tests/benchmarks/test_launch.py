from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import psutil
import pytest

from benchmarks import launch
from benchmarks.launch import Child, ContenderFailed, WrongAnswer, environment
from benchmarks.peers import PEERS
from benchmarks.sizes import MIN_ITEMS, Size, spinning, tried
from benchmarks.workloads.own import name_of

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = {"joblib": "joblib", "joblib-threads": "joblib", "loky": "loky", "mpire": "mpire"}
NOT_HERE = ("pmap-processes", "pmap-threads", "pmap-spawn")


@pytest.mark.slow
@pytest.mark.parametrize("peer", [peer for peer in PEERS if peer not in NOT_HERE])
def test_every_peer_gives_the_answers_of_the_loop_cold_and_warm(peer: str) -> None:
    if peer in PACKAGES:
        pytest.importorskip(PACKAGES[peer])
    with Child(peer, 2) as child:
        assert child.call("noop", Size(20)) > 0
        assert child.call("noop_tuple", Size(30), 3) > 0
        assert child.call("generator", Size(10, 5)) > 0


@pytest.mark.needs_fork
def test_a_peer_that_is_made_to_use_every_core_gives_the_answers_of_the_loop() -> None:
    with Child("pmap-processes") as child:
        assert child.call("noop", Size(1000)) > 0


def test_a_wrong_answer_is_never_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "expected", lambda *_: "another digest")
    with Child("loop") as child, pytest.raises(WrongAnswer, match="loop over 3 x noop differs from the plain loop"):
        child.call("noop", Size(3))


def test_a_child_that_fails_says_why_and_can_be_asked_again() -> None:
    with Child("nonsense") as child:
        for _ in range(2):
            with pytest.raises(ContenderFailed, match="ValueError: a peer is one of loop, pmap"):
                child.call("noop", Size(3))


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Go where a module with a few odd functions lies, and return its name."""
    (tmp_path / "odd.py").write_text(
        "import os, time\n"
        "one, two = [1], [1, 2]\n"
        "def leave(number): os._exit(3)\n"
        "def wait(number): time.sleep(3600)\n"
        "def speak(number): print('hello')\n"
    )
    monkeypatch.chdir(tmp_path)
    return "odd"


def test_a_child_that_ends_without_an_answer_is_a_failure(odd: str) -> None:
    with Child("loop") as child, pytest.raises(ContenderFailed, match=r"loop over .* ended without an answer"):
        child.ask(name_of(f"{odd}:leave", f"{odd}:one"), Size(0))


@pytest.mark.slow
def test_a_contender_that_hangs_is_ended_with_everything_that_it_has_started(odd: str) -> None:
    with Child("pool", 2, limit_s=2.0) as child:
        child.call("noop", Size(3))
        workers = psutil.Process(child.pid).children()
        with pytest.raises(ContenderFailed, match="not done after 2 s"):
            child.ask(name_of(f"{odd}:wait", f"{odd}:two"), Size(0))
    assert len(workers) == 2
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert [worker for worker in alive if worker.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="stops the child by a signal")
def test_a_child_that_does_not_end_by_itself_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "ENDING_S", 0.1)
    child = Child("loop")
    os.kill(child.pid, signal.SIGSTOP)
    child.close()
    assert not psutil.pid_exists(child.pid)


def test_a_function_that_prints_does_not_disturb(odd: str, capfd: pytest.CaptureFixture[str]) -> None:
    with Child("loop") as child:
        assert child.ask(name_of(f"{odd}:speak", f"{odd}:two"), Size(0)).n_results == 2
    assert capfd.readouterr().err == "hello\nhello\n"


def test_a_measured_process_has_an_empty_store_and_none_of_the_settings_of_who_runs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AMORSIZE_DISABLE", "1")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    names = {name for name in environment("somewhere") if name.startswith(("AMORSIZE", "PYTHON"))}
    assert names == {"AMORSIZE_CACHE_DIR"}


def test_a_size_has_enough_items_to_be_shared_out() -> None:
    assert spinning(item_s=0.001, loop_s=0.0).n_items == MIN_ITEMS
    assert tried("regex", loop_s=0.0).n_items == MIN_ITEMS
