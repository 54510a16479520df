"""Results come back as they were: equal, and of the same types."""

from __future__ import annotations

import array
import collections
import enum
import math
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorsize.engine.encoding import decode, encode, trial


class Weekday(enum.IntEnum):
    MONDAY = 1


class Name(str):
    """A string with an attribute, which marshal would lose."""

    language = "none"


Point = collections.namedtuple("Point", "x y")


def there_and_back(results: list[Any]) -> list[Any]:  # Any: whatever a function may return
    encoding, payload, buffers = encode(results)
    back = decode(encoding, payload, [bytearray(buffer) for buffer in buffers])
    assert isinstance(back, list)
    return back


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
anything = st.recursive(
    scalars | st.sampled_from([Weekday.MONDAY, Point(1, 2), bytearray(b"x"), 3 + 4j, frozenset({1})]),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(scalars, inner),
    max_leaves=10,
)


@given(st.lists(anything))
def test_results_come_back_equal_and_of_the_same_types(results: list[object]) -> None:
    back = there_and_back(results)
    assert back == results
    assert [type(result) for result in back] == [type(result) for result in results]


LIKE: dict[str, Any] = {
    "ints": lambda number: number - 10,
    "floats": lambda number: number / 7,
    "pairs": lambda number: (number, -number),
    "rows": lambda number: (number, number / 7, 2**31 - 1, -(2**31), math.inf),
    "texts": lambda number: f"text {number}",
    "words": ["üben", "€5", "\U0001f600", "\udc80", "", "x"].__getitem__,
}
"""Results of which there are many, and all alike."""

ODD: list[Any] = [
    True, None, 0.0, 7, 2**31, -(2**31) - 1, 2**70, "", "a\0b", "\0", b"x", Weekday.MONDAY, Name("mot"), Point(1, 2),
    (1, 2), (1.0, 2), (1, 2.0), (1, True), (1, 2**40), (1,), (1, 2, 3), (), [1, 2], bytearray(b"1234"), object,
    array.array("i", [7]), array.array("d", [7.0]), bytearray(b"12345i1234"), b"", [], (b"", 3), (3, ()),
]  # fmt: skip
"""What marshal would change, or would write with the same letters, or in as many bytes."""


def _types(results: list[Any]) -> list[Any]:
    return [[type(field) for field in result] if type(result) is tuple else type(result) for result in results]


@pytest.mark.parametrize("like", LIKE)
def test_many_that_are_alike_come_back_as_they_were(like: str) -> None:
    results = [LIKE[like](at % 6) for at in range(100)]
    back = there_and_back(results)
    assert back == results
    assert _types(back) == _types(results)


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize("like", LIKE)
def test_so_does_an_odd_one_among_them(like: str, odd: object) -> None:
    for at in (0, 1, 50, 98, 99):
        results = [LIKE[like](at % 6) for at in range(100)]
        results[at] = odd
        back = there_and_back(results)
        assert back == results
        assert _types(back) == _types(results)


@pytest.mark.parametrize("like", ["ints", "floats"])
def test_so_does_a_number_of_numpy_which_marshal_takes_for_bytes(like: str) -> None:
    numpy = pytest.importorskip("numpy")
    for odd in (numpy.float64(7), numpy.int64(7), numpy.int32(7), numpy.arange(3)[1]):
        results = [*map(LIKE[like], range(50)), odd, *map(LIKE[like], range(50))]
        back = there_and_back(results)
        assert back == results
        assert _types(back) == _types(results)


def test_what_is_alike_and_simple_is_not_pickled() -> None:
    encodings = {like: encode([LIKE[like](at % 6) for at in range(100)])[0] for like in LIKE}
    assert encodings == {"ints": b"M", "floats": b"M", "pairs": b"P", "rows": b"P", "texts": b"J", "words": b"J"}


def test_what_is_shared_many_times_is_sent_once() -> None:
    """As a tree that everything below it is reached by in 2^40 ways: marshal would go each of them."""
    shared: tuple[object, ...] = (1,)
    for _ in range(40):
        shared = (shared, shared)
    node: dict[str, object] = {"value": 1}
    node["left"], node["right"] = {"parent": node}, {"parent": node}
    for like in ("ints", "pairs"):
        for odd in (shared, node):
            results: list[object] = [LIKE[like](at) for at in range(40)]
            results[20] = odd
            assert len(encode(results)[1]) < 10_000


@pytest.mark.parametrize("n_results", [0, 1, 2, 15, 16, 17])
def test_however_many_there_are_something_is_sent(n_results: int) -> None:
    for result in ("", 7, 0.5, (1, 2), None):
        results: list[object] = [result] * n_results
        assert there_and_back(results) == results
        assert encode(results)[1] != b"", "a message without a payload has none to decode"


def test_long_texts_are_not_joined() -> None:
    assert encode(["x" * 300] * 20)[0] == b"M"


@pytest.mark.parametrize("result", [Weekday.MONDAY, True, Point(1, 2), bytearray(b"x"), array.array("d", [1.0]), 2**70])
def test_what_marshal_would_change_keeps_its_type(result: object) -> None:
    (back,) = there_and_back([result])
    assert type(back) is type(result)
    assert back == result


def test_a_subclass_of_a_simple_type_keeps_its_attributes() -> None:
    word = Name("mot")
    word.language = "fr"
    (back,) = there_and_back([word])
    assert (type(back), back.language) == (Name, "fr")


def test_not_a_number_and_signed_zero_survive() -> None:
    back = there_and_back([math.nan, -0.0])
    assert math.isnan(back[0])
    assert math.copysign(1.0, back[1]) == -1.0


def test_one_object_returned_twice_in_a_range_is_one_object_again() -> None:
    shared = [1]
    back = there_and_back([shared, shared])
    assert back[0] is back[1]


def test_an_array_comes_back_equal_and_writable() -> None:
    numpy = pytest.importorskip("numpy")
    sent = numpy.arange(100_000, dtype="float64").reshape(100, 1000)
    (back,) = there_and_back([sent])
    assert (back == sent).all()
    back[0, 0] = 7.0


def test_an_array_that_is_not_contiguous_comes_back_equal() -> None:
    numpy = pytest.importorskip("numpy")
    sent = numpy.arange(200_000, dtype="int64")[::2]
    (back,) = there_and_back([sent])
    assert (back == sent).all()


def test_a_trial_raises_what_pickling_raises_and_says_what_sending_costs() -> None:
    assert trial([1, 2, 3])[0] is None
    send_s, n_bytes = trial([{"a": b"x" * 1000}])
    assert send_s is not None
    assert n_bytes >= 1000
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        trial([lambda: None])


def test_large_results_of_simple_types_are_timed_and_small_ones_are_not() -> None:
    small_s, small_bytes = trial([b"x" * 100])
    large_s, large_bytes = trial([b"x" * 10**6])
    assert small_s is None
    assert large_s is not None
    assert large_s > 0
    assert small_bytes < 200 < 10**6 < large_bytes
