"""Figures as people read them."""

from __future__ import annotations

import pytest

from amorsize.planning.words import items, span, workers


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 us"),
        (30e-6, "30 us"),
        (5e-8, "0.05 us"),
        (0.35e-3, "0.35 ms"),
        (8.55e-3, "8.6 ms"),
        (0.18, "0.18 s"),
        (9.96, "10 s"),
        (1234.0, "1,234 s"),
    ],
)
def test_seconds_are_written_in_the_unit_that_fits(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_numbers_agree_with_their_nouns() -> None:
    assert [items(1), items(1000)] == ["1 item", "1,000 items"]
    assert [workers("process", 1), workers("process", 2)] == ["1 process takes", "2 processes take"]
    assert [workers("thread", 1), workers("thread", 64)] == ["1 thread takes", "64 threads take"]
