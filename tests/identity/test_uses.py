"""Whose attributes code assigns: those that have a name there, or are its own."""

from __future__ import annotations

import pytest

from amorsize.identity.uses import SELF, stores


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("SETTINGS.n += SETTINGS.width", {("SETTINGS", "n")}),
        ("self.stats.n = self.client = SETTINGS.client", {("stats", "n"), (SELF, "client")}),
        ("known = SETTINGS; known.n = 1", {("SETTINGS", "n")}),
        ("(known := SETTINGS).n, x = 1, 2", {("SETTINGS", "n")}),
        ("def inner(other): self.n = other.n = 1", {(SELF, "n")}),
        ("with x as self.file: self.files[x].n = 1", {(SELF, "file")}),
        ("made = Made(x); made.width = SETTINGS.width", set()),
        ("made = Made(x); made.width += SETTINGS.width", set()),
        ("x.width = SETTINGS.width", set()),
        ("for each in SETTINGS.all: each.width = 1", set()),
        ("SETTINGS.find(x).n = 1", set()),
    ],
)
def test_a_store_is_told_by_what_its_object_is_called(source: str, expected: set[tuple[str, str]]) -> None:
    made: dict[str, object] = {}
    exec(f"def code(self, x):\n    {source}", made)
    assert stores(made["code"].__code__) == expected  # type: ignore[attr-defined]  # it is a function
