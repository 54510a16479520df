"""Rows of a store become records, whatever else lies in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amorsize.calibration.costs import Costs
from amorsize.calibration.profile import Profile
from amorsize.report.kept import SHORT_ID, Kept, describe_kept, kept_in, list_kept

if TYPE_CHECKING:
    from amorsize.records import Facts

HERE, THERE = "a" * 32, "b" * 32


def row(function: str = "work:f", kind: str = "int", place: str = HERE) -> tuple[str, Facts]:
    facts = Profile.of([(100, 0.1)], now_s=1000.0).to_facts()
    return f"profile:{'c' * 32}:{place}:{kind}", {**facts, "function": function, "input": kind, "machine": "a CPU"}


def kept(*rows: tuple[str, Facts]) -> list[Kept]:
    return kept_in(rows)


def test_profiles_are_sorted_by_function_and_input() -> None:
    found = kept(row("z:f"), row("a:f", "str"), row("a:f", "int"))
    assert [(each.function, each.input) for each in found] == [("a:f", "int"), ("a:f", "str"), ("z:f", "int")]


def test_a_record_knows_which_code_and_which_machine_it_is_about() -> None:
    (found,) = kept(row(place=THERE))
    assert (found.function_digest, found.machine_digest) == ("c" * 32, THERE)


def test_rows_that_are_no_profiles_are_left_out() -> None:
    key, facts = row()
    others: list[tuple[str, Facts]] = [
        ("costs:x:fork", Costs().to_facts()),
        ("profile:x", facts),
        (key, {"function": "work:f"}),
        (key, {**facts, "longest_s": -1.0}),
    ]
    assert kept(*others) == []


def test_a_name_that_is_no_text_is_a_question_mark() -> None:
    key, facts = row()
    (found,) = kept((key, {**facts, "function": 3, "input": None}))
    assert (found.function, found.input) == ("?", "?")


def test_each_key_has_an_id_of_its_own() -> None:
    first, second = kept(row(kind="int"), row(kind="str"))
    assert first.id != second.id
    assert len(first.id) == 32


def test_the_list_tells_this_machine_from_others() -> None:
    lines = list_kept(kept(row("f:f"), row("g:g", place=THERE)), HERE, now_s=1100.0)
    assert len(lines) == 3
    assert "here" in lines[1]
    assert "a CPU" in lines[2]
    assert "1 min ago" in lines[1]


def test_an_empty_list_has_no_head() -> None:
    assert list_kept([], HERE, now_s=0.0) == []


def test_everything_about_a_record_includes_its_whole_id() -> None:
    (found,) = kept(row())
    lines = describe_kept(found, HERE, now_s=1000.0)
    assert f"key       {found.id}" in lines
    assert "machine   this one: a CPU" in lines
    assert any(line.startswith("items seen") for line in lines)
    assert found.id[:SHORT_ID] in list_kept([found], HERE, now_s=1000.0)[1]
