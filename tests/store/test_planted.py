"""A store that somebody planted (faults.md R16): no code of theirs runs, and no file outside of it is touched.

Each plant is used by a fresh process in every way there is, under an audit hook that sees `pickle.find_class` and every
file that Python opens, makes, renames or removes; what SQLite itself does is seen by the victim outside.
"""

from __future__ import annotations

import os
import pickle
import shutil
import sqlite3
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import diskcache
import pytest

from amorsize.store import rows
from amorsize.store.disk import DiskStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from amorsize.store.rows import Merge

pytestmark = pytest.mark.fault("R16")

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="links, owners and modes are POSIX")
JOURNAL = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"  # what a journal begins with, and one with a super-journal ends with
ROOT = str(Path(__file__).resolve().parents[2])

USER = """
import os, sys
directory = sys.argv[1]
import diskcache  # what importing opens is not watched
from contextlib import suppress
from amorsize.store import safe_disk
from amorsize.store.base import StoreError
from amorsize.store.disk import DiskStore

CHANGES = ("open", "os.chmod", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate",
           "shutil.rmtree", "os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "tempfile.mkstemp")

def watch(event, arguments):
    if event == "pickle.find_class" or event.startswith("marshal"):
        raise SystemExit(f"{event} {arguments}")
    if event in CHANGES:
        outside = [path for path in arguments[:2] if isinstance(path, (str, bytes))]
        outside = [path for path in map(os.fsdecode, outside) if os.path.isabs(path)]
        if not all((path + os.sep).startswith((directory + os.sep, *ALLOWED)) for path in outside):
            raise SystemExit(f"{event} {arguments}")

ALLOWED = ("/proc/self/mountinfo", sys.prefix, sys.base_prefix, os.path.dirname(os.__file__))
sys.addaudithook(watch)
store = DiskStore(directory)
known = store.read(["a", "planted"])
with suppress(StoreError):
    store.entries()
store.update({"b": lambda facts: {"n": 1}})
store.update({"planted": lambda facts: {"n": (facts or {"n": 0})["n"] + 1}})
assert store.read(["b", "planted"])["b"] == {"n": 1}
with suppress(StoreError):
    store.delete(["planted", "a"])
store.update({"c": lambda facts: {"n": 1}})
with suppress(StoreError):
    store.clear()
store.close()
print(sorted(known), store.problem or "usable")
"""


class Evil:
    """What a plant would run: it makes a directory beside the victim."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self._path),)


class Plant:
    """A good store with one row `a`, about to be spoilt."""

    def __init__(self, directory: Path, victim: Path) -> None:
        self.directory = directory
        self.database = directory / "cache.db"
        self.victim = victim
        self.evil = pickle.dumps(Evil(victim.parent / "owned"))

    def sql(self, statement: str, *arguments: object) -> None:
        connection = sqlite3.connect(self.database, isolation_level=None)
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(statement, arguments)
        connection.close()

    def row(self, *, key: object = "planted", raw: int = 1, mode: int = 1, filename: str | None = None,
            value: object = None) -> None:  # fmt: skip
        self.sql(
            "INSERT INTO Cache (key, raw, store_time, size, mode, filename, value) VALUES (?, ?, 0, 0, ?, ?, ?)",
            key, raw, mode, filename, value,
        )  # fmt: skip


def journal(plant: Plant, first_page: bytes, end: bytes = b"") -> None:
    """Leave a journal that puts back the database's first page when it is replayed."""
    n_pages = plant.database.stat().st_size // 4096
    header = JOURNAL + struct.pack(">5I", 1, 1, n_pages, 512, 4096)
    checksum = 1 + sum(first_page[at] for at in range(4096 - 200, 0, -200))
    record = struct.pack(">I", 1) + first_page + struct.pack(">I", checksum)
    (plant.directory / "cache.db-journal").write_bytes(header.ljust(512, b"\0") + record + end)


