"""Results by index, without a dict of all of them."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorsize.engine.finished import Finished


@given(st.lists(st.tuples(st.integers(0, 5), st.lists(st.integers(), max_size=5)), max_size=6))
def test_it_reads_like_a_dict(gaps: list[tuple[int, list[int]]]) -> None:
    parts, position = [], 0
    for gap, results in gaps:
        position += gap
        parts.append((position, results))
        position += len(results)
    expected = {start + at: result for start, results in parts for at, result in enumerate(results)}
    found = Finished(reversed(parts))
    assert dict(found) == expected
    assert list(found) == sorted(expected)
    assert [found.get(index, None) for index in range(-1, position + 1)] == [
        expected.get(index) for index in range(-1, position + 1)
    ]
    assert len(found) == len(expected)
    assert repr(found) == repr(expected)


def test_it_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        Finished([(0, ["a"])])[0] = "b"  # type: ignore[index]


def test_it_travels_as_a_dict() -> None:
    assert type(pickle.loads(pickle.dumps(Finished([(3, ["a"])])))) is dict
