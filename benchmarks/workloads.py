"""The functions that are mapped, and their items. Loads nothing.

An item is `position * SPAN + n_steps`: its low bits say how much work it is, the others make every answer another one,
so that results in a wrong order are noticed.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SPAN = 1 << 24
"""Items are made of numbers below this: 0.4 s of steps, and millions of items in 64 bits."""


def noop(item: int) -> int:
    """Return the item: all that is left is what the tool costs."""
    return item


def spin(item: int) -> int:
    """Keep a core busy for as many steps as the item says."""
    total = item
    for step in range(item % SPAN):
        total += step
    return total


def marked_spin(item: int) -> int:
    """Do as `spin` does, and append this process's id to the file that `MARKS_FILE` names, if it names one."""
    marks = os.open(os.environ.get("MARKS_FILE", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(marks, b"%d\n" % os.getpid())
    os.close(marks)
    return spin(item)


def megabyte(item: int) -> bytes:
    """Return 1 MB made from the item's position."""
    return (item // SPAN).to_bytes(8, "little") * 131_072


FUNCTIONS: dict[str, Callable[[int], object]] = {
    function.__name__: function for function in (noop, spin, marked_spin, megabyte)
}


def items_of(n_items: int, n_steps: int) -> list[int]:
    """Return items of `n_steps` steps each."""
    return [position * SPAN + n_steps for position in range(n_items)]


def digest(results: Sequence[object]) -> str:
    """Return a hash of all results in their order."""
    from hashlib import blake2b

    hashed = blake2b(digest_size=16)
    for result in results:
        hashed.update(result if isinstance(result, bytes) else repr(result).encode())
    return hashed.hexdigest()
