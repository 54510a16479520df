"""What the commands say, and where: data on stdout, messages on stderr, and failures in words."""

from __future__ import annotations

import sys

from amorsize.report.text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO, TypeAlias

    Answer: TypeAlias = tuple[object, list[str]]  # for --json: records and plain values; for people: lines


class Failure(Exception):
    """What went wrong, in words for stderr; the command exits with 1."""


def answer(told: Answer, *, as_json: bool) -> None:
    """Print what a command found."""
    value, lines = told
    if as_json:
        from json import dumps

        lines = dumps(value, default=lambda record: dict(record.items()), indent=2, allow_nan=False).split("\n")
    _print(lines, sys.stdout)


def tell(text: str) -> None:
    """Print a message."""
    _print([f"amorsize: {text}"], sys.stderr)


def _print(lines: Sequence[str], stream: TextIO) -> None:
    """Print lines so that a terminal shows them and obeys nothing in them; all output goes through here."""
    encoding = stream.encoding or "ascii"
    for line in lines:
        print(printable(line).encode(encoding, "backslashreplace").decode(encoding), file=stream)
    stream.flush()
