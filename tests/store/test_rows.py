"""A row says what was put into it, or nothing."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import hypothesis.strategies as st
import pytest
from hypothesis import given

from amorsize.store import rows

if TYPE_CHECKING:
    from amorsize.records import Facts

NUMBERS = st.integers(-(10**15), 10**15) | st.floats(-1e15, 1e15)
SCALARS = st.none() | NUMBERS | st.text(max_size=300)
FACTS = st.dictionaries(st.text(max_size=40), SCALARS | st.lists(SCALARS, max_size=5), max_size=8)
KEYS = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=200)


@given(KEYS, FACTS)
def test_encode_then_decode_is_identity_with_every_type_and_bit(key: str, facts: Facts) -> None:
    text = rows.encode(key, facts)
    if text is None:  # too long as a whole
        assert len(json.dumps(facts)) > 15_000
    else:
        assert repr(rows.decode(key, text)) == repr(facts)


@pytest.mark.fault("R15", "R16")
@given(KEYS, FACTS, st.data())
def test_a_row_with_one_character_changed_or_cut_off_is_a_miss(key: str, facts: Facts, data: st.DataObject) -> None:
    text = rows.encode(key, facts)
    if text is None:
        return
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters().filter(lambda character: character != text[at]))
    assert rows.decode(key, text[:at] + other + text[at + 1 :]) is None
    assert rows.decode(key, text[:at]) is None


def test_a_row_under_another_key_is_a_miss() -> None:
    assert rows.decode("other", rows.encode("key", {"n": 1})) is None


@pytest.mark.fault("R15", "R16")
@given(st.none() | st.integers() | st.binary() | st.text())
def test_whatever_is_no_row_is_a_miss(text: object) -> None:
    assert rows.decode("key", text) is None


@pytest.mark.parametrize(
    "facts",
    [
        {"x": math.nan},
        {"x": math.inf},
        {"x": 1e308},
        {"x": 10**16},
        {"x": True},
        {"x": "y" * 301},
        {"x" * 301: 1},
        {"x": [1] * 65},
        {"x": [[1]]},
        {"x": {"y": 1}},
        {"x": b"y"},
        {1: 2},
        {f"x{number}": "y" * 300 for number in range(60)},
        [],
    ],
    ids=repr,
)
def test_facts_outside_of_the_limits_are_not_kept(facts: Facts) -> None:
    assert rows.encode("key", facts) is None


@pytest.mark.parametrize("key", ["", "x" * 201, "a\0b", "a\nb", "\ud800"])
def test_what_is_no_key_keeps_nothing(key: str) -> None:
    assert rows.encode(key, {"n": 1}) is None


@pytest.mark.fault("R15", "R16")
@pytest.mark.parametrize(
    "body",
    [
        *(
            '{"n":NaN}',
            '{"n":1e999}',
            '{"n":true}',
            '{"n":-1e16}',
            '{"n":' + "9" * 5000 + "}",
            '{"n":{}}',
            '{"n":[[]]}',
        ),
        *("[" * 8000, '{"n":1', '{"n":1} ', "[]", '"x"', "{'n':1}", ""),
    ],
    ids=lambda body: body[:12],
)
def test_a_planted_row_with_a_right_checksum_is_checked_all_the_same(body: str) -> None:
    assert rows.decode("key", f'[1,"{rows._checksum("key", body)}",{body}]') is None


def test_a_row_of_another_version_is_a_miss() -> None:
    text = rows.encode("key", {"n": 1})
    assert text is not None
    assert rows.decode("key", text.replace("[1,", "[2,", 1)) is None
