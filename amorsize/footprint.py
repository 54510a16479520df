"""What files of the kernel's say; by these, how much memory a process holds, and has held at the most.

Loaded before the first item of a process runs, so it imports nothing that is not there.
"""

import sys
from _io import FileIO  # a test may have put a mock in the place of `open`

LOOKED_S = 0.01
"""Seconds for which a look at what this process has held is good: at 12 us a look, calls that come one after the other
spend 0.1 % of their time on it, and in that time a program touches 40 MB at most."""

_highest_bytes = 0  # of this process, when it was last looked at
_looked_s = -1.0  # when a call began that did, on the clock of `perf_counter`


def read_kernel_file(path: str, most: int = -1) -> bytes | None:
    """Return what a file of the kernel's says, or its first bytes; None where it cannot be read, or its subject has
    ended."""
    try:
        with FileIO(path) as file:  # closed by itself where Ctrl-C comes in between
            return file.read(most)
    except OSError as error:
        if error.errno is None:  # a signal handler's
            raise
        return None


def of(pid: int | str = "self") -> tuple[int, int] | None:
    """Return the bytes that a process holds, and the most that it has ever held; None where nothing tells. Takes 12 us.

    Pages of mapped files, and of memory that others share, are none of its own: all workers hold the same, once.
    Elsewhere than on Linux and Windows nobody knows what it has held before.

    Example:
        >>> held_bytes, highest_bytes = of() or (0, 0)
        >>> held_bytes <= highest_bytes
        True
    """
    if sys.platform != "linux":
        return _asked_of_psutil(pid)
    status = read_kernel_file(f"/proc/{pid}/status") or b""
    if b"VmHWM:" not in status:  # one that has ended holds nothing
        return None
    held, highest, mapped, shared = [_bytes(status, name) for name in (b"VmRSS:", b"VmHWM:", b"RssFile:", b"RssShmem:")]
    return held - mapped - shared, highest - mapped - shared


def _bytes(status: bytes, name: bytes) -> int:
    found = status.partition(name)[2].split(None, 1)
    return int(found[0]) * 1024 if found else 0  # an old kernel does not tell all


def _asked_of_psutil(pid: int | str) -> tuple[int, int] | None:
    try:
        import psutil
    except ImportError:  # installed with amorsize, but it cannot be built everywhere
        return None
    try:
        found = psutil.Process(None if pid == "self" else int(pid)).memory_info()
    except psutil.Error:
        return None
    return found.rss, max(found.rss, getattr(found, "peak_wset", 0))


def begin(now_s: float) -> None:
    """Note what this process has held before the first item of a call: a program that loads or sorts much between two
    calls says nothing about items.

    Args:
        now_s: the reading of a clock that never goes back, in seconds; a look is good for `LOOKED_S`.
    """
    global _highest_bytes, _looked_s
    if not 0 <= now_s - _looked_s < LOOKED_S:
        _, _highest_bytes = (sys.platform == "linux" and of()) or (0, 0)
        _looked_s = now_s


def risen() -> int | None:
    """Return by how many bytes this process has exceeded what it holds now, since somebody last looked; None where it
    did not exceed what it had held before, which hides that, or nothing tells."""
    global _highest_bytes
    held, highest = of() or (0, 0)
    before, _highest_bytes = _highest_bytes, highest
    return highest - held if before and highest > before else None
