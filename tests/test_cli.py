"""The command: what it prints, where, and with which exit status."""

from __future__ import annotations

import errno
import json
import os
import pickle
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any

import pytest

import amorsize
from amorsize import cli
from amorsize.advice import knowledge
from amorsize.advice.knowledge import Knowledge
from amorsize.calibration.costs import Costs
from amorsize.calibration.profile import Profile
from amorsize.calibration.runs import Run
from amorsize.commands import exchange
from amorsize.identity.function import function_key
from amorsize.identity.machine import capacity, machine
from amorsize.records import FunctionKey, InputClass, Machine
from amorsize.store.disk import DiskStore
from amorsize.store.parcel import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from amorsize.records import Facts

RUN = Run(backend="process", n_jobs=2, chunksize=40, n_items=640, predicted_s=0.5, measured_s=0.6)
SEEN = Profile.of([(100, 0.1), (100, 0.11)], now_s=1.7e9).ran(RUN)
FIRST = FunctionKey(digest="a1" * 16, name="work:first")
SECOND = FunctionKey(digest="b2" * 16, name="work:second")


def learn(function: FunctionKey, kind: str = "int", place: Machine | None = None) -> None:
    """Have the store keep something about a function, as a long run in this process would."""
    known = Knowledge(function, InputClass(type_name=kind), place or machine(), cache=True)
    known.learn(SEEN, Costs(), call_s=60.0)


