"""What people type: the decorator, its methods, and their refusals."""

from __future__ import annotations

import asyncio
import functools
import pickle
import sys
import textwrap
import types
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import connect
from time import time
from typing import Any

import pytest

import amorsize
from amorsize import parallelizable, pmap, pstarmap
from amorsize.advice.knowledge import look_up
from amorsize.calibration.costs import Costs
from amorsize.calibration.profile import Profile


@parallelizable
def square(x: int) -> int:
    """Square a number."""
    return x * x


def add(x: int, y: int) -> int:
    return x + y


def test_decorating_hands_back_the_same_function() -> None:
    def cube(x: int) -> int:
        return x**3

    plain: object = cube
    assert parallelizable(cube) is plain
    assert square(3) == 9
    assert square.__doc__ == "Square a number."


def test_options_of_the_decorator_are_checked_at_once() -> None:
    with pytest.raises(TypeError, match="amorsize calls 'max_workers' 'n_jobs'"):
        parallelizable(max_workers=3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


def test_pmap_gives_what_the_loop_gives() -> None:
    assert square.pmap([3, 1, 2]) == [9, 1, 4]
    assert square.pmap(x for x in (3, 1, 2)) == [9, 1, 4]
    assert pmap(add, [1, 2, 3], (10, 20)) == [11, 22]
    assert pmap(add, [1, 2], iter([10, 20, 30])) == [11, 22]
    assert pstarmap(add, [(1, 2), (3, 4)]) == [3, 7]
    assert pstarmap(add, iter([(1, 2), [3, 4]])) == [3, 7]


def test_an_empty_iterable_gives_an_empty_list() -> None:
    assert square.pmap([]) == []
    assert square.pmap(iter(())) == []
    assert square.last_run is not None
    assert square.last_run.n_items == 0


class Proxy:
    """Has every attribute, as the methods of a remote object do."""

    def __getattr__(self, name: str) -> Proxy:
        return Proxy()

    def __call__(self, x: int) -> int:
        return x + 1


def test_a_proxy_that_has_every_attribute_can_be_mapped() -> None:
    assert pmap(Proxy(), range(4)) == [1, 2, 3, 4]
    assert len(pmap(Proxy(), [0] * 100_000)) == 100_000  # a plan was asked for


@pytest.mark.parametrize("func", [abs, str, len])
def test_builtins_and_classes_can_be_mapped(func: Any) -> None:
    items = ["a", "bc"] if func is len else [1, 2]
    assert pmap(func, items) == [func(item) for item in items]


def generate(x: int) -> Iterator[int]:
    yield x


async def wait(x: int) -> int:
    await asyncio.sleep(0)
    return x


@pytest.mark.parametrize(
    ("func", "told"),
    [(3, "needs a function, got 3"), (generate, "generator function"), (wait, "asyncio.gather"), (None, "got None")],
)
def test_what_cannot_be_mapped_is_refused_at_once(func: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        pmap(func, [1])
    if func is not None:
        with pytest.raises(TypeError, match=told):
            parallelizable(func)


def test_what_is_not_iterable_is_refused_with_its_value() -> None:
    for wrong in (3, None, 1.5):
        with pytest.raises(TypeError, match="pmap takes iterables, got"):
            square.pmap(wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="at least one iterable"):
        square.pmap()


def test_an_order_that_is_no_flag_is_refused_before_anything_is_pulled() -> None:
    with pytest.raises(TypeError, match=r"ordered must be True or False, got 0 \(int\)"):
        square.pimap([1], ordered=0)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_class_a_builtin_and_a_partial_are_pointed_to_pmap() -> None:
    class Thing:
        pass

    refused: list[Any] = [Thing, abs, functools.partial(add, 1)]
    for wrong in refused:
        with pytest.raises(TypeError, match=r"use pmap\("):
            parallelizable(wrong)


def test_a_function_of_another_module_is_pointed_to_pmap() -> None:
    with pytest.raises(TypeError, match="belongs to another module"):
        parallelizable(textwrap.dedent)


def test_a_function_that_another_modules_decorator_has_wrapped_is_the_callers_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrapped = functools.singledispatch(add)
    monkeypatch.setattr(sys.modules[__name__], "add", wrapped)
    assert parallelizable(wrapped).pmap([1, 2], [3, 4]) == [4, 6]


def test_staticmethod_belongs_above_the_decorator() -> None:
    with pytest.raises(TypeError, match="below @staticmethod"):
        parallelizable(staticmethod(add))


def test_another_decorator_on_top_is_refused_and_a_new_binding_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("decorated_twice")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    code = "import amorsize, functools\n@amorsize.parallelizable\ndef inner(x):\n    return x\n"
    exec(code, module.__dict__)
    inner = module.inner

    @functools.wraps(inner)
    def outer(x: int) -> Any:
        return inner(x)

    module.inner = outer  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="put @parallelizable outermost"):
        outer.pmap([1])  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    module.inner = lambda x: x  # type: ignore[attr-defined]
    assert inner.pmap([1]) == [1]


class Scorer:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    @parallelizable
    def score(self, x: int) -> int:
        """Score a number."""
        return self.factor * x

    @staticmethod
    @parallelizable
    def twice(x: int) -> int:
        return 2 * x


@pytest.mark.needs_fork
def test_a_method_knows_its_object() -> None:
    one, three = Scorer(1), Scorer(3)
    assert (one.score(5), three.score(5)) == (5, 15)
    assert (one.score.pmap([5]), three.score.pmap([5, 6])) == ([5], [15, 18])
    assert three.score.options(n_jobs=2, backend="process").pmap([1, 2]) == [3, 6]
    assert three.score.last_run is not None
    assert three.score.last_run.n_items == 2
    assert Scorer.score(three, 2) == 6
    assert three.score.__doc__ == "Score a number."
    assert three.score == three.score != one.score
    assert pmap(three.score, [1]) == [3]
    assert pickle.loads(pickle.dumps(three.score)).pmap([1]) == [3]


def test_a_static_method_maps_its_items() -> None:
    assert Scorer.twice(4) == 8
    assert Scorer.twice.pmap([1, 2]) == [2, 4]


def test_a_view_has_other_defaults_and_leaves_the_function_alone() -> None:
    view = square.options(backend="serial")
    assert view.pmap([2]) == [4]
    assert square.last_run is not None
    assert 'backend="serial"' in square.last_run.reason
    square.pmap([2])
    assert 'backend="serial"' not in square.last_run.reason


def test_explain_neither_calls_nor_consumes() -> None:
    def refuse(x: int) -> int:
        raise AssertionError(x)

    items = iter([1, 2, 3])
    plan = parallelizable(refuse).explain(items)
    assert plan.backend == "serial"
    assert plan.reason == "nothing known yet"
    assert list(items) == [1, 2, 3]


def test_forget_makes_the_next_look_a_miss() -> None:
    work = parallelizable(busy)
    work.pmap([20_000] * 20)
    assert work.last_run is not None
    assert work.last_run.n_sampled
    work.pmap([20_000] * 20)
    assert work.last_run.n_sampled == 0
    assert work.forget() > 0
    work.pmap([20_000] * 20)
    assert work.last_run.n_sampled


def busy(n: int) -> int:
    return sum(range(n))


def test_forget_tells_what_the_store_did_not_let_go_of(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @amorsize.parallelizable
    def work(x: int) -> int:
        return sum(range(x))

    monkeypatch.setattr("amorsize.store.disk._ASKED_S", 0.02)
    known = look_up(work, [1], cache=True)
    known.learn(Profile.of([(10, 0.1)], time()), Costs(), call_s=60.0)
    with closing(connect(home / ".cache" / "amorsize" / "cache.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.warns(amorsize.AmorsizeWarning, match=r"work is still kept in .*: the database is locked"):
            assert work.forget() == 0
    assert look_up(work, [1], cache=True).is_hit
    assert work.forget() == 2
    assert not look_up(work, [1], cache=True).is_hit


def test_no_report_travels_with_a_pickled_function() -> None:
    square.pmap([1])
    again = pickle.loads(pickle.dumps(square))
    assert again is square
    assert pickle.loads(pickle.dumps(square.last_run)) is None
    method = pickle.loads(pickle.dumps(square.pmap))
    assert method([3]) == [9]


def test_the_public_names_load_when_they_are_named() -> None:
    assert amorsize.pmap is pmap
    with pytest.raises(AttributeError, match="no attribute 'pmapp'"):
        _ = amorsize.pmapp  # pyright: ignore[reportAttributeAccessIssue]
