"""R3 and R4: arguments, results and exceptions that do not travel.

Here: whatever way items get to workers, and in streams. The rest is held elsewhere. What each fault says word for word:
`test_crash_matrix.py`. Which part is named: `tests/engine/test_failure.py`. Index, type and path over lists and
iterators, and exceptions, for every backend: the contract's `Failures`. Functions: `tests/engine/spawn/test_spawn.py`.
"""

from __future__ import annotations

import functools
import threading
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from amorsize import ItemNotPicklable, RemoteError, pimap
from amorsize.testing.faults import (
    CALLED,
    PICKLED,
    UNPICKLED,
    Trap,
    TwoArguments,
    Unpicklable,
    fails_at,
    sets_a_trap_at,
)
from amorsize.testing.items import lock_of, same

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., list[Any]]


START_METHODS = [pytest.param("fork", marks=pytest.mark.needs_fork), pytest.param("spawn", marks=pytest.mark.slow)]


def plain(found: list[Any]) -> list[Any]:
    return [type(result) if isinstance(result, BaseException) else result for result in found]


# ---- R3


@pytest.mark.fault("R3")
def test_a_result_that_cannot_be_pickled_is_named(run: Run) -> None:
    with pytest.raises(ItemNotPicklable) as caught:
        run(lock_of, range(20))
    assert (caught.value.index, caught.value.type_name, caught.value.path) == (3, "_thread.lock", "result['lock']")


@pytest.mark.fault("R3")
def test_results_that_cannot_be_pickled_lose_no_other_where_the_call_goes_on(run: Run) -> None:
    found = run(lock_of, range(20), on_error="return")
    assert plain(found) == [ItemNotPicklable if n == 3 else n for n in range(20)]
    assert run(lock_of, range(20), on_error="skip") == [n for n in range(20) if n != 3]


def noted(path: str, item: int) -> object:
    with open(path, "a", encoding="utf-8") as notes:
        notes.write(f"{item}\n")
    return threading.Lock() if item == 150 else item


@pytest.mark.fault("R3")
def test_no_item_is_called_twice_for_a_result_that_cannot_be_pickled(run: Run, tmp_path: Path) -> None:
    """Those behind it in its task have run as well; the first tasks are of one item each."""
    path = tmp_path / "notes"
    found = run(functools.partial(noted, str(path)), range(200), on_error="return", chunksize=10)
    assert plain(found) == [ItemNotPicklable if n == 150 else n for n in range(200)]
    assert sorted(map(int, path.read_text(encoding="utf-8").split())) == list(range(200))


@pytest.mark.fault("R3")
def test_an_argument_that_cannot_be_sent_loses_no_other_where_the_call_goes_on(run: Run) -> None:
    items = [[n] if n != 3 else [threading.Lock()] for n in range(12)]
    found = run(len, items, on_error="return")
    if found == [1] * 12:
        return  # the workers have it already: nothing was sent
    assert plain(found) == [ItemNotPicklable if n == 3 else 1 for n in range(12)]
    assert (found[3].index, found[3].path) == (3, "argument[0]")


@pytest.mark.fault("R3")
@pytest.mark.parametrize("moment", [PICKLED, UNPICKLED])
@pytest.mark.parametrize("start_method", START_METHODS)
def test_a_stream_gives_the_results_before_an_argument_that_does_not_travel(start_method: Any, moment: str) -> None:
    items = (Trap("error", moment) if n == 3 else n for n in range(12))
    results = pimap(same, items, isolate=True, n_jobs=2, start_method=start_method, chunksize=1)
    assert [next(results), next(results), next(results)] == [0, 1, 2]
    with pytest.raises(ItemNotPicklable) as caught:
        next(results)
    assert caught.value.index == 3
    assert list(results) == []


