"""Hired interpreters: fed the simplest way, and gone when a test is asked what it has left behind."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from amorsize.engine.spawn import warm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from amorsize.engine.spawn.hired import SpawnedWorker

FEEDING = runpy.run_path(str(Path(__file__).with_name("feeding.py")))
"""Run, not imported: the programs of these tests do the same."""


@pytest.fixture(autouse=True)
def nobody_stays(nothing_left_behind: None) -> Iterator[None]:
    """End the workers that rest, before the test is asked what it has left behind."""
    yield
    warm.shutdown()


@pytest.fixture
def feed() -> Callable[..., list[Any]]:
    found: Callable[..., list[Any]] = FEEDING["feed"]
    return found


@pytest.fixture
def hire() -> Callable[..., list[SpawnedWorker]]:
    found: Callable[..., list[SpawnedWorker]] = FEEDING["hire"]
    return found
