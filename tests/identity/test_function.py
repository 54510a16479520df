"""What makes a function another one, and what does not."""

from __future__ import annotations

import functools
import math
import operator
import re
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from amorsize.identity.function import function_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Module = Any  # a module made of text: its attributes are whatever the text says


@pytest.fixture
def module() -> Iterator[Callable[..., Module]]:
    """Return a function that runs a source text as a module of the user's, and registers it."""
    made: list[str] = []

    def run(source: str, name: str = "users_module", file: str | None = None) -> Module:
        new = ModuleType(name)
        new.__file__ = file or f"{name}.py"
        sys.modules[name] = new
        made.append(name)
        exec(compile(source, new.__file__, "exec"), new.__dict__)
        return new

    yield run
    for name in made:
        sys.modules.pop(name, None)


def digest(func: object) -> str:
    return function_key(func).digest


MUTATIONS = {
    "a constant": ("def f(x): return x + 1", "def f(x): return x + 2"),
    "the type of a constant": ("def f(x): return x + 1", "def f(x): return x + 1.0"),
    "a truth value for a number": ("def f(x): return 1", "def f(x): return True"),
    "the sign of zero": ("def f(x): return 0.0", "def f(x): return -0.0"),
    "a text": ("def f(x): return x + 'a'", "def f(x): return x + 'b'"),
    "text for bytes": ("def f(x): return 'a'", "def f(x): return b'a'"),
    "an element of a constant tuple": ("def f(x): return x in (1, 2)", "def f(x): return x in (1, 3)"),
    "an element of a constant set": ("def f(x): return x in {1, 2}", "def f(x): return x in {1, 3}"),
    "an operator": ("def f(x): return x + 1", "def f(x): return x - 1"),
    "an attribute": ("def f(x): return x.real", "def f(x): return x.imag"),
    "a builtin": ("def f(x): return min(x)", "def f(x): return max(x)"),
    "a builtin that is hidden by a global": ("def f(x): return min(x)", "def f(x): return min(x)\nmin = max"),
    "an argument that became keyword-only": ("def f(x, y=1): return y", "def f(x, *, y=1): return y"),
    "a default": ("def f(x, n=1): return x", "def f(x, n=2): return x"),
    "a keyword default": ("def f(x, *, n=1): return x", "def f(x, *, n=2): return x"),
    "a default function": (
        "def g(): return 1\ndef f(x, n=g): return n()",
        "def g(): return 2\ndef f(x, n=g): return n()",
    ),
    "a nested function": (
        "def f(x):\n def g(): return 1\n return g()",
        "def f(x):\n def g(): return 2\n return g()",
    ),
    "a nested lambda": ("def f(x): return (lambda: 1)()", "def f(x): return (lambda: 2)()"),
    "a comprehension": ("def f(x): return [i + 1 for i in x]", "def f(x): return [i + 2 for i in x]"),
    "a generator expression": ("def f(x): return sum(i for i in x)", "def f(x): return sum(-i for i in x)"),
    "a handled exception": (
        "def f(x):\n try: return x()\n except KeyError: return 1",
        "def f(x):\n try: return x()\n except IndexError: return 1",
    ),
    "the reach of a try": (
        "def f(x):\n try:\n  x()\n  x()\n except KeyError: pass",
        "def f(x):\n x()\n try:\n  x()\n except KeyError: pass",
    ),
    "a local class": (
        "def f(x):\n class C:\n  a = 1\n return C",
        "def f(x):\n class C:\n  a = 2\n return C",
    ),
    "a global number": ("K = 1\ndef f(x): return x + K", "K = 2\ndef f(x): return x + K"),
    "a global text": ("K = 'a'\ndef f(x): return x + K", "K = 'b'\ndef f(x): return x + K"),
    "a global flag": ("K = True\ndef f(x): return K", "K = False\ndef f(x): return K"),
    "a global that became None": ("K = 1\ndef f(x): return K", "K = None\ndef f(x): return K"),
    "a global tuple": ("K = (1, 2)\ndef f(x): return K", "K = (1, 3)\ndef f(x): return K"),
    "a global list": ("K = [1, 2]\ndef f(x): return K", "K = [1, 3]\ndef f(x): return K"),
    "a global dict": ("K = {'a': 1}\ndef f(x): return K", "K = {'a': 2}\ndef f(x): return K"),
    "a global set": ("K = {1, 2}\ndef f(x): return K", "K = {1, 3}\ndef f(x): return K"),
    "a list inside a dict": ("K = {'a': [1]}\ndef f(x): return K", "K = {'a': [2]}\ndef f(x): return K"),
    "a pattern": (
        "import re\nK = re.compile('a')\ndef f(x): return K.match(x)",
        "import re\nK = re.compile('b')\ndef f(x): return K.match(x)",
    ),
    "a member of an enum": (
        "from enum import Enum\nclass E(Enum):\n a = 1\n b = 2\nK = E.a\ndef f(x): return K",
        "from enum import Enum\nclass E(Enum):\n a = 1\n b = 2\nK = E.b\ndef f(x): return K",
    ),
    "a huge integer": ("K = 1 << 2000\ndef f(x): return K", "K = 1 << 2001\ndef f(x): return K"),
    "a huge text": ("K = 'a' * 2000\ndef f(x): return K", "K = 'a' * 2001\ndef f(x): return K"),
    "a global of another type": ("K = object()\ndef f(x): return K", "K = bytearray()\ndef f(x): return K"),
    "a helper": ("def g(x): return 1\ndef f(x): return g(x)", "def g(x): return 2\ndef f(x): return g(x)"),
    "a helper's helper": (
        "def h(x): return 1\ndef g(x): return h(x)\ndef f(x): return g(x)",
        "def h(x): return 2\ndef g(x): return h(x)\ndef f(x): return g(x)",
    ),
    "a helper's global": (
        "K = 1\ndef g(x): return K\ndef f(x): return g(x)",
        "K = 2\ndef g(x): return K\ndef f(x): return g(x)",
    ),
    "a helper in a cycle": (
        "def g(x): return f(x) + 1\ndef f(x): return g(x)",
        "def g(x): return f(x) + 2\ndef f(x): return g(x)",
    ),
    "a helper that became a library's": (
        "def g(x): return x\ndef f(x): return g(x)",
        "from os.path import basename as g\ndef f(x): return g(x)",
    ),
    "a C function": (
        "from math import sin as g\ndef f(x): return g(x)",
        "from math import cos as g\ndef f(x): return g(x)",
    ),
    "a module": (
        "import math as m\ndef f(x): return m.exp(x)",
        "import cmath as m\ndef f(x): return m.exp(x)",
    ),
    "a function in a table": (
        "def g(): return 1\nT = {'g': g}\ndef f(x): return T[x]()",
        "def g(): return 2\nT = {'g': g}\ndef f(x): return T[x]()",
    ),
    "a cached helper": (
        "import functools\n@functools.lru_cache\ndef g(x): return 1\ndef f(x): return g(x)",
        "import functools\n@functools.lru_cache\ndef g(x): return 2\ndef f(x): return g(x)",
    ),
    "a helper in a partial": (
        "import functools\ndef g(x): return 1\nh = functools.partial(g)\ndef f(x): return h(x)",
        "import functools\ndef g(x): return 2\nh = functools.partial(g)\ndef f(x): return h(x)",
    ),
    "a decorated function": (
        "import functools\ndef d(g):\n @functools.wraps(g)\n def w(x): return g(x)\n return w\n@d\ndef f(x): return 1",
        "import functools\ndef d(g):\n @functools.wraps(g)\n def w(x): return g(x)\n return w\n@d\ndef f(x): return 2",
    ),
    "a decorator": (
        "import functools\ndef d(g):\n @functools.wraps(g)\n def w(x): return g(x)\n return w\n@d\ndef f(x): return 1",
        "import functools\ndef d(g):\n @functools.wraps(g)\n def w(x): return -g(x)\n return w\n@d\ndef f(x): return 1",
    ),
    "what only __wrapped__ leads to": (
        "def g(x): return 1\ndef f(x): return x\nf.__wrapped__ = g",
        "def g(x): return 2\ndef f(x): return x\nf.__wrapped__ = g",
    ),
    "a method called on a new object": (
        "class C:\n def m(self): return 1\ndef f(x): return C().m()",
        "class C:\n def m(self): return 2\ndef f(x): return C().m()",
    ),
    "a method that a method calls": (
        "class C:\n def m(self): return self.n()\n def n(self): return 1\ndef f(x): return C().m()",
        "class C:\n def m(self): return self.n()\n def n(self): return 2\ndef f(x): return C().m()",
    ),
    "a constructor": (
        "class C:\n def __init__(self): self.a = 1\ndef f(x): return C()",
        "class C:\n def __init__(self): self.a = 2\ndef f(x): return C()",
    ),
    "an operator of a class": (
        "class C:\n def __add__(self, o): return 1\ndef f(x): return C() + x",
        "class C:\n def __add__(self, o): return 2\ndef f(x): return C() + x",
    ),
    "an inherited method": (
        "class B:\n def m(self): return 1\nclass C(B): pass\ndef f(x): return C().m()",
        "class B:\n def m(self): return 2\nclass C(B): pass\ndef f(x): return C().m()",
    ),
    "a class attribute": (
        "class C:\n a = 1\n def m(self): return self.a\ndef f(x): return C().m()",
        "class C:\n a = 2\n def m(self): return self.a\ndef f(x): return C().m()",
    ),
    "a property": (
        "class C:\n @property\n def p(self): return 1\ndef f(x): return C().p",
        "class C:\n @property\n def p(self): return 2\ndef f(x): return C().p",
    ),
    "a static method": (
        "class C:\n @staticmethod\n def s(): return 1\ndef f(x): return C.s()",
        "class C:\n @staticmethod\n def s(): return 2\ndef f(x): return C.s()",
    ),
    "a class method": (
        "class C:\n @classmethod\n def s(cls): return 1\ndef f(x): return C.s()",
        "class C:\n @classmethod\n def s(cls): return 2\ndef f(x): return C.s()",
    ),
    "a method that a decorated method calls": (
        "from amorsize import parallelizable\n"
        "class C:\n @parallelizable\n def m(self): return self.n()\n def n(self): return 1\ndef f(x): return C().m()",
        "from amorsize import parallelizable\n"
        "class C:\n @parallelizable\n def m(self): return self.n()\n def n(self): return 2\ndef f(x): return C().m()",
    ),
    "a cached property": (
        "import functools\nclass C:\n @functools.cached_property\n def p(self): return 1\ndef f(x): return C().p",
        "import functools\nclass C:\n @functools.cached_property\n def p(self): return 2\ndef f(x): return C().p",
    ),
    "a method of a global object": (
        "class C:\n def m(self): return 1\nO = C()\ndef f(x): return O.m()",
        "class C:\n def m(self): return 2\nO = C()\ndef f(x): return O.m()",
    ),
    "a callable class": (
        "class C:\n def __call__(self, x): return 1\nf = C()",
        "class C:\n def __call__(self, x): return 2\nf = C()",
    ),
    "an attribute of a callable object": (
        "class C:\n def __init__(self, a): self.a = a\n def __call__(self, x): return self.a\nf = C(1)",
        "class C:\n def __init__(self, a): self.a = a\n def __call__(self, x): return self.a\nf = C(2)",
    ),
    "a slot of a callable object": (
        "class C:\n __slots__ = 'a'\n def __call__(self, x): return self.a\nf = C()\nf.a = 1",
        "class C:\n __slots__ = 'a'\n def __call__(self, x): return self.a\nf = C()\nf.a = 2",
    ),
    "a bound method": (
        "class C:\n def m(self, x): return 1\nf = C().m",
        "class C:\n def m(self, x): return 2\nf = C().m",
    ),
    "the type of a bound method's object": (
        "class B:\n def m(self, x): return self.n()\nclass C(B):\n def n(self): return 1\nf = C().m",
        "class B:\n def m(self, x): return self.n()\nclass C(B):\n def n(self): return 2\nf = C().m",
    ),
    "a class that is called": (
        "class f:\n def __init__(self, x): self.x = x",
        "class f:\n def __init__(self, x): self.x = -x",
    ),
    "a lambda": ("f = lambda x: x + 1", "f = lambda x: x + 2"),
    "one of two lambdas on one line": ("f, g = lambda x: 1, lambda x: 2", "g, f = lambda x: 1, lambda x: 2"),
    "an async function": ("def f(x): return x", "async def f(x): return x"),
    "a generator function": ("def f(x): return x", "def f(x): yield x"),
}

