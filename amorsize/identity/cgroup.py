"""Read what Linux control groups allow this process: CPU quota and memory, versions 1 and 2.

A group's limit binds all below it, so each is read from the process's own group up to the root, and the smallest
counts. In a container the path in /proc/self/cgroup may be the host's and exist nowhere in here; its parents, at least
the root, do.
"""

from __future__ import annotations

import os

from amorsize.footprint import read_kernel_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# Version 1 writes "no limit" as the largest page-aligned 64-bit number; no machine has this many bytes.
_NO_LIMIT_BYTES = 1 << 60


def read_text(path: str) -> str | None:
    """Return the beginning of a kernel file, 64 KB at most; None where it cannot be read."""
    text = read_kernel_file(path, 1 << 16)
    return None if text is None else text.decode("ascii", "replace")


def quota_cores(groups: str, root: str) -> float | None:
    """Return the CPU quota in cores.

    Args:
        groups: the text of /proc/self/cgroup.
        root: where the control groups are mounted, usually /sys/fs/cgroup.
    """
    quotas = []
    for folder in _folders(groups, root, "cpu"):
        unified = read_text(f"{folder}/cpu.max")
        if unified is None:
            quota, period = read_text(f"{folder}/cpu.cfs_quota_us"), read_text(f"{folder}/cpu.cfs_period_us")
        else:
            quota, _, period = unified.partition(" ")
        quota_us, period_us = _number(quota), _number(period)
        if quota_us and period_us and quota_us > 0:
            quotas.append(quota_us / period_us)
    return min(quotas, default=None)


def free_bytes(groups: str, root: str) -> int | None:
    """Return the memory that the limits leave, in bytes; file cache that can be dropped counts as free.

    Args:
        groups: the text of /proc/self/cgroup.
        root: where the control groups are mounted, usually /sys/fs/cgroup.
    """
    free = []
    for folder in _folders(groups, root, "memory"):
        limit = _number(read_text(f"{folder}/memory.max") or read_text(f"{folder}/memory.limit_in_bytes"))
        used = _number(read_text(f"{folder}/memory.current") or read_text(f"{folder}/memory.usage_in_bytes"))
        if limit is not None and used is not None and limit < _NO_LIMIT_BYTES:
            free.append(max(0, limit - used + _droppable_bytes(folder)))
    return min(free, default=None)


def _droppable_bytes(folder: str) -> int:
    found = [0]
    for line in (read_text(f"{folder}/memory.stat") or "").splitlines():
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file"):
            found.append(_number(value) or 0)
    return max(found)


def _folders(groups: str, root: str, controller: str) -> Iterator[str]:
    """Yield the folders of the process's groups for a controller, from its own up to the root."""
    for line in groups.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            mounts = [root, f"{root}/unified"]
        elif controller in controllers.split(","):
            mounts = [f"{root}/{controllers}", f"{root}/{controller}"]
        else:
            continue
        mount = next((mount for mount in mounts if os.path.isdir(mount)), None)
        if mount is not None:
            yield from _upwards(mount, path)


def _upwards(mount: str, path: str) -> Iterator[str]:
    parts = [part for part in path.split("/") if part and part != ".."]
    for n_parts in range(len(parts), -1, -1):
        yield "/".join([mount, *parts[:n_parts]])


def _number(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:  # "max"
        return None
