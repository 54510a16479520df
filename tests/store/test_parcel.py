"""Rows that travel as a text: what comes out is what went in, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorsize.store import rows
from amorsize.store.parcel import Damaged, pack, unpack

if TYPE_CHECKING:
    from amorsize.records import Facts

scalars = st.none() | st.text(max_size=20) | st.integers(-(10**12), 10**12) | st.floats(-1e12, 1e12)
facts = st.dictionaries(st.text(max_size=10), scalars | st.lists(scalars, max_size=4), max_size=4)
keys = st.text(min_size=1, max_size=40).filter(rows.is_key)


@given(st.dictionaries(keys, facts, max_size=4))
def test_what_was_packed_comes_out_again(entries: dict[str, Facts]) -> None:
    assert unpack(pack(entries.items())) == entries


@given(st.dictionaries(keys, facts, min_size=1, max_size=3), st.data())
def test_a_text_with_any_one_character_left_out_is_refused(entries: dict[str, Facts], data: st.DataObject) -> None:
    whole = pack(entries.items())
    at = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(Damaged):
        unpack(whole[:at] + whole[at + 1 :])


def test_what_no_store_would_keep_is_not_packed() -> None:
    assert unpack(pack([("key", {"number": 1e300}), ("other", {"number": 1.0})])) == {"other": {"number": 1.0}}


@pytest.mark.parametrize("n_rows", ["9" * 5000, "\u0660", "00"])
def test_a_number_of_rows_that_is_written_otherwise_is_refused(n_rows: str) -> None:
    with pytest.raises(Damaged):
        unpack(f"amorsize export 1 {n_rows}\n")