SAME = {
    "a comment": ("def f(x): return x + 1", "def f(x):  # why\n    # more\n    return x + 1"),
    "ten lines further down": ("def f(x): return x + 1", "\n" * 10 + "def f(x): return x + 1"),
    "another docstring": ("def f(x):\n 'a'\n return x", "def f(x):\n 'b'\n return x"),
    "a docstring where there was none": ("def f(x):\n x()", "def f(x):\n 'said'\n x()"),
    "a docstring of a nested function": (
        "def f(x):\n def g():\n  'a'\n return g",
        "def f(x):\n def g():\n  'b'\n return g",
    ),
    "a local class that moved": (
        "def f(x):\n class C:\n  'a'\n  def m(self): self.a, self.b, self.c = 1, 2, 3\n return C",
        "\n\n\ndef f(x):\n class C:\n  'b'\n  def m(self): self.a, self.b, self.c = 1, 2, 3\n return C",
    ),
    "a moved helper": (
        "def g(x): return 1\ndef f(x): return g(x)",
        "def f(x): return g(x)\n\n\n\ndef g(x): return 1",
    ),
    "another name of the function": ("def f(x): return x", "def other(x): return x\nf = other"),
    "another unused function": ("def f(x): return x", "def g(x): return 1\ndef f(x): return x"),
    "an attribute of the function": ("def f(x): return x", "def f(x): return x\nf.note = 1"),
    "an annotation": ("def f(x): return x", "def f(x: int) -> int: return x"),
    "a method that is not called": (
        "class C:\n def m(self): return 1\n def n(self): return 1\ndef f(x): return C().m()",
        "class C:\n def m(self): return 1\n def n(self): return 2\ndef f(x): return C().m()",
    ),
    "a recursive function": ("def f(x): return f(x)", "\ndef f(x): return f(x)"),
    "a counter that the function counts": (
        "N = 1\ndef f(x):\n global N\n N += 1",
        "N = 9\ndef f(x):\n global N\n N += 1",
    ),
    "a counter that a helper counts": (
        "N = 1\ndef g():\n global N\n N += 1\ndef f(x):\n g()\n return N",
        "N = 9\ndef g():\n global N\n N += 1\ndef f(x):\n g()\n return N",
    ),
    "a client that is made when first needed": (
        "C = None\ndef f(x):\n global C\n C = C or object()\n return C",
        "C = object()\ndef f(x):\n global C\n C = C or object()\n return C",
    ),
    "a memo that the function fills": (
        "M = {}\ndef f(x):\n M[x] = 1",
        "M = {1: 1}\ndef f(x):\n M[x] = 1",
    ),
    "a list that the function fills": (
        "M = []\ndef f(x): M.append(x)",
        "M = [1]\ndef f(x): M.append(x)",
    ),
    "a default that the function fills": (
        "def f(x, seen={}):\n seen[x] = 1",
        "def f(x, seen={1: 1}):\n seen[x] = 1",
    ),
    "a counter in a callable object": (
        "class C:\n n = 0\n def __call__(self, x): self.n += 1\nf = C()",
        "class C:\n n = 0\n def __call__(self, x): self.n += 1\nf = C()\nf(1)",
    ),
    "the order of a dict": ("K = {1: 1, 2: 2}\ndef f(x): return K", "K = {2: 2, 1: 1}\ndef f(x): return K"),
    "an element of a big container": (
        "K = [1] * 1000\ndef f(x): return K",
        "K = [2] * 1000\ndef f(x): return K",
    ),
}


