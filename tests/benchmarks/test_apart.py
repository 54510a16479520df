"""Where the time of a call goes is told of the call itself, and of all of it."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from benchmarks import parts
from benchmarks.apart import in_words
from benchmarks.figures import Figure, Goal, Row
from benchmarks.launch import Child, environment
from benchmarks.parts import ITEMS, LOADING, PARTS, REST, Clock, place_of
from benchmarks.rows import beside
from benchmarks.sizes import Size
from benchmarks.tour import TOUR

NAMES = {LOADING, REST, *(part for part, _, _ in PARTS)}


@pytest.mark.parametrize(("module", "path"), [(module, path) for _, module, path in PARTS])
def test_what_begins_a_part_is_still_there(module: str, path: str) -> None:
    import_module(module)
    owner, name = place_of(module, path)
    assert callable(getattr(owner, name))


def test_a_part_within_a_part_counts_as_the_inner_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "perf_counter", iter([0.0, 1.0, 3.0, 7.0, 15.0, 31.0]).__next__)
    clock = Clock()
    clock.enter("outer")
    clock.enter(ITEMS)
    assert clock.is_in_items
    clock.leave()
    clock.leave()
    clock.leave()
    assert clock.seconds == {REST: 1.0 + 16.0, "outer": 2.0 + 8.0, ITEMS: 4.0}


def test_the_parts_of_a_call_are_all_of_it() -> None:
    with Child("pmap-in-parts") as child:
        cold, warm = (child.answer("loop_30us", Size(2000, 100)) for _ in range(2))
    assert LOADING in cold.parts
    for answer in (cold, warm):
        assert {ITEMS, REST} <= answer.parts.keys() <= NAMES
        assert 0.3 * answer.seconds * 1e3 <= sum(answer.parts.values()) <= answer.seconds * 1e3


SHOWS_PARTS = """
import sys
sys.path[:0] = sys.argv[1:]
from amorsize import pmap
from benchmarks.parts import PmapInParts

def sizes(numbers):
    return pmap(abs, numbers)

peer = PmapInParts(2, backend="thread")
assert peer.map(sizes, [[-1, 2]] * 60, None) == [[1, 2]] * 60
print(*sorted(peer.parts), sep="\\n")
peer.close()
assert __import__ is peer._import
"""


def test_what_other_threads_do_is_no_part_of_the_callers_time(tmp_path: object) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHOWS_PARTS, *sys.path],
        env=environment(str(tmp_path)),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = done.stdout.splitlines()
    assert "waiting for workers" in found
    assert ITEMS not in found


def test_peers_that_are_not_taken_apart_say_nothing() -> None:
    with Child("loop") as child:
        assert child.answer("loop_30us", Size(10, 100)).parts == {}


def test_the_longest_part_comes_first_and_the_shortest_are_left_out() -> None:
    calls = [{"items": 90.0, "waiting": ms, "blinking": 0.01} for ms in (5.0, 7.0, 300.0)]
    assert in_words(calls) == "pmap taken apart: items 90 ms, waiting 7 ms"


@pytest.mark.parametrize(("ratios", "note"), [((1.2,) * 8, "spin 9 ms, cold=True"), ((1.0,) * 8, "")])
def test_a_row_that_misses_its_goal_tells_why(
    monkeypatch: pytest.MonkeyPatch, ratios: tuple[float, ...], note: str
) -> None:
    monkeypatch.setattr(beside, "apart", lambda *_, is_cold: f"spin 9 ms, cold={is_cold}")
    row = Row(benchmark="noop", measure="slow", unit="x", figure=Figure.of(ratios), goal=Goal(bound=1.05))
    assert beside._told_why(row, TOUR[0], Size(1), 0.3, is_cold=True).note == note
