from __future__ import annotations

import pytest

from benchmarks import launch
from benchmarks.launch import Child, WrongAnswer, environment
from benchmarks.sizes import MIN_ITEMS, Size, spinning


@pytest.mark.parametrize("peer", ["loop", "pmap", "pool", "pool:3"])
def test_every_peer_gives_the_answers_of_the_loop_cold_and_warm(peer: str) -> None:
    with Child(peer) as child:
        assert child.call("spin", Size(20, 5)) > 0
        assert child.call("spin", Size(30, 5)) > 0


@pytest.mark.needs_fork
def test_a_peer_that_is_made_to_use_every_core_gives_the_answers_of_the_loop() -> None:
    with Child("pmap-processes") as child:
        assert child.call("noop", Size(1000)) > 0


def test_a_wrong_answer_is_never_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "expected", lambda *_: "another digest")
    with Child("loop") as child, pytest.raises(WrongAnswer, match="loop over 3 x noop differs from the plain loop"):
        child.call("noop", Size(3))


def test_a_child_that_ends_without_an_answer_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with Child("nonsense") as child, pytest.raises(ChildProcessError, match="nonsense over noop"):
        child.call("noop", Size(3))
    assert "a peer is loop, pmap" in capfd.readouterr().err


def test_a_measured_process_has_an_empty_store_and_none_of_the_settings_of_who_runs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AMORSIZE_DISABLE", "1")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    names = {name for name in environment("somewhere") if name.startswith(("AMORSIZE", "PYTHON"))}
    assert names == {"AMORSIZE_CACHE_DIR"}


def test_a_size_has_enough_items_to_be_shared_out() -> None:
    assert spinning(item_s=0.001, loop_s=0.0).n_items == MIN_ITEMS
