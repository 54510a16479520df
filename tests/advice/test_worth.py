"""A first look costs 10 ms: it is not to be taken where less can be gained."""

from __future__ import annotations

import os
import sys

import pytest

from amorsize.advice import worth
from amorsize.advice.worth import (
    DEAR_S,
    LARGE_BYTES,
    LARGE_SHARE,
    LOOK_PAYS_S,
    MOST_DOUBTED_S,
    TAKING_OVER,
    TAKING_OVER_OBJECTS,
    TRIED_BYTES,
    first_look_pays,
    is_large,
    saved_share,
    taking_over_s,
)
from amorsize.inline import Timings


def timed(n_items: int, seconds: float, cpu_s: float | None = None) -> Timings:
    """Return the timings of equal items; `cpu_s` is the CPU time of all threads, where it is known."""
    timings, n_first = Timings(), (n_items + 1) // 2
    for n in filter(None, (n_first, n_items - n_first)):
        timings.add(n, seconds * n / n_items)
    if cpu_s is not None:
        timings.used(seconds, min(seconds, cpu_s), cpu_s)
    return timings


@pytest.fixture(autouse=True)
def earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process begin, without a thread."""
    monkeypatch.setattr(worth, "_missed_s", {})
    monkeypatch.setattr(worth, "_count", int)


def func(item: int) -> int:
    return item


def other(item: int) -> int:
    return -item


@pytest.fixture
def n_cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Have this process find so many usable cores, two where the test does not say."""
    n_cores: int = getattr(request, "param", 2)
    if sys.platform == "linux":
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(n_cores)))
    else:
        monkeypatch.setattr(os, "cpu_count", lambda: n_cores)
    return n_cores


@pytest.mark.usefixtures("n_cores")
@pytest.mark.parametrize(
    ("n_done", "seconds", "n_left", "pays"),
    [
        (100, 0.003, 10, False),
        (100, 0.003, 100_000, True),
        (1, 0.003, 0, False),
        (1_000_000, 0.2, 100, False),
        (100, 0.003, None, False),
        (100, 0.039, None, False),
        (100, 0.041, None, True),
        (1_000_000, 0.05, 10**8, False),
        (1_000_000, 0.05, None, False),
        (100_000, 0.007, 900_000, False),
        (100_000, 0.007, 19_900_000, True),
    ],
)
def test_a_look_pays_where_much_work_is_left_or_where_nobody_knows_and_as_much_is_done(
    n_done: int, seconds: float, n_left: int | None, monkeypatch: pytest.MonkeyPatch, *, pays: bool
) -> None:
    monkeypatch.setattr(worth, "_calling_s", lambda: 4e-8)
    assert first_look_pays(func, timed(n_done, seconds), n_left, [1]) is pays


@pytest.mark.usefixtures("n_cores")
@pytest.mark.parametrize(
    ("cpu_s", "n_left", "pays"),
    [
        pytest.param(0.003, 3_000, False, id="another look would pay, but not one for fresh interpreters"),
        pytest.param(0.003, 4_100, True, id="so much is left that they do"),
        pytest.param(0.0, 2_100, True, id="it waits: threads will do"),
    ],
)
def test_beside_another_thread_a_look_pays_where_fresh_interpreters_do(
    cpu_s: float, n_left: int, monkeypatch: pytest.MonkeyPatch, *, pays: bool
) -> None:
    monkeypatch.setattr(worth, "_calling_s", lambda: 4e-8)
    timings = timed(100, 0.003, cpu_s)
    assert first_look_pays(func, timings, n_left, [1])
    monkeypatch.setattr(worth, "_missed_s", {})
    monkeypatch.setattr(worth, "_count", lambda: 1)
    assert first_look_pays(func, timings, n_left, [1]) is pays


