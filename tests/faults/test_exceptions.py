"""R5, R6 and R7: exceptions of items and of the input.

Here: whatever way items get to workers, and an input that fails together with an item. The rest is held elsewhere. That
the lowest is raised, that no further item starts, what was finished, and what usually ends a program, over lists,
iterators and in streams, for every backend: the contract's `Failures`. Causes, groups and notes that travel:
`tests/engine/test_failure.py`.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest

from amorsize import pimap, pmap
from amorsize.testing.faults import fails_at, fails_from
from amorsize.testing.items import collect, double

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Run = Callable[..., list[Any]]

BACKENDS: dict[str, dict[str, Any]] = {
    "the loop": {"backend": "serial"},
    "threads": {"backend": "thread", "n_jobs": 2},
    "fork": {"isolate": True, "n_jobs": 2, "start_method": "fork"},
    "fork, the caller takes part": {"backend": "process", "n_jobs": 2, "start_method": "fork"},
    "spawn": {"isolate": True, "n_jobs": 2, "start_method": "spawn"},
    "auto": {},
}

MARKS = {"fork": pytest.mark.needs_fork, "spawn": pytest.mark.slow}


@pytest.fixture(
    params=[
        pytest.param(options, id=name, marks=MARKS.get(name.partition(",")[0], []))
        for name, options in BACKENDS.items()
    ]
)
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    given: dict[str, Any] = request.param
    return given


def broken(n_items: int, error: BaseException) -> Iterator[int]:
    yield from range(n_items)
    raise error


def notes_of(error: BaseException) -> str:
    return "\n".join(getattr(error, "__notes__", []))


# ---- R5, R6


@pytest.mark.fault("R5")
def test_an_exception_names_its_item_and_shows_the_worker_s_traceback(run: Run) -> None:
    with pytest.raises(KeyError) as caught:
        run(functools.partial(fails_at, KeyError, ("lost", 7), 13), range(30))
    assert type(caught.value) is KeyError
    assert caught.value.args == ("lost", 7)
    notes = notes_of(caught.value)
    assert "amorsize: raised by item 13: 13" in notes
    assert "amorsize: traceback in the worker:" in notes
    assert "in fails_at" in notes


@pytest.mark.fault("R6")
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError, RecursionError])
def test_what_usually_ends_a_program_comes_as_itself(run: Run, kind: type[BaseException]) -> None:
    with pytest.raises(kind) as caught:
        run(functools.partial(fails_at, kind, (3,), 3), range(20))
    assert (type(caught.value), caught.value.args) == (kind, (3,))


# ---- R7


@pytest.mark.fault("R7")
@pytest.mark.parametrize("error", [OSError("gone"), KeyboardInterrupt(), SystemExit(3), MemoryError()], ids=repr)
def test_what_the_input_raises_comes_as_itself(options: dict[str, Any], error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        pmap(double, broken(20, error), **options)
    assert caught.value is error


@pytest.mark.fault("R7")
@pytest.mark.parametrize("error", [OSError("gone"), KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_what_the_input_of_a_stream_raises_comes_as_itself(options: dict[str, Any], error: BaseException) -> None:
    found: list[int] = []
    with pytest.raises(type(error)) as caught:
        collect(found, pimap(double, broken(20, error), **options))
    assert caught.value is error
    assert found == [2 * n for n in range(len(found))]


@pytest.mark.fault("R5", "R7")
def test_a_failing_item_before_the_end_of_a_broken_input_is_raised_as_in_the_loop(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no 5"):
        pmap(functools.partial(fails_from, 5), broken(20, OSError("gone")), **options)
    with pytest.raises(ValueError, match="no 19"):
        pmap(functools.partial(fails_from, 19), broken(20, OSError("gone")), **options)


@pytest.mark.fault("R7")
def test_a_broken_input_ends_a_call_that_goes_on_after_failing_items(options: dict[str, Any]) -> None:
    with pytest.raises(OSError, match="gone") as caught:
        pmap(functools.partial(fails_from, 5), broken(20, OSError("gone")), on_error="return", **options)
    finished = caught.value.finished  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    assert [finished[n] for n in range(5)] == [2 * n for n in range(5)]


@pytest.mark.fault("R7")
@pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "as finished"])
def test_a_stream_gives_all_results_before_its_input_breaks(options: dict[str, Any], ordered: bool) -> None:
    found: list[int] = []
    with pytest.raises(OSError, match="gone"):
        collect(found, pimap(double, broken(20, OSError("gone")), ordered=ordered, **options))
    assert sorted(found) == [2 * n for n in range(20)]
    assert not ordered or found == sorted(found)
