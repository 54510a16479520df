"""Which functions have long items: for these, a process looks into the store before it runs the first of a few.

A look takes 10 ms, so a process that does not know better computes for 2.5 ms before it looks, which means: one item at
least. Where that one lasts for half a minute, the other cores stand idle for as long: eight such items on eight cores
took twice as long as they had to. So who has them is written down beside the store, in a file of its own, which is read
in 0.05 ms and needs nothing of what the store needs.

    0.25 module:qualname        seconds of an item, and the name of the function, a line each

A hint and no more: one that is planted, or out of date, costs a look. It is only written where the store was, just now.
"""

import os
from _io import FileIO  # a test may have put a mock in the place of `open`

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

LONG_S = 0.005
"""Seconds of an item from which on a look that has to come anyway had better come before the first one."""

MOST_BYTES = 1 << 14
"""The file is not read any further, and what was written down first goes."""

_FILE = "long"
_CAREFULLY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # no link, and no pipe that nobody writes to


def read_long(directory: str) -> dict[str, float]:
    """Return the seconds of an item by the name of the function; nothing where the file cannot be read."""
    try:
        with FileIO(f"{directory}/{_FILE}", opener=_open) as file:
            text = (file.read(MOST_BYTES) or b"").decode("utf-8", "replace")
    except OSError:
        return {}
    found: dict[str, float] = {}
    for line in text.splitlines():
        seconds, _, name = line.partition(" ")
        try:
            found[name] = float(seconds)
        except ValueError:  # no line of ours
            continue
    return found


def note_long(directory: str, seen_s: "Mapping[str, float]") -> None:
    """Write down which of these functions have long items, and which no longer have.

    Args:
        directory: of the store, which has just written to it.
        seen_s: mean seconds of an item by the name of the function.
    """
    known = read_long(directory)
    changed = {
        name: seconds
        for name, seconds in seen_s.items()
        if name.isprintable()
        and (seconds >= LONG_S or name in known)
        and not seconds / 2 < known.get(name, 0.0) < 2 * seconds
    }
    if changed:
        _write(directory, {**{name: each for name, each in known.items() if name not in changed}, **changed})


def forget_long(directory: str, name: str | None = None) -> None:
    """Forget one function, or all."""
    known = read_long(directory)
    if known:
        _write(directory, {} if name is None else {each: known[each] for each in known if each != name})


def _write(directory: str, known: "Mapping[str, float]") -> None:
    text = "".join(f"{seconds:.3g} {name}\n" for name, seconds in known.items() if seconds >= LONG_S).encode()
    try:
        with FileIO(f"{directory}/{_FILE}", "w", opener=_open) as file:
            file.write(text[-MOST_BYTES:])
    except OSError:  # full, or read-only by now: the next process runs one item more alone
        return


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | _CAREFULLY, 0o600)
