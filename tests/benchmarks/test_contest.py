from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks import contest
from benchmarks.contest import LOOP, PMAP, Contender, Timed, cold, finalists, grid, search, try_cold, warm
from benchmarks.figures import Verdict
from benchmarks.launch import ContenderFailed, WrongAnswer
from benchmarks.pairing import FULL, QUICK
from benchmarks.sizes import Size

if TYPE_CHECKING:
    from collections.abc import Callable

POOL, NOBODY = Contender("pool", 2, 4), Contender("nobody")
SMALL = Size(20, 5)


def test_a_setting_is_told_by_its_label_and_scales_with_the_items() -> None:
    assert (POOL.label, POOL.chunksize(800), POOL.chunksize(3)) == ("Pool 2x4", 100, 1)
    assert (Contender("pool").label, Contender("pool").chunksize(800)) == ("Pool", None)
    assert Contender("threads", 64).label == "ThreadPoolExecutor 64"


def test_the_best_is_who_has_the_lowest_median() -> None:
    timed = Timed(seconds={LOOP: [3.0, 3.0, 3.0], POOL: [1.0, 2.0, 9.0], PMAP: [2.5, 2.5, 2.5]})
    assert timed.best() == POOL
    assert timed.best([LOOP, PMAP, NOBODY]) == PMAP
    assert timed.best_of("pool") == POOL
    assert Timed().best() is None


def test_finalists_are_the_best_and_the_best_that_uses_processes() -> None:
    threads = {Contender("threads", n_jobs): [float(n_jobs)] for n_jobs in (1, 2, 3)}
    found = Timed(seconds={**threads, POOL: [9.0], Contender("pool"): [10.0]})
    assert finalists(found, 2) == [Contender("threads", 1), Contender("threads", 2), POOL]


@pytest.mark.parametrize("waits", [False, True])
def test_a_grid_is_bounded_and_never_asks_for_chunks_of_less_than_one_item(*, waits: bool) -> None:
    for n_items in (1, 8, 5_000, 10**6):
        tried = grid("pool", n_items, waits=waits, effort=FULL)
        assert 1 <= sum(len(parts) for parts in tried.values()) <= 6
        assert all(len(set(parts)) == len(parts) for parts in tried.values())
    assert any(n_jobs > 16 for n_jobs in grid("threads", 200, waits=True, effort=FULL))
    assert grid("pool", 1000, waits=waits, effort=QUICK) == {}


def test_a_peer_that_fails_in_a_contest_is_left_out_and_becomes_a_row() -> None:
    for run in (cold, warm):
        timed = run([LOOP, NOBODY, PMAP], "noop", SMALL, 1, 0.1)
        assert list(timed.seconds) == [LOOP, PMAP]
        (row,) = timed.failed_rows("noop")
        assert row.verdict is Verdict.FAILED
        assert "a peer is one of loop" in row.note


def test_a_peer_that_is_not_installed_is_a_row_that_says_so() -> None:
    timed = Timed(failures={Contender("mpire"): "ModuleNotFoundError: No module named 'mpire'"})
    (row,) = timed.failed_rows("noop")
    assert row.verdict is Verdict.UNAVAILABLE
    assert "No module named 'mpire': it comes with amorsize[bench]" in row.note


def test_the_loop_itself_must_not_fail() -> None:
    with pytest.raises(ContenderFailed, match="KeyError"):
        cold([LOOP, PMAP], "nothing_that_is_here", SMALL, 1, 0.1)


def test_a_search_goes_on_where_a_peer_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    def call_of(peer: str) -> Callable[..., float]:
        def call(*_: object) -> float:
            if peer == "pool":
                raise ContenderFailed("not done after 5 s, and ended")
            if peer == "executor":
                raise WrongAnswer("differs from the plain loop")
            return 1.0

        return call

    class Scripted:
        def __init__(self, peer: str, *_: object, **__: object) -> None:
            self.call = call_of(peer)

        def __enter__(self) -> Scripted:
            return self

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(contest, "Child", Scripted)
    found = search("noop", SMALL, 0.1, FULL)
    assert {contender.peer for contender in found.failures} == {"pool", "executor"}
    assert {contender.peer for contender in found.seconds} == {"threads", "joblib", "joblib-threads", "mpire"}


def test_each_contender_of_a_trial_runs_in_a_fresh_process() -> None:
    tried = try_cold([Contender("pool", 2), NOBODY], "noop", SMALL, 0.1)
    assert [len(seconds) for seconds in tried.seconds.values()] == [1]
    assert list(tried.failures) == [NOBODY]
