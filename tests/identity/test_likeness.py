"""Two functions are alike only where they do the same, now."""

from __future__ import annotations

import sys
import threading
import types
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from amorsize.identity.likeness import likeness

if TYPE_CHECKING:
    from collections.abc import Callable

MODULE = """
class Settings:
    def __init__(self):
        self.factor = 2
        self.calls = 0
        self.lock = LOCK

SETTINGS = Settings()
TABLE = {}
NAMES = ["a"]
LONG = list(range(1000))
TEXT = "a" * 5000
CLIENT = None

class Rate(float):
    pass

RATE = Rate(1)

def by_rate(x):
    return RATE * x

def by_settings(x):
    SETTINGS.calls += 1
    return x * SETTINGS.factor

def by_table(x):
    found = []
    found.append(TABLE.get(x))
    return found

def by_long(x):
    return LONG[x]

def by_text(x):
    return TEXT[x]

def by_client(x):
    global CLIENT
    if CLIENT is None:
        CLIENT = object()
    return CLIENT
"""


@pytest.fixture
def module() -> Any:  # Any: whatever its source defines
    made = types.ModuleType("work")
    vars(made)["LOCK"] = threading.Lock()
    exec(MODULE, vars(made))
    return made


def change_settings(module: Any) -> None:
    module.SETTINGS.factor = 3


def change_table(module: Any) -> None:
    module.TABLE[1] = 2


def change_long(module: Any) -> None:
    module.LONG[500] = -1


def change_text(module: Any) -> None:
    module.TEXT = "a" * 2500 + "b" + "a" * 2499


def change_rate(module: Any) -> None:
    module.RATE = module.Rate(2)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("by_rate", change_rate),
        ("by_settings", change_settings),
        ("by_table", change_table),
        ("by_long", change_long),
        ("by_text", change_text),
    ],
)
def test_a_function_whose_state_has_changed_is_another(module: Any, name: str, change: Callable[[Any], None]) -> None:
    func = vars(module)[name]
    before = likeness(func)
    assert likeness(func) == before
    change(module)
    assert likeness(func) != before


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (dict, {"rate": 1}, {"rate": 2}),
        (list, [1, 2], [1, 3]),
        (set, {1}, {2}),
        (frozenset, {1}, {2}),
        (bytearray, b"a" * 3000, b"a" * 1500 + b"b" + b"a" * 1499),
        (bytes, b"a" * 3000, b"a" * 1500 + b"b" + b"a" * 1499),
        (str, "a" * 3000, "a" * 1500 + "b" + "a" * 1499),
    ],
)
def test_what_an_object_of_a_user_s_own_container_class_holds_counts(
    module: Any, kind: type, one: object, other: object
) -> None:
    """Its methods do not: what they say may be anything."""
    exec("def held(x):\n    return HELD[x]\n", vars(module))
    made = type("Own", (kind,), {"__module__": "work", "__iter__": None, "__len__": None, "copy": None})
    module.HELD = made(one)
    before = likeness(module.held)
    assert likeness(module.held) == before
    module.HELD = made(other)
    assert likeness(module.held) != before


@pytest.mark.parametrize("name", ["by_settings", "by_client"])
def test_what_a_function_assigns_itself_does_not_count(module: Any, name: str) -> None:
    func = vars(module)[name]
    before = likeness(func)
    func(1)
    assert likeness(func) == before


def test_a_global_that_keeps_changing_still_counts(module: Any) -> None:
    found = set()
    for factor in range(6):
        module.SETTINGS = factor
        found.add(likeness(module.by_settings))
    assert len(found) == 6


@pytest.mark.parametrize("made", [lambda: defaultdict(lambda: 0), lambda: types.SimpleNamespace(key=lambda x: x)])
def test_what_travels_only_as_code_is_unlike_anything(module: Any, made: Callable[[], object]) -> None:
    """What a fresh interpreter makes of it when it loads the module may be something else."""
    module.NAMES = made()
    exec("def by_names(x):\n    return NAMES\n", vars(module))
    assert likeness(module.by_names) != likeness(module.by_names)
    module.NAMES = threading.Lock()
    assert likeness(module.by_names) == likeness(module.by_names)


def test_an_object_that_fails_hides_neither_the_code_nor_the_state_beside_it(module: Any) -> None:
    class Proxy:
        @property  # type: ignore[misc]  # as those of web frameworks outside of a request
        def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]
            raise RuntimeError("working outside of application context")

    module.NAMES = [Proxy()]
    seen = set()
    for source in ("NAMES, x", "NAMES, x + 1", "NAMES, SETTINGS.factor"):
        exec(f"def by_names(x):\n    return {source}\n", vars(module))
        seen.add(likeness(module.by_names))
        assert likeness(module.by_names) in seen
    module.SETTINGS.factor = 3
    assert likeness(module.by_names) not in seen


def test_the_state_of_an_object_that_fails_when_looked_at_counts(module: Any) -> None:
    exec("def by_names(x):\n    return NAMES\n", vars(module))
    module.NAMES = Hidden(1)
    before = likeness(module.by_names)
    assert likeness(module.by_names) == before
    module.NAMES = Hidden(2)
    assert likeness(module.by_names) != before


class Shut:
    @property
    def __dict__(self) -> Any:  # type: ignore[override]  # of whatever fails when it is looked at
        raise RuntimeError("no attributes")


