"""What travels as code to a fresh interpreter, and comes back, is what it was, also where cloudpickle makes another."""

from __future__ import annotations

import array
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from amorsize.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    Feed = Callable[..., list[Any]]

FEED = f"import runpy\nfeed = runpy.run_path({str(Path(__file__).with_name('feeding.py'))!r})['feed']\n"


# ---- views of memory


@pytest.mark.fault("R12")
def test_a_view_of_memory_is_one_there_and_not_its_bytes(feed: Feed) -> None:
    numbers = memoryview(array.array("d", [1.5, 2.5]))
    table = memoryview(bytes(range(6))).cast("B", (2, 3))

    def told(k: int) -> tuple[object, ...]:
        return numbers[k], numbers.format, numbers.readonly, table[k, 2], table.tolist(), table.readonly

    assert feed(told, [0, 1]) == [told(0), told(1)]
    assert feed(lambda view: (view[1], view.nbytes), [numbers]) == [(2.5, 16)]


def test_a_view_that_cannot_be_made_again_is_refused(feed: Feed) -> None:
    import numpy as np

    other_way_round = np.arange(3, dtype=">i4").data
    with pytest.raises(BackendUnavailable, match="the function cannot be sent there"):
        feed(lambda _: other_way_round.nbytes, [0])


# ---- dataclasses


FIELDS = """
import dataclasses

@dataclasses.dataclass
class Order:
    n: int
    lines: list = dataclasses.field(default_factory=list)

def of_a_kind(n):
    @dataclasses.dataclass
    class Special(Order):
        price: int = 3
    return dataclasses.asdict(Special(n)), [field.default is dataclasses.MISSING for field in dataclasses.fields(Order)]

print(feed(of_a_kind, [1]))
"""


@pytest.mark.fault("R12")
def test_fields_without_a_default_have_none_there(fresh_python: Callable[..., str]) -> None:
    expected = "[({'n': 1, 'lines': [], 'price': 3}, [True, True])]\n"
    assert fresh_python("-c", FEED + FIELDS) == expected


# ---- what passes for something else


class Doubled:
    """A wrapper of a function that passes for it, as wrapt's do."""

    def __init__(self, func: Callable[[int], int]) -> None:
        self.func = func

    def __getattribute__(self, name: str) -> Any:
        own = object.__getattribute__
        return own(self, name) if name in ("func", "__reduce_ex__") else getattr(own(self, "func"), name)

    def __call__(self, x: int) -> int:
        return 2 * self.func(x)

    def __reduce_ex__(self, _: object) -> Any:
        if self.func(0):
            raise NotImplementedError("object proxy must define __reduce__()")
        return Doubled, (self.func,)


def test_a_wrapper_that_passes_for_its_function_is_not_sent_as_that_function(feed: Feed) -> None:
    same, more = Doubled(lambda x: x), Doubled(lambda x: x + 1)
    assert feed(lambda x: same(x), [1, 2]) == [2, 4]
    with pytest.raises(BackendUnavailable, match="object proxy"):
        feed(lambda x: more(x), [1, 2])


# ---- what cloudpickle refuses


REFUSED = """
import functools, typing

UserId = typing.NewType("UserId", int)

class User:
    def __init__(self, number: UserId):
        self.number = number

    @functools.cached_property
    def name(self):
        "As it is shown."
        return f"user {self.number}"

def name_of(user: User) -> str:
    User(UserId(3)).name
    return user.name, User.name.__doc__, UserId.__name__, "name" in vars(user)

print(feed(name_of, [User(1), User(2)]))
"""


@pytest.mark.fault("R12")
def test_cached_properties_and_new_types_travel(fresh_python: Callable[..., str]) -> None:
    doc = "'As it is shown.', 'UserId', True"
    assert fresh_python("-c", FEED + REFUSED) == f"[('user 1', {doc}), ('user 2', {doc})]\n"


# ---- slots


SLOTS = """
import dataclasses, typing

@dataclasses.dataclass(slots=True)
class Point:
    x: int

class Named:
    __slots__ = {"name": "as people know it"}

class Private(Named, typing.Generic[typing.TypeVar("T")]):
    __slots__ = ("__secret", "__weakref__")
    def __init__(self, secret):
        self.name, self.__secret = "it", secret
    def told(self):
        return self.name, self.__secret, type(self).__slots__

class Pair(typing.NamedTuple):
    a: int
    b: int = 0

class Open:
    __slots__ = ("x", "__dict__")

def fill(x):
    it = Open()
    it.x, it.y = x, x + 1
    refusing = []
    for each in (Point(x), Private(x), Pair(x)):
        try:
            each.other = 1
        except AttributeError:
            refusing.append(each)
    return *refusing, it

(point, private, pair, it), = feed(fill, [1])
print(point, private.told(), pair, it.x, it.y)
(point, private, pair, it), = feed(lambda items: items, [[point, private, pair, it]])
print(point, private.told(), pair, it.x, it.y)
"""


