"""Rows as one text, to be carried from one store to another.

    amorsize export 1 2                                  version of this layout, number of rows
    profile:9f..:c1..:7a..<tab>[1,"<checksum>",{...}]    a key and its row, as `rows` writes it

A text that says anything else is refused as a whole: anybody may have written it.
"""

from __future__ import annotations

from amorsize.store import rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from amorsize.records import Facts

VERSION = 1
MOST_CHARS = 1 << 28
"""Characters of a text: 100,000 records fit, and more would only cost memory before they are refused."""

_HEAD = f"amorsize export {VERSION} "


class Damaged(Exception):
    """What is wrong with a text, in words."""


def pack(entries: Iterable[tuple[str, Facts]]) -> str:
    """Return these rows as a text; `unpack` turns it back."""
    lines = [f"{key}\t{text}\n" for key, facts in entries if (text := rows.encode(key, facts)) is not None]
    return f"{_HEAD}{len(lines)}\n{''.join(lines)}"


def unpack(text: str) -> dict[str, Facts]:
    """Return the rows of a text.

    Raises:
        Damaged: where anything about it is not as `pack` makes it.
    """
    if len(text) > MOST_CHARS:
        raise Damaged(f"it is larger than {MOST_CHARS >> 20} MB")
    head, *lines = text.split("\n")
    n_rows = head.removeprefix(_HEAD)
    if not head.startswith(_HEAD) or not n_rows.isdecimal():
        raise Damaged(f"it does not begin with {_HEAD.strip()!r} and the number of its rows")
    if lines[-1:] != [""] or str(len(lines) - 1) != n_rows:
        raise Damaged(f"{n_rows} rows were written to it, and {max(0, len(lines) - 1)} are whole")
    found: dict[str, Facts] = {}
    for number, line in enumerate(lines[:-1], start=2):
        key, _, row = line.partition("\t")
        facts = rows.decode(key, row) if rows.is_key(key) else None
        if facts is None or key in found:
            raise Damaged(f"line {number} is no row as amorsize writes it")
        found[key] = facts
    return found
