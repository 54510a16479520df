"""Many processes at one store (faults.md R17): no update of a survivor is lost, and the store opens."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from amorsize.store.disk import DiskStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from amorsize.store.rows import Merge

pytestmark = pytest.mark.fault("R17")

NEEDS_FLOCK = pytest.mark.skipif(not hasattr(os, "fork"), reason="flock is missing or hidden together with fork")
ROOT = str(Path(__file__).resolve().parents[2])

UPDATER = """
import os, signal, sys
from amorsize.store.disk import DiskStore
directory, own, n_updates, killed_at = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

def count(facts):
    return {"n": (facts or {"n": 0})["n"] + 1}

def die(facts):
    os.kill(os.getpid(), signal.SIGKILL)

store = DiskStore(directory)
sys.stdin.read()  # all begin at once
for number in range(n_updates):
    if number == killed_at:
        store.update({own: count, "of all": die})  # in the middle of a transaction
    store.update({own: count, "of all": count})
assert store.flush(30.0), store.problem
store.close()
"""


def run_together(directory: Path, n_processes: int, n_updates: int, killed_at: Callable[[int], int]) -> None:
    """Run that many updaters; each counts under its own number and under `of all`."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((ROOT, os.environ.get("PYTHONPATH", "")))}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", UPDATER, str(directory), str(own), str(n_updates), str(killed_at(own))],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True,
        )
        for own in range(n_processes)
    ]  # fmt: skip
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    said = [process.communicate(timeout=50)[1] for process in processes]
    assert [process.returncode for process in processes] == [
        0 if killed_at(own) < 0 else -9 for own in range(n_processes)
    ], said


def integrity(directory: Path) -> str:
    connection = sqlite3.connect(directory / "cache.db")
    ((said,),) = connection.execute("PRAGMA integrity_check").fetchall()
    connection.close()
    return str(said)


@NEEDS_FLOCK
def test_eight_processes_that_begin_the_store_at_once_lose_nothing(directory: Path, disk: DiskStore) -> None:
    run_together(directory, 8, 40, killed_at=lambda own: -1)
    assert disk.read([*map(str, range(8)), "of all"]) == {
        **{str(own): {"n": 40} for own in range(8)},
        "of all": {"n": 320},
    }
    assert integrity(directory) == "ok"
    assert sorted(os.listdir(directory)) == ["cache.db", "cache.db-journal"]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_killed_in_the_middle_of_a_transaction_nobody_else_loses_anything(directory: Path, disk: DiskStore) -> None:
    disk.update({"begun": lambda facts: {"n": 1}})
    run_together(directory, 8, 40, killed_at=lambda own: own * 5 if own % 2 else -1)
    found = disk.read([*map(str, range(8)), "of all"])
    for own in range(0, 8, 2):
        assert found[str(own)] == {"n": 40}
    for own in range(1, 8, 2):  # what it had been told was written, less than 40
        assert int(str(found.get(str(own), {"n": 0})["n"])) <= own * 5
    assert found["of all"]["n"] == sum(int(str(found.get(str(own), {"n": 0})["n"])) for own in range(8))
    assert disk.update({"0": lambda facts: {"n": 1}})
    assert integrity(directory) == "ok"
    assert not (directory / "cache.db.quarantine").exists()


TELLER = """
import sys
from amorsize.store.disk import DiskStore
directory, own = sys.argv[1:]

def count(facts):
    return {"n": (facts or {"n": 0})["n"] + 1}

store = DiskStore(directory)
for number in range(1000):
    is_written = store.update({own: count, "of all": count})
    sys.stdout.write("." if is_written else "-")  # a dot: this and all before it are on the disk
    sys.stdout.flush()
assert store.flush(30.0), store.problem
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_killed_at_random_among_eight_times_a_thousand_updates_nobody_else_loses_anything(
    directory: Path, disk: DiskStore
) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((ROOT, os.environ.get("PYTHONPATH", "")))}
    tellers = {
        str(own): subprocess.Popen(
            [sys.executable, "-c", TELLER, str(directory), str(own)], stdout=subprocess.PIPE, env=environment, text=True
        )
        for own in range(8)
    }
    chance = random.Random(5)
    told = {}
    for own, teller in list(tellers.items())[:4]:
        assert teller.stdout is not None
        told[own] = teller.stdout.read(chance.randrange(1, 900))  # it goes on meanwhile: killed somewhere behind that
        teller.kill()
    for own, teller in tellers.items():
        assert teller.stdout is not None
        told[own] = told.get(own, "") + teller.stdout.read()  # `communicate` would miss what has been read ahead
        teller.stdout.close()
        assert teller.wait(50) == (-9 if int(own) < 4 else 0)
    found = {own: int(str(facts["n"])) for own, facts in disk.read([*tellers, "of all"]).items()}
    for own, said in told.items():
        promised = 1000 if int(own) >= 4 else said.rfind(".") + 1
        assert promised <= found.get(own, 0) <= len(said) + 1, own
    assert found.pop("of all") == sum(found.values())
    assert integrity(directory) == "ok"
    assert not (directory / "cache.db.quarantine").exists()
    print({own: (len(said), found.get(own)) for own, said in told.items()})


HALF = """
import os, signal, sys
from amorsize.store.disk import DiskStore

