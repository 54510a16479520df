"""Values become lines that are safe to print and easy to read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorsize.calibration.profile import Profile
from amorsize.calibration.runs import Run
from amorsize.records import Alternative, Plan
from amorsize.report.text import age, describe_plan, describe_profile, describe_run, named, printable, size, table

RUN = Run(backend="process", n_jobs=4, chunksize=50, n_items=1000, predicted_s=0.5, measured_s=0.6)


@given(st.text())
def test_what_is_printed_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    assert printable(text).isprintable()


@given(st.text().filter(str.isprintable))
def test_what_is_harmless_is_printed_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_terminal_escapes_line_ends_and_marks_that_turn_text_around_are_escaped() -> None:
    assert printable("a\x1b[2J\n\u202eb\x9b") == r"a\x1b[2J\n\u202eb\x9b"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5.0, "just now"), (0.9, "just now"), (1.0, "1 s ago"), (200.0, "3 min ago"), (7_300.0, "2 h ago")],
)
def test_an_age_is_told_in_the_largest_unit_that_fits(seconds: float, text: str) -> None:
    assert age(seconds) == text


def test_old_ages_are_told_in_days() -> None:
    assert age(86_400 * 3.5) == "3 d ago"


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(0, "0 bytes"), (1023, "1,023 bytes"), (1536, "1.5 KiB"), (12 << 20, "12 MiB"), (3 << 50, "3,072 TiB")],
)
def test_bytes_are_told_in_the_unit_that_fits(n_bytes: int, text: str) -> None:
    assert size(n_bytes) == text


def test_columns_stand_under_each_other() -> None:
    assert table(("A", "LONG"), [("wide one", "b"), ("c", "d")]) == ["A         LONG", "wide one  b", "c         d"]


def test_what_is_not_known_gets_no_line() -> None:
    assert named([("a", "1"), ("longer", "2"), ("unknown", None)]) == ["a       1", "longer  2"]


def test_a_run_is_told_with_its_prediction() -> None:
    assert describe_run(RUN) == "process x 4: 0.6 s, predicted 0.5 s"
    assert describe_run(RUN.replace(backend="serial", n_jobs=1)).startswith("the loop: ")


def test_a_profile_is_told_with_what_is_known_and_its_latest_run_first() -> None:
    profile = Profile.of([(10, 0.02), (10, 0.04)], now_s=1000.0).replace(
        result_bytes=2048.0, runs=(RUN.replace(n_items=7), RUN)
    )
    lines = describe_profile(profile, now_s=1060.0)
    assert "items seen          20, the last 1 min ago" in lines
    assert "an item takes       3 ms" in lines
    assert "result              2.0 KiB" in lines
    assert not any("CPU share" in line for line in lines)
    assert [line.split()[3] for line in lines[-2:]] == ["1,000", "7"]


def test_a_plan_is_told_with_its_reason_and_what_was_rejected() -> None:
    loop = Alternative(backend="serial", n_jobs=1, chunksize=None, predicted_s=2.0, why_not="takes longer")
    impossible = loop.replace(backend="process", n_jobs=8, predicted_s=None, why_not="no memory")
    plan = Plan(
        backend="process", n_jobs=4, chunksize=100, reason="it pays", predicted_s=0.6, alternatives=(loop, impossible)
    )
    assert describe_plan(plan) == [
        "plan       process x 4, chunks of 100 at most",
        "predicted  0.6 s",
        "reason     it pays",
        "",
        "REJECTED     PREDICTED  BECAUSE",
        "the loop     2 s        takes longer",
        "process x 8  unknown    no memory",
    ]


def test_the_loop_as_a_plan_names_no_chunks() -> None:
    plan = Plan(backend="serial", n_jobs=1, chunksize=9, reason="too little work")
    assert describe_plan(plan) == ["plan    the loop", "reason  too little work"]