@pytest.fixture
def store(home: Path) -> DiskStore:
    """Return the store that the command will find, with two functions in it."""
    learn(FIRST)
    learn(SECOND, "str")
    return DiskStore(str(home / ".cache" / "amorsize"))


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return a function that runs the command and returns what it printed; its messages have to be these."""

    def run(*arguments: str, status: int = 0, message: str = "") -> str:
        assert cli.main(arguments) == status
        told = capsys.readouterr()
        assert told.err == (f"amorsize: {message}\n" if message else "")
        return told.out

    return run


@pytest.fixture
def failed(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return a function that runs a command that fails, and returns its message."""

    def run(*arguments: str) -> str:
        assert cli.main(arguments) == 1
        told = capsys.readouterr()
        assert told.out == ""
        return told.err

    return run


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return a function that uses the command wrongly, and returns its message."""

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as end:
            cli.main(arguments)
        assert end.value.code == 2
        return capsys.readouterr().err

    return run


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Return a function that writes a module into the current directory; it is forgotten after the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])

    def write(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(source)

    yield write
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)


# ---- cache list, show


@pytest.mark.usefixtures("store")
def test_list_has_a_line_for_each_function_and_input(printed: Callable[..., str]) -> None:
    head, first, second = printed("cache", "list").splitlines()
    assert head.split()[:2] == ["KEY", "FUNCTION"]
    assert first.split()[1:5] == ["work:first", "int", "here", "200"]
    assert second.split()[1:5] == ["work:second", "str", "here", "200"]
    assert first.endswith("process x 2: 0.6 s, predicted 0.5 s")


@pytest.mark.usefixtures("store")
def test_list_as_json_gives_plain_numbers(printed: Callable[..., str]) -> None:
    first, _ = json.loads(printed("cache", "list", "--json"))
    assert first["function"] == "work:first"
    assert first["profile"]["item"]["mean"] == pytest.approx(0.00105)
    assert first["profile"]["runs"][0]["n_items"] == 640


def test_an_empty_cache_is_an_empty_list_and_a_message(home: Path, printed: Callable[..., str]) -> None:
    message = f"nothing is kept in {home / '.cache' / 'amorsize'} yet"
    assert printed("cache", "list", message=message) == ""
    assert json.loads(printed("cache", "list", "--json", message=message)) == []


def test_names_out_of_the_store_cannot_drive_the_terminal(store: DiskStore, printed: Callable[..., str]) -> None:
    ((key, facts), *_) = store.entries()
    store.update({key: lambda _: {**facts, "function": "\x1b[2J\x07gone\n\u202e"}})
    store.close()
    out = printed("cache", "list")
    assert r"\x1b[2J\x07gone\n\u202e" in out
    assert all(line.isprintable() for line in out.splitlines())


@pytest.mark.usefixtures("store")
def test_the_beginning_of_a_key_is_enough_to_show_it(printed: Callable[..., str]) -> None:
    key = printed("cache", "list").splitlines()[1].split()[0]
    assert "function  work:first" in printed("cache", "show", key[:6])
    assert json.loads(printed("cache", "show", key, "--json"))["id"].startswith(key)


@pytest.mark.usefixtures("store")
def test_a_key_that_is_not_there_or_not_unique_is_refused(failed: Callable[..., str]) -> None:
    assert "no key begins with zz: amorsize cache list" in failed("cache", "show", "zz")
    assert "2 keys begin with" in failed("cache", "show", "")


# ---- cache info, path, clear


@pytest.mark.usefixtures("store")
def test_info_tells_where_and_how_much(home: Path, printed: Callable[..., str]) -> None:
    assert f"store    {home / '.cache' / 'amorsize'}\n" in printed("cache", "info")
    told = json.loads(printed("cache", "info", "--json"))
    assert told["functions"] == ["work:first", "work:second"]
    assert (told["n_records"], told["n_machines"], told["fault"]) == (2, 1, None)
    assert told["size_bytes"] > 0


@pytest.mark.skipif(sys.platform == "win32", reason="another error there")
def test_a_cache_that_cannot_be_written_is_told_before_anything_is_lost(
    home: Path, printed: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").touch()
    monkeypatch.setenv("AMORSIZE_CACHE_DIR", str(home / "file" / "cache"))
    assert "state    cannot be written: Not a directory\n" in printed("cache", "info")
    assert f"- nothing learned is kept: {home / 'file' / 'cache'} cannot be written: Not a dir" in printed("doctor")


def test_path_is_the_directory(home: Path, printed: Callable[..., str]) -> None:
    assert printed("cache", "path") == f"{home / '.cache' / 'amorsize'}\n"
    assert json.loads(printed("cache", "path", "--json")) == {"path": str(home / ".cache" / "amorsize")}


def test_looking_makes_no_directory(home: Path, printed: Callable[..., str]) -> None:
    printed("cache", "path")
    printed("cache", "info")
    printed("cache", "clear")
    assert not (home / ".cache").exists()


def test_clear_drops_everything(store: DiskStore, printed: Callable[..., str]) -> None:
    assert printed("cache", "clear").startswith("dropped 2 rows: ")
    assert list(store.entries()) == []
    store.close()


def test_clear_of_a_function_leaves_the_others(store: DiskStore, printed: Callable[..., str]) -> None:
    assert json.loads(printed("cache", "clear", "work:first", "--json")) == {"dropped": 1}
    assert [facts["function"] for _, facts in store.entries()] == ["work:second"]
    store.close()


@pytest.mark.usefixtures("store")
def test_clear_of_an_unknown_function_fails_and_names_a_near_one(failed: Callable[..., str]) -> None:
    assert "nothing is kept about work:frist: did you mean work:first?" in failed("cache", "clear", "work:frist")


@pytest.fixture
def corrupt(store: DiskStore) -> Path:
    """Return the database, filled with something else."""
    database = Path(store.path) / "cache.db"
    database.write_bytes(b"no database at all" * 100)
    return database


def test_a_corrupt_cache_is_told_and_left_alone_by_who_only_looks(
    corrupt: Path, printed: Callable[..., str], failed: Callable[..., str]
) -> None:
    before = corrupt.read_bytes()
    assert "state    it is no SQLite database" in printed("cache", "info")
    assert "cannot be read" in failed("cache", "list")
    assert corrupt.read_bytes() == before


@pytest.fixture
def holed(store: DiskStore) -> DiskStore:
    """Return a store of 300 rows more, a page of which is damaged."""
    ((_, facts), *_) = store.entries()
    store.update({f"profile:{number:032x}:{'0' * 32}:{'0' * 12}": lambda _: facts for number in range(300)})
    store.close()
    database = Path(store.path) / "cache.db"
    content = bytearray(database.read_bytes())
    leaves = [at for at in range(0, len(content), 4096) if content[at] == 13]
    content[leaves[len(leaves) // 2]] = 0
    database.write_bytes(content)
    return store


def test_a_part_of_a_cache_does_not_pass_for_all_of_it(
    holed: DiskStore, tmp_path: Path, printed: Callable[..., str], failed: Callable[..., str]
) -> None:
    before = (Path(holed.path) / "cache.db").read_bytes()
    export = f"export {tmp_path / 'all'}"
    for command in ("list", "show a", export, "prune --older-than=1d", "clear work:first"):
        told = failed("cache", *command.split())
        assert "cannot be read: database disk image is malformed; amorsize cache clear begins a new one" in told
    assert list(tmp_path.iterdir()) == []
    out = printed("cache", "info")
    assert "records  not known\nstate    database disk image is malformed\n" in out
    assert (Path(holed.path) / "cache.db").read_bytes() == before


def test_a_cache_that_is_locked_for_a_while_is_not_to_be_cleared(
    store: DiskStore, failed: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amorsize.store.disk._ASKED_S", 0.02)
    with closing(sqlite3.connect(Path(store.path) / "cache.db", isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        assert failed("cache", "list").endswith("the database is locked by another process; try again\n")
        assert "nothing was removed" in failed("cache", "clear")
    assert len(list(store.entries())) == 2


def test_a_corrupt_cache_can_be_cleared(corrupt: Path, printed: Callable[..., str]) -> None:
    assert printed("cache", "clear").startswith("dropped 0 rows")
    assert "state    usable" in printed("cache", "info")
    assert [path.name for path in corrupt.parent.iterdir() if "quarantine" in path.name] == []


def test_a_cache_that_cannot_be_cleared_says_why(store: DiskStore, failed: Callable[..., str]) -> None:
    Path(store.path).chmod(0o777)
    assert "can be written by others" in failed("cache", "clear")
    Path(store.path).chmod(0o700)
    assert len(list(store.entries())) == 2
    store.close()


def test_a_cache_that_is_off_is_said_to_be_off(
    monkeypatch: pytest.MonkeyPatch, printed: Callable[..., str], failed: Callable[..., str]
) -> None:
    monkeypatch.setenv("AMORSIZE_CACHE", "0")
    assert printed("cache", "info").startswith("store  off")
    assert "the cache is off" in failed("cache", "list")
    assert "the cache is off" in failed("cache", "clear")


# ---- cache prune


def test_prune_drops_what_was_last_seen_before_that_and_nothing_else(
    store: DiskStore, printed: Callable[..., str]
) -> None:
    Knowledge(SECOND, InputClass(type_name="float"), machine(), cache=True).learn(
        Profile.of([(100, 0.1)], now_s=time.time()), Costs(fork_s=1e-3), call_s=60.0
    )
    assert json.loads(printed("cache", "prune", "--older-than", "30d", "--json")) == {"dropped": 2}
    assert [facts.get("input") for key, facts in store.entries() if key.startswith("profile:")] == ["float"]
    assert any(key.startswith("costs:") for key, _ in store.entries())
    assert printed("cache", "prune", "--older-than", "30d").startswith("dropped 0 rows")
    store.close()


@pytest.mark.parametrize("age", ["30", "d", "", "-1d", "1.5d", "3y", "30 d", "9" * 400 + "d", "9" * 5000 + "d"])
def test_an_age_without_number_or_unit_is_refused(age: str, refused: Callable[..., str]) -> None:
    assert f"{age!r} is no age, such as 30d, 12h or 2w" in refused("cache", "prune", f"--older-than={age}")


# ---- cache export, import

ELSEWHERE = Machine(digest="1" * 32, description="Another CPU, Linux, CPython 3.11")


@pytest.fixture
def parcel(store: DiskStore, tmp_path: Path, printed: Callable[..., str]) -> str:
    """Return a file with what another machine knows of the first function, and this one of both; the store is empty."""
    learn(FIRST, place=ELSEWHERE)
    file = str(tmp_path / "timings.txt")
    assert printed("cache", "export", file) == f"exported 3 rows: {file}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["timings.txt"]
    printed("cache", "clear")
    store.close()
    knowledge._profiles.clear()
    return file


def rows_of(store: DiskStore) -> dict[str, Any]:
    found = dict(store.entries())
    store.close()
    return found


def test_what_another_machine_knows_becomes_a_guess_worth_two_samples_here(
    parcel: str, store: DiskStore, printed: Callable[..., str]
) -> None:
    assert json.loads(printed("cache", "import", parcel, "--json")) == {"imported": 2, "left": 1}
    for key, facts in rows_of(store).items():
        profile = Profile.from_facts(facts)
        assert profile is not None
        assert machine().digest in key
        assert profile.item.weight == pytest.approx(2.0)
        assert profile.item.mean == pytest.approx(0.00105, rel=0.01)
        assert profile.runs == ()
    assert Knowledge(FIRST, InputClass(type_name="int"), machine(), cache=True).is_hit


def test_an_import_changes_nothing_that_is_known_and_no_row_of_others(
    parcel: str, store: DiskStore, printed: Callable[..., str]
) -> None:
    learn(FIRST)
    learn(FIRST, place=ELSEWHERE)
    learn(FIRST.replace(digest="c3" * 16))  # another version of it
    before = rows_of(store)
    assert json.loads(printed("cache", "import", parcel, "--json")) == {"imported": 1, "left": 2}
    after = rows_of(store)
    assert {key: after[key] for key in before} == before
    assert [facts["function"] for key, facts in after.items() if key not in before] == ["work:second"]


class Racing(DiskStore):
    """A store in which somebody else learns something between a look and the write that follows."""

    def read(self, keys: Sequence[str]) -> dict[str, Facts]:
        found = super().read(keys)
        self.update({key: lambda _: SEEN.to_facts() for key in keys})
        return found


def test_an_import_leaves_what_was_learned_while_it_ran(parcel: str, store: DiskStore) -> None:
    racing = Racing(store.path)
    exchange.import_from(parcel, racing)
    racing.close()
    assert [Profile.from_facts(facts) for facts in rows_of(store).values()] == [SEEN, SEEN]


def test_prices_are_carried_back_to_their_own_machine_only(store: DiskStore, tmp_path: Path) -> None:
    here = f"costs:{machine().digest}:fork"
    store.update({key: lambda _: Costs(fork_s=7e-3).to_facts() for key in (here, f"costs:{ELSEWHERE.digest}:fork")})
    exchange.export_to(str(tmp_path / "all"), store.entries())
    store.clear()
    assert exchange.import_from(str(tmp_path / "all"), store) == (3, 1)
    assert rows_of(store)[here]["fork_s"] == 7e-3


def planted(**changed: Any) -> str:
    facts = {**SEEN.to_facts(), "function": "work:first", "input": "int", **changed}
    return pack([(f"profile:{FIRST.digest}:{ELSEWHERE.digest}:{'0' * 12}", facts)])


SPOILED: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda whole: whole[:-200],
    "cut between two rows": lambda whole: whole[: whole.rindex(b"profile:")],
    "a digit": lambda whole: whole.replace(b'"longest_s":0.0011', b'"longest_s":0.0012', 1),
    "another function's row": lambda whole: whole.replace(b"a1a1", b"a2a2"),
    "a row twice": lambda whole: whole.replace(b"export 1 3", b"export 1 4") + whole.splitlines()[1] + b"\n",
    "a later layout": lambda whole: whole.replace(b"export 1", b"export 2"),
    "empty": lambda _: b"",
    "no text": lambda _: bytes(range(256)) * 10,
    "another text": lambda _: b"[1, 2, 3]\n",
    "a pickle": lambda _: pickle.dumps(Path("planted")),
    "a profile that cannot be": lambda _: planted(item=[1e14, 2.0, 1e9, 0.0]).encode(),
    "a profile of nothing": lambda _: planted(item=[0.0, 0.0, 0.0, 0.0]).encode(),
    "a function without a name": lambda _: planted(function=3).encode(),
    "a key of nobody's": lambda _: pack([("../escape", {"a": 1})]).encode(),
    "prices that cannot be": lambda _: pack([(f"costs:{'1' * 32}:fork", {"fork_s": -1.0})]).encode(),
}


@pytest.mark.parametrize("what", SPOILED)
def test_a_file_that_is_not_as_it_was_written_is_refused_as_a_whole(
    what: str, parcel: str, store: DiskStore, failed: Callable[..., str]
) -> None:
    whole = Path(parcel).read_bytes()
    spoiled = SPOILED[what](whole)
    assert spoiled != whole
    Path(parcel).write_bytes(spoiled)
    told = failed("cache", "import", parcel)
    assert told.startswith(f"amorsize: nothing was imported: {parcel} was not written by amorsize cache export: ")
    assert told.count("\n") == 1
    assert rows_of(store) == {}


def test_a_file_that_cannot_be_read_or_written_is_told_with_the_reason(
    parcel: str, tmp_path: Path, failed: Callable[..., str]
) -> None:
    assert "cannot be read: No such file" in failed("cache", "import", str(tmp_path / "nosuch"))
    assert "cannot be read: Is a directory" in failed("cache", "import", str(tmp_path))
    assert "cannot be written: No such file" in failed("cache", "export", str(tmp_path / "nosuch" / "file"))
    for other in (str(tmp_path), os.devnull):
        assert "cannot be written: it is there, and no regular file" in failed("cache", "export", other)
    assert [str(path) for path in tmp_path.iterdir()] == [parcel]


def test_a_file_of_somebody_else_s_at_the_name_of_an_unfinished_export_stays(
    tmp_path: Path, failed: Callable[..., str]
) -> None:
    learn(FIRST)
    other = tmp_path / f"timings.{os.getpid()}.tmp"
    other.write_text("somebody else's")
    assert "cannot be written: File exists" in failed("cache", "export", str(tmp_path / "timings"))
    assert other.read_text() == "somebody else's"


def test_an_export_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failed: Callable[..., str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    learn(FIRST)
    monkeypatch.setattr(os, "replace", refuse)
    assert f"cannot be written: {os.strerror(errno.ENOSPC)}" in failed("cache", "export", str(tmp_path / "timings"))
    assert list(tmp_path.iterdir()) == []


def test_a_corrupt_cache_is_neither_exported_nor_replaced_by_an_import(
    parcel: str, store: DiskStore, tmp_path: Path, failed: Callable[..., str]
) -> None:
    database = Path(store.path) / "cache.db"
    database.write_bytes(b"no database at all" * 100)
    before = database.read_bytes()
    for arguments in (("export", str(tmp_path / "more")), ("import", parcel), ("prune", "--older-than=1d")):
        assert "cannot be read: it is no SQLite database" in failed("cache", *arguments)
    assert database.read_bytes() == before


@pytest.mark.slow
def test_a_cache_that_somebody_keeps_locked_takes_no_import_and_says_so(
    parcel: str, store: DiskStore, failed: Callable[..., str]
) -> None:
    learn(SECOND)
    with closing(sqlite3.connect(Path(store.path) / "cache.db")) as holder:
        holder.execute("BEGIN IMMEDIATE")
        assert "another process keeps the cache in" in failed("cache", "import", parcel)


def test_a_process_that_was_given_the_timings_of_another_cache_knows_the_function(
    tmp_path: Path, fresh_python: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "carried_work.py").write_text(
        "import amorsize\n@amorsize.parallelizable\ndef triangle(n):\n    return sum(range(n))\n"
        "if __name__ == '__main__':\n    triangle.pmap([*range(3000, 5000)] * 3)\n"
    )
    fresh_python("carried_work.py")
    fresh_python("-m", "amorsize", "cache", "export", "timings.txt")
    monkeypatch.setenv("AMORSIZE_CACHE_DIR", str(tmp_path / "second"))
    asked = ("-m", "amorsize", "explain", "carried_work:triangle", "--items", "100000", "--json")
    assert json.loads(fresh_python(*asked))["forecasts"] == []
    fresh_python("-m", "amorsize", "cache", "import", "timings.txt")
    forecasts = json.loads(fresh_python(*asked))["forecasts"]
    assert [forecast["kept"]["input"] for forecast in forecasts] == ["int", "int[2^12]"]
    assert all(forecast["plan"]["serial_s"] > 0 for forecast in forecasts)


# ---- explain

SQUARE = """
import amorsize
print("loading")
@amorsize.parallelizable{options}
def square(x):
    return x * x + {seed}