class Hidden(Shut):
    """Tells what it holds to pickle alone."""

    def __init__(self, held: int) -> None:
        object.__setattr__(self, "held", held)

    def __reduce__(self) -> Any:
        return Hidden, (object.__getattribute__(self, "held"),)


def test_an_object_that_fails_when_looked_at_is_like_itself() -> None:
    class Shy:
        def __getattribute__(self, name: str) -> object:
            raise RuntimeError(name)

    shy = Shy()
    assert likeness(shy) == likeness(shy)


STORING = """
import sys

class Settings:
    width = 1

class Shape:
    def resize(self, x):
        self.width = HERE.width * x
        self.inner.width = x
        return self

    @classmethod
    def count(cls):
        cls.n_calls += 1

class Stats:
    n_calls = 0

HERE, SETTINGS, STATS = sys.modules[__name__], Settings(), Stats()
SETTINGS.width = width = Shape.n_calls = 1
SHAPE = Shape()
SHAPE.inner = Shape()

def by_item(item):
    item.width = SETTINGS.width
    return item

def by_made(x):
    made = Shape()
    made.width = Settings.width
    made.width += HERE.width * x
    return made

def by_helper(x):
    return by_item(Shape())

def by_method(x):
    return SETTINGS.width, SHAPE.resize(x)

def counted(x):
    STATS.n_calls += SETTINGS.width
    Shape.count()
    SHAPE.resize(x)
    counted.width = x
"""


@pytest.fixture
def storing(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = types.ModuleType("work")
    monkeypatch.setitem(sys.modules, "work", module)
    exec(STORING, vars(module))
    return module


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("by_item", "SETTINGS.width = 2"),
        ("by_made", "Settings.width = 2"),
        ("by_made", "width = 2"),
        ("by_helper", "SETTINGS.width = 2"),
        ("by_method", "SETTINGS.width = 2"),
        ("by_method", "width = 2"),
        ("counted", "SETTINGS.width = 2"),
        ("counted", "SHAPE.n_calls = 2"),
    ],
)
def test_state_counts_where_an_attribute_of_another_object_is_assigned(storing: Any, name: str, change: str) -> None:
    func = vars(storing)[name]
    before = likeness(func)
    assert likeness(func) == before
    exec(change, vars(storing))
    assert likeness(func) != before


def test_what_is_assigned_by_the_name_of_its_object_or_by_a_method_does_not_count(storing: Any) -> None:
    before = likeness(storing.counted)
    storing.counted(2)
    assert likeness(storing.counted) == before


REACHING = """
import collections
import math

SCALE = depth = 1

class Inner:
    def compute(self, x):
        return x * SCALE

class Outer:
    def __init__(self):
        self.inner = Inner()

    def run(self, x):
        return self.inner.compute(x)

class Job:
    def __init__(self, func):
        self.func = func
        self.scale = 1

OUTER = Outer()
JOB = Job(math.sqrt)
for n in range(40):
    exec(f"def handle{n}(x): return x * SCALE + {n}")

HANDLERS = {n: globals()[f"handle{n}"] for n in range(40)}
INNERS = [Inner() for _ in range(40)]
IN_SET, AS_KEYS = {Inner}, {HANDLERS[0]: 0}
IN_DEQUE, IN_ORDER = collections.deque([HANDLERS[0]]), collections.OrderedDict(a=HANDLERS[0])

def make():
    return Inner()

def tuned(x):
    return x * tuned.scale

tuned.scale = 1

def by_name(x, box):
    box.depth = x
    return depth * box.depth

by_object = lambda x: OUTER.inner.compute(x)
by_method = lambda x: OUTER.run(x)
by_class = lambda x: Outer().inner.compute(x)
by_result = lambda x: make().compute(x)
by_attribute = lambda x: JOB.func(x) * JOB.scale
by_handlers = lambda x: HANDLERS[x](x)
by_inners = lambda x: INNERS[x].compute(x)
by_set = lambda x: [kind().compute(x) for kind in IN_SET]
by_keys = lambda x: [code(x) for code in AS_KEYS]
by_deque = lambda x: IN_DEQUE[0](x)
by_order = lambda x: IN_ORDER["a"](x)
"""


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("by_object", "SCALE = 2"),
        ("by_method", "SCALE = 2"),
        ("by_class", "SCALE = 2"),
        ("by_result", "SCALE = 2"),
        ("by_handlers", "SCALE = 2"),
        ("by_inners", "SCALE = 2"),
        ("by_set", "SCALE = 2"),
        ("by_keys", "SCALE = 2"),
        ("by_deque", "SCALE = 2"),
        ("by_order", "SCALE = 2"),
        ("by_attribute", "JOB.scale = 2"),
        ("tuned", "tuned.scale = 2"),
        ("by_name", "depth = 2"),
    ],
)
def test_state_counts_however_the_code_comes_to_it(name: str, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("work")
    monkeypatch.setitem(sys.modules, "work", module)
    exec(REACHING, vars(module))
    func = vars(module)[name]
    before = likeness(func)
    assert likeness(func) == before
    exec(change, vars(module))
    assert likeness(func) != before


def test_what_reaches_more_than_can_be_gone_through_is_unlike_anything() -> None:
    module = types.ModuleType("work")
    exec("\n".join(f"def f{n}(x): return f{n + 1}(x)" for n in range(2500)), vars(module))
    assert likeness(vars(module)["f2000"]) == likeness(vars(module)["f2000"])
    assert likeness(vars(module)["f0"]) != likeness(vars(module)["f0"])
