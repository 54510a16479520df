"""Whatever the disk does (faults.md R15): the right answer from memory at least, and nothing raised."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import diskcache
import pytest

from amorsize.store import place
from amorsize.store.base import StoreError
from amorsize.store.disk import DiskStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from amorsize.records import Facts
    from amorsize.store.rows import Merge

pytestmark = pytest.mark.fault("R15")

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="owners, modes and limits are POSIX")


def plain_diskcache(database: Path) -> None:
    database.unlink()
    with diskcache.Cache(str(database.parent)) as cache:
        cache["a"] = 1


def another_table(database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE more (x)")
    connection.close()


def no_table(database: Path) -> None:
    database.unlink()
    sqlite3.connect(database).close()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut to nothing": lambda database: os.truncate(database, 0),
    "cut in the header": lambda database: os.truncate(database, 60),
    "cut after a page": lambda database: os.truncate(database, 4096),
    "cut in the middle": lambda database: os.truncate(database, 13_000),
    "random bytes": lambda database: database.write_bytes(random.Random(1).randbytes(30_000)),
    "text": lambda database: database.write_text("hello"),
    "another SQLite database": no_table,
    "one table more": another_table,
    "plain diskcache": plain_diskcache,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_database_is_put_aside_and_a_new_one_begun(
    directory: Path, disk: DiskStore, count: Merge, damage: Callable[[Path], object]
) -> None:
    for _ in range(2):  # the second time something was put aside already
        disk.update({"a": count})
        disk.close()
        damage(directory / "cache.db")
        assert disk.read(["a"]) == {}
        with pytest.raises(StoreError):
            disk.entries()
        assert disk.update({"a": count})
        assert disk.read(["a"]) == {"a": {"n": 1}}
        assert disk.problem is None
        assert sorted(os.listdir(directory)) == ["cache.db", "cache.db-journal", "cache.db.quarantine"]
    disk.clear()
    assert sorted(os.listdir(directory)) == ["cache.db", "cache.db-journal"]


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_database_damaged_while_it_is_open_is_no_different(
    directory: Path, disk: DiskStore, count: Merge, damage: Callable[[Path], object]
) -> None:
    disk.update({"a": count})
    disk.read(["a"])
    damage(directory / "cache.db")
    disk.read(["a"])  # may still come from SQLite's own pages
    disk.update({"a": count})
    disk.update({"b": count})
    assert disk.read(["b"]) == {"b": {"n": 1}}
    again = DiskStore(str(directory))
    again.update({"c": count})
    assert (again.problem, again.read(["c"])) == (None, {"c": {"n": 1}})
    again.close()


def test_a_part_is_a_miss_for_a_look_up_and_no_list(directory: Path, disk: DiskStore, count: Merge) -> None:
    keys = [f"key {number}" for number in range(300)]
    disk.update(dict.fromkeys(keys, count))
    disk.close()
    database = directory / "cache.db"
    content = bytearray(database.read_bytes())
    leaves = [at for at in range(0, len(content), 4096) if content[at] == 13]
    content[leaves[len(leaves) // 2]] = 0  # no kind of page
    database.write_bytes(content)
    assert disk.read(keys[:1]) == {keys[0]: {"n": 1}}
    assert 0 < len(disk.read(keys)) < 300
    with pytest.raises(StoreError, match="malformed"):
        disk.entries()
    assert database.read_bytes() == content


def test_a_list_ends_at_no_row_that_is_too_long(directory: Path, disk: DiskStore, count: Merge) -> None:
    disk.update({"a": count})
    with closing(sqlite3.connect(directory / "cache.db")) as database, database:
        database.execute("INSERT INTO Cache (key, raw) VALUES (?, 1)", ("k" * 10**6,))
    disk.update({"b": count})
    assert disk.read(["a", "b"]).keys() == {"a", "b"}
    with pytest.raises(StoreError, match="too big"):
        disk.entries()


@pytest.mark.parametrize("remove", [DiskStore.clear, lambda disk: disk.delete(["a"])], ids=["clear", "delete"])
def test_what_is_still_there_is_said_to_be(
    directory: Path, disk: DiskStore, count: Merge, remove: Callable[[DiskStore], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amorsize.store.disk._ASKED_S", 0.02)
    disk.update({"a": count})
    with Holder(directory / "cache.db"), pytest.raises(StoreError, match="locked by another process"):
        remove(disk)
    assert disk.read(["a"]) == {"a": {"n": 1}}
    assert remove(disk) == 1


def test_random_damage_never_raises_and_never_ends_the_learning(directory: Path, count: Merge) -> None:
    chance = random.Random(7)
    store = DiskStore(str(directory))
    store.update({f"key {number}": count for number in range(60)})
    store.close()
    whole = (directory / "cache.db").read_bytes()
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 3, 30))):
            damaged[chance.randrange(chance.choice((100, len(whole))))] = chance.randrange(256)
        (directory / "cache.db").write_bytes(damaged)
        store = DiskStore(str(directory))
        for key, facts in store.read([f"key {number}" for number in range(60)]).items():
            assert facts == {"n": 1}, key
        store.update({"new": count})
        assert store.problem is None
        assert store.read(["new"])["new"]["n"]
        store.close()


def test_damage_that_sqlite_does_not_see_is_found_by_reading_back(
    directory: Path, disk: DiskStore, count: Merge
) -> None:
    """With the highest row number read as 0, SQLite numbers the next row 1: it comes back as the first."""
    n_rows = 60
    disk.update({f"key {number}": count for number in range(n_rows)})
    disk.close()
    damaged = bytearray((directory / "cache.db").read_bytes())
    table_leaves = [at for at in range(0, len(damaged), 4096) if damaged[at] == 13]
    last_cells = [at + int.from_bytes(damaged[at + 5 : at + 7], "big") for at in table_leaves]
    (row_number,) = (at + 1 for at in last_cells if damaged[at + 1] == n_rows)
    damaged[row_number] = 0
    (directory / "cache.db").write_bytes(damaged)
    assert disk.update({"new": count})
    assert (disk.problem, dict(disk.entries())) == (None, {"new": {"n": 1}})
    assert (directory / "cache.db.quarantine").exists()


def is_memory_only(store: DiskStore, count: Merge, why: str) -> None:
    """Check that the store still works, though nothing gets to the disk, and says why."""
    assert store.update({"a": count}) is False
    assert store.update({"a": count, "b": count}) is False
    assert store.read(["a", "b"]) == {"a": {"n": 2}, "b": {"n": 1}}
    assert store.problem is not None
    assert why in store.problem
    assert store.flush() is False
    with suppress(StoreError):  # nobody can tell what is on the disk
        store.delete(["a"])
    assert store.read(["a"]) == {}
    store.close()


def test_a_directory_where_the_database_should_be(directory: Path, disk: DiskStore, count: Merge) -> None:
    (directory / "cache.db").mkdir(parents=True, mode=0o700)
    directory.chmod(0o700)
    is_memory_only(disk, count, "no file")


def test_a_file_where_the_directory_should_be(directory: Path, disk: DiskStore, count: Merge) -> None:
    directory.parent.mkdir()
    directory.touch()
    is_memory_only(disk, count, "no directory")


@POSIX
def test_a_home_that_is_no_directory(count: Merge) -> None:
    is_memory_only(DiskStore("/dev/null/.cache/amorsize"), count, "Not a directory")


def test_a_name_that_diskcache_would_take_for_a_variable(home: Path, count: Merge) -> None:
    is_memory_only(DiskStore(str(home / "$HOME")), count, "variable")


def test_a_name_full_of_what_means_something_in_a_uri(home: Path, count: Merge) -> None:
    store = DiskStore(str(home / "a b?mode=rwc&%41#c ä"))
    assert store.update({"a": count})
    assert store.read(["a"]) == {"a": {"n": 1}}
    store.close()


UNPRIVILEGED = """
import os, sys
import diskcache
import amorsize.store.disk, amorsize.store.safe_disk, encodings.idna
from amorsize.store.disk import DiskStore
directory = sys.argv[1]
store = DiskStore(directory)
store.update({"a": lambda _: {"n": 1}})
store.close()
names = [directory, *(os.path.join(directory, name) for name in os.listdir(directory))]
if os.geteuid() == 0:
    for name in names:
        os.chown(name, 65534, 65534)
    os.setgid(65534)
    os.setuid(65534)