@pytest.mark.parametrize("what", MUTATIONS)
def test_a_function_is_another_one_after_a_change_of(what: str, module: Callable[..., Module]) -> None:
    before, after = MUTATIONS[what]
    old = digest(module(before).f)
    assert digest(module(before).f) == old
    assert digest(module(after).f) != old


@pytest.mark.parametrize("what", SAME)
def test_a_function_stays_the_same_with(what: str, module: Callable[..., Module]) -> None:
    before, after = SAME[what]
    assert digest(module(before).f) == digest(module(after, file="renamed.py").f)


# ---- what changes while the process runs


def test_a_change_between_two_calls_is_noticed(module: Callable[..., Module]) -> None:
    users = module("K = 1\ndef g(x): return K\ndef f(x, n=1): return g(x)")
    seen = [digest(users.f)]
    users.K = 2
    seen.append(digest(users.f))
    users.g = lambda x: x * 7
    seen.append(digest(users.f))
    users.f.__defaults__ = (2,)
    seen.append(digest(users.f))
    assert len(set(seen)) == 4


def test_a_change_that_is_taken_back_leads_to_the_same_key(module: Callable[..., Module]) -> None:
    users = module("K = 1\ndef f(x): return K")
    first = function_key(users.f)
    users.K = 2
    function_key(users.f)
    users.K = 1
    assert function_key(users.f) is first


