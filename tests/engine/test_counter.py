"""Every item is taken once, whoever takes it, and however a taker ends."""

from __future__ import annotations

import os
import signal
import struct
from typing import TYPE_CHECKING

import pytest

from amorsize.engine.counter import Counter, LockedCounter, offsets_are_serialised, open_counter

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.needs_fork

N_TAKERS = 4

SERIALISED = pytest.param(
    Counter,
    marks=pytest.mark.skipif(
        not hasattr(os, "uname") or not offsets_are_serialised(), reason="this kernel's offsets are not atomic"
    ),
)


def forked(body: Callable[[], None]) -> int:
    """Run `body` in a child and return its process id."""
    pid = os.fork()
    if pid == 0:
        try:
            body()
        finally:
            os._exit(0)
    return pid


def takes_of_many(counter: Counter, n_items: int) -> list[int]:
    """Have several processes take single items until none is left; return all that they took."""
    gate_read, gate_write = os.pipe()
    taken_read, taken_write = os.pipe()

    def take() -> None:
        os.close(gate_write)
        os.read(gate_read, 1)  # end of file, for all at once: a start one after the other would not compete
        mine = []
        while (position := counter.take(1)) < n_items:
            mine.append(position)
        for at in range(0, len(mine), 512):  # 4 KB: a write to a pipe that others cannot divide
            part = mine[at : at + 512]
            os.write(taken_write, struct.pack(f"{len(part)}q", *part))

    pids = [forked(take) for _ in range(N_TAKERS)]
    for fd in (gate_read, gate_write, taken_write):
        os.close(fd)
    with open(taken_read, "rb") as pipe:
        content = pipe.read()
    for pid in pids:
        os.waitpid(pid, 0)
    return sorted(struct.unpack(f"{len(content) // 8}q", content))


@pytest.mark.parametrize(("kind", "n_items"), [(Counter, 400_000), (LockedCounter, 40_000)])
def test_no_item_is_taken_twice_and_none_is_left_out(kind: Callable[[], Counter], n_items: int) -> None:
    if kind is Counter and not offsets_are_serialised():
        pytest.skip("this kernel's offsets are not atomic")
    counter = kind()
    try:
        assert takes_of_many(counter, n_items) == list(range(n_items))
    finally:
        counter.close()


@pytest.mark.parametrize("kind", [SERIALISED, LockedCounter])
def test_a_taker_that_is_killed_locks_nobody_out(kind: Callable[[], Counter]) -> None:
    counter = kind()
    taken_read, taken_write = os.pipe()

    def take_for_ever() -> None:
        while True:
            counter.take(1)
            os.write(taken_write, b".")

    try:
        for _ in range(10):
            pid = forked(take_for_ever)
            os.read(taken_read, 100)  # it is in the middle of its takes
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            before = counter.take(1)
            assert counter.take(1) == before + 1
    finally:
        for fd in (taken_read, taken_write):
            os.close(fd)
        counter.close()


@pytest.mark.parametrize("kind", [Counter, LockedCounter])
def test_a_take_starts_where_the_one_before_ended(kind: Callable[[], Counter]) -> None:
    counter = kind()
    try:
        assert [counter.take(3), counter.take(1), counter.take(5)] == [0, 3, 4]
    finally:
        counter.close()


@pytest.mark.parametrize(
    ("release", "kind"),
    [
        ("6.8.0-45-generic", Counter),
        ("5.4.0", Counter),
        ("3.14.0", Counter),
        ("3.10.0-1160.el7.x86_64", LockedCounter),
        ("4.4.0", LockedCounter),  # what gVisor calls itself
        ("unknown", LockedCounter),
    ],
)
def test_offsets_are_trusted_only_on_kernels_that_serialise_them(
    release: str, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    uname = os.uname()
    told = os.uname_result((uname.sysname, uname.nodename, release, uname.version, uname.machine))
    monkeypatch.setattr(os, "uname", lambda: told)
    counter = open_counter()
    counter.close()
    assert type(counter) is kind
