"""Memory for what arrives and stays: large buffers of results, side by side in huge pages where the system has them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Buffer: TypeAlias = bytearray | memoryview

LARGE_BYTES = 256 << 10
"""Buffers from this size on share huge pages. Below, clearing pages costs little of what pickling does; and who keeps
one of many results keeps its neighbours' memory with it, up to `ROOM_BYTES`."""

ROOM_BYTES = 4 << 20
"""Memory taken from the system at once: two huge pages. Half of it is as fast, but alone seldom is aligned to one."""

ALIGNED_TO = 64
"""A cache line, and what vector instructions like best."""


class Room:
    """Hands out memory.

    Pages that nobody has used yet are cleared by the kernel when they are first touched: 1 MB costs 0.65 ms in pages of
    4 KB, as much as many a function takes to compute it, and 0.16 ms in pages of 2 MB.
    """

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = memoryview(b"")

    def take(self, n_bytes: int) -> Buffer:
        """Return so many bytes, all zero; writable."""
        if n_bytes < LARGE_BYTES:
            return bytearray(n_bytes)
        size = -(-n_bytes // ALIGNED_TO) * ALIGNED_TO
        if size > len(self._left):
            pages = _huge_pages(size * -(-ROOM_BYTES // size))  # a whole number of the same: none is left over
            if pages is None:
                return bytearray(n_bytes)
            self._left = pages
        taken, self._left = self._left[:n_bytes], self._left[size:]
        return taken


def copy_to_new(payload: memoryview) -> None:
    """Copy bytes into new pages of the usual size, and give them back: what it costs that a result stays."""
    import mmap

    with mmap.mmap(-1, len(payload)) as pages:
        pages.write(payload)


def _huge_pages(n_bytes: int) -> memoryview | None:
    """Return new memory that the kernel may give huge pages to; None where it has none, or no memory."""
    import mmap

    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return None
    try:
        pages = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        pages.madvise(mmap.MADV_HUGEPAGE)
    except OSError:
        return None
    return memoryview(pages)