def test_a_list_that_was_changed_in_place_is_noticed(module: Callable[..., Module]) -> None:
    users = module("K = [1, 2]\ndef f(x): return x in K")
    before = digest(users.f)
    users.K.append(3)
    assert digest(users.f) != before


def test_a_closure_counts_with_the_values_in_its_cells() -> None:
    def adder(n: int) -> Callable[[int], int]:
        return lambda x: x + n

    assert digest(adder(1)) == digest(adder(1))
    assert len({digest(adder(n)) for n in range(10)}) == 10


def test_an_unset_cell_is_no_obstacle() -> None:
    def outer() -> object:
        def inner() -> object:
            return later

        found = digest(inner)
        later = 1
        assert digest(inner) != found
        return later

    outer()


def test_a_huge_or_unhashable_cell_counts_by_its_type() -> None:
    def holding(held: object) -> Callable[[], object]:
        return lambda: held

    assert digest(holding([0] * 100_000)) == digest(holding([1] * 100_000))
    assert digest(holding(object())) == digest(holding(object()))


def test_a_global_that_keeps_changing_counts_by_its_type(module: Callable[..., Module]) -> None:
    users = module("K = 0\ndef f(x): return 'a counter', K")
    seen = []
    for users.K in range(8):
        seen.append(digest(users.f))
    assert len(set(seen[:3])) == 3
    assert len(set(seen[3:])) == 1
    users.K = "text"
    assert digest(users.f) != seen[-1]