def die(facts):
    os.kill(os.getpid(), signal.SIGKILL)

row = {f"x{number}": "y" * 290 for number in range(50)}
many = {f"{number}": lambda facts: row for number in range(700)}  # 10 MB: more than SQLite keeps in memory
DiskStore(sys.argv[1]).update({**many, "last": die})
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_half_a_transaction_of_a_killed_process_is_undone_by_the_next_reader(
    directory: Path, disk: DiskStore, count: Merge
) -> None:
    disk.update({"a": count})
    disk.close()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((ROOT, os.environ.get("PYTHONPATH", "")))}
    done = subprocess.run([sys.executable, "-c", HALF, str(directory)], env=environment, check=False)
    assert done.returncode == -9
    assert (directory / "cache.db-journal").stat().st_size > 0
    assert dict(disk.entries()) == {"a": {"n": 1}}
    assert integrity(directory) == "ok"


BEGINNER = """
import os, signal, sys
from amorsize.store.disk import DiskStore
from amorsize.store import place
rename = os.rename
os.rename = lambda source, target: os.kill(os.getpid(), signal.SIGKILL)
DiskStore(sys.argv[1]).update({"a": lambda facts: {"n": 1}})
"""


@NEEDS_FLOCK
def test_killed_while_it_begins_the_store_it_leaves_no_half_of_one(
    directory: Path, disk: DiskStore, count: Merge
) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((ROOT, os.environ.get("PYTHONPATH", "")))}
    done = subprocess.run([sys.executable, "-c", BEGINNER, str(directory)], env=environment, check=False)
    assert done.returncode == -9
    assert os.listdir(directory) == ["new"]
    assert disk.read(["a"]) == {}
    assert disk.update({"a": count})
    assert sorted(os.listdir(directory)) == ["cache.db", "cache.db-journal"]


FORKER = """
import os, sys, threading
from amorsize.store import disk
from amorsize.store.disk import DiskStore

def count(facts):
    return {"n": (facts or {"n": 0})["n"] + 1}

store = DiskStore(sys.argv[1])
store.update({"a": count})
store.read(["a"])
mine = (store._reader, store._writer)
waits = {"b": [count]}
store._waiting = dict(waits)  # as after a lock
if sys.argv[2] == "held":
    disk._lock.acquire()  # as by a thread that is not in the child
pid = os.fork()
if pid == 0:
    assert store.read(["a", "b"]) == {"a": {"n": 1}}, "the parent's are the parent's"
    assert store.update({"a": count, "c": count})
    assert store._reader not in mine and store._writer not in mine
    assert store.read(["a", "c"]) == {"a": {"n": 2}, "c": {"n": 1}}
    store.close()
    sys.exit(0)
if sys.argv[2] == "held":
    disk._lock.release()
assert os.waitpid(pid, 0)[1] == 0
assert store.update({"a": count})
print(sorted(store.read(["a", "b", "c"]).items()))
assert (store._reader, store._writer) == mine
store.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("lock", ["free", "held"])
def test_a_forked_child_opens_its_own(fresh_python: Callable[..., str], directory: Path, lock: str) -> None:
    said = fresh_python("-W", "ignore::DeprecationWarning", "-c", FORKER, str(directory), lock)
    assert said.strip() == "[('a', {'n': 3}), ('b', {'n': 1}), ('c', {'n': 1})]"


THREADS = """
import sys, threading
from amorsize.store.disk import DiskStore

def count(facts):
    return {"n": (facts or {"n": 0})["n"] + 1}

def work(number):
    store = stores[number % 2]
    for _ in range(20):
        store.update({"a": count})
        store.read(["a"])
    store.close()

stores = [DiskStore(sys.argv[1]), DiskStore(sys.argv[1])]
threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert all(store.flush() for store in stores)
print(stores[0].read(["a"]))
for store in stores:
    store.close()
"""


def test_threads_may_share_a_store(fresh_python: Callable[..., str], directory: Path) -> None:
    assert fresh_python("-W", "error", "-c", THREADS, str(directory)).strip() == "{'a': {'n': 80}}"
