"""Items leave a source in order and once, whatever the input is and however it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorsize.engine.fed.source import Pulled, Sliced, Task
from amorsize.inline import Work

if TYPE_CHECKING:
    from collections.abc import Iterator


def pulled(n_items: int, first: int = 0) -> Pulled:
    return Pulled(iter(range(first, first + n_items)), first)


def sliced(n_items: int, first: int = 0) -> Sliced:
    return Sliced(Work(abs, (list(range(first + n_items)),)), first, inherited=False)


@pytest.mark.parametrize("make", [pulled, sliced])
@given(n_items=st.integers(0, 30), first=st.integers(0, 5), sizes=st.lists(st.integers(-1, 6), max_size=20))
def test_tasks_partition_the_input(make: Any, n_items: int, first: int, sizes: list[int]) -> None:
    source = make(n_items, first)
    seen: list[object] = []
    for size in [*sizes, 10**6]:
        task = source.take(size)
        if task is None:
            assert size < 1 or source.n_taken == first + n_items
            continue
        assert task.stop - task.start == len(task.values) <= size
        assert task.start == first + len(seen)
        seen += task.values
    assert seen == list(range(first, first + n_items))
    assert source.n_left() in (0, None)
    assert source.take(1) is None
    assert source.n_left() == 0


def test_an_input_that_raises_does_so_after_the_items_before_it() -> None:
    def broken() -> Iterator[int]:
        yield from range(5)
        raise OSError("the disk is gone")

    source = Pulled(broken(), 0)
    for expected in ([0, 1, 2], [3, 4]):
        task = source.take(3)
        assert task is not None
        assert task.values == expected
    assert isinstance(source.error, OSError)
    assert (source.n_left(), source.n_taken, source.take(3)) == (0, 5, None)


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, MemoryError])
def test_whatever_the_input_raises_is_kept_for_its_place(kind: type[BaseException]) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise kind

    source = Pulled(broken(), 0)
    task = source.take(9)
    assert task is not None
    assert task.values == [1]
    assert type(source.error) is kind


def test_ctrl_c_while_the_input_blocks_ends_the_call_at_once() -> None:
    def interrupted() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Pulled(interrupted(), 0).take(9)


def test_an_ended_input_is_not_asked_again() -> None:
    class Twice:
        """Raises StopIteration, and would go on if it were asked again."""

        def __init__(self) -> None:
            self.n_asked = 0

        def __iter__(self) -> Twice:
            return self

        def __next__(self) -> int:
            self.n_asked += 1
            if self.n_asked == 3:
                raise StopIteration
            return self.n_asked

    numbers = Twice()
    source = Pulled(iter(numbers), 0)
    task = source.take(5)
    assert task is not None
    assert task.values == [1, 2]
    assert source.take(5) is None
    assert numbers.n_asked == 3


def test_items_that_workers_have_are_not_copied() -> None:
    source = Sliced(Work(abs, (range(10),)), 3, inherited=True)
    task = source.take(4)
    assert task is not None
    assert (task.start, task.stop, task.values) == (3, 7, None)
    assert source.item(task, 5) == 5
    assert list(source.rest()) == [7, 8, 9]


def test_a_list_that_has_become_shorter_ends_where_it_ends() -> None:
    items = list(range(10))
    source = Sliced(Work(abs, (items,)), 0, inherited=False)
    del items[4:]
    task = source.take(6)
    assert task is not None
    assert (task.start, task.stop, task.values) == (0, 4, [0, 1, 2, 3])
    assert (source.n_left(), source.take(1)) == (0, None)


@given(st.integers(0, 5), st.integers(1, 8), st.data())
def test_what_is_done_of_a_task_leaves_it(start: int, n_items: int, data: st.DataObject) -> None:
    task = Task(start, start + n_items, list(range(n_items)))
    n_done = data.draw(st.integers(0, n_items))
    task.done(n_done)
    assert (task.start, task.values) == (start + n_done, list(range(n_done, n_items)))
    singles = task.singles()
    assert [(single.start, single.stop, single.values) for single in singles] == [
        (start + k, start + k + 1, [k]) for k in range(n_done, n_items)
    ]


def test_parts_of_a_task_remember_its_deaths() -> None:
    task = Task(2, 6, ["c", "d", "e", "f"], n_deaths=2)
    part = task.part(3, 5)
    assert (part.start, part.stop, part.values, part.n_deaths) == (3, 5, ["d", "e"], 2)
