"""A thread that ticks beside the caller's items."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from amorsize.engine import bare, ticker
from amorsize.engine.ticker import FIRST_TICKS, PATIENCE_S, Ticker, advance_ticking
from amorsize.inline import Timings, Work

if TYPE_CHECKING:
    from collections.abc import Callable


class Time:
    """A clock that stands still but for the ticker's pauses, of which it lets pass as many as it is told.

    Attributes:
        ticker: which ticks by this clock.
    """

    def __init__(self, tick_s: float = 0.25e-3) -> None:
        self.now_s = 0.0
        self.ticker = Ticker(lambda: self.now_s, self._pause)
        self._tick_s = tick_s
        self._allowed = threading.Semaphore(FIRST_TICKS)

    def _pause(self, _seconds: float) -> None:
        while not self._allowed.acquire(timeout=1e-3):
            if not self.ticker._is_wanted:
                return
        self.now_s += self._tick_s

    def let_pass(self, n_ticks: int) -> None:
        """Let so many ticks pass, and wait until they are counted."""
        self._allowed.release(n_ticks)
        while self.ticker._n_ticks < n_ticks:
            time.sleep(1e-4)


@pytest.mark.parametrize(("n_ticks", "share"), [(1, 0.05), (5, 0.25), (20, 1.0), (40, 1.0)])
def test_the_share_is_that_of_the_ticks_that_would_have_fitted(n_ticks: int, share: float) -> None:
    by_hand = Time()
    assert by_hand.ticker.start()
    by_hand.let_pass(n_ticks)
    by_hand.now_s = 0.25e-3 * (FIRST_TICKS + 20)
    assert by_hand.ticker.stop() == pytest.approx(share)


def test_where_the_clock_is_too_coarse_nothing_is_found_out() -> None:
    assert not Time(tick_s=16e-3).ticker.start()


def test_a_time_too_short_for_a_tick_tells_nothing() -> None:
    by_hand = Time()
    assert by_hand.ticker.start()
    assert by_hand.ticker.stop() is None


def test_ctrl_c_while_it_gets_ready_ends_it() -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 1:
            _thread.interrupt_main()
        time.sleep(seconds)

    interrupted = Ticker(pause=pause)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted.start()
    finally:
        signal.signal(signal.SIGINT, before)
    assert not interrupted._is_wanted


def test_where_there_is_no_room_for_a_thread_the_items_are_run_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(bare, "start_new_thread", refuse)
    results: list[object] = []
    advance_ticking(Work(abs, (range(-10, 0),)), results, Timings(), 1, 10.0)
    assert results == list(range(10, 0, -1))


@pytest.mark.parametrize("fails", [False, True])
def test_the_ticker_is_gone_when_the_items_are_done_whatever_they_do(fails: bool) -> None:
    def work(item: int) -> int:
        if fails and item == 5:
            raise ValueError(item)
        return item

    def run() -> float | None:
        return advance_ticking(Work(work, (range(10),)), [], Timings(), 1, 10.0)[1]

    if fails:
        with pytest.raises(ValueError):
            run()
    else:
        run()
    assert wait_for(lambda: len(sys._current_frames()) - bare.n_resting() == 1)


def test_the_share_of_a_real_function_lies_between_nothing_and_all() -> None:
    _, share = advance_ticking(Work(computes, (range(40_000, 40_100),)), [], Timings(), 1, 10.0)
    assert share is None or 0.0 <= share <= 1.0


@pytest.mark.parametrize(("cpu_s", "told"), [(0.0, None), (0.006, None), (0.0095, 0.9)])
def test_while_others_keep_the_caller_from_computing_nothing_is_found_out(
    cpu_s: float, told: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever lets the GIL go for a tick then waits for a core, while the ticker has the GIL to itself."""
    monkeypatch.setattr(Ticker, "start", lambda _: True)
    monkeypatch.setattr(Ticker, "stop", lambda _: 0.9)
    monkeypatch.setattr(ticker, "advance", lambda _work, _results, timings, *_: timings.used(0.01, cpu_s, cpu_s) or 1)
    assert advance_ticking(Work(abs, (range(10),)), [], Timings(), 1, 10.0)[1] == told


def computes(item: int) -> int:
    return sum(range(item))


def wait_for(is_so: Callable[[], bool]) -> bool:
    until_s = time.perf_counter() + 100 * PATIENCE_S
    while not is_so() and time.perf_counter() < until_s:
        time.sleep(1e-4)
    return is_so()
