"""Whatever can be looped over can be mapped, with the loop's own items, results and calls."""

from __future__ import annotations

import array
import collections
import itertools
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amorsize import WorkerDied, pimap, pmap, pstarmap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONG = 20_000
"""An item that takes a fraction of a millisecond: some hundreds of them are worth workers."""

PLANS: list[Any] = [
    pytest.param({}, id="auto"),
    pytest.param({"backend": "serial"}, id="serial"),
    pytest.param({"backend": "process", "n_jobs": 2}, id="process", marks=pytest.mark.needs_fork),
    pytest.param({"isolate": True, "n_jobs": 2, "chunksize": 3}, id="isolate", marks=pytest.mark.needs_fork),
]


def same(*arguments: object) -> tuple[object, ...]:
    return arguments


class Countdown(list[int]):
    """A list that is looped over backwards: its slices are not what a loop sees."""

    def __iter__(self) -> Iterator[int]:
        return reversed(self)


class OldStyle:
    """Iterable by index only, as before `__iter__`."""

    def __getitem__(self, index: int) -> int:
        if index >= 30:
            raise IndexError(index)
        return 10 * index


class Twice:
    """Hands out a new iterator each time."""

    def __iter__(self) -> Iterator[int]:
        yield from range(30)
        yield from range(30)


INPUTS: dict[str, Callable[[], Any]] = {
    "list": lambda: list(range(40)),
    "tuple": lambda: tuple(range(40)),
    "range": lambda: range(40, 0, -1),
    "str": lambda: "a string, with some letters",
    "bytes": lambda: b"some bytes",
    "bytearray": lambda: bytearray(b"some bytes"),
    "memoryview": lambda: memoryview(b"some bytes"),
    "array": lambda: array.array("d", [1.5, 2.5]),
    "dict": lambda: {"a": 1, "b": 2, "c": 3},
    "items of a dict": lambda: {"a": 1, "b": 2, "c": 3}.items(),
    "set": lambda: set(range(40)),
    "deque": lambda: collections.deque(range(40)),
    "generator": lambda: (x * x for x in range(40)),
    "iterator": lambda: iter(range(40)),
    "endless, bounded": lambda: itertools.islice(itertools.count(), 40),
    "a list of its own mind": lambda: Countdown(range(40)),
    "by index only": OldStyle,
    "a class with __iter__": Twice,
    "of None": lambda: [None] * 20,
    "of unlike things": lambda: [1, "a", None, (2, 3), [4], {5: 6}, 7.5, range(8)],
}


@pytest.mark.parametrize("options", PLANS)
@pytest.mark.parametrize("make", INPUTS.values(), ids=INPUTS.keys())
def test_every_iterable_gives_the_loops_items(make: Callable[[], Any], options: dict[str, Any]) -> None:
    assert pmap(same, make(), **options) == [(item,) for item in make()]


@pytest.mark.parametrize("options", PLANS)
def test_a_file_is_mapped_line_by_line(options: dict[str, Any], tmp_path: Any) -> None:
    (tmp_path / "words").write_text("one\ntwo\nthree\n")
    with (tmp_path / "words").open() as lines:
        assert pmap(str.strip, lines, **options) == ["one", "two", "three"]


@pytest.mark.parametrize("options", PLANS)
def test_arrays_are_mapped_as_a_loop_would(options: dict[str, Any]) -> None:
    numpy = pytest.importorskip("numpy")
    numbers = numpy.arange(30, dtype="int16")
    found = pmap(lambda x: x, numbers, **options)
    assert found == list(numbers)
    assert {type(x) for x in found} == {numpy.int16}
    table = numpy.arange(60.0).reshape(20, 3)
    assert pmap(lambda row: float(row.sum()), table, **options) == [float(row.sum()) for row in table]
    assert numpy.array_equal(pmap(lambda row: 2 * row, table, **options), 2 * table)


def test_an_array_without_axes_is_not_iterable() -> None:
    numpy = pytest.importorskip("numpy")
    with pytest.raises(TypeError, match="0-d"):
        pmap(abs, numpy.array(3))


def test_a_masked_array_is_mapped_as_a_loop_would() -> None:
    numpy = pytest.importorskip("numpy")
    masked = numpy.ma.masked_array([1, 2, 3], mask=[False, True, False])
    assert pmap(lambda x: x is numpy.ma.masked, masked) == [False, True, False]