def test_a_helper_in_another_module_counts_and_its_file_s_name_and_time_do_not(
    module: Callable[..., Module], tmp_path: Path
) -> None:
    using = "import helping\ndef f(x): return helping.g(x)"
    module("def g(x): return 1", "helping", str(tmp_path / "helping.py"))
    before = digest(module(using).f)
    module("# moved\ndef g(x): return 1", "helping", str(tmp_path / "elsewhere.py"))
    assert digest(module(using).f) == before
    module("def g(x): return 2", "helping")
    assert digest(module(using).f) != before


def test_a_constant_in_another_module_counts(module: Callable[..., Module]) -> None:
    helping = module("K = 1", "helping")
    users = module("import helping\ndef f(x): return helping.K")
    before = digest(users.f)
    helping.K = 2
    assert digest(users.f) != before


@pytest.mark.parametrize("line", ["import helping; helping.g(x)", "from helping import g; g(x)"])
def test_a_module_imported_inside_the_function_counts(line: str, module: Callable[..., Module]) -> None:
    users = module(f"def f(x): {line}")
    module("def g(x): return 1", "helping")
    before = digest(users.f)
    module("def g(x): return 2", "helping")
    assert digest(users.f) != before


def test_a_library_counts_by_its_version(module: Callable[..., Module], tmp_path: Path) -> None:
    installed = str(tmp_path / "site-packages" / "lib.py")
    digests = []
    for body, version in [("1", "1.0"), ("2", "1.0"), ("1", "1.1")]:
        place = installed.replace("site-packages", f"{version}/site-packages")
        module(f"__version__ = '{version}'\ndef g(x): return {body}", "lib", place)
        digests.append(digest(module("from lib import g\ndef f(x): return g(x)").f))
    assert digests[0] == digests[1] != digests[2]