for name in names:
    os.chmod(name, 0o500)
store = DiskStore(directory)
print(store.read(["a"]))
print(store.update({"a": lambda facts: {"n": facts["n"] + 1}}), store.read(["a"]))
print(store.problem)
"""


@POSIX
def test_a_store_that_is_read_only_is_read(fresh_python: Callable[..., str]) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as open_to_all:  # pytest's own directories are closed to others
        os.chmod(open_to_all, 0o755)
        said = fresh_python("-c", UNPRIVILEGED, os.path.join(open_to_all, "store")).splitlines()
    assert said[:2] == ["{'a': {'n': 1}}", "False {'a': {'n': 2}}"]
    assert "readonly" in said[2]


SMALL = """
import sys
from amorsize.store.disk import DiskStore
{before}
store = DiskStore(sys.argv[1])
keys = [str(number) for number in range(400)]
written = [store.update({{key: lambda _: {{"x": "y" * 290, "n": 1}}}}) for key in keys]
assert store.problem is not None and False in written, store.problem
assert len(store.read(keys)) == 400
assert written == sorted(written, reverse=True)
again = DiskStore(sys.argv[1])
assert list(again.read(keys)) == keys[: written.index(False)]
print(store.problem)
"""


@POSIX
@pytest.mark.parametrize("limit", [0, 10_000, 100_000])
def test_a_limit_on_the_size_of_files(fresh_python: Callable[..., str], directory: Path, limit: int) -> None:
    before = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))"
    fresh_python("-c", SMALL.format(before=before), str(directory))


@pytest.mark.parametrize("size", ["16k", "100k"])
def test_a_full_disk(home: Path, tmp_path: Path, size: str) -> None:
    script = SMALL.format(before="")
    mount = f'mount -t tmpfs -o size={size} tmpfs "$1" && exec "$0" -c "$2" "$1/store"'
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", mount, sys.executable, str(tmp_path), script]
    if shutil.which("unshare") is None or subprocess.run([*command[:3], "true"], capture_output=True).returncode:
        pytest.skip("a file system of a given size needs unshare and the right to mount")
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    assert "full" in done.stdout or "space" in done.stdout


LARGE = """
import os, resource, sys
from amorsize.store.disk import DiskStore
store = DiskStore(sys.argv[1])
store.update({"a": lambda _: {"n": 1}})
before = os.stat(sys.argv[1] + "/cache.db").st_ino
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
row = {f"x{number}": "y" * 290 for number in range(50)}
assert not store.update({f"{number}": lambda _: row for number in range(700)})  # 10 MB, above its cache
assert store.problem is not None and store.read(["699"]) == {"699": row}
again = DiskStore(sys.argv[1])
assert dict(again.entries()) == {"a": {"n": 1}}
assert os.stat(sys.argv[1] + "/cache.db").st_ino == before
"""


@POSIX
def test_a_limit_that_is_met_in_the_middle_of_a_transaction(fresh_python: Callable[..., str], directory: Path) -> None:
    fresh_python("-c", LARGE, str(directory))


def test_a_database_that_another_process_puts_aside_in_the_middle_of_our_transaction(
    directory: Path, disk: DiskStore, count: Merge
) -> None:
    def put_aside(facts: Facts | None) -> Facts:
        if not (directory / "elsewhere").exists():
            (directory / "cache.db").rename(directory / "elsewhere")
        return count(facts)

    disk.update({"a": count})
    assert disk.update({"a": put_aside})
    assert (disk.problem, disk.read(["a"])) == (None, {"a": {"n": 1}})


HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


class Holder:
    """Another process that holds the database's lock."""

    def __init__(self, database: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Holder:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "held\n"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


@pytest.mark.parametrize("is_open", [True, False], ids=["open before", "opened under the lock"])
def test_what_finds_the_store_locked_joins_the_next_write(
    directory: Path, disk: DiskStore, count: Merge, is_open: bool
) -> None:
    disk.update({"a": count})
    if not is_open:
        disk.close()
    with Holder(directory / "cache.db"):
        assert disk.update({"a": count, "b": count}) is False
        assert disk.update({"a": count}) is False
        assert disk.read(["b"]) == {"b": {"n": 1}}
    assert disk.problem is None
    other = DiskStore(str(directory))
    assert other.read(["a", "b"]) == {"a": {"n": 1}}
    assert disk.update({"b": count})
    assert other.read(["a", "b"]) == disk.read(["a", "b"]) == {"a": {"n": 3}, "b": {"n": 2}}
    other.close()


def test_flush_writes_what_waits(directory: Path, disk: DiskStore, count: Merge) -> None:
    disk.update({"a": count})
    with Holder(directory / "cache.db"):
        disk.update({"a": count})
        assert disk.flush(deadline_s=0.0) is False
    assert disk.flush()
    other = DiskStore(str(directory))
    assert other.read(["a"]) == {"a": {"n": 2}}
    other.close()


def test_what_waits_behind_a_lock_for_ever_stays_small(
    directory: Path, disk: DiskStore, count: Merge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amorsize.store.disk._MOST_WAITING", 5)
    disk.update({"a": count})
    with Holder(directory / "cache.db"):
        disk.update({"a": lambda _: {"n": -1000}})
        for _ in range(120):
            disk._waiting["a"].append(count)
        disk.update({"a": count})
        assert len(disk._waiting["a"]) == 5


def test_a_store_on_a_network_file_system_is_kept_on_the_local_disk(home: Path, count: Merge) -> None:
    remote = home / "remote"
    store = DiskStore(str(remote), file_system=lambda directory: "nfs4" if directory == str(remote) else None)
    assert store.update({"a": count})
    assert Path(store.path).parent == home / "tmp"
    assert store.note is not None
    assert "nfs4" in store.note
    assert not remote.exists()
    store.close()
    shutil.rmtree(store.path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("there", ["/", "/proc", "/dev/shm", "/nowhere/at/all"])
def test_local_file_systems_are_local(there: str) -> None:
    assert place.network_file_system(there) is None


def test_nothing_is_made_by_reading(directory: Path, disk: DiskStore) -> None:
    assert disk.read(["a"]) == {}
    assert list(disk.entries()) == []
    assert disk.clear() == disk.delete(["a"]) == disk.size_bytes == 0
    assert not directory.exists()


@POSIX
def test_the_store_is_closed_to_others(directory: Path, disk: DiskStore, count: Merge) -> None:
    before = os.umask(0)
    try:
        disk.update({"a": count})
    finally:
        os.umask(before)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert disk.problem is None
    assert disk.size_bytes > 0