"""


def explained(module: str, *options: str, capsys: pytest.CaptureFixture[str]) -> Any:  # Any: JSON
    assert cli.main(["explain", f"{module}:square", "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


def key_of(module: str) -> FunctionKey:
    return function_key(sys.modules[module].square)


def test_an_unknown_function_is_said_to_be_unknown(
    written: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    written("fresh_work", SQUARE.format(options="", seed=101))
    assert cli.main(["explain", "fresh_work:square"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("function  fresh_work:square\nNothing is known about it here")
    assert told.err == "loading\n"  # what the module prints is no data


def test_a_known_function_is_explained_for_the_items_of_its_last_run(
    written: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    written("known_work", SQUARE.format(options="", seed=102))
    explained("known_work", capsys=capsys)
    learn(key_of("known_work"))
    assert cli.main(["explain", "known_work:square"]) == 0
    out = capsys.readouterr().out
    assert "INPUT int\nitems seen          200" in out
    assert "PLAN FOR 640 items" in out


METHODS = """
import amorsize
class Model:
    def __init__(self):
        raise AssertionError("nobody asked for one")
    @amorsize.parallelizable(n_jobs=1)
    def square(self, x):
        return x * x + 108
    def cube(self, x):
        return x * x * x + 109
    @staticmethod
    @amorsize.parallelizable
    def halve(x):
        return x // 2 + 110