columns = st.lists(
    st.lists(st.integers(), max_size=20).flatmap(
        lambda items: st.sampled_from([list, tuple, iter, lambda xs: (x for x in xs)]).map(lambda kind: (kind, items))
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=60)
@given(columns)
def test_several_iterables_are_zipped_as_by_map(kinds: list[tuple[Any, list[int]]]) -> None:
    expected = list(map(same, *(kind(items) for kind, items in kinds)))
    assert pmap(same, *(kind(items) for kind, items in kinds), backend="serial") == expected


def test_a_range_longer_than_any_list_is_iterated() -> None:
    assert pmap(same, range(10**20), [1, 2]) == [same(0, 1), same(1, 2)]
    with pimap(abs, range(-(10**20), 0)) as results:
        assert next(results) == 10**20


@pytest.mark.needs_fork
@settings(max_examples=20)
@given(columns)
def test_several_iterables_are_zipped_for_workers_too(kinds: list[tuple[Any, list[int]]]) -> None:
    expected = list(map(same, *(kind(items) for kind, items in kinds)))
    assert pmap(same, *(kind(items) for kind, items in kinds), isolate=True, n_jobs=2) == expected


@pytest.mark.parametrize("options", PLANS)
@pytest.mark.parametrize("kind", [list, iter])
def test_star_unpacks_items_of_any_length(options: dict[str, Any], kind: Any) -> None:
    items = [(), (1,), [1, 2], "abc", range(4)]
    assert pstarmap(same, kind(items), **options) == list(itertools.starmap(same, items))


@pytest.mark.parametrize("options", PLANS)
def test_an_item_that_cannot_be_unpacked_is_told_with_its_index(options: dict[str, Any]) -> None:
    items: Any = [(1,), (2,), 3, (4,)]
    with pytest.raises(TypeError) as caught:
        pstarmap(same, items, **options)
    assert any("raised by item 2: 3" in note for note in caught.value.__notes__)


@pytest.mark.needs_fork
@pytest.mark.parametrize("options", PLANS)
def test_an_iterator_is_pulled_by_the_caller_alone_and_only_once(options: dict[str, Any]) -> None:
    pulled: list[tuple[int, int]] = []

    def numbers() -> Iterator[int]:
        for number in range(300):
            pulled.append((os.getpid(), number))
            yield LONG + number

    expected = [sum(range(LONG + number)) for number in range(300)]
    assert pmap(lambda n: sum(range(n)), numbers(), **options) == expected
    assert pulled == [(os.getpid(), number) for number in range(300)]


@pytest.mark.parametrize("options", PLANS)
def test_an_exception_in_the_middle_of_an_iterator_comes_after_the_items_before_it(options: dict[str, Any]) -> None:
    def numbers() -> Iterator[int]:
        yield from range(100)
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more") as caught:
        pmap(lambda n: n + 0 * sum(range(LONG)), numbers(), **options)
    assert vars(caught.value)["finished"] == {n: n for n in range(100)}
    assert any("in place of item 100" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("options", PLANS)
def test_an_exception_of_an_item_of_an_iterator_is_told_with_its_index_in_the_whole(options: dict[str, Any]) -> None:
    def fail_at_250(n: int) -> int:
        if n == 250:
            raise ValueError(n)
        return n + 0 * sum(range(LONG))

    with pytest.raises(ValueError) as caught:
        pmap(fail_at_250, iter(range(400)), **options)
    assert any("raised by item 250: 250" in note for note in caught.value.__notes__)
    finished = vars(caught.value)["finished"]
    assert set(range(250)) <= set(finished)
    assert all(finished[index] == index for index in finished)


@pytest.mark.needs_fork
def test_a_death_on_an_iterators_item_is_told_with_its_index_in_the_whole() -> None:
    def die_at_250(n: int) -> int:
        if n == 250:
            os._exit(3)
        return n + 0 * sum(range(LONG))

    with pytest.raises(WorkerDied) as caught:
        pmap(die_at_250, iter(range(400)), isolate=True, n_jobs=2)
    died = caught.value
    assert died.first is not None
    assert died.stop is not None
    assert died.first <= 250 < died.stop
    assert all(died.finished[index] == index for index in died.finished)


def test_an_empty_iterable_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", None, raising=False)
    empties: list[Any] = [[], (), "", iter(()), {}, range(0)]
    for empty in empties:
        assert pmap(abs, empty) == []
        assert pmap(abs, empty, isolate=True) == []


def test_items_are_neither_compared_hashed_nor_copied() -> None:
    class Touchy:
        __hash__ = None  # type: ignore[assignment]

        def __init__(self, at: int) -> None:
            self.at = at

        def __eq__(self, other: object) -> bool:
            raise RuntimeError("do not compare me")

        def __bool__(self) -> bool:
            raise RuntimeError("do not ask me")

        def __len__(self) -> int:
            raise RuntimeError("do not measure me")

        def __deepcopy__(self, _memo: object) -> object:
            raise RuntimeError("do not copy me")

    found = pmap(lambda item: (sum(range(LONG)), item)[1], [Touchy(at) for at in range(300)])
    assert [item.at for item in found] == list(range(300))