def test_user_code_behind_a_library_s_decorator_counts(module: Callable[..., Module], tmp_path: Path) -> None:
    decorating = "def retry(f):\n def wrapper(x): return f(x)\n return wrapper"
    module(decorating, "lib", str(tmp_path / "site-packages" / "lib.py"))
    using = "from lib import retry\n@retry\ndef g(x): return {}\ndef f(x): return g(x)"
    assert digest(module(using.format(1)).f) != digest(module(using.format(2)).f)


# ---- what else can be called


def test_partials_differ_by_function_and_arguments() -> None:
    def power(base: int, exponent: int) -> int:
        return int(base**exponent)

    made = [
        functools.partial(power, 2),
        functools.partial(power, 3),
        functools.partial(power, exponent=2),
        functools.partial(power, base=2),
        functools.partial(pow, 2),
    ]
    assert len({digest(each) for each in made}) == 5
    assert digest(functools.partial(power, 2)) == digest(made[0])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (len, repr),
        (math.sin, math.cos),
        (str.upper, str.lower),
        ("a".join, "a".split),
        (int, float),
        (operator.itemgetter, operator.attrgetter),
        (re.compile("a").match, re.compile("a").search),
        (int.__add__, int.__sub__),
    ],
)
def test_functions_written_in_c_differ_by_name(one: object, other: object) -> None:
    assert digest(one) == digest(one)
    assert digest(one) != digest(other)


def test_numpy_functions_differ_by_name() -> None:
    numpy = pytest.importorskip("numpy")
    assert len({digest(numpy.add), digest(numpy.subtract), digest(numpy.sort), digest(numpy.linalg.norm)}) == 4


def test_a_method_has_the_key_of_its_class_whichever_object_it_is_bound_to() -> None:
    class Scaled:
        def __init__(self, factor: int) -> None:
            self.factor = factor

        def times(self, x: int) -> int:
            return x * self.factor

    assert digest(Scaled(1).times) == digest(Scaled(2).times)


class Hostile:
    """Fails at everything that may be asked of it."""

    def __getattribute__(self, name: str) -> object:
        raise RuntimeError(name)

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = None  # type: ignore[assignment]  # unhashable on purpose

    def __call__(self, x: object) -> object:
        return x


class Endless:
    """Wraps itself."""

    def __init__(self) -> None:
        self.__wrapped__ = self

    def __call__(self, x: object) -> object:
        return x


STRANGE: dict[str, Callable[[], object]] = {
    "hostile": Hostile,
    "endless": Endless,
    "none": lambda: None,
    "number": lambda: 3,
    "object": object,
    "list": list,
    "dict": dict,
    "module": lambda: sys,
    "metaclass": lambda: type,
    "iterator": lambda: iter([]),
}


