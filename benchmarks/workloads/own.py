"""Anybody's own function and data, named on the command line: `pkg.mod:func@pkg.mod:data`."""

from __future__ import annotations

from importlib import import_module

from benchmarks.workloads.task import Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def name_of(func: str, data: str) -> str:
    """Return the workload's name for a function and its data, each named as `pkg.mod:name`."""
    return f"{func}@{data}"


def task_of(name: str) -> Task:
    """Return the function and the maker of its items; data that can be called is called anew for every call.

    Raises:
        ValueError: for something else than `pkg.mod:name`.
        ImportError, AttributeError: where it cannot be found.
    """
    func, _, data = name.partition("@")
    found = _found(data)

    def items(_n_items: int, _number: int) -> list[Any]:
        made: Any = found() if callable(found) else found
        return list(made)

    return Task(_found(func), items)


def _found(place: str) -> Any:  # Any: whatever stands there
    module, colon, name = place.partition(":")
    if not (module and colon and name):
        raise ValueError(f"a function or its data is named as pkg.mod:name, got {place!r}")
    found: object = import_module(module)
    for attribute in name.split("."):
        found = getattr(found, attribute)
    return found
