"""What a process remembers of its calls: all of it, and no more of them than fit."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import closing
from functools import partial
from sqlite3 import connect
from time import time
from typing import TYPE_CHECKING

import pytest

from amorsize import AmorsizeWarning, parallelizable, pmap
from amorsize.advice import knowledge
from amorsize.calibration.costs import Costs
from amorsize.calibration.profile import Profile
from amorsize.store.where import directory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_what_thousands_of_short_calls_have_shown_is_written_by_a_long_one(home: Path) -> None:
    known = knowledge.look_up(abs, [1], cache=True)
    for _ in range(3000):
        known.learn(Profile.of([(10, 1e-3)], time(), starts_cold=False), Costs(), 1e-3)
    where = directory()
    assert where is not None
    assert len(knowledge._unwritten[where]) == len(known._kinds)
    knowledge.write(where)
    knowledge._profiles.clear()
    assert knowledge.look_up(abs, [1], cache=True).profile.item.weight > 1000


@pytest.mark.parametrize("now_s", [-86_400.0, 2.5e11], ids=["1969", "9892"])
def test_a_clock_that_somebody_has_set_to_another_time_ends_no_call(
    now_s: float, home: Path, fresh_python: Callable[..., str]
) -> None:
    source = f"""
import time
time.time = lambda: {now_s}
from amorsize import pmap
print(pmap(lambda item: item + 0 * sum(range(10_000)), range(300)) == list(range(300)))
"""
    assert [fresh_python("-c", source) for _ in range(2)] == [
        "True\n"
    ] * 2  # what the first has learned the second reads


def test_a_write_is_done_without_the_garbage_collector(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    monkeypatch.setattr("amorsize.store.disk.DiskStore.update", lambda *_: seen.append(gc.isenabled()))
    knowledge.look_up(abs, [1], cache=True).learn(Profile.of([(10, 1e-3)], time()), Costs(), call_s=60.0)
    assert (seen, gc.isenabled()) == ([False], True)


def test_a_row_is_taught_by_what_it_knew_itself_and_equal_rows_are_taught_once() -> None:
    seen = Profile.of([(10, 1e-3), (10, 1e-3)], time(), starts_cold=False)
    one = Profile.of([(100, 1e-2)], time(), starts_cold=False)
    another = Profile.of([(1000, 1e-1)], time(), starts_cold=False)
    lesson = knowledge.Lesson(seen)
    assert lesson.taught(one) == one.learn(seen)
    assert lesson.taught(another) == another.learn(seen)
    assert lesson.taught(one) is lesson.taught(one)


def power(exponent: int, base: int) -> int:
    return int(base**exponent)


def test_functions_made_in_a_loop_are_forgotten_oldest_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knowledge, "MOST_ROWS", 8)
    knowledge.look_up(power, [1], cache=True)  # from now on every call looks
    for exponent in range(30):
        pmap(partial(power, exponent), range(100), n_jobs=1)
        assert len(knowledge._profiles) <= 8
    assert set(knowledge._names) == set(knowledge._profiles)
    assert all(len(waiting) <= 12 for waiting in knowledge._unwritten.values())


def test_what_a_locked_store_could_not_take_is_kept_at_the_end_of_the_process(home: Path) -> None:
    knowledge.look_up(abs, [1], cache=True).learn(Profile.of([(10, 1e-3)], time()), Costs(), call_s=60.0)
    known = knowledge.look_up(len, ["a"], cache=True)
    where = directory()
    assert where is not None
    with closing(connect(f"{where}/cache.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        known.learn(Profile.of([(10, 1e-3)], time()), Costs(), call_s=60.0)
    knowledge._write_at_exit(os.getpid())
    with closing(connect(f"{where}/cache.db")) as database:
        ((n_rows,),) = database.execute("SELECT count(*) FROM Cache")
    assert n_rows == 4  # of each function one for its kind of input, and one for all kinds


def spin(n: int) -> int:
    return sum(range(n))


@pytest.mark.fault("R15")
@pytest.mark.skipif(sys.platform == "win32", reason="there, nothing tells before a write")
def test_a_store_that_is_closed_is_told_in_every_report_and_warned_of_once(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").touch()
    monkeypatch.setenv("AMORSIZE_CACHE_DIR", str(home / "file" / "cache"))
    work = parallelizable(n_jobs=1)(spin)
    with pytest.warns(AmorsizeWarning, match="ends with this process: nothing can be written to .*file/cache") as told:
        work.pmap([30_000] * 60)
    work.pmap([30_000] * 60)  # any warning more would be an error
    assert work.last_run is not None
    assert [(str(each.message), each.filename) for each in told] == [(work.last_run.warnings[0], __file__)]


@pytest.mark.fault("R15")
@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX")
def test_a_store_that_only_a_write_finds_closed_is_told_at_the_end_of_the_process(home: Path) -> None:
    where = home / ".cache" / "amorsize"
    where.mkdir(parents=True)
    where.chmod(0o777)
    known = knowledge.look_up(abs, [1], cache=True)
    known.learn(Profile.of([(10, 1e-3)], time()), Costs(), call_s=1e-3)
    assert known.complaint is None
    with pytest.warns(AmorsizeWarning, match="can be written by others: chmod go-w"):
        knowledge._write_at_exit(os.getpid())
    assert known.complaint is not None


def test_the_directory_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AMORSIZE_CACHE", raising=False)
    for name in ("one", "two"):
        monkeypatch.setenv("AMORSIZE_CACHE_DIR", str(tmp_path / name))
        assert directory() == directory() == str(tmp_path / name)
    monkeypatch.setenv("AMORSIZE_CACHE_DIR", "near")  # and the current directory, where it is relative
    for place in (tmp_path, tmp_path.parent):
        monkeypatch.chdir(place)
        assert directory() == str(place / "near")
    monkeypatch.setenv("AMORSIZE_CACHE", "0")
    assert directory() is None


@pytest.mark.fault("R15")
@pytest.mark.skipif(sys.platform == "win32", reason="a current directory cannot be removed there")
def test_a_directory_relative_to_one_that_is_gone_holds_nothing(
    fresh_python: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMORSIZE_CACHE_DIR", "near")
    body = "import os, amorsize; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')\n"
    short, long = (
        "amorsize.pmap(abs, range(-5, 0))",
        "amorsize.pmap(lambda n: len(range(n)) + sum(range(n)), [9999] * 400)",
    )
    assert fresh_python("-c", f"{body}print({short}, len({long}))") == "[5, 4, 3, 2, 1] 400\n"


class Leaving(dict[str, object]):
    """Says of every key that it is there, as a row is that another thread is just teaching."""

    def __contains__(self, _: object) -> bool:
        return True


def test_a_row_that_another_thread_is_teaching_is_not_missed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knowledge, "_profiles", Leaving())
    assert not knowledge.look_up(abs, [1], cache=True).is_hit


def test_what_another_thread_has_just_written_is_not_missed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knowledge, "_keep", lambda *_: knowledge._unwritten.clear())
    knowledge.look_up(abs, [1], cache=True).learn(Profile.of([(10, 1e-3)], time()), Costs(), call_s=1e-3)


def test_a_thread_may_learn_while_another_writes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Profile.of([(10, 1e-3)], time())
    waiting: dict[str, object] = {"a": (seen, {"function": "a"}), "b": (seen, {"function": "b"})}

    def merging(*_: object) -> object:
        waiting[str(len(waiting))] = seen, {"function": "c"}
        return lambda facts: facts or {}

    monkeypatch.setattr(knowledge, "_merging", merging)
    where = directory()
    assert where is not None
    monkeypatch.setitem(knowledge._unwritten, where, waiting)
    knowledge.write(where)
    assert len(waiting) == 4
