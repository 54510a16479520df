"""A value's stand-in tells values apart, is hashable, and is written alike everywhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from amorsize.identity.values import MAX_ELEMENTS, value_token, written

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner) | st.dictionaries(scalars, inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_any_value_has_a_hashable_stand_in_that_can_be_written(value: object) -> None:
    token = value_token(value)
    hash(token)
    assert written(token) == written(value_token(value))


@given(scalars, scalars)
def test_two_scalars_have_the_same_stand_in_only_if_they_are_written_alike(one: object, other: object) -> None:
    alike = type(one) is type(other) and repr(one) == repr(other)
    assert (written(value_token(one)) == written(value_token(other))) == alike or one != one or other != other


@given(st.lists(st.tuples(scalars, scalars), max_size=MAX_ELEMENTS, unique_by=lambda pair: repr(pair[0])))
def test_the_order_of_a_dict_does_not_count(pairs: list[tuple[object, object]]) -> None:
    there, back = dict(pairs), dict(reversed(list(dict(pairs).items())))
    assert written(value_token(there)) == written(value_token(back))


@given(st.sets(st.text(), max_size=MAX_ELEMENTS))
def test_the_order_of_a_set_does_not_count(texts: set[str]) -> None:
    again: set[str] = set()
    for text in sorted(texts):
        again.add(text)
    assert written(value_token(texts)) == written(value_token(again))


def test_a_container_in_itself_comes_to_an_end() -> None:
    endless: list[object] = []
    endless.append(endless)
    assert value_token(endless) == value_token([[[["cut off here"]]]])
