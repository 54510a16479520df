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
