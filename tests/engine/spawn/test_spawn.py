"""Fresh interpreters run what they are sent, as it is now, wherever it lives; and they stay for the next call."""

from __future__ import annotations

import csv
import importlib
import locale
import os
import signal
import socket
import sys
import textwrap
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from amorsize import config, pmap
from amorsize.engine import safety
from amorsize.engine.spawn import launch, warm
from amorsize.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    Feed = Callable[..., list[Any]]
    Write = Callable[[str, str], ModuleType]

FEEDING = str(Path(__file__).with_name("feeding.py"))


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Return a function that writes a module, or writes it anew, and imports it."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # two writes within one second look alike to a .pyc
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    names: list[str] = []

    def make(name: str, source: str) -> ModuleType:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        names.append(name)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield make
    for name in names:
        sys.modules.pop(name, None)


def pid(_item: object) -> int:
    return os.getpid()


# ---- what is run


def test_items_are_run_in_processes_of_their_own(feed: Feed) -> None:
    found = feed(lambda x: (x + 1, os.getpid()), range(6))
    assert [result for result, _ in found] == [1, 2, 3, 4, 5, 6]
    assert len({process for _, process in found}) == 2
    assert os.getpid() not in {process for _, process in found}


@pytest.mark.needs_fork  # what hides it loads more
def test_a_worker_loads_only_what_it_needs(feed: Feed, write: Write) -> None:
    heavy = "_pickle asyncio cloudpickle collections.abc multiprocessing logging re socket subprocess threading typing"
    work = write("work_light", "import sys\n\ndef is_loaded(name):\n    return name in sys.modules\n")
    with warnings.catch_warnings():
        warnings.resetwarnings()
        assert [name for name in heavy.split() if feed(work.is_loaded, [name], 1) != [False]] == []


def test_tuples_are_taken_apart_where_asked(feed: Feed) -> None:
    assert feed(pow, [(2, 5), (3, 2)], star=True) == [32, 9]


def test_arrays_travel_both_ways(feed: Feed) -> None:
    import numpy as np

    found = feed(lambda a: a * 2, [np.arange(n) for n in (10, 300_000)])
    assert [array.tolist() for array in found] == [list(range(0, 20, 2)), list(range(0, 600_000, 2))]