@pytest.mark.parametrize("kind", STRANGE)  # by name: pytest itself would fail at a hostile one
def test_nothing_makes_it_raise(kind: str) -> None:
    strange = STRANGE[kind]()
    assert re.fullmatch("[0-9a-f]{32}", digest(strange))
    assert digest(lambda x: (strange, x)) == digest(lambda x: (strange, x))


def test_a_lazy_object_is_not_woken(module: Callable[..., Module]) -> None:
    users = module(
        "woken = []\n"
        "class Lazy:\n"
        " def __getattr__(self, name): woken.append(name)\n"
        " @property\n"
        " def __class__(self): woken.append('class'); return int\n"
        "O = Lazy()\n"
        "def f(x): return O.value"
    )
    digest(users.f)
    assert users.woken == []


def test_very_many_helpers_and_a_very_long_chain_of_them_are_no_obstacle(module: Callable[..., Module]) -> None:
    chain = "\n".join(f"def h{at}(x): return h{at + 1}(x)" for at in range(3000))
    users = module(f"{chain}\ndef h3000(x): return x\ndef f(x): return h0(x)")
    before = digest(users.f)
    users.h50 = lambda x: -x
    assert digest(users.f) != before


# ---- names, and other processes


def test_the_name_is_what_people_type(module: Callable[..., Module]) -> None:
    users = module(
        "from amorsize import parallelizable as p\n"
        "class C:\n @p\n def m(self, x): return x\n def __call__(self, x): return x\ndef f(x): return x"
    )
    named = [users.f, users.C().m, users.C(), users.C, functools.partial(users.f, 1), len, "a".join]
    assert [function_key(each).name for each in named] == [
        "users_module:f",
        "users_module:C.m",
        "users_module:C",
        "users_module:C",
        "users_module:f",
        "builtins:len",
        "builtins:str.join",
    ]


PRINT_KEYS = """
from amorsize.identity.function import function_key
import work
print(*[function_key(f).digest for f in (work.f, work.g, work.C, work.C(), work.C().m, work.part)])
"""

WORK = """
import enum, functools, math, re
K = {"a": {1, 2, "x"}, "b": frozenset({"p", "q", "r"}), "c": (1.5, None, b"z")}
P = re.compile("a+", re.I)
class C:
    def __init__(self): self.alpha, self.beta = "one", {"two", "three"}
    def m(self, x): return x in {"u", "v", "w"}
    def __call__(self, x): return self.m(x) and f(x)
def g(x): return K, P, C().m(x)
def f(x, *, n=frozenset({"k", "l", "m"})): return math.sqrt(x) if x in {"c", "d", "e"} else g(x)
part = functools.partial(f, n={"q", "w", "e"})
"""


def test_every_process_and_hash_seed_finds_the_same_digests(
    fresh_python: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work.py").write_text(WORK)
    found = set()
    for seed in ("0", "1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # each process compiles the constants in its own order
        found.add(fresh_python("-c", PRINT_KEYS))
    assert len(found) == 1
    assert len(set(found.pop().split())) == 6


def test_a_script_and_the_module_that_it_is_have_the_same_key(fresh_python: Callable[..., str], tmp_path: Path) -> None:
    script = (
        "class C:\n    def m(self, x): return x\n"
        "def f(x): return C().m(x)\n"
        "if __name__ == '__main__':\n"
        "    from amorsize.identity.function import function_key\n"
        "    print(function_key(f).digest, function_key(f).name)\n"
    )
    (tmp_path / "branches.py").write_text(script)
    imported = (
        "from amorsize.identity.function import function_key as k; import branches as b;"
        "print(k(b.f).digest, k(b.f).name)"
    )
    as_script, as_module = fresh_python("branches.py"), fresh_python("-m", "branches")
    assert as_script == as_module == fresh_python("-c", imported)
    assert as_script.split()[1] == "branches:f"


def test_a_function_typed_at_the_prompt_has_a_key(fresh_python: Callable[..., str]) -> None:
    typed = "from amorsize.identity.function import function_key\ndef f(x): return x\nprint(function_key(f).name)"
    assert fresh_python("-c", typed) == "__main__:f\n"
