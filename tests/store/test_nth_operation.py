"""The nth operation that the store asks of the system fails (faults.md R19): a miss or memory only, never an exception.

Stand-ins for `os`, `open`, `fcntl` and SQLite count what the store does in a session, and let one operation fail: the
1st, the 2nd, ... the last; once, and from then on for ever.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from amorsize.store import base, disk, place, read, safe_disk
from amorsize.store.base import StoreError
from amorsize.store.disk import DiskStore
from amorsize.testing import Holdings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from amorsize.records import Facts

    Make = Callable[[], BaseException]

pytestmark = [
    pytest.mark.fault("R19"),
    pytest.mark.skipif(sys.platform == "win32", reason="descriptors and locks are those of POSIX"),
]

OPERATIONS = frozenset(
    ("getcwd", "lstat", "stat", "open", "lseek", "read", "close", "makedirs", "mkdir", "rename", "replace", "unlink",
     "listdir", "rmdir")
)  # fmt: skip
"""What the store asks of `os`."""


class Ration:
    """Operations that go well.

    Attributes:
        n_done: operations that were asked for.
        done: what they were.
    """

    def __init__(self) -> None:
        self.n_done = 0
        self.done: list[str] = []
        self._fails_at: int | None = None
        self._is_for_ever = False
        self._make: tuple[Make, Make] = (OSError, sqlite3.OperationalError)

    def let_fail(self, number: int, *, for_ever: bool, of_system: Make, of_sqlite: Make) -> None:
        """Begin to count anew, and let the operation of this number (from 1) fail; with `for_ever` all after it too."""
        self.n_done, self.done = 0, []
        self._fails_at, self._is_for_ever, self._make = number, for_ever, (of_system, of_sqlite)

    def go_well(self) -> None:
        """Let nothing fail any more."""
        self.n_done, self.done, self._fails_at = 0, [], None

    def take(self, what: str, *, is_sqlite: bool = False) -> None:
        """Count an operation, and raise where it is to fail."""
        self.n_done += 1
        self.done.append(what)
        if self._fails_at is None or self.n_done < self._fails_at:
            return
        if self._is_for_ever or self.n_done == self._fails_at:
            raise self._make[is_sqlite]()

    def counted(self, what: str, operation: Callable[..., Any]) -> Callable[..., Any]:
        """Return the operation, counted; closing is done all the same, as the system does it."""

        def act(*arguments: Any, **more: Any) -> Any:
            if what == "close":
                operation(*arguments, **more)
            self.take(what)
            return None if what == "close" else operation(*arguments, **more)

        return act


class StandIn:
    """A module with some of its functions counted."""

    def __init__(self, module: Any, counted: dict[str, Any]) -> None:
        self._module, self._counted = module, counted

    def __getattr__(self, name: str) -> Any:
        return self._counted.get(name) or getattr(self._module, name)


@pytest.fixture
def ration(monkeypatch: pytest.MonkeyPatch) -> Ration:
    """Count what the store does."""
    ration = Ration()

    class Cursor(sqlite3.Cursor):
        def execute(self, *arguments: Any) -> Cursor:
            ration.take(f"execute {arguments[0]}", is_sqlite=True)
            super().execute(*arguments)
            return self

        def fetchall(self) -> list[Any]:
            try:
                ration.take("fetchall", is_sqlite=True)
            except sqlite3.Error:
                self.close()  # a step that fails ends its statement, and gives its lock back
                raise
            return super().fetchall()

    class Connection(sqlite3.Connection):
        def execute(self, *arguments: Any) -> Cursor:
            return Cursor(self).execute(*arguments)

    def connect(*arguments: Any, **more: Any) -> sqlite3.Connection:
        ration.take("connect", is_sqlite=True)
        return sqlite3.connect(*arguments, **more, factory=Connection)

    system = StandIn(os, {name: ration.counted(name, getattr(os, name)) for name in OPERATIONS})
    for module in (base, disk, place, read, safe_disk):
        if hasattr(module, "os"):
            monkeypatch.setattr(module, "os", system)
    monkeypatch.setattr(place, "FileIO", ration.counted("open", FileIO))
    monkeypatch.setattr(read, "_sqlite3", StandIn(sqlite3, {"connect": connect}))
    monkeypatch.setattr("diskcache.core.sqlite3", StandIn(sqlite3, {"connect": connect}))
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(fcntl, "flock", ration.counted("flock", fcntl.flock))
    return ration


def refused() -> BaseException:
    return OSError(errno.EIO, "Input/output error")


def of_sqlite(code: int, words: str) -> Make:
    def make() -> BaseException:
        error = sqlite3.OperationalError(words)
        error.sqlite_errorcode = code
        return error

    return make


def count(facts: Facts | None) -> Facts:
    n = (facts or {"n": 0})["n"]
    assert isinstance(n, int)
    return {"n": n + 1}


def database_of(directory: Path) -> int | None:
    try:
        return (directory / "cache.db").stat().st_ino
    except OSError:
        return None


def session(directory: Path) -> tuple[int, bool]:
    """Use a store in every way there is; return how many updates it said were written, and whether it begun anew."""
    store = DiskStore(str(directory))
    assert set(store.read(["a", "old"])) <= {"a", "old"}
    n_written = 0
    databases = set()
    for n_updates in (1, 2):
        n_written += store.update({"a": count, "b": count})
        databases.add(database_of(directory))
        known = store.read(["a", "b", "never"])
        assert "never" not in known
        for facts in known.values():
            assert facts["n"] in range(1, n_updates + 1)
    with suppress(StoreError):
        assert {key for key, _ in store.entries()} <= {"a", "b", "old"}
    assert store.size_bytes >= 0
    assert store.flush(0.0) in (True, False)
    with suppress(StoreError):
        assert store.delete(["old"]) in (0, 1)
    store.close()
    databases.add(database_of(directory))
    return n_written, len(databases - {None}) > 1


def old_store(directory: Path) -> None:
    store = DiskStore(str(directory))
    assert store.update({"old": lambda _: {"n": 7}})
    store.close()


def sessions(home: Path, *, is_old: bool) -> Iterator[Path]:
    """Yield one directory after the other, with an old store in each or nothing."""
    number = 0
    while True:
        directory = home / f"store {number}"
        if is_old:
            old_store(directory)
        yield directory
        number += 1


def hold_to_the_promise(
    home: Path, ration: Ration, make: tuple[Make, Make], *, is_old: bool, for_ever: bool, step: int = 1
) -> int:
    """Let each operation of a session fail in turn, or one in `step`; return how many there are.

    Afterwards, with nothing failing any more, the next process finds a store that works; what was told to be written is
    in it, except where it has been put aside.
    """
    places = sessions(home, is_old=is_old)
    ration.go_well()
    directory = next(places)
    ration.go_well()
    assert session(directory) == (2, False)
    n_operations = ration.n_done
    for number in range(1, n_operations + 1, step):
        ration.go_well()
        directory = next(places)
        ration.let_fail(number, for_ever=for_ever, of_system=make[0], of_sqlite=make[1])
        n_written, was_put_aside = session(directory)
        failed = ration.done[number - 1]
        ration.go_well()
        after = DiskStore(str(directory))
        found = after.read(["a"]).get("a", {"n": 0})["n"]
        assert n_written <= int(str(found)) <= 2 or was_put_aside, (number, failed, n_written, found)
        assert after.update({"new": count}), (number, failed, after.problem)
        assert after.read(["new"]) == {"new": {"n": 1}}, (number, failed)
        after.close()
    return n_operations


KINDS: dict[str, tuple[Make, Make]] = {
    "broken": (refused, of_sqlite(10, "disk I/O error")),
    "full": (lambda: OSError(errno.ENOSPC, "No space left on device"), of_sqlite(13, "database or disk is full")),
    "forbidden": (lambda: PermissionError(errno.EACCES, "Permission denied"), of_sqlite(14, "unable to open")),
    "too many files": (lambda: OSError(errno.EMFILE, "Too many open files"), of_sqlite(14, "unable to open")),
    "gone": (lambda: FileNotFoundError(errno.ENOENT, "No such file or directory"), of_sqlite(522, "disk I/O error")),
    "locked": (lambda: BlockingIOError(errno.EAGAIN, "try again"), of_sqlite(5, "database is locked")),
    "damaged": (refused, of_sqlite(11, "database disk image is malformed")),
    "out of memory": (lambda: OSError(errno.ENOMEM, "Cannot allocate memory"), lambda: MemoryError()),
}


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
def test_one_operation_in_sixteen_fails_and_costs_what_was_known_at_most(
    home: Path, ration: Ration, for_ever: bool
) -> None:
    step = 16
    assert hold_to_the_promise(home, ration, KINDS["broken"], is_old=False, for_ever=for_ever, step=step) > 100


@pytest.mark.slow
@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("is_old", [False, True], ids=["a new store", "an old store"])
def test_whichever_operation_fails(home: Path, ration: Ration, is_old: bool, for_ever: bool) -> None:
    n_operations = hold_to_the_promise(home, ration, KINDS["broken"], is_old=is_old, for_ever=for_ever)
    print(f"{n_operations} operations")


@pytest.mark.slow
@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_whatever_an_operation_fails_with(home: Path, ration: Ration, kind: tuple[Make, Make], for_ever: bool) -> None:
    step = 7 if for_ever else 5  # what fails once is the more varied
    hold_to_the_promise(home, ration, kind, is_old=True, for_ever=for_ever, step=step)


def test_an_update_opens_the_database_once_and_begins_one_transaction(directory: Path, ration: Ration) -> None:
    old_store(directory)
    ration.go_well()
    store = DiskStore(str(directory))
    assert store.update({"a": count, "b": count})
    done = [what.removeprefix("execute ").split(" ")[0] for what in ration.done]
    assert [what for what in done if what in ("connect", "BEGIN", "CREATE", "COMMIT")] == ["connect", "BEGIN", "COMMIT"]
    assert done.count("INSERT") == 2
    store.close()


ACTIONS: dict[str, Callable[[DiskStore], object]] = {
    "read": lambda store: store.read(["old"]),
    "entries": lambda store: list(store.entries()),
    "update": lambda store: store.update({"new": count}),
    "delete": lambda store: store.delete(["new"]),
}


@pytest.mark.parametrize("act", ACTIONS.values(), ids=ACTIONS)
def test_ctrl_c_in_the_middle_leaves_nothing_open(directory: Path, act: Callable[[DiskStore], object]) -> None:
    """The store looks at its clock before all that takes long: Ctrl-C comes at the first look, the second, ..."""
    old_store(directory)
    left = [0]

    def clock() -> float:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return 0.0

    act(DiskStore(str(directory)))  # loads diskcache
    before = Holdings.now()
    n_looks, is_through = 0, False
    while not is_through:
        n_looks += 1
        left[0] = n_looks
        store = DiskStore(str(directory), clock=clock)
        try:
            act(store)
            is_through = True
        except KeyboardInterrupt:
            assert Holdings.now().beyond(before) == [], n_looks
        left[0] = 0
        act(store)
        store.close()
    assert n_looks > 2