@pytest.mark.fault("R12")
def test_what_has_slots_has_them_there_and_comes_back(fresh_python: Callable[..., str]) -> None:
    told = "Point(x=1) ('it', 1, ('__secret', '__weakref__')) Pair(a=1, b=0) 1 2\n"
    assert fresh_python("-c", FEED + SLOTS) == 2 * told


# ---- enums


ENUMS = """
import datetime, enum

class Color(enum.Enum):
    RED = 1
    CRIMSON = 1
    WHITE = [255, 255]

class Access(enum.Flag):
    R = 1
    W = 2
    BOTH = R | W

class Level(enum.IntEnum):
    LOW = 1
    HIGH = 5

class Word(enum.StrEnum):
    YES = enum.auto()

class Described(enum.Enum):
    def __init__(self, mass, radius):
        self.mass, self.radius = mass, radius
    def density(self):
        return self.mass / self.radius

class Planet(Described):
    EARTH = 6.0, 2.0
    MARS = 1.0, 4.0

class Place(bytes, enum.Enum):
    def __new__(cls, number, label):
        made = bytes.__new__(cls, [number])
        made._value_, made.label = number, label
        return made
    FIRST = 7, "the first"

class Day(datetime.date, enum.Enum):
    NEW_YEAR = 2024, 1, 1

Color.RED.warm = True

def told(member):
    return (
        [Color.CRIMSON, Color["CRIMSON"], Color(1), Color([255, 255]), list(Color), list(Color.__members__)],
        [Access.BOTH, Access["BOTH"], Access(3), Access.R | Access.W, ~Access.R, list(Access), repr(Access(0))],
        [Level.HIGH > Level.LOW, Level(5) + 1, Word.YES, Word("yes") == "yes", Color.RED.warm],
        [Planet.EARTH.density(), Planet((1.0, 4.0)), Planet.MARS.mass, vars(Planet.MARS).keys(), set(vars(Planet))],
        [Place.FIRST == bytes([7]), Place(7).label, Place.FIRST[0], Place.FIRST.name],
        [Day.NEW_YEAR.year],
        member,
    )

members = [*Color, *Access, Access.BOTH, *Level, *Word, *Planet, *Place]
for _ in range(2):
    found = feed(told, members)
    print([k for k, member in enumerate(members) if found[k] != told(member) or found[k][-1] is not member])
    SEVEN = 7
    told = (lambda before: lambda member: before(member) if SEVEN else None)(told)
"""


@pytest.mark.fault("R12")
def test_enums_have_there_what_they_have_here(fresh_python: Callable[..., str]) -> None:
    assert fresh_python("-c", FEED + ENUMS) == "[]\n[]\n"


# ---- classes that have changed


CHANGED = """
from unittest import mock

class Shape:
    unit = "m"
    def area(self):
        return 0

class Square(Shape):
    pass

def measure(shape):
    return shape.area(), shape.unit, hasattr(shape, "colour")

Square.colour = "red"
with mock.patch.object(Square, "area", lambda self: "mocked"), mock.patch.object(Square, "unit", "cm"):
    print(feed(measure, [Square()], 1))
del Square.colour
print(feed(measure, [Square()], 1))
"""


@pytest.mark.fault("R12")
def test_what_a_class_had_for_a_while_is_gone_in_a_worker_that_stays(fresh_python: Callable[..., str]) -> None:
    assert fresh_python("-c", FEED + CHANGED) == "[('mocked', 'cm', True)]\n[(0, 'm', False)]\n"


AGAIN = """
class Plugin:
    made = []
    def __init_subclass__(cls):
        Plugin.made.append(cls.__name__)

class Loud(Plugin):
    pass

def names(n):
    return [kind.__name__ for kind in Plugin.__subclasses__()], Plugin.made, n + STEP, Loud.__name__

for STEP in (1, 2, 3):
    print(feed(names, [1], 1))
"""


@pytest.mark.fault("R12")
def test_a_class_that_comes_again_is_no_further_subclass(fresh_python: Callable[..., str]) -> None:
    lines = [f"[(['Loud'], ['Loud'], {1 + step}, 'Loud')]\n" for step in (1, 2, 3)]
    assert fresh_python("-c", FEED + AGAIN) == "".join(lines)


def test_equal_code_has_equal_bytes_so_that_it_is_sent_once(fresh_python: Callable[..., str]) -> None:
    source = """
import enum
from amorsize.engine.spawn.errand import Errand, Packed
from amorsize.identity.likeness import likeness

class Color(enum.Enum):
    RED = 1

class Point:
    __slots__ = ("x", "y")

def work(x):
    return Color.RED, Point()

print(len({Packed(Errand(func=work, identify=likeness)).key for _ in range(4)}))
"""
    assert fresh_python("-c", source) == "1\n"
