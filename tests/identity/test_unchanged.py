"""What was found out about a function is found again for as long as nothing of it has changed, and no longer."""

from __future__ import annotations

import math
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from amorsize.identity.likeness import likeness
from amorsize.identity.unchanged import MOST_KEPT, MOST_REMEMBERED, while_unchanged

if TYPE_CHECKING:
    from collections.abc import Callable

FACTOR = 2
TABLE = [1, 2]


def scaled(x: int, add: int = 1) -> float:
    return math.floor(FACTOR * x) + add


@pytest.fixture
def asked() -> tuple[Callable[[object], int], list[object]]:
    """A question, and whom it was asked about."""
    about: list[object] = []

    def answer(func: object) -> int:
        about.append(func)
        return len(about)

    return while_unchanged(answer), about


def test_an_unchanged_function_is_asked_about_once(asked: tuple[Callable[[object], int], list[object]]) -> None:
    ask, about = asked
    assert [ask(scaled), ask(scaled), ask(len), ask(len)] == [1, 1, 2, 3]  # of a builtin nothing is listed
    assert about == [scaled, len, len]


def _set_default(func: Any) -> None:
    func.__defaults__ = (7,)


def _set_keyword_default(func: Any) -> None:
    func.__kwdefaults__ = {"add": 7}


def _set_code(func: Any) -> None:
    func.__code__ = (lambda x, add=1: x).__code__


def _rename(func: Any) -> None:
    func.__qualname__ = "other"


def _move(func: Any) -> None:
    func.__module__ = "elsewhere"


def _wrap(func: Any) -> None:
    func.__wrapped__ = len


def _set_global(func: Any) -> None:
    func.__globals__["FACTOR"] = 3


def _hide_builtin(func: Any) -> None:
    func.__globals__["round"] = 3


def _drop_global(func: Any) -> None:
    del func.__globals__["FACTOR"]


CHANGES = [
    _set_default,
    _set_keyword_default,
    _set_code,
    _rename,
    _move,
    _wrap,
    _set_global,
    _hide_builtin,
    _drop_global,
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_function_is_asked_about_again(
    change: Callable[[Any], None], asked: tuple[Callable[[object], int], list[object]]
) -> None:
    ask, _ = asked
    space: dict[str, Any] = {"__name__": "work", "FACTOR": 2}
    exec("def f(x, add=1):\n    return round(FACTOR * x) + add", space)
    assert [ask(space["f"]), ask(space["f"])] == [1, 1]
    change(space["f"])
    assert ask(space["f"]) == 2


def test_a_changed_cell_is_noticed(asked: tuple[Callable[[object], int], list[object]]) -> None:
    ask, _ = asked
    step = 1

    def go(x: int) -> int:
        return x + step

    assert [ask(go), ask(go)] == [1, 1]
    step = 2
    assert [ask(go), ask(go)] == [2, 2]


def _with_list(x: int) -> int:
    return TABLE[x]


def _with_helper(x: int) -> float:
    return scaled(x)


def _with_import(x: int) -> object:
    import json

    return json.dumps(x)


@pytest.mark.parametrize("func", [_with_list, _with_helper, _with_import, len, TABLE.append])
def test_what_may_change_behind_its_name_is_gone_through_each_time(
    func: object, asked: tuple[Callable[[object], int], list[object]]
) -> None:
    ask, _ = asked
    assert [ask(func), ask(func)] == [1, 2]


def test_a_variable_that_is_not_set_yet_has_no_quick_answer(
    asked: tuple[Callable[[object], int], list[object]],
) -> None:
    def go() -> int:
        return later

    ask, _ = asked
    assert [ask(go), ask(go)] == [1, 2]
    later = 1
    assert [ask(go), ask(go)] == [3, 3]


def test_what_cannot_be_looked_at_has_no_quick_answer(asked: tuple[Callable[[object], int], list[object]]) -> None:
    class Unhashable(type):
        __hash__ = None  # type: ignore[assignment]

    odd = Unhashable("odd", (), {})()

    def go() -> object:
        return odd

    ask, _ = asked
    assert [ask(go), ask(go)] == [1, 2]


def test_a_namespace_of_the_user_s_own_class_has_no_quick_answer(
    asked: tuple[Callable[[object], int], list[object]],
) -> None:
    class Failing(dict[str, Any]):
        def get(self, *_: object) -> Any:
            raise LookupError

    space = Failing(__name__="work", FACTOR=2)
    exec("def go(x):\n    return FACTOR * x", space)
    ask, _ = asked
    assert [ask(space["go"]), ask(space["go"])] == [1, 2]


def test_nobody_is_kept_alive(asked: tuple[Callable[[object], int], list[object]]) -> None:
    ask, about = asked
    text = "x" * (MOST_KEPT + 1)
    long = lambda: text  # noqa: E731 - named only to be asked about twice
    assert [ask(long), ask(long)] == [1, 2]
    func = eval("lambda x: x")
    gone = weakref.ref(func)
    ask(func)
    about.clear()
    del func
    assert gone() is None


def test_only_so_many_are_remembered(asked: tuple[Callable[[object], int], list[object]]) -> None:
    ask, about = asked
    made: list[Any] = [eval(f"lambda x: x + {k}") for k in range(MOST_REMEMBERED + 1)]
    for func in made:
        ask(func)
    assert ask(made[-1]) == len(about)
    ask(made[0])
    assert about[-1] is made[0]


def test_a_question_keeps_its_name() -> None:
    assert (likeness.__module__, likeness.__qualname__) == ("amorsize.identity.likeness", "likeness")
    assert "digest" in (likeness.__doc__ or "")
