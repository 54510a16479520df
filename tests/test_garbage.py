"""The garbage collector goes through nobody's lists for what a call makes, and through all it should afterwards."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from amorsize.garbage import uncollected

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_CALL = """
import gc
import amorsize

@amorsize.parallelizable
def same(n):
    return n

def generation(wanted):
    return next(k for k in range(3) if any(found is wanted for found in gc.get_objects(k)))

gc.collect()
{before}
items = {items}
assert generation(items) == 0
same.pmap(items)
print(generation(items) == 2, gc.get_freeze_count() > 1000)
later = []
same.pmap(items)
print(generation(later))
"""


@pytest.mark.parametrize(
    ("before", "items", "told"),
    [
        ("", "list(range(20_000))", ["True False", "0"]),
        ("", "[[1], 2]", ["True False", "0"]),
        ("", "[1, 2]", ["False False", "0"]),  # nothing to go through: to load what ages it would take longer
        ("gc.freeze()", "list(range(20_000))", ["False True", "0"]),
        ("gc.disable()", "list(range(20_000))", ["False False", "0"]),
    ],
)
def test_a_large_list_of_the_first_call_counts_as_old_from_then_on(
    fresh_python: Callable[..., str], before: str, items: str, told: list[str]
) -> None:
    assert fresh_python("-c", FIRST_CALL.format(before=before, items=items)).splitlines() == told


LOADED = """
import gc, sys
from amorsize.garbage import uncollected

def generation(wanted):
    return next(k for k in range(3) if any(found is wanted for found in gc.get_objects(k)))

gc.collect()
young = []
uncollected(list)
assert generation(young) == 0, "else nothing of a program that calls often would ever be collected young"
uncollected(lambda: __import__("colorsys"))
assert generation(young) == 2
assert gc.isenabled() and gc.get_freeze_count() < 1000
"""


def test_what_loads_nothing_makes_nothing_old(fresh_python: Callable[..., str]) -> None:
    fresh_python("-c", LOADED)


INTERRUPTED = """
import gc
from amorsize import garbage

class Interrupting:
    def __getattr__(self, name):
        return getattr(gc, name)

    def freeze(self):
        gc.freeze()
        raise KeyboardInterrupt

garbage.gc = Interrupting()
try:
    garbage.age()
except KeyboardInterrupt:
    print(gc.get_freeze_count() < 1000)
"""


def test_ctrl_c_leaves_nothing_frozen(fresh_python: Callable[..., str]) -> None:
    assert fresh_python("-c", INTERRUPTED) == "True\n"


@pytest.mark.parametrize("is_on", [True, False])
def test_the_collector_is_as_it_was_after_a_block_that_did_without_it(*, is_on: bool) -> None:
    if not is_on:
        gc.disable()
    try:
        assert uncollected(gc.isenabled) is False
        with pytest.raises(ZeroDivisionError):
            uncollected(lambda: divmod(1, 0))
        assert gc.isenabled() is is_on
    finally:
        gc.enable()


def test_the_collector_is_on_after_blocks_of_two_threads_that_overlapped(monkeypatch: pytest.MonkeyPatch) -> None:
    is_enabled = gc.isenabled

    def find_it_off_and_then_on() -> bool:
        gc.enable()  # as the other thread does, right after this one has looked
        return False

    def in_the_first() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(gc, "isenabled", find_it_off_and_then_on)
            uncollected(tuple)

    uncollected(in_the_first)
    assert is_enabled()


def test_ctrl_c_right_after_the_collector_was_turned_off_leaves_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    turn_off = gc.disable

    def turn_off_and_be_interrupted() -> None:
        turn_off()
        raise KeyboardInterrupt

    monkeypatch.setattr(gc, "disable", turn_off_and_be_interrupted)
    with pytest.raises(KeyboardInterrupt):
        uncollected(tuple)
    assert gc.isenabled()


LEARNED = """
import gc
import amorsize.advice.adviser  # loaded, it is asked by every call
from amorsize import parallelizable

done = []

@parallelizable(n_jobs=1)
def listed(n):
    done.append(n)
    return [n] * 1000

n_done = []
gc.set_threshold(50)
gc.collect()
gc.callbacks.append(lambda phase, info: n_done.append(len(done)))
listed.pmap(range(100))
print(listed.last_run.n_sampled, n_done.count(100))
"""


def test_results_are_gone_through_for_nothing_that_a_call_learns(fresh_python: Callable[..., str]) -> None:
    assert fresh_python("-c", LEARNED) == "100 0\n"
