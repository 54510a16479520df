"""Decorated methods: they know their object, and are methods in every other respect."""

from __future__ import annotations

import abc
import inspect
import os
import pickle
import typing
from typing import TYPE_CHECKING

import pytest

from amorsize import parallelizable, pmap

if TYPE_CHECKING:
    from collections.abc import Callable


class Scale:
    """Multiplies by a factor."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    @parallelizable
    def apply(self, x: int, offset: int = 0) -> int:
        """Multiply, and add an offset."""
        return self.factor * x + offset

    @parallelizable(n_jobs=2)
    def whose(self, _x: int) -> int:
        return os.getpid()


class Doubled(Scale):
    """Overrides with a plain method, and calls the decorated one."""

    def apply(self, x: int, offset: int = 0) -> int:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]  # has no pmap, and says so
        return 2 * super().apply(x, offset)


class Counted:
    """Has a method of the class, whose first argument could be taken for an item."""

    @classmethod
    @parallelizable(n_jobs=2)
    def named(cls, x: int = 0) -> tuple[str, int]:
        return cls.__name__, x


class Recounted(Counted):
    """Inherits it."""


class Slotted:
    """Has no room for attributes of its own."""

    __slots__ = ("factor",)

    def __init__(self, factor: int) -> None:
        self.factor = factor

    @parallelizable
    def apply(self, x: int) -> int:
        return self.factor * x


class Abstract(abc.ABC):
    """Leaves its method to others."""

    @parallelizable
    @abc.abstractmethod
    def apply(self, x: int) -> int: ...


class Concrete(Abstract):
    """Supplies it."""

    @parallelizable
    def apply(self, x: int) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]  # a ParamSpec is invariant
        return x + 1


class NeverEqual:
    """An object that cannot be hashed, and equals nothing."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("do not compare me")

    @parallelizable
    def apply(self, x: int) -> int:
        return x


def test_a_call_is_the_methods_own() -> None:
    assert Scale(3).apply(2) == 6
    assert Scale(3).apply(2, offset=1) == 7
    assert Scale.apply(Scale(3), 2) == 6


def test_several_iterables_are_the_arguments_after_self() -> None:
    assert Scale(3).apply.pmap([1, 2], [10, 20]) == [13, 26]
    assert Scale(3).apply.pstarmap([(1, 10), (2, 20)]) == [13, 26]


def test_of_the_class_the_object_is_the_first_argument() -> None:
    assert Scale.apply.pmap([Scale(1), Scale(2)], [5, 5]) == [5, 10]


@pytest.mark.needs_fork
def test_workers_know_the_object_too() -> None:
    assert Scale(3).apply.pmap(range(50), isolate=True) == [3 * x for x in range(50)]
    assert os.getpid() not in Scale(3).whose.pmap(range(10), isolate=True)


def test_an_overriding_method_reaches_the_decorated_one() -> None:
    assert Doubled(3).apply(2, 1) == 14
    assert Doubled(3).whose.pmap([0]) == [os.getpid()]


def test_a_classmethod_is_bound_to_the_class_that_it_is_called_on() -> None:
    assert (Counted.named(1), Recounted.named(1)) == (("Counted", 1), ("Recounted", 1))
    assert Recounted.named.pmap([1, 2]) == [("Recounted", 1), ("Recounted", 2)]
    assert Recounted().named.options(chunksize=1).pmap([1]) == [("Recounted", 1)]
    assert list(Counted.named.pimap([1])) == pmap(Counted.named, [1]) == [("Counted", 1)]
    assert str(inspect.signature(Counted.named)) == "(x: 'int' = 0) -> 'tuple[str, int]'"
    assert pickle.loads(pickle.dumps(Recounted.named))(1) == ("Recounted", 1)


def test_a_class_with_a_classmethod_holds_nothing_more() -> None:
    assert {name for name in vars(Counted) if not hasattr(Scale, name)} == {"named"}
    assert isinstance(vars(Counted)["named"], classmethod)