"""


def test_a_method_is_known_as_that_of_an_object(
    written: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    written("method_work", METHODS)
    assert cli.main(["explain", "method_work:Model"]) == 0
    kind = sys.modules["method_work"].Model
    made = object.__new__(kind)
    for name, func in (("square", MethodType(kind.square, made)), ("cube", made.cube), ("halve", kind.halve)):
        learn(function_key(func))
        assert cli.main(["explain", f"method_work:Model.{name}"]) == 0
        assert "PLAN FOR 640 items" in capsys.readouterr().out


def test_the_plan_is_for_as_many_items_as_asked_for_and_keeps_the_decorators_options(
    written: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    written("lone_work", SQUARE.format(options="(n_jobs=1)", seed=103))
    explained("lone_work", capsys=capsys)
    learn(key_of("lone_work"))
    (forecast,) = explained("lone_work", "--items", "5000", capsys=capsys)["forecasts"]
    assert forecast["n_items"] == 5000
    assert forecast["plan"]["reason"] == "n_jobs=1 was asked for"
    assert forecast["plan"]["serial_s"] == pytest.approx(5000 * 0.00105)


def test_records_of_other_code_and_other_machines_are_counted(
    written: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    written("changed_work", SQUARE.format(options="", seed=104))
    explained("changed_work", capsys=capsys)
    key = key_of("changed_work")
    learn(key.replace(digest="0" * 32))
    learn(key, place=machine().replace(digest="1" * 32))
    told = explained("changed_work", capsys=capsys)
    assert (told["n_other_code"], told["n_other_machine"], told["forecasts"]) == (1, 1, [])


@pytest.mark.needs_fork
@pytest.mark.skipif(capacity(0.0).n_effective < 2, reason="on one core no call leaves the caller")
def test_what_a_call_would_warn_of_is_a_message(
    written: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    written("counting_work", "total = 106\ndef square(x):\n    global total\n    total += x * x\n    return total\n")
    explained("counting_work", capsys=capsys)
    learn(key_of("counting_work"))
    assert cli.main(["explain", "counting_work:square", "--items", "5000"]) == 0
    told = capsys.readouterr()
    assert told.err.startswith("amorsize: counting_work:square assigns the global total")
    assert "process x " in told.out


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nosuch_module:f", "cannot import nosuch_module: ModuleNotFoundError"),
        ("os:nosuch", "os holds no nosuch"),
        ("os:path.nosuch", "os holds no path.nosuch"),
        ("os:sep", "os:sep is no function but a str"),
        ("broken_work:f", "cannot import broken_work: ZeroDivisionError: division by zero ("),
        ("broken_work:f", "broken_work.py, line 2)"),
        ("misread_work:f", "misread_work.py, line 2)"),  # and not where in `json`
        ("leaving_work:f", "cannot import leaving_work: SystemExit: 3 ("),
    ],
)
def test_a_function_that_cannot_be_found_is_told_in_a_line(
    target: str, message: str, written: Callable[[str, str], None], failed: Callable[..., str]
) -> None:
    written("broken_work", "def f(x):\n    return 1 / x\nf(0)\n")
    written("misread_work", "import json\njson.loads('colour')\n")
    written("leaving_work", "raise SystemExit(3)\n")
    told = failed("explain", target)
    assert message in told
    assert told.count("\n") == 1


def test_an_error_of_amorsize_itself_is_not_told_as_the_user_s(
    written: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    written("planned_work", SQUARE.format(options="", seed=107))
    explained("planned_work", capsys=capsys)
    learn(key_of("planned_work"))
    monkeypatch.setattr("amorsize.advice.adviser.plan_for", lambda *_: min(()))
    with pytest.raises(ValueError, match="empty"):
        cli.main(["explain", "planned_work:square"])


def test_a_setting_that_is_wrong_is_told_in_a_line(
    written: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch, failed: Callable[..., str], capsys: Any
) -> None:
    written("set_work", SQUARE.format(options="", seed=105))
    explained("set_work", capsys=capsys)
    learn(key_of("set_work"))
    monkeypatch.setenv("AMORSIZE_N_JOBS", "many")
    assert "AMORSIZE_N_JOBS='many' is wrong" in failed("explain", "set_work:square")


# ---- doctor


def test_the_doctor_tells_facts_costs_store_and_limits(printed: Callable[..., str]) -> None:
    out = printed("doctor")
    for word in ("machine ", "cores ", "memory ", "fork ", "store ", "LIMITS"):
        assert f"\n{word}" in f"\n{out}"


@pytest.mark.needs_fork
def test_the_doctor_measures_what_workers_cost_here(printed: Callable[..., str]) -> None:
    seen = json.loads(printed("doctor", "--json"))
    assert seen["workers"]["costs"]["fork_s"] > 0
    assert seen["workers"]["counter_fault"] is None
    assert seen["capacity"]["n_cores"] >= 1
    assert seen["refusal"] is None


@pytest.mark.needs_fork
@pytest.mark.fault("R14")
@pytest.mark.parametrize(("number", "cure"), [(errno.EAGAIN, "ulimit -u"), (errno.EMFILE, "ulimit -n")])
def test_the_doctor_names_the_limit_that_keeps_workers_from_starting(
    number: int, cure: str, monkeypatch: pytest.MonkeyPatch, printed: Callable[..., str]
) -> None:
    def refuse() -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fork", refuse)
    out = printed("doctor")
    assert f"\nCOSTS, ALL OF THEM ASSUMED: {os.strerror(number)}\n" in out
    assert f"- workers could not be started: {os.strerror(number)}\n  cure: raise the limit of" in out
    assert cure in out
    assert "this kernel" not in out


def test_the_doctor_answers_where_the_system_does_not_tell_its_memory(
    printed: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> object:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "/proc/meminfo")

    monkeypatch.setattr("psutil.virtual_memory", refuse)
    assert "unknown physical" in printed("doctor")


def test_the_doctor_finds_what_the_environment_forbids(
    monkeypatch: pytest.MonkeyPatch, printed: Callable[..., str]
) -> None:
    monkeypatch.setenv("AMORSIZE_DISABLE", "1")
    assert "- every pmap is the plain loop" in printed("doctor")
    monkeypatch.setenv("AMORSIZE_N_JOBS", "many")
    assert "AMORSIZE_N_JOBS='many' is wrong" in printed("doctor")


# ---- the frame


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "COMMAND"),
        (("cahce",), "invalid choice: 'cahce'"),
        (("cache",), "ACTION"),
        (("cache", "lst"), "invalid choice: 'lst'"),
        (("cache", "list", "--jsn"), "--jsn"),
        (("explain", "module"), "'module' is not module:function"),
        (("explain", ":f"), "':f' is not module:function"),
        (("explain", "./work.py:f"), "'./work.py' is a file, not a module: write work:f"),
        (("explain", "os:getcwd", "--items", "0"), "must be an int >= 1, got '0'"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...], message: str, refused: Callable[..., str]) -> None:
    assert message in refused(*arguments)


def test_ctrl_c_ends_without_a_word(written: Callable[[str, str], None], printed: Callable[..., str]) -> None:
    written("interrupted_work", "raise KeyboardInterrupt\n")
    assert printed("explain", "interrupted_work:f", status=130) == ""


def test_python_m_amorsize_tells_its_version_and_loads_nothing_heavy(fresh_python: Callable[..., str]) -> None:
    heavy = "'diskcache', 'psutil', 'multiprocessing', 'json', '_sqlite3', 'amorsize.advice.knowledge', 'amorsize.call'"
    loaded = f"""