@pytest.mark.usefixtures("n_cores")
@pytest.mark.parametrize(
    ("batches", "n_left", "pays"),
    [
        ([(1, 0.01)], 99, False),  # many beside it: the next ones tell
        ([(1, 0.01)], 9, True),  # few: each that the caller computes alone is a large share
        ([(1, 0.01), (1, 0.01)], 98, True),
        ([(1, 0.01), (25, 0.0025)], 74, False),
        ([(1, 0.01), (25, 0.0025)], 974, True),
        ([(1, 0.0001), (4, 0.0104)], 95, False),
        ([(4, 0.0104), (4, 0.0104)], 92, True),
        ([(2, 0.0002), *[(4, 0.0004)] * 4, (4, 0.0109)], 81, False),
        ([(2, 0.0002), *[(4, 0.0004)] * 4, (4, 0.0109)], 480, True),
        ([(1, MOST_DOUBTED_S)], 10**4, True),  # a look is a tenth of it, whatever comes
    ],
)
def test_one_dear_item_beside_many_is_no_reason_to_look(
    batches: list[tuple[int, float]], n_left: int, monkeypatch: pytest.MonkeyPatch, *, pays: bool
) -> None:
    monkeypatch.setattr(worth, "_calling_s", lambda: 4e-8)
    timings = Timings()
    for n_items, seconds in batches:
        timings.add(n_items, seconds)
    assert first_look_pays(func, timings, n_left, [1]) is pays


@pytest.mark.usefixtures("n_cores")
def test_items_that_wait_are_looked_at_at_once() -> None:
    assert first_look_pays(func, timed(1, 0.01, cpu_s=0.0), 99, [1])


@pytest.mark.parametrize(
    ("n_cores", "cpu_s", "share"),
    [
        (1, None, 0.0),
        (2, None, 0.5),
        (16, None, 15 / 16),
        (1, 0.1, 0.0),
        (1, 0.0, 1.0),
        (2, 0.05, 0.75),
        (2, 0.19, 0.0),
        (2, 0.3, 0.0),
    ],
    indirect=["n_cores"],
)
def test_workers_save_what_idle_cores_could_compute(n_cores: int, cpu_s: float | None, share: float) -> None:
    del n_cores
    assert saved_share(timed(10, 0.1, cpu_s)) == pytest.approx(share)


@pytest.mark.parametrize("n_cores", [1], indirect=True)
def test_one_core_gains_nothing_for_what_computes_and_looks_for_what_waits(n_cores: int) -> None:
    assert n_cores == 1
    assert not first_look_pays(func, timed(10, 0.1, cpu_s=0.1), 10**6, [1])
    assert first_look_pays(func, timed(10, 0.1, cpu_s=0.0), 10**6, [1])


