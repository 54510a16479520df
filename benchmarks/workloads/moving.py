"""Items that cost more to move than to compute, or that need more memory than time."""

from __future__ import annotations

import zlib

from benchmarks.workloads.task import Task

MEGABYTE = 1 << 20
PAGE = 4096
TOUCHED_BYTES = 200 * MEGABYTE


def checksum(item: bytes) -> int:
    """Return the checksum of 1 MB: some 0.4 ms, as long as it takes to send it."""
    return zlib.crc32(item)


def megabyte(item: int) -> bytes:
    """Return 1 MB made from the item."""
    return item.to_bytes(8, "little") * (MEGABYTE // 8)


def long_string(item: int) -> str:
    """Return 100 characters."""
    return f"{item:0>100}"


def memory_200m(item: int) -> int:
    """Touch every page of 200 MB."""
    memory = bytearray(TOUCHED_BYTES)
    memory[::PAGE] = bytes([item % 255 + 1]) * (TOUCHED_BYTES // PAGE)
    return memory[item * PAGE] + item


def _numbers(n_items: int, _: int) -> range:
    return range(n_items)


TASKS = {
    "big_args": Task(checksum, lambda n_items, _: [megabyte(position) for position in range(n_items)]),
    "big_results": Task(megabyte, _numbers),
    "long_strings": Task(long_string, _numbers),
    "memory_200m": Task(memory_200m, _numbers),
}
