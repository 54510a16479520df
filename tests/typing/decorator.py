"""What type checkers must see of `@parallelizable` and `pmap`; checked by mypy and basedpyright, never run.

A `type: ignore` here is a test too: mypy fails where the error that it expects is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import assert_type

from amorsize import optimize, parallelizable, pmap, pstarmap


@parallelizable
def size(path: str, *, blocks: bool = False) -> int:
    return len(path) * (2 if blocks else 1)


@parallelizable(n_jobs=2, backend="process")
def ratio(part: int, whole: int) -> float:
    return part / whole


class Scorer:
    def __init__(self, weight: float) -> None:
        self.weight = weight

    @parallelizable
    def score(self, text: str) -> float:
        return len(text) * self.weight

    @parallelizable(cache=False)
    def name(self, text: str) -> str:
        return text.upper()

    @classmethod
    @parallelizable
    def of(cls, weight: int) -> float:
        return cls(weight).weight

    @staticmethod
    @parallelizable(n_jobs=2)
    def length(text: str) -> int:
        return len(text)


class Doubler(Scorer):
    def own(self) -> None:
        assert_type(self.of(1), float)
        assert_type(self.length("a"), int)
        assert_type(self.score("a"), float)


def a_decorated_function_keeps_its_signature() -> None:
    assert_type(size("a", blocks=True), int)
    assert_type(ratio(1, 2), float)
    size(3)  # type: ignore[arg-type]
    size("a", lines=True)  # type: ignore[call-arg]
    ratio(1)  # type: ignore[call-arg]


def pmap_gives_a_list_of_results() -> None:
    assert_type(size.pmap(["a", "b"]), list[int])
    assert_type(ratio.pmap([1, 2], [3, 4]), list[float])
    assert_type(ratio.pstarmap([(1, 2)]), list[float])
    assert_type(size.options(n_jobs=4).pmap(["a"]), list[int])


def options_are_checked() -> None:
    size.pmap(["a"], n_jobs=2, chunksize="auto", backend="serial", isolate=False, cache=True, start_method="fork")
    size.pmap(["a"], max_workers=2)  # type: ignore[call-arg]
    size.pmap(["a"], backend="proces")  # type: ignore[arg-type]


def a_method_keeps_its_signature_and_gets_pmap() -> None:
    scorer = Scorer(2.0)
    assert_type(scorer.score("a"), float)
    assert_type(scorer.score.pmap(["a"]), list[float])
    assert_type(scorer.name.pmap(["a"]), list[str])
    scorer.score(3)  # type: ignore[arg-type]


def a_method_of_the_class_takes_the_object() -> None:
    assert_type(Scorer.score(Scorer(2.0), "a"), float)
    assert_type(Scorer.score.pmap([Scorer(2.0)], ["a"]), list[float])
    Scorer.score("a")  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]


def a_classmethod_knows_its_class() -> None:
    assert_type(Scorer.of(1), float)
    assert_type(Scorer(1.0).of(1), float)
    assert_type(Doubler.of(1), float)
    assert_type(Doubler.of.pmap([1]), list[float])
    of_an_int: Callable[[int], float] = Doubler.of
    assert_type(pmap(of_an_int, [1]), list[float])
    Scorer.of("a")  # type: ignore[arg-type]


def a_staticmethod_takes_what_its_function_takes() -> None:
    assert_type(Scorer.length("a"), int)
    assert_type(Doubler(1.0).length("a"), int)
    assert_type(Doubler(1.0).length.pmap(["a"]), list[int])
    Scorer(1.0).length(3)  # type: ignore[arg-type]


def any_callable_can_be_mapped() -> None:
    assert_type(pmap(size, ["a"]), list[int])
    assert_type(pmap(len, ["a"]), list[int])
    assert_type(pmap(partial(ratio, 1), [2]), list[float])
    assert_type(pmap(lambda text: len(text), ["a"]), list[int])
    assert_type(pstarmap(ratio, [(1, 2)]), list[float])


def reports_have_types() -> None:
    assert_type(size.explain(["a"]).n_jobs, int)
    assert_type(optimize(size, ["a"]).chunksize, int)
    report = size.last_run
    if report is not None:
        assert_type(report.n_sampled, int | None)