@pytest.mark.fault("R3")
@pytest.mark.parametrize("start_method", START_METHODS)
def test_a_stream_gives_the_results_before_one_that_does_not_travel(start_method: Any) -> None:
    results = pimap(lock_of, iter(range(12)), isolate=True, n_jobs=2, start_method=start_method, chunksize=1)
    assert [next(results), next(results), next(results)] == [0, 1, 2]
    with pytest.raises(ItemNotPicklable, match="result of item 3"):
        next(results)
    assert list(results) == []


@pytest.mark.fault("R3")
@pytest.mark.parametrize("moment", [PICKLED, UNPICKLED])
def test_a_result_that_does_not_travel_shows_the_line_that_says_so(run: Run, moment: str) -> None:
    with pytest.raises(ItemNotPicklable) as caught:
        run(functools.partial(sets_a_trap_at, 3, "error", moment), range(6))
    assert repr(caught.value.__cause__) == "ValueError('sprung')"
    assert "in go_wrong" in "".join(traceback.format_exception(caught.value))


@pytest.mark.fault("R3")
@pytest.mark.parametrize("moment", [PICKLED, UNPICKLED])
def test_where_a_result_finds_no_memory_that_is_what_is_told_with_its_item(run: Run, moment: str) -> None:
    func = functools.partial(sets_a_trap_at, 3, "memory", moment)
    with pytest.raises(MemoryError) as caught:
        run(func, range(6))
    assert any("of item 3" in note for note in caught.value.__notes__)
    assert plain(run(func, range(6), on_error="return")) == [MemoryError if n == 3 else n for n in range(6)]


@pytest.mark.fault("R3")
@pytest.mark.parametrize("moment", [PICKLED, UNPICKLED])
@pytest.mark.parametrize("start_method", START_METHODS)
def test_where_an_argument_finds_no_memory_that_is_what_is_told_with_its_item(start_method: Any, moment: str) -> None:
    items = (Trap("memory", moment) if n == 3 else n for n in range(6))
    with pytest.raises(MemoryError) as caught:
        list(pimap(same, items, isolate=True, n_jobs=2, start_method=start_method))
    assert any(note.startswith("amorsize: raised by item 3: ") for note in caught.value.__notes__)


@pytest.mark.fault("R3")
def test_an_item_that_cannot_be_pickled_is_not_tried_again(run: Run) -> None:
    with pytest.raises(ItemNotPicklable):
        run(lock_of, range(20), retries=2, retry_on=OSError)


@pytest.mark.fault("R3")
def test_a_trap_that_nobody_springs_travels(run: Run) -> None:
    items = [Trap("kill", CALLED) if n == 3 else n for n in range(6)]
    found = run(same, items)
    assert [type(result) for result in found] == [Trap if n == 3 else int for n in range(6)]


# ---- R4


@pytest.mark.fault("R4")
def test_an_exception_that_its_arguments_do_not_rebuild_comes_as_itself(run: Run) -> None:
    with pytest.raises(TwoArguments) as caught:
        run(functools.partial(fails_at, TwoArguments, ("one", "two"), 3), range(20))
    assert (caught.value.first, caught.value.second) == ("one", "two")
    assert str(caught.value) == "one and two"


@pytest.mark.fault("R4")
def test_an_exception_that_cannot_travel_is_told_in_words_with_its_traceback(run: Run) -> None:
    with pytest.raises(RemoteError) as caught:
        run(functools.partial(fails_at, Unpicklable, ("busy",), 3), range(20))
    error = caught.value
    assert (error.type_name, error.text) == ("Unpicklable", "Unpicklable('busy')")
    assert "in fails_at" in error.traceback_text
    assert "busy" in str(error)
    assert "raised by item 3" in error.__notes__[0]


@pytest.mark.fault("R4")
def test_an_exception_that_cannot_travel_is_one_result_where_the_call_goes_on(run: Run) -> None:
    found = run(functools.partial(fails_at, Unpicklable, ("busy",), 3), range(12), on_error="return")
    assert plain(found) == [RemoteError if n == 3 else 2 * n for n in range(12)]