import sys
from amorsize.cli import main
try:
    main(["--version"])
finally:
    print(*sorted(set(sys.modules) & {{{heavy}}}))
"""
    version = fresh_python("-m", "amorsize", "--version")
    assert version == f"amorsize {amorsize.__version__}\n"
    assert fresh_python("-c", loaded) == f"{version}\n"


def test_what_a_process_learned_the_command_shows(tmp_path: Path, fresh_python: Callable[..., str]) -> None:
    (tmp_path / "real_work.py").write_text(
        "import amorsize\n@amorsize.parallelizable\ndef triangle(n):\n    return sum(range(n))\n"
        "if __name__ == '__main__':\n    triangle.pmap([*range(3000, 5000)] * 3)\n"
    )
    fresh_python("real_work.py")
    records = json.loads(fresh_python("-m", "amorsize", "cache", "list", "--json"))
    assert {record["function"] for record in records} == {"real_work:triangle"}
    assert [record["input"] for record in records] == ["int", "int[2^12]"]
    forecasts = json.loads(fresh_python("-m", "amorsize", "explain", "real_work:triangle", "--json"))["forecasts"]
    assert [forecast["kept"]["id"] for forecast in forecasts] == [record["id"] for record in records]
    fresh_python("-m", "amorsize", "cache", "clear", "real_work:triangle")
    assert json.loads(fresh_python("-m", "amorsize", "cache", "list", "--json")) == []


@pytest.mark.usefixtures("fresh_python")
def test_a_reader_that_leaves_early_is_no_trouble() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "amorsize", "doctor"],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=50,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_what_a_terminal_cannot_show_is_escaped(
    monkeypatch: pytest.MonkeyPatch, fresh_python: Callable[..., str]
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    monkeypatch.setenv("AMORSIZE_CACHE_DIR", f"{os.sep}h\u00f6me")
    assert fresh_python("-m", "amorsize", "cache", "path") == f"{os.sep}h\\xf6me\n"