def test_fresh_interpreters_are_sent_a_class_with_its_classmethods() -> None:
    class Here:
        @classmethod
        @parallelizable
        def named(cls, x: int) -> tuple[str, int]:
            return cls.__name__, x

    assert Here.named.pmap(range(20), isolate=True, start_method="spawn") == [("Here", x) for x in range(20)]


def test_an_object_with_slots_has_decorated_methods() -> None:
    assert Slotted(3).apply.pmap([1, 2]) == [3, 6]


def test_an_abstract_method_stays_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Abstract()  # type: ignore[abstract]  # pyright: ignore[reportAbstractUsage]
    assert Concrete().apply.pmap([1]) == [2]


def test_a_decorator_above_marks_the_function() -> None:
    class Upside(abc.ABC):
        @abc.abstractmethod
        @parallelizable
        def apply(self, x: int) -> int: ...

    class Below(Upside):
        @parallelizable
        def apply(self, x: int) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]  # a ParamSpec is invariant
            return x + 1

    with pytest.raises(TypeError, match="abstract"):
        Upside()  # type: ignore[abstract]  # pyright: ignore[reportAbstractUsage]
    assert Below().apply.pmap([1, 2]) == [2, 3]


def test_the_object_is_neither_hashed_nor_compared() -> None:
    one, other = NeverEqual(), NeverEqual()
    assert one.apply.pmap([1]) == [1]
    assert len({one.apply, one.apply, other.apply}) == 2


def test_a_bound_method_tells_its_name_docstring_signature_and_types() -> None:
    bound = Scale(3).apply
    assert (bound.__name__, bound.__qualname__, bound.__doc__) == (
        "apply",
        "Scale.apply",
        "Multiply, and add an offset.",
    )
    assert str(inspect.signature(bound)) == "(x: 'int', offset: 'int' = 0) -> 'int'"
    assert typing.get_type_hints(bound) == {"x": int, "offset": int, "return": int}
    assert "Scale.apply" in repr(bound)


def test_a_bound_method_says_what_it_is_bound_to() -> None:
    scale = Scale(3)
    assert vars(type(scale.apply))["__self__"].__get__(scale.apply) is scale
    assert pickle.loads(pickle.dumps(scale.apply)).pmap([2]) == [6]


def test_the_functional_pmap_takes_a_decorated_method() -> None:
    scale = Scale(3)
    assert pmap(scale.apply, [1, 2], [10, 20]) == [13, 26]
    assert scale.apply.last_run is not None
    assert scale.apply.last_run.n_items == 2


def test_the_report_belongs_to_the_function_and_so_to_all_objects() -> None:
    Scale(1).apply.pmap([1, 2, 3])
    report = Scale(2).apply.last_run
    assert report is not None
    assert report.n_items == 3


def test_a_view_of_a_method_keeps_its_object() -> None:
    view = Scale(3).apply.options(chunksize=7)
    assert view.pmap([1, 2]) == [3, 6]


def test_explain_of_a_method_calls_nothing() -> None:
    assert Scale(3).apply.explain([1, 2]).backend == "serial"


def test_an_attribute_that_the_function_does_not_have_is_none() -> None:
    with pytest.raises(AttributeError, match="no attribute 'pmapp'"):
        _ = Scale(3).apply.pmapp  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


IN_MAIN = """
import os
from amorsize import parallelizable

class Scale:
    factor = 3

    @parallelizable
    def apply(self, n):
        return self.factor * n, os.getpid()

found = Scale().apply.pmap(range(100), backend="process", start_method="spawn", n_jobs=2, isolate=True)
assert [number for number, _ in found] == [3 * n for n in range(100)]
print(os.getpid() in {pid for _, pid in found})
"""


def test_a_class_of_the_program_itself_travels_with_its_decorated_methods(fresh_python: Callable[..., str]) -> None:
    assert fresh_python("-c", IN_MAIN) == "False\n"