def test_an_exception_comes_back_as_itself_and_its_worker_stays(feed: Feed) -> None:
    (worker,) = feed(pid, [0], 1)
    with pytest.raises(ZeroDivisionError):
        feed(lambda x: 1 // x, [0], 1)
    assert feed(pid, [0], 1) == [worker]


def test_a_traceback_names_the_line_in_the_user_s_file(feed: Feed) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        feed(lambda x: 1 // x, [0], 1)
    (note,) = caught.value.__notes__
    assert f'File "{__file__}", line' in note
    assert "feed(lambda x: 1 // x, [0], 1)" in note


KINDS = """
import functools, operator, sys
import runpy
feed = runpy.run_path(FEEDING)["feed"]

class Adder:
    table = list(range(1, 200))
    def __init__(self, n):
        self.n = n
    def __call__(self, x):
        return x + self.n
    def add(self, x):
        return x + self.n
    @classmethod
    def increment(cls, x):
        return x + 1
    @staticmethod
    def plus_one(x):
        return x + 1

class Number:
    def __init__(self, x):
        self.successor = x + 1
    def __eq__(self, other):
        return self.successor == other

@functools.lru_cache
def cached(x):
    return 1 if x == 0 else cached(x - 1) + 1

KINDS = {
    "a lambda": lambda x: x + 1,
    "a constant slice": lambda x: [x, x + 1][1:2][0],
    "a closure": (lambda n: lambda x: x + n)(1),
    "a partial": functools.partial(operator.add, 1),
    "a partial of a lambda": functools.partial(lambda n, x: x + n, 1),
    "a bound method": Adder(1).add,
    "a class method": Adder.increment,
    "a static method": Adder.plus_one,
    "a callable object": Adder(1),
    "a builtin": (1).__add__,
    "a cached function": cached,
    "a cached object": functools.lru_cache(Adder(1)),
    "a class": Number,
    "a single dispatch": functools.singledispatch(lambda x: x + 1),
    "a method of a builtin type": Adder.table.__getitem__,
}
for name, func in KINDS.items():
    found = feed(func, range(4))
    if found != [1, 2, 3, 4] or (name == "a class" and type(found[0]) is not Number):
        print(name, found)
print("done")
"""


def program(source: str) -> str:
    return source.replace("FEEDING", repr(FEEDING))


@pytest.mark.fault("R12")
def test_every_kind_of_function_of_a_script_is_run(fresh_python: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("print('top')\n" + program(KINDS))
    assert fresh_python("script.py") == "top\ndone\n"


@pytest.mark.fault("R12")
def test_every_kind_of_function_of_the_command_line_is_run(fresh_python: Callable[..., str]) -> None:
    assert fresh_python("-c", program(KINDS)) == "done\n"


@pytest.mark.fault("R12")
def test_a_package_is_not_run_again(fresh_python: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__main__.py").write_text("print('top')\n" + program(KINDS))
    assert fresh_python("-m", "package") == "top\ndone\n"


LAZY = """
lazy import operator
lazy from textwrap import dedent
from amorsize import pmap
def f(x): return operator.add(x, len(dedent(" a")))
print(pmap(f, [1, 2], isolate=True, start_method="spawn"), type(globals()["operator"]).__name__)
"""


@pytest.mark.skipif(sys.version_info < (3, 15), reason="every import is eager")
def test_what_is_imported_when_it_is_first_used_is_imported_there(fresh_python: Callable[..., str]) -> None:
    assert fresh_python("-c", LAZY) == "[2, 3] lazy_import\n"


@pytest.mark.fault("R12")
def test_what_is_defined_now_is_run(fresh_python: Callable[..., str]) -> None:
    source = program("""
import runpy
feed = runpy.run_path(FEEDING)["feed"]
FACTOR = 1
for factor in (1, 2, 3):
    FACTOR = factor
    exec("def work(x): return x * FACTOR")
    print(feed(work, [1, 2]))
""")
    assert fresh_python("-c", source) == "[1, 2]\n[2, 4]\n[3, 6]\n"


ITEMS = """
import enum, runpy
feed = runpy.run_path(FEEDING)["feed"]

class Color(enum.Enum):
    RED = 1
    BLUE = 2

class Point:
    made = []
    def __init__(self, x, color=Color.RED):
        self.x = x
        self.color = color
    def moved(self):
        return Point(self.x + 1, Color.BLUE)

class Broken(ValueError):
    pass

moved = Point.moved
def move(point):
    assert isinstance(point, Point) and point.color is Color.RED
    return point.moved()

for _ in range(2):
    found = feed(move, [Point(1), Point(2)])
    print([point.x for point in found], {type(point) is Point for point in found}, {point.color for point in found})
print(Point.moved is moved)
print([type(point) is Point for point in feed(lambda point: [point, {"a": point}][0], [Point(1)])])

def fail(point):
    raise Broken("as itself", point.x)
try:
    feed(fail, [Point(7)])
except Broken as error:
    print(error.args)
"""


@pytest.mark.fault("R12")
def test_items_results_and_errors_whose_class_is_of_main_travel(fresh_python: Callable[..., str]) -> None:
    expected = "[2, 3] {True} {<Color.BLUE: 2>}\n"
    assert fresh_python("-c", program(ITEMS)) == f"{expected}{expected}True\n[True]\n('as itself', 7)\n"


IN_MAIN = """
import inspect, pickle, runpy, sys, typing
feed = runpy.run_path(FEEDING)["feed"]

class Point:
    other: "Point | None"
    def __init__(self, x):
        self.x = x

def helper(x):
    return x + 1

def through_pickle(x):
    return pickle.loads(pickle.dumps((Point(x), helper)))

print([(point.x, found(point.x), type(point) is Point) for point, found in feed(through_pickle, [1, 2])])
print([pickle.loads(each).x for each in feed(lambda x: pickle.dumps(Point(x)), [1, 2])])
print([pickle.loads(each).x for each in feed(pickle.dumps, [Point(1), Point(2)])])
print(feed(lambda x: typing.get_type_hints(Point)["other"].__args__[0] is Point, [1], 1))
print(feed(lambda x: inspect.getsource(Point) == SOURCE, [1], 1) if (SOURCE := inspect.getsource(Point)) else "")
print(feed(lambda x: sys.modules["__main__"].helper(x) + helper(0), [1], 1))
print(pickle.dumps(Point).hex() == feed(lambda x: pickle.dumps(Point).hex(), [1], 1)[0])

COUNT = 0
def count(x):
    global COUNT
    COUNT += 1
    return COUNT
feed(count, [1, 2])
print(COUNT)
"""


@pytest.mark.fault("R12")
def test_what_lives_in_main_is_found_there_by_its_name(fresh_python: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(program(IN_MAIN))
    expected = "[(1, 2, True), (2, 3, True)]\n[1, 2]\n[1, 2]\n[True]\n[True]\n[3]\nTrue\n0\n"
    assert fresh_python("script.py") == expected


DELETED = """
import runpy
feed = runpy.run_path(FEEDING)["feed"]

def max(x):
    return "shadowed"

TABLE = {1: "there"}
class Logged:
    def __del__(self):
        note("deleted")
def note(text):
    print(text, flush=True)
client = None

def work(x):
    global client
    client = client or Logged()
    try:
        return max([x]), TABLE[x], note
    except NameError:
        return max([x]), "not there"

print(feed(work, [1], 1)[0][:2], flush=True)
del max, TABLE
print(feed(work, [1], 1)[0][:2])
"""


@pytest.mark.fault("R12")
def test_what_was_deleted_from_main_is_not_found_in_a_worker_that_stays(fresh_python: Callable[..., str]) -> None:
    expected = "('shadowed', 'there')\ndeleted\n(1, 'not there')\n"
    assert fresh_python("-c", program(DELETED)) == expected


WITH_ITEMS = """
from amorsize import pmap

MODEL = None
SCALE = 1

class Point:
    def __init__(self, x):
        self.x = x
    def scaled(self):
        return self.x * SCALE, MODEL

def load():
    global MODEL
    MODEL = "loaded"

def work(point):
    return point.scaled()

for SCALE in (1, 2):
    points = [Point(1), Point(2)]
    print(pmap(work, points, start_method="spawn", backend="process", n_jobs=2, isolate=True, initializer=load))
"""


@pytest.mark.fault("R12")
def test_methods_of_items_find_the_globals_of_the_function_and_its_initializer(
    fresh_python: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(WITH_ITEMS)
    expected = "[(1, 'loaded'), (2, 'loaded')]\n[(2, 'loaded'), (4, 'loaded')]\n"
    assert fresh_python("script.py") == expected


# ---- the same function, or none


COUNTED = """
import os
FACTOR = 1
TABLE = []

def scale(x):
    return x * FACTOR

def look_up(x):
    found = []
    found.append(TABLE[x])
    return found

class Point:
    def __init__(self, x):
        self.x = x
    def __eq__(self, other):
        return isinstance(other, Point) and other.x == self.x

def scaled(point):
    assert isinstance(point, Point)
    return Point(point.x * FACTOR)
"""


def test_a_function_of_a_module_is_found_by_its_name(feed: Feed, write: Write) -> None:
    work = write("work_by_name", COUNTED)
    assert feed(work.scale, [1, 2]) == [1, 2]
    assert feed(work.scaled, [work.Point(1)]) == [work.Point(1)]


@pytest.mark.parametrize("rests", [False, True])
def test_a_global_that_was_changed_counts(feed: Feed, write: Write, rests: bool) -> None:
    work: Any = write("work_changed", COUNTED)
    for factor in range(1, 7):
        work.FACTOR = factor
        assert feed(work.scale, [1, 2]) == [factor, 2 * factor]
        assert feed(work.scaled, [work.Point(1)]) == [work.Point(factor)]
        work.TABLE.append(factor)
        assert feed(work.look_up, [factor - 1]) == [[factor]]
        if not rests:
            warm.shutdown()


def test_a_global_that_pickle_refuses_counts(feed: Feed, write: Write) -> None:
    source = """
        from collections import defaultdict

        TABLE = defaultdict(lambda: 0)

        def look_up(x):
            return TABLE[x]
        """
    work = write("work_refused", source)
    work.TABLE.update({0: 10, 1: 11})
    assert feed(work.look_up, range(3)) == [10, 11, 0]


def test_a_helper_of_another_module_that_was_replaced_counts(feed: Feed, write: Write) -> None:
    helper: Any = write("work_helper", "def step(x):\n    return x + 1\n")
    work = write("work_helped", "import work_helper\n\ndef go(x):\n    return work_helper.step(x)\n")
    assert feed(work.go, [1]) == [2]
    helper.step = lambda x: x + 10
    assert feed(work.go, [1]) == [11]


def test_a_module_file_that_was_edited_changes_nothing_until_it_is_loaded(feed: Feed, write: Write) -> None:
    work = write("work_edited", "def go(x):\n    return 'old'\n")
    assert feed(work.go, [1], 1) == ["old"]
    write("work_edited", "def go(x):\n    return 'new, and longer'\n")
    assert feed(work.go, [1], 1) == ["old"]
    warm.shutdown()
    assert feed(work.go, [1], 1) == ["old"]
    importlib.reload(work)
    assert feed(work.go, [1], 1) == ["new, and longer"]


def test_a_worker_that_has_loaded_an_older_file_is_not_hired_again(feed: Feed, write: Write) -> None:
    items = write("work_items", "class Item:\n    def say(self):\n        return 'old'\n")
    assert feed(lambda item: item.say(), [items.Item()], 1) == ["old"]
    write("work_items", "class Item:\n    def say(self):\n        return 'new, and longer'\n")
    importlib.reload(items)
    assert feed(lambda item: item.say(), [items.Item()], 1) == ["new, and longer"]


def test_a_module_that_cannot_be_imported_again_travels_as_code(feed: Feed, write: Write, tmp_path: Path) -> None:
    work = write("work_gone", "def go(x):\n    return x + 1\n")
    (tmp_path / "work_gone.py").unlink()
    assert feed(work.go, [1]) == [2]


CALLING = """
    from amorsize import pmap

    def note(what):
        with open({notes!r}, "a") as notes:
            notes.write(f"{{what}} ")

    note("imported")

    class Point:
        def __init__(self, x):
            self.x = x

    def point(x):
        note(x)
        return Point(x)

    POINTS = pmap(point, range(20), n_jobs=2, backend="process", start_method="spawn", chunksize=1)
    """


def test_what_a_module_calls_while_it_is_imported_is_called_once(write: Write, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    with config(isolate=True):  # here: a worker would run them in its loop
        work = write("work_calling", CALLING.format(notes=str(notes)))
    assert [(type(point), point.x) for point in work.POINTS] == [(work.Point, x) for x in range(20)]
    pmap(work.point, range(20, 30), n_jobs=2, start_method="spawn", isolate=True)
    noted = notes.read_text().split()
    assert sorted(int(word) for word in noted if word != "imported") == list(range(30))
    assert noted.count("imported") <= 1 + 2  # here, and once in each worker, to find that out


def test_a_warning_filter_has_nothing_called(write: Write, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    work = write("work_calling", CALLING.format(notes=str(notes)) + "\n    class Told(UserWarning): pass\n")
    notes.unlink()
    warm.shutdown()  # new workers look the filter's class up
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", work.Told)
        assert pmap(abs, range(4), n_jobs=2, start_method="spawn", isolate=True) == [0, 1, 2, 3]
    assert set(notes.read_text().split()) == {"imported"}


def test_what_cannot_travel_is_refused_and_named(hire: Callable[..., Any]) -> None:
    lock = threading.Lock()
    with pytest.raises(BackendUnavailable, match=r"<lambda> cannot run in a fresh interpreter: the function cannot be"):
        hire(lambda _: lock, 1)
    with pytest.raises(BackendUnavailable, match="initargs cannot be sent there"):
        hire(abs, 1, initializer=print, initargs=(lock,))


class Interrupting:
    """An object in the middle of whose pickling a signal comes."""

    def __reduce__(self) -> tuple[type[Interrupting], tuple[()]]:
        signal.raise_signal(signal.SIGINT)
        return Interrupting, ()


def test_what_a_signals_handler_raises_while_a_function_is_pickled_is_no_refusal(hire: Callable[..., Any]) -> None:
    def stop(*_: object) -> None:
        raise LookupError("stopped")

    found, before = Interrupting(), signal.signal(signal.SIGINT, stop)
    try:
        with pytest.raises(LookupError, match="stopped"):
            hire(lambda _: found)
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_cannot_be_rebuilt_is_refused(feed: Feed, write: Write) -> None:
    source = """
        class Shy:
            def __call__(self, x):
                return x
            def __reduce__(self):
                return int, ("no number",)
    """
    with pytest.raises(BackendUnavailable, match="cannot run in a fresh interpreter: ValueError: invalid literal"):
        feed(write("work_unbuilt", source).Shy(), [1])


def test_what_cannot_be_rebuilt_is_told_with_its_lines(feed: Feed, write: Write) -> None:
    source = """
        def colour():
            return {}["colour"]
        def rebuilt():
            return colour()
        class Shy:
            def __call__(self, x):
                return x
            def __reduce__(self):
                return rebuilt, ()
    """
    work = write("work_lines", source)
    with pytest.raises(BackendUnavailable, match="Shy cannot run in a fresh interpreter: KeyError: 'colour'") as caught:
        feed(work.Shy(), [1])
    (note,) = caught.value.__notes__
    assert note.splitlines()[1:] == [
        f'  File "{work.__file__}", line 5, in rebuilt',
        f'  File "{work.__file__}", line 3, in colour',
    ]


# ---- initializers


INITIALIZED = """
import os
CLIENT = None

def connect(name):
    global CLIENT
    CLIENT = f"{name} {os.getpid()}"

def ask(_):
    return CLIENT

def fail():
    raise ConnectionRefusedError("nobody answers")
"""


def test_an_initializer_runs_once_in_every_worker(feed: Feed, write: Write) -> None:
    work = write("work_initialized", INITIALIZED)
    found = feed(work.ask, range(6), initializer=work.connect, initargs=("db",))
    assert len(set(found)) == 2
    assert all(text.startswith("db ") for text in found)
    assert set(feed(work.ask, range(6), initializer=work.connect, initargs=("db",))) == set(found)


def test_a_worker_is_not_hired_where_another_initializer_was_asked_for(feed: Feed, write: Write) -> None:
    work = write("work_other", INITIALIZED)
    pids = {*feed(pid, range(2), initializer=work.connect, initargs=("db",))}
    assert pids.isdisjoint(feed(pid, range(2), initializer=work.connect, initargs=("web",)))
    assert pids.isdisjoint(feed(pid, range(2)))


def test_an_initializer_of_main_shares_its_globals_with_the_function(fresh_python: Callable[..., str]) -> None:
    source = INITIALIZED + 'found = feed(ask, range(2), initializer=connect, initargs=("db",))\nprint(found[0][:3])\n'
    assert fresh_python("-c", program('import runpy\nfeed = runpy.run_path(FEEDING)["feed"]\n' + source)) == "db \n"


def test_an_initializer_that_fails_raises_what_it_raised(feed: Feed, write: Write) -> None:
    work = write("work_failing", INITIALIZED)
    with pytest.raises(ConnectionRefusedError, match="nobody answers"):
        feed(pid, [1], initializer=work.fail)
    assert warm._resting == []


def test_a_worker_whose_initializer_may_have_failed_does_not_rest(hire: Callable[..., Any], write: Write) -> None:
    work = write("work_unknown", INITIALIZED)
    warm.release(hire(pid, initializer=work.fail))  # they had no task that would have told
    assert warm._resting == []


# ---- surroundings


def test_directory_environment_umask_and_path_are_the_caller_s_at_every_call(
    feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(_: object) -> tuple[str, str | None, int, list[str], list[str], int]:
        umask = os.umask(0)
        os.umask(umask)
        return os.getcwd(), os.environ.get("COLOUR"), umask, sys.path, sys.argv, sys.getrecursionlimit()

    before = os.umask(0o022)
    limit = sys.getrecursionlimit()
    (worker,) = feed(pid, [0], 1)
    try:
        for colour, umask in (("red", 0o027), (None, 0o077), ("blue", 0o002)):
            folder = tmp_path / str(colour)
            folder.mkdir()
            monkeypatch.chdir(folder)
            if colour is None:
                monkeypatch.delenv("COLOUR")
            else:
                monkeypatch.setenv("COLOUR", colour)
            os.umask(umask)
            sys.setrecursionlimit(limit + umask)
            assert feed(look, [0], 1) == [(str(folder), colour, umask, sys.path, sys.argv, limit + umask)]
        assert feed(pid, [0], 1) == [worker]
    finally:
        os.umask(before)
        sys.setrecursionlimit(limit)


@pytest.mark.skipif(sys.platform == "win32", reason="a directory in use cannot be deleted there")
def test_a_directory_that_is_gone_is_no_other_one(feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(_: object) -> tuple[int, str]:
        try:
            return os.getpid(), os.getcwd()
        except FileNotFoundError:
            return os.getpid(), "gone"

    if "PYTHONPATH" in os.environ:  # no interpreter starts there with a relative one
        paths = os.environ["PYTHONPATH"].split(os.pathsep)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(os.path.abspath, paths)))
    (resting,) = feed(pid, [0], 1)
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    (first, where), (second, also) = feed(look, [0], 1)[0], feed(look, [0], 1)[0]
    assert (where, also) == ("gone", "gone")
    assert len({resting, first, second}) == 3
    monkeypatch.chdir(tmp_path)
    assert feed(look, [0], 1) == [(resting, str(tmp_path))]


def test_an_environment_that_the_program_has_put_in_place_of_its_own_counts(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(name: str) -> str | None:
        return os.environ.get(name)

    assert feed(look, ["COLOUR"], 1) == [None]
    monkeypatch.setattr(os, "environ", {**os.environ, "COLOUR": "green"})
    assert feed(look, ["COLOUR"], 1) == ["green"]
    monkeypatch.undo()
    assert feed(look, ["COLOUR"], 1) == [None]


def test_what_an_item_changes_in_its_environment_ends_with_the_call(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(colour: str) -> tuple[str | None, str | None]:
        before = os.environ.get("COLOUR"), os.environ.pop("SHAPE", None)
        os.environ["COLOUR"] = colour
        return before

    monkeypatch.setenv("SHAPE", "round \udcff")
    for _ in range(2):
        assert feed(leave, ["red"], 1) == [(None, "round \udcff")]


def third(number: int) -> str:
    import decimal

    return str(decimal.Decimal(number) / 3)


def test_the_context_of_decimal_is_the_caller_s_at_every_call(feed: Feed) -> None:
    import decimal

    for precision in (5, 28, 7):
        with decimal.localcontext() as context:
            context.prec, context.rounding = precision, decimal.ROUND_UP
            expected = third(1)
            assert feed(third, [1], 1) == [expected] == ["0." + "3" * (precision - 1) + "4"]
    assert feed(third, [1], 1) == [third(1)]


def test_what_numpy_does_about_errors_is_the_caller_s_at_every_call(feed: Feed) -> None:
    import numpy as np

    def divide(by: int) -> str:
        import numpy as np

        try:
            return str(np.float64(1) / by)
        except FloatingPointError:
            return "refused"

    with np.errstate(divide="raise"):
        assert feed(divide, [0], 1) == ["refused"]
    with np.errstate(divide="ignore"):
        assert feed(divide, [0], 1) == ["inf"]
    with np.errstate(divide="call", call=print):
        assert feed(divide, [1], 1) == ["1.0"]


def test_how_numpy_prints_is_as_in_the_caller_at_every_call(feed: Feed) -> None:
    import numpy as np

    def text(number: float) -> str:
        import numpy as np

        return str(np.array([number]))

    ways: list[dict[str, Any]] = [{"precision": 2}, {"precision": 4, "sign": "+"}, {}]
    for options in ways:
        with np.printoptions(**options):
            assert feed(text, [1 / 3], 1) == [text(1 / 3)]


def test_how_long_fields_of_csv_may_be_is_the_caller_s_at_every_call(feed: Feed) -> None:
    def read(n_chars: int) -> int:
        try:
            return len(next(csv.reader(["a" * n_chars]))[0])
        except csv.Error:
            return 0

    before = csv.field_size_limit(10**6)
    try:
        assert feed(read, [200_000], 1) == [200_000]
    finally:
        csv.field_size_limit(before)
    assert feed(read, [200_000], 1) == [0]


def test_dialects_of_csv_are_the_caller_s_at_every_call(feed: Feed) -> None:
    def read(line: str) -> list[str]:
        try:
            return next(csv.reader([line], dialect="pipes"))
        except csv.Error:
            return []

    csv.register_dialect("pipes", delimiter="|", quotechar="'")
    try:
        assert feed(read, ["a|'b|c'"], 1) == [["a", "b|c"]]
    finally:
        csv.unregister_dialect("pipes")
    assert feed(read, ["a|b"], 1) == [[]]


def test_prefixes_of_namespaces_are_the_caller_s_at_every_call(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(uri: str) -> bytes:
        return ElementTree.tostring(ElementTree.Element(f"{{{uri}}}a"))

    monkeypatch.setattr(ElementTree, "_namespace_map", dict(ElementTree._namespace_map))  # type: ignore[attr-defined]
    assert feed(write, ["here"], 1) == [b'<ns0:a xmlns:ns0="here" />']
    ElementTree.register_namespace("mine", "here")
    assert feed(write, ["here"], 1) == [b'<mine:a xmlns:mine="here" />']


def test_for_how_long_sockets_wait_is_as_in_the_caller_at_every_call(feed: Feed) -> None:
    def timeout(_: int) -> float | None:
        return socket.getdefaulttimeout()

    for seconds in (12.5, 0.0, None):
        socket.setdefaulttimeout(seconds)
        try:
            assert feed(timeout, [0], 1) == [seconds]
        finally:
            socket.setdefaulttimeout(None)


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system has no tzset")
def test_the_time_zone_is_the_caller_s_at_every_call(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    def hour(_: int) -> int:
        return time.localtime(0).tm_hour

    for zone, expected in (("UTC-5", 5), ("UTC+0", 0), ("UTC-7", 7)):
        monkeypatch.setenv("TZ", zone)
        assert feed(hour, [0], 1) == [expected]


def test_the_locale_is_the_caller_s_at_every_call(feed: Feed) -> None:
    def sort_key(_: int) -> str:
        return locale.setlocale(locale.LC_COLLATE, None)

    before = locale.setlocale(locale.LC_COLLATE, None)
    other = "C" if before != "C" else "C.UTF-8"
    try:
        for wanted in (other, before):
            locale.setlocale(locale.LC_COLLATE, wanted)
            assert feed(sort_key, [0], 1) == [locale.setlocale(locale.LC_COLLATE, None)]
    finally:
        locale.setlocale(locale.LC_COLLATE, before)


def test_warning_filters_are_the_caller_s_at_every_call(feed: Feed) -> None:
    def warn(text: str) -> str:
        try:
            warnings.warn(text, stacklevel=2)
        except UserWarning:
            return "raised"
        return "passed"

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="harm(less)")
        assert feed(warn, ["harmless", "bad"], 1) == ["passed", "raised"]
        warnings.filterwarnings("ignore", message="bad")
        assert feed(warn, ["harmless", "bad"], 1) == ["passed", "passed"]


@pytest.mark.parametrize("failure", ["{}['colour']", "raise SystemExit(3)"])
def test_a_warning_filter_whose_module_cannot_be_loaded_again_is_left_out(
    feed: Feed, write: Write, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    source = "import os\nclass Odd(UserWarning): pass\nif 'COLOUR' in os.environ:\n    "
    work = write("work_odd", source + failure)
    monkeypatch.setenv("COLOUR", "red")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", work.Odd)
        assert feed(lambda _: [action for action, *_ in warnings.filters][:2], [0], 1)[0][0] == "error"


def test_a_changed_path_takes_fresh_workers(feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = feed(pid, range(2))
    monkeypatch.syspath_prepend(tmp_path)
    assert set(first).isdisjoint(feed(pid, range(2)))


@pytest.mark.parametrize(("stream", "fd"), [("out", 1), ("err", 2)])
def test_what_items_print_goes_where_the_caller_prints_now(
    feed: Feed, stream: str, fd: int, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def say(text: bytes) -> int:
        return os.write(fd, text)

    feed(say, [b"one "])
    before = os.dup(fd)
    try:
        with (tmp_path / "elsewhere").open("wb") as file:
            os.dup2(file.fileno(), fd)
        feed(say, [b"two "])
    finally:
        os.dup2(before, fd)
        os.close(before)
    feed(say, [b"three"])
    assert (tmp_path / "elsewhere").read_text() == "two "
    assert getattr(capfd.readouterr(), stream) == "one three"


def test_a_worker_knows_that_it_is_one(feed: Feed) -> None:
    assert feed(lambda _: (safety.refusal() is None, launch.refusal() is None), [0]) == [(False, False)]
    assert launch.refusal() is None


def test_standard_input_is_the_caller_s_alone(fresh_python: Callable[..., str]) -> None:
    source = program("""
import os, runpy, sys
reading, writing = os.pipe()
os.dup2(reading, 0)
os.write(writing, b"for the caller")
os.close(writing)
print(runpy.run_path(FEEDING)["feed"](lambda _: sys.stdin.read(), [0]), sys.stdin.read())
""")
    assert fresh_python("-c", source) == "[''] for the caller\n"


def test_an_item_may_start_processes(feed: Feed) -> None:
    def work(_: object) -> list[int]:
        import multiprocessing

        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found = pool.map(abs, [-1, 2])
            pool.close()
            pool.join()
        return found

    assert feed(work, [0], 1) == [[1, 2]]


def test_flags_are_those_that_subprocess_would_give(fresh_python: Callable[..., str]) -> None:
    source = """
import subprocess
from amorsize.engine.spawn.launch import flags
print(sorted(" ".join(flags()).split()) == sorted(" ".join(subprocess._args_from_interpreter_flags()).split()), flags())
"""
    for options in ([], ["-OO", "-B", "-s"], ["-X", "utf8", "-W", "ignore"], ["-X", "dev"], ["-P", "-bb"]):
        assert fresh_python(*options, "-c", source).startswith("True")


WITH_METHODS = """
SCALE = 1

class Point:
    factor = 1

    def __init__(self, x):
        self.x = x

    def scaled(self):
        return self.x * SCALE * self.factor
"""


@pytest.mark.parametrize("change", ["SCALE = 5", "Point.factor = 5"])
@pytest.mark.parametrize("in_a_row", [False, True])
def test_what_the_methods_of_items_use_is_as_it_is_here(write: Write, change: str, in_a_row: bool) -> None:
    work = write("work_items", WITH_METHODS)
    exec(change, vars(work))
    points = [work.Point(n) for n in range(20)]
    items = [(point, 0) for point in points] if in_a_row else points
    found = pmap(
        lambda item: (item[0] if in_a_row else item).scaled(), items, backend="process", n_jobs=2, start_method="spawn"
    )
    assert found == [5 * n for n in range(20)]
