"""Each option does what it says, on every way to run that it applies to, and tells who asks for something else."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from amorsize import AmorsizeError, ItemTimeout, WorkerDied, config, parallelizable, pmap, pstarmap
from amorsize.checks import checked
from amorsize.options import resolve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

fed = pytest.mark.needs_fork

EVERYWHERE: list[Any] = [
    pytest.param({"backend": "serial"}, id="serial"),
    pytest.param({"backend": "thread", "n_jobs": 2}, id="thread"),
    pytest.param({"backend": "process", "n_jobs": 2}, id="process", marks=fed),
    pytest.param({"isolate": True, "n_jobs": 2}, id="isolate", marks=fed),
    pytest.param({"isolate": True, "n_jobs": 2, "retries": 1}, id="supervised", marks=fed),
]
IN_PROCESSES = [plan for plan in EVERYWHERE if plan.id in ("isolate", "supervised")]

items_of = pytest.mark.parametrize("items_of", [list, iter], ids=["list", "iterator"])
everywhere = pytest.mark.parametrize("plan", EVERYWHERE)
in_processes = pytest.mark.parametrize("plan", IN_PROCESSES)


# ---- timeout and deadline


@fed
@items_of
def test_an_item_beyond_its_timeout_is_ended_and_named(items_of: Callable[[range], Any]) -> None:
    def stuck_at_three(x: int) -> int:
        if x == 3:
            time.sleep(600)
        return x

    with pytest.raises(ItemTimeout, match=r"item 3 took longer than timeout=0.2 seconds") as caught:
        pmap(stuck_at_three, items_of(range(8)), timeout=0.2, n_jobs=2)
    assert caught.value.index == 3
    finished = caught.value.finished  # type: ignore[attr-defined]
    assert {k: finished[k] for k in range(3)} == {0: 0, 1: 1, 2: 2}


@fed
@items_of
def test_past_its_deadline_a_call_ends_with_what_was_finished(items_of: Callable[[range], Any]) -> None:
    def stuck_at_three(x: int) -> int:
        if x == 3:
            time.sleep(600)
        return x

    with pytest.raises(ItemTimeout, match="item 3 is the first that is not finished") as caught:
        pmap(stuck_at_three, items_of(range(8)), deadline=0.5, n_jobs=2, on_error="return")
    assert {0, 1, 2} <= set(caught.value.finished)  # type: ignore[attr-defined]


@fed
@items_of
@pytest.mark.parametrize("on_error", ["return", "skip"])
def test_items_that_had_failed_before_the_end_are_there_with_their_exceptions(
    on_error: Any, items_of: Callable[[range], Any]
) -> None:
    def fails_and_leaves(x: int) -> int:
        if x == 1:
            raise ValueError(x)
        if x == 3:
            sys.exit("enough")
        return x

    with pytest.raises(SystemExit) as caught:
        pmap(fails_and_leaves, items_of(range(4)), n_jobs=2, isolate=True, on_error=on_error)
    finished = caught.value.finished  # type: ignore[attr-defined]
    assert {0, 1, 2} == set(finished)
    assert isinstance(finished[1], ValueError)


@fed
@pytest.mark.parametrize("seconds", [1e9, 1e300])
def test_a_bound_of_many_years_is_as_good_as_none(seconds: float) -> None:
    assert pmap(abs, range(-4, 0), timeout=seconds, deadline=seconds, n_jobs=2) == [4, 3, 2, 1]


@pytest.mark.parametrize("option", ["timeout", "deadline"])
@pytest.mark.parametrize("backend", ["serial", "thread"])
def test_a_bound_is_refused_where_no_process_can_be_ended(option: str, backend: Any) -> None:
    with pytest.raises(ValueError, match=f"{option}= ends a worker .* excludes backend='{backend}'"):
        resolve({}, {"backend": backend}, {option: 1.0})


@fed
def test_a_slow_consumer_is_no_timeout() -> None:
    with parallelizable(abs_of).pimap(iter(range(6)), timeout=0.05, n_jobs=1) as stream:
        first = next(stream)
        time.sleep(0.2)  # the item that follows waits in the meantime: for longer than it may take
        assert [first, *stream] == list(range(6))


def abs_of(x: int) -> int:
    return abs(x)


# ---- on_error


def fails_at_odd(x: int) -> int:
    if x % 2:
        raise ValueError(x)
    return x


@everywhere
@items_of
def test_errors_can_be_returned(plan: Any, items_of: Callable[[range], Any]) -> None:
    results = pmap(fails_at_odd, items_of(range(20)), on_error="return", **plan)
    assert [repr(result) for result in results] == [f"ValueError({x})" if x % 2 else repr(x) for x in range(20)]


@everywhere
@items_of
def test_errors_can_be_skipped(plan: Any, items_of: Callable[[range], Any]) -> None:
    assert pmap(fails_at_odd, items_of(range(20)), on_error="skip", **plan) == list(range(0, 20, 2))
    assert list(parallelizable(fails_at_odd).pimap(items_of(range(20)), on_error="skip", **plan)) == list(
        range(0, 20, 2)
    )


@everywhere
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_is_no_exception_ends_the_call_all_the_same(plan: Any, kind: type[BaseException]) -> None:
    def leaves_at_three(x: int) -> int:
        if x == 3:
            raise kind
        return x

    with pytest.raises(kind):
        pmap(leaves_at_three, range(9), on_error="return", **plan)


# ---- retries


def marks_in(folder: Path) -> Callable[[int], int]:
    """Return a function that leaves a mark for each call, and tells how many there are for its item."""

    def mark(x: int) -> int:
        with open(folder / str(x), "ab") as marks:
            marks.write(b".")
            return marks.tell()

    return mark


@fed
@items_of
@pytest.mark.parametrize("n_deaths", [0, 1, 2, 3])
def test_an_item_may_take_as_many_workers_along_as_there_are_retries(
    items_of: Callable[[range], Any], n_deaths: int, tmp_path: Path
) -> None:
    mark = marks_in(tmp_path)

    def dies_a_few_times(x: int) -> int:
        if mark(x) <= n_deaths and x == 3:
            os._exit(9)
        return x

    call: Any = {"isolate": True, "n_jobs": 2, "retries": 2, "chunksize": 1}
    if n_deaths <= 2:
        assert pmap(dies_a_few_times, items_of(range(8)), **call) == list(range(8))
    else:
        with pytest.raises(WorkerDied, match="exit code 9 in item 3"):
            pmap(dies_a_few_times, items_of(range(8)), **call)
    n_calls = {x: (tmp_path / str(x)).stat().st_size for x in range(4)}
    assert n_calls == {0: 1, 1: 1, 2: 1, 3: 1 + min(n_deaths, 2)}


@everywhere
@items_of
def test_an_exception_that_is_named_is_tried_again(plan: Any, items_of: Callable[[range], Any], tmp_path: Path) -> None:
    mark = marks_in(tmp_path)

    def fails_twice(x: int) -> int:
        if mark(x) < 3:
            raise ConnectionError(x)
        return x

    given: Any = {**plan, "retries": 2, "retry_on": ConnectionError}
    assert pmap(fails_twice, items_of(range(6)), **given) == list(range(6))
    assert {(tmp_path / str(x)).stat().st_size for x in range(6)} == {3}


def test_retry_on_without_retries_is_told() -> None:
    with pytest.raises(ValueError, match=r"retry_on=\(OSError\) .* retries=0 allows none"):
        pmap(abs, [1], retry_on=OSError)


# ---- initializer


@everywhere
@items_of
@pytest.mark.parametrize("on_error", ["raise", "return", "skip"])
@pytest.mark.parametrize("kind", [ValueError, SystemExit])
def test_what_an_initializer_raises_ends_the_call_and_blames_no_item(
    plan: Any, items_of: Callable[[range], Any], on_error: Any, kind: type[BaseException]
) -> None:
    def fails() -> None:
        raise kind("no table")

    with pytest.raises(kind, match="no table") as caught:
        pmap(abs, items_of(range(9)), initializer=fails, on_error=on_error, **plan)
    notes = " ".join(caught.value.__notes__)
    assert "raised by initializer=" in notes
    assert "raised by item" not in notes


@in_processes
def test_an_initializer_that_ends_its_process_is_a_death_and_no_endless_hiring(plan: Any) -> None:
    with pytest.raises(WorkerDied, match="exit code 4"):
        pmap(abs, range(9), initializer=os._exit, initargs=(4,), **plan)


def test_initargs_without_an_initializer_are_told() -> None:
    with pytest.raises(ValueError, match=r"initargs=\(1,\) are for an initializer, and there is none"):
        pmap(abs, [1], initargs=(1,))


# ---- seed


def test_threads_share_generators_so_a_seed_excludes_them() -> None:
    with pytest.raises(ValueError, match=r'seed=7 sets the random generators .* write backend="process"'):
        pmap(abs, range(3), seed=7, backend="thread")


# ---- together


@everywhere
def test_options_work_with_several_arguments(plan: Any) -> None:
    given: dict[str, Any] = {**plan, "on_error": "return", "retry_on": OSError, "retries": 1}
    assert pmap(pow, range(5), iter([2] * 5), **given) == [x**2 for x in range(5)]
    assert pstarmap(pow, iter([(2, 3), (3, 2)]), **given) == [8, 9]


def test_options_of_a_config_hold_for_the_calls_inside() -> None:
    with config(on_error="skip"):
        assert pmap(fails_at_odd, range(4)) == [0, 2]
    with pytest.raises(ValueError, match="1"):
        pmap(fails_at_odd, range(4))


def test_every_error_of_ours_is_an_amorsize_error() -> None:
    assert issubclass(ItemTimeout, AmorsizeError)
    assert issubclass(WorkerDied, AmorsizeError)


# ---- wrong values

NAN = float("nan")


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"timeout": 0}, ValueError, "timeout must be > 0 seconds, or None for any time, got 0"),
        ({"timeout": -1.5}, ValueError, "timeout must be > 0 seconds, or None for any time, got -1.5"),
        ({"timeout": NAN}, ValueError, "timeout must be > 0 seconds, or None for any time, got nan"),
        ({"timeout": "1 s"}, TypeError, "timeout must be seconds > 0 or None, got '1 s' (str)"),
        ({"timeout": True}, TypeError, "timeout must be seconds > 0 or None, got True (bool)"),
        ({"deadline": float("inf")}, ValueError, "deadline must be > 0 seconds, or None for any time, got inf"),
        ({"deadline": [1]}, TypeError, "deadline must be seconds > 0 or None, got [1] (list)"),
        ({"on_error": "ignore"}, ValueError, "on_error must be one of raise, return, skip, got 'ignore'"),
        ({"on_error": None}, TypeError, "on_error must be one of raise, return, skip, got None (NoneType)"),
        ({"retries": -1}, ValueError, "retries must be >= 0, got -1"),
        ({"retries": 1.5}, TypeError, "retries must be an int >= 0, got 1.5 (float)"),
        ({"retries": True}, TypeError, "retries must be an int >= 0, got True (bool)"),
        ({"retry_on": "OSError"}, TypeError, "retry_on must be a tuple of exception types, got 'OSError'"),
        ({"retry_on": (int,)}, TypeError, "retry_on must be a tuple of exception types, got (<class 'int'>,)"),
        ({"initializer": 3}, TypeError, "initializer must be a function or None, got 3 (int)"),
        ({"initargs": "ab"}, TypeError, "initargs must be a tuple, got 'ab' (str)"),
        ({"seed": 1.5}, TypeError, "seed must be an int or None, got 1.5 (float)"),
        ({"seed": "x"}, TypeError, "seed must be an int or None, got 'x' (str)"),
        ({"progress": 1}, TypeError, "progress must be True, False or called as progress(n_done, n_items), got 1"),
        ({"buffersize": 0}, ValueError, 'buffersize must be >= 1 or "auto", got 0'),
        ({"buffersize": "big"}, TypeError, "buffersize must be an int >= 1 or \"auto\", got 'big' (str)"),
        ({"buffersize": 2.0}, TypeError, 'buffersize must be an int >= 1 or "auto", got 2.0 (float)'),
    ],
)
def test_a_wrong_value_is_told_with_the_value_the_range_and_the_cure(
    given: dict[str, object], error: type[Exception], told: str
) -> None:
    with pytest.raises(error) as caught:
        checked(given)
    assert str(caught.value) == told


@pytest.mark.parametrize(
    "given",
    [
        {"timeout": 1, "deadline": 2.5, "retries": 0, "seed": 2**70, "buffersize": 1, "progress": print},
        {"timeout": None, "deadline": None, "seed": None, "initializer": None, "buffersize": "auto", "progress": False},
    ],
)
def test_a_right_value_passes(given: dict[str, object]) -> None:
    assert checked(given) == given