@pytest.fixture
def prices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a call cost 1 s, and a byte too, to write."""
    monkeypatch.setattr(worth, "_calling_s", lambda: 1.0)
    monkeypatch.setattr(worth, "_writing_s", float(TRIED_BYTES))


@pytest.mark.usefixtures("prices")
@pytest.mark.parametrize("result", [1, None, "x" * LARGE_BYTES, b"x" * 9], ids=type)
def test_a_small_result_and_a_text_are_taken_over_for_no_less_than_a_number(result: object) -> None:
    assert taking_over_s(result) == TAKING_OVER


@pytest.mark.usefixtures("prices")
@pytest.mark.parametrize("result", [(1, 2), [b"x" * LARGE_BYTES], {}, func], ids=type)
def test_one_of_any_other_type_takes_longer(result: object) -> None:
    assert taking_over_s(result) == TAKING_OVER_OBJECTS


@pytest.mark.usefixtures("prices")
@pytest.mark.parametrize("kind", [bytes, bytearray])
@pytest.mark.parametrize("n_bytes", [LARGE_BYTES, TRIED_BYTES, 10 * TRIED_BYTES])
def test_a_large_result_costs_what_it_takes_to_write_as_much(kind: type[bytes | bytearray], n_bytes: int) -> None:
    assert taking_over_s(kind(n_bytes)) == pytest.approx(n_bytes, rel=1e-2)


@pytest.mark.usefixtures("prices")
def test_an_array_counts_by_the_bytes_that_it_owns() -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.zeros(LARGE_BYTES)
    assert taking_over_s(array) == pytest.approx(array.nbytes, rel=1e-2)
    assert taking_over_s(array[:10]) == TAKING_OVER_OBJECTS


@pytest.mark.parametrize("result", [1, bytes(LARGE_BYTES)], ids=type)
def test_the_prices_are_measured(result: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worth, "_writing_s", None)
    assert 0 < taking_over_s(result) < 1


def test_writing_is_measured_once_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worth, "_writing_s", None)
    price_s = taking_over_s(bytes(LARGE_BYTES))
    assert all(taking_over_s(bytes(LARGE_BYTES)) == price_s for _ in range(10))
    assert taking_over_s(bytes(2 * LARGE_BYTES)) == pytest.approx(2 * price_s, rel=1e-2)


def test_the_first_half_of_the_batches_does_not_count() -> None:
    timings = Timings()
    for n_items, seconds in ((1, 5.0), (10, 5.0), (100, 0.2), (100, 0.1), (100, 0.3)):
        timings.add(n_items, seconds)
    assert worth.lately_s(timings) == pytest.approx(0.002)


@pytest.mark.usefixtures("n_cores")
def test_results_that_take_longer_to_take_over_than_to_compute_need_no_look(monkeypatch: pytest.MonkeyPatch) -> None:
    timings, large = timed(10, 0.01), [1, bytes(LARGE_BYTES)]
    monkeypatch.setattr(worth, "taking_over_s", lambda result: 0.002 if result is large[-1] else 0.0)
    assert not first_look_pays(func, timings, 10**6, large)
    assert first_look_pays(func, timings, 10**6, [])


@pytest.mark.usefixtures("n_cores")
def test_loops_with_large_results_are_looked_at_once_they_have_lasted_for_long_in_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worth, "taking_over_s", lambda _result: 1e9)
    large, each_s = [bytes(LARGE_BYTES)], LOOK_PAYS_S / LARGE_SHARE / 2.5
    assert [first_look_pays(func, timed(10, each_s), 10**6, large) for _ in range(4)] == [False, False, True, True]
    assert not first_look_pays(func, timed(10, each_s), 0, large)  # too short to gain anything
    assert not first_look_pays(other, timed(10, each_s), 10**6, large)


@pytest.mark.usefixtures("n_cores")
def test_a_loop_that_is_asked_about_twice_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worth, "taking_over_s", lambda _result: 1e9)
    large, one, another = [bytes(LARGE_BYTES)], timed(10, 0.07), timed(10, 0.07)
    assert not any(first_look_pays(func, timings, 10**6, large) for _ in range(4) for timings in (one, another))
    one.add(10, 0.2)
    assert first_look_pays(func, one, 10**6, large)


ONE_S = LOOK_PAYS_S * 0.82
"""Seconds of a loop that could not pay for a look, while half of it is left."""


@pytest.mark.usefixtures("n_cores")
def test_loops_too_short_for_a_look_add_up_to_one() -> None:
    assert [first_look_pays(func, timed(10, ONE_S), 10, [1]) for _ in range(3)] == [False, False, True]
    assert not first_look_pays(other, timed(10, ONE_S), 10, [1])


@pytest.mark.usefixtures("n_cores")
def test_what_was_missed_is_no_reason_to_look_in_a_loop_that_can_gain_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(40):
        first_look_pays(func, timed(10, ONE_S), 10, [1])
    assert first_look_pays(func, timed(10, ONE_S), 10, [1])
    assert not first_look_pays(func, timed(10, ONE_S), 1, [1])
    monkeypatch.setattr(worth, "_calling_s", lambda: 60e-9)
    assert not first_look_pays(func, timed(100_000, 0.007), 900_000, [1])
    monkeypatch.setattr(worth, "taking_over_s", lambda _result: 1.0)
    assert not first_look_pays(func, timed(10, ONE_S), 10, [1])


@pytest.mark.usefixtures("n_cores")
@pytest.mark.parametrize(
    ("timings", "n_left", "result"),
    [
        pytest.param((1000, DEAR_S * 900), 10**4, 1, id="items that are hardly longer than to take over a number"),
        pytest.param((10, ONE_S), 10, bytes(LARGE_BYTES), id="large results"),
        pytest.param((10, 0.01), 10, 1, id="hardly anything to gain"),
        pytest.param((10, ONE_S, 1.7 * ONE_S), 40, 1, id="native threads on other cores"),
    ],
)
def test_not_every_loop_misses_something(
    timings: tuple[int, float], n_left: int, result: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worth, "taking_over_s", lambda _result: 1.0)
    assert not any(first_look_pays(func, timed(*timings), n_left, [result]) for _ in range(5))
    assert sum(worth._missed_s.values()) == pytest.approx(5 * ONE_S * LARGE_SHARE if is_large(result) else 0.0)


def test_functions_whose_loops_missed_something_are_forgotten_where_they_are_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worth, "MOST_FUNCTIONS", 3)
    for each in "abcdefgh":
        assert worth._missed_before(each, Timings(), 1.0) == 0.0
        assert len(worth._missed_s) <= 3
