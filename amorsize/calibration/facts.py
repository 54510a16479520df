"""What a number must be to be believed: one place for the records that are kept in a store, which may hold anything."""

from __future__ import annotations

MAX_SECONDS = 1e7
"""The longest time that is believed: about four months."""

LATEST_S = 1e11
"""The latest date that is believed, in seconds since 1970: the year 5138."""

SHORTEST_S = 1e-9
"""Stands for seconds that a clock has shown as 0."""

MAX_ITEMS = 2**53
"""The highest count that is believed: up to here a float counts exactly."""


def believable(now_s: float) -> float:
    """Return a date that is believed, in seconds since 1970: a program's tests may set its clock to any."""
    return min(max(0.0, now_s), LATEST_S)


def is_number(value: object, low: float, high: float) -> bool:
    """Tell whether it is an int or float (no bool, no NaN) from `low` to `high`."""
    return isinstance(value, (int, float)) and type(value) is not bool and low <= value <= high


def is_count(value: object, high: int = MAX_ITEMS) -> bool:
    """Tell whether it is an int (no bool) from 1 to `high`."""
    return isinstance(value, int) and type(value) is not bool and 1 <= value <= high


def check_numbers(values: tuple[object, ...], low: float, high: float) -> None:
    """Raise ValueError unless each is a number from `low` to `high`."""
    for value in values:
        if not is_number(value, low, high):
            raise ValueError(f"expected a number from {low:g} to {high:g}, got {value!r}")