def super_journal(plant: Plant) -> None:
    """Leave a journal that names the victim as the journal of journals, which is deleted after the replay."""
    name = os.fsencode(plant.victim)
    end = struct.pack(">I", 0x40000000 // 4096 + 1) + name + struct.pack(">2I", len(name), sum(name)) + JOURNAL
    journal(plant, plant.database.read_bytes()[:4096], end)


def write_ahead_log(plant: Plant) -> None:
    connection = sqlite3.connect(plant.database)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("INSERT INTO Settings VALUES ('x', 1)")
    connection.commit()
    copies = {name: (plant.directory / name).read_bytes() for name in os.listdir(plant.directory)}
    connection.close()
    for name, content in copies.items():
        (plant.directory / name).write_bytes(content)


def pickled_value_file(plant: Plant) -> None:
    (plant.directory / "x.val").write_bytes(plant.evil)
    plant.row(mode=4, filename="x.val")


def view(plant: Plant) -> None:
    plant.sql("ALTER TABLE Cache RENAME TO Kept")
    plant.sql("CREATE VIEW Cache AS SELECT * FROM Kept")


def replace_by_link(path: Path) -> None:
    real = path.rename(path.parent.parent / "real")
    path.symlink_to(real)


def full_of_links(directory: Path, victim: Path) -> None:
    directory.mkdir()
    for name in ("cache.db", "cache.db-journal", "x"):
        (directory / name).symlink_to(victim)


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def json_row(body: str) -> str:
    return f'[1,"{rows._checksum("planted", body)}",{body}]'


IN_THE_DATABASE: dict[str, Callable[[Plant], object]] = {
    "pickled value": lambda plant: plant.row(mode=4, value=plant.evil),
    "pickled key": lambda plant: plant.row(key=plant.evil, raw=0),
    "value file outside": lambda plant: plant.row(mode=3, filename="../victim"),
    "pickled value file": pickled_value_file,
    "relative file name to delete": lambda plant: plant.row(filename="../victim"),
    "absolute file name to delete": lambda plant: plant.row(filename=str(plant.victim)),
    "a number as key": lambda plant: plant.row(key=7, value="x"),
    "a huge value": lambda plant: plant.row(value="x" * 10_000_000),
    "a value that is no text": lambda plant: plant.row(value=b"\xff\xfe"),
    "text that is no UTF-8": lambda plant: plant.sql(
        "INSERT INTO Cache (key, raw, mode, value) VALUES ('planted', 1, 1, CAST(x'fffe' AS TEXT))"
    ),
    "not finite": lambda plant: plant.row(value=json_row('{"n":NaN}')),
    "1e308": lambda plant: plant.row(value=json_row('{"n":1e308}')),
    "deep": lambda plant: plant.row(value=json_row("[" * 8000)),
}
"""Plants in rows of their own: the others are read as ever."""

IN_OUR_ROW: dict[str, Callable[[Plant], object]] = {
    "pickled value": lambda plant: plant.sql("UPDATE Cache SET mode = 4, value = ?", plant.evil),
    "text that is no UTF-8": lambda plant: plant.sql("UPDATE Cache SET value = CAST(x'fffe' AS TEXT)"),
    "file name to delete": lambda plant: plant.sql("UPDATE Cache SET filename = '../victim'"),
    "file name to delete, expired": lambda plant: plant.sql("UPDATE Cache SET expire_time = 1, filename = '../victim'"),
    "pickled key": lambda plant: plant.sql("UPDATE Cache SET raw = 0, key = ?", plant.evil),
}
"""Plants in place of the row `a`: it is a miss."""

IN_THE_LAYOUT: dict[str, Callable[[Plant], object]] = {
    "trigger": lambda plant: plant.sql(
        "CREATE TRIGGER t AFTER INSERT ON Cache BEGIN DELETE FROM Cache WHERE key = 'b'; END"
    ),
    "view in place of the table": view,
    "virtual table": lambda plant: plant.sql("CREATE VIRTUAL TABLE v USING fts5(x)"),
    "one index more": lambda plant: plant.sql("CREATE INDEX i ON Cache (abs(size))"),
    "schema that cannot be read": lambda plant: plant.sql("UPDATE sqlite_master SET sql = 'CREATE TABLE' || sql"),
    "schema whose error cannot be read": lambda plant: plant.sql(
        "UPDATE sqlite_master SET sql = 'CREATE', name = CAST(x'f7f8' AS TEXT)"
    ),
    "setting that becomes a PRAGMA": lambda plant: plant.sql(
        "INSERT INTO Settings VALUES ('sqlite_temp_store_directory', ?)", f"'{plant.victim.parent}'"
    ),
    "setting with a statement in it": lambda plant: plant.sql(
        "UPDATE Settings SET value = '0; DELETE FROM Cache' WHERE key = 'sqlite_cache_size'"
    ),
    "memory map": lambda plant: plant.sql("UPDATE Settings SET value = 1 << 26 WHERE key = 'sqlite_mmap_size'"),
    "value files": lambda plant: plant.sql("UPDATE Settings SET value = 0 WHERE key = 'disk_min_file_size'"),
    "eviction": lambda plant: plant.sql("UPDATE Settings SET value = 10 WHERE key = 'cull_limit'"),
    "a counter that is text": lambda plant: plant.sql("UPDATE Settings SET value = 'x' WHERE key = 'count'"),
    "write-ahead log": write_ahead_log,
    "write-ahead log beside it": lambda plant: (plant.directory / "cache.db-wal").write_bytes(b"\x37\x7f\x06\x82" * 99),
    "journal of journals": super_journal,
}
"""Plants in anything else of the database: it is put aside."""

AROUND_IT: dict[str, Callable[[Plant], object]] = {
    "linked database": lambda plant: replace_by_link(plant.database),
    "linked journal": lambda plant: replace_by_link(plant.directory / "cache.db-journal"),
    "linked directory": lambda plant: replace_by_link(plant.directory),
    "hard-linked database": lambda plant: os.link(plant.database, plant.victim.parent / "real"),
    "hard-linked journal": lambda plant: os.link(plant.directory / "cache.db-journal", plant.victim.parent / "real"),
    "a pipe as journal": lambda plant: replace_by_pipe(plant.directory / "cache.db-journal"),
    "writable directory": lambda plant: plant.directory.chmod(0o777),
    "writable database": lambda plant: plant.database.chmod(0o666),
}
"""Plants around the database: nothing there is used, and nothing is changed."""


AT_ITS_NAMES: dict[str, Callable[[Plant], object]] = {
    "linked quarantine": lambda plant: (plant.directory / "cache.db.quarantine").symlink_to(plant.victim),
    "hard-linked quarantine": lambda plant: os.link(plant.victim, plant.directory / "cache.db.quarantine"),
    "linked workshop": lambda plant: (plant.directory / "new").symlink_to(plant.victim.parent),
    "workshop of links": lambda plant: full_of_links(plant.directory / "new", plant.victim),
}
"""Plants under names that the store uses when it puts a database aside and begins anew."""


@pytest.fixture
def plant(home: Path, count: Merge) -> Plant:
    directory = home / "store"
    store = DiskStore(str(directory))
    assert store.update({"a": count})
    store.close()
    (home / "victim").write_text("precious")
    return Plant(directory, home / "victim")


def use(plant: Plant) -> str:
    """Use the store in a fresh process; return what it knew and its problem."""
    command = [sys.executable, "-c", USER, str(plant.directory)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((ROOT, os.environ.get("PYTHONPATH", "")))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    assert plant.victim.read_text() == "precious"
    assert not (plant.victim.parent / "owned").exists()
    return done.stdout.strip()


@pytest.mark.parametrize("spoil", IN_THE_DATABASE.values(), ids=IN_THE_DATABASE)
def test_a_planted_row_is_a_miss(plant: Plant, spoil: Callable[[Plant], object]) -> None:
    spoil(plant)
    before = plant.database.stat().st_ino
    assert use(plant) == "['a'] usable"
    assert plant.database.stat().st_ino == before


@pytest.mark.parametrize("spoil", IN_OUR_ROW.values(), ids=IN_OUR_ROW)
def test_a_row_that_was_replaced_by_a_plant_is_a_miss(plant: Plant, spoil: Callable[[Plant], object]) -> None:
    spoil(plant)
    before = plant.database.stat().st_ino
    assert use(plant) == "[] usable"
    assert plant.database.stat().st_ino == before


@pytest.mark.parametrize("spoil", IN_THE_LAYOUT.values(), ids=IN_THE_LAYOUT)
def test_a_planted_layout_is_put_aside(plant: Plant, spoil: Callable[[Plant], object]) -> None:
    spoil(plant)
    before = plant.database.stat().st_ino
    assert use(plant) == "[] usable"
    assert plant.database.stat().st_ino != before


def test_a_planted_layout_is_only_looked_at(plant: Plant, count: Merge) -> None:
    IN_THE_LAYOUT["trigger"](plant)
    before = plant.database.read_bytes()
    store = DiskStore(str(plant.directory))
    assert store.update({"a": count})
    store.close()
    assert (plant.directory / "cache.db.quarantine").read_bytes() == before


@POSIX
@pytest.mark.parametrize("spoil", AROUND_IT.values(), ids=AROUND_IT)
def test_a_plant_around_the_database_stops_its_use(plant: Plant, spoil: Callable[[Plant], object]) -> None:
    spoil(plant)
    before = plant.database.read_bytes()
    said = use(plant)
    assert said.startswith("[] nothing can be written to")
    assert plant.database.read_bytes() == before


@POSIX
@pytest.mark.skipif(
    not hasattr(os, "fork"), reason="fcntl is hidden with it: without its locks nobody knows whose a workshop is"
)
@pytest.mark.parametrize("spoil", AT_ITS_NAMES.values(), ids=AT_ITS_NAMES)
def test_a_plant_at_a_name_of_the_store_s_own_goes_and_what_it_leads_to_stays(
    plant: Plant, spoil: Callable[[Plant], object]
) -> None:
    spoil(plant)
    os.truncate(plant.database, 0)
    assert use(plant) == "[] usable"
    assert sorted(os.listdir(plant.directory)) == ["cache.db", "cache.db-journal"]


LIES = """
import amorsize
from amorsize.advice import knowledge
from amorsize.store.where import directory
from amorsize.store.disk import DiskStore

def triangle(n):
    return sum(range(n))

def run():
    for memo in (knowledge._profiles, knowledge._costs, knowledge._names):
        memo.clear()
    report = amorsize.parallelizable(triangle)
    numbers = [*range(3000, 5000)] * 3  # for which a look into the store pays
    assert report.pmap(numbers) == [n * (n - 1) // 2 for n in numbers]
    where = directory()
    knowledge.write(where)
    return report.last_run.n_sampled, where

def spoilt(name, value):
    return lambda facts: {**facts, name: value(facts[name])}

_, where = run()
assert run()[0] == 0, "else the lies below would show nothing"
store = DiskStore(where)
for name, value in {
    "runs": lambda runs: ["process", 10**9, 8, 100, 1.0, 1.0],
    "item": lambda item: [*item[:2], -item[2], item[3]],
    "longest_s": lambda _: -1.0,
    "log_item": lambda item: [-1.0, *item[1:]],
    "cpu_share": lambda _: 1e15,
    "updated_s": lambda _: "now",
}.items():
    keys = [key for key, _ in store.entries() if key.startswith("profile:")]
    assert keys and store.update({key: spoilt(name, value) for key in keys})
    print(name, run()[0] > 0)
store.close()
"""


def test_numbers_that_nothing_can_have_are_sampled_anew(fresh_python: Callable[..., str]) -> None:
    said = fresh_python("-W", "error", "-c", LIES).splitlines()
    assert said == [f"{name} True" for name in ("runs", "item", "longest_s", "log_item", "cpu_share", "updated_s")]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("name", ["", "cache.db", "cache.db-journal"])
def test_somebody_elses_files_are_not_used(plant: Plant, name: str) -> None:
    shutil.chown(plant.directory / name, 65534, 65534)
    said = use(plant)
    assert said.startswith("[] nothing can be written to")
    assert "belongs to user 65534" in said


def test_the_journal_of_a_database_that_is_gone_is_not_replayed(plant: Plant) -> None:
    journal(plant, plant.database.read_bytes()[:100].ljust(4096, b"\0"))
    plant.database.unlink()
    assert use(plant) == "[] usable"
    assert sorted(os.listdir(plant.directory)) == ["cache.db", "cache.db-journal"]


def test_the_plants_are_dangerous_to_plain_diskcache(plant: Plant) -> None:
    """Otherwise the tests above would show nothing."""
    plant.row(mode=4, value=plant.evil)
    plant.row(key="file", filename="../victim")
    with diskcache.Cache(str(plant.directory)) as cache:
        cache.get("planted")
        cache.clear()
    assert (plant.victim.parent / "owned").exists()
    assert not plant.victim.exists()


@pytest.mark.skipif(sqlite3.sqlite_version_info > (3, 50), reason="3.53 does not delete what a journal names any more")
def test_the_planted_journal_is_dangerous_to_plain_sqlite(plant: Plant) -> None:
    super_journal(plant)
    connection = sqlite3.connect(plant.database)
    connection.execute("SELECT * FROM Cache").fetchall()
    connection.close()
    assert not plant.victim.exists()
