"""The ways in which items get to workers: a fault is looked at in each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from amorsize import pimap, pmap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from amorsize.protocols import OptionArgs

    Run = Callable[..., list[Any]]  # Any: the results of any function


def _pmap_list(func: Callable[..., Any], items: Iterable[Any], **options: Any) -> list[Any]:
    return pmap(func, list(items), **options)


def _pmap_iterator(func: Callable[..., Any], items: Iterable[Any], **options: Any) -> list[Any]:
    return pmap(func, iter(items), **options)


def _pimap(func: Callable[..., Any], items: Iterable[Any], **options: Any) -> list[Any]:
    return list(pimap(func, iter(items), **options))


FORK: OptionArgs = {"isolate": True, "n_jobs": 2, "start_method": "fork"}
SPAWN: OptionArgs = {**FORK, "start_method": "spawn"}

WAYS: dict[str, tuple[Run, OptionArgs]] = {
    "fork over a list": (_pmap_list, FORK),
    "fork over an iterator": (_pmap_iterator, FORK),
    "fork, a stream": (_pimap, FORK),
    "spawn": (_pmap_list, SPAWN),
    "spawn, a stream": (_pimap, SPAWN),
}


@pytest.fixture(
    params=[
        pytest.param(way, id=name, marks=pytest.mark.needs_fork if name.startswith("fork") else pytest.mark.slow)
        for name, way in WAYS.items()
    ]
)
def run(request: pytest.FixtureRequest) -> Run:
    """Return a function that runs another over items, by two workers and not in the caller: once for each way."""
    how, given = request.param

    def run_it(func: Callable[..., Any], items: Iterable[Any], **options: Any) -> list[Any]:
        found: list[Any] = how(func, items, **{**given, **options})
        return found

    return run_it


def _auto(how: Run) -> Run:
    return lambda func, items, **options: how(func, items, **options)


@pytest.fixture(params=[pytest.param(how, id=how.__name__.strip("_")) for how in (_pmap_list, _pmap_iterator, _pimap)])
def auto(request: pytest.FixtureRequest) -> Run:
    """Return a function that runs another over items with everything on "auto": once for each kind of input."""
    how: Run = request.param
    return how
