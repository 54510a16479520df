"""What all parts of the contract stand on: the backend under test, and what cannot occur there."""

from __future__ import annotations

import sys

assert sys.platform != "win32"  # before the imports: signals, named pipes and limits are those of POSIX

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import pytest

import amorsize
from amorsize.testing.items import Calls, Gate, double
from amorsize.testing.leaks import leaves_nothing_behind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from amorsize.protocols import OptionArgs, Stream

    TestT = TypeVar("TestT", bound=Callable[..., None])

PROCESSES = "items run in processes other than the caller's"
PICKLING = "arguments, results and exceptions are pickled"
DEATHS = "a worker dies"
TIMEOUTS = "an item is ended that takes too long"
WITHOUT_TIMEOUTS = "no item can be ended"
OVERLAP = "two items run at once"
SEEDS = "items have random numbers of their own"
WITHOUT_SEEDS = "all items share their random numbers"
HANDLERS = "workers have the caller's log handlers"
CONTEXT = "workers see the caller's context variables"
INTERRUPTS = "a program is interrupted from its terminal"

IN_ONE_PROCESS = (PROCESSES, PICKLING, DEATHS, TIMEOUTS)
"""What cannot occur where all items run in the caller's own process."""

both_kinds = pytest.mark.parametrize("kind", [list, iter], ids=["list", "iterator"])
"""Run a test with `kind(items)` that can be sliced, and with one that can only be iterated."""


def only_where(*what: str) -> Callable[[TestT], TestT]:
    """Mark a behaviour that needs something which cannot occur everywhere."""

    def mark(test: TestT) -> TestT:
        test.__dict__["needs"] = what
        return test

    return mark


class Contract:
    """A backend under test.

    Attributes:
        options: select the backend; `n_jobs=2` is added.
        cannot_occur: reasons, by one of this module's constants or the name of a test without its `test_`. Such tests
            are skipped, and say so.
        runs_as: what `last_run.backend` is to say; None for the option `backend`.
    """

    options: ClassVar[OptionArgs]
    cannot_occur: ClassVar[Mapping[str, str]] = {}
    runs_as: ClassVar[str | None] = None

    @pytest.fixture(autouse=True)
    def _skip_what_cannot_occur(self, request: pytest.FixtureRequest) -> None:
        name = getattr(request.node, "originalname", request.node.name).removeprefix("test_")
        for what in (name, *getattr(request.function, "needs", ())):
            if what in self.cannot_occur:
                pytest.skip(f"cannot occur: {self.cannot_occur[what]}")

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def no_warm_workers(cls) -> Iterator[None]:
        """End warm workers with the class; nothing of it may be left then."""
        amorsize.shutdown()
        with leaves_nothing_behind():
            yield
            amorsize.shutdown()

    @pytest.fixture(autouse=True)
    def nothing_left_behind(self, _skip_what_cannot_occur: None) -> Iterator[None]:
        """Fail the test that leaves anything behind; workers that were warm before it may stay so."""
        self.pmap(double, range(4))
        with leaves_nothing_behind():
            yield

    @property
    def given(self) -> OptionArgs:
        """The options of every call."""
        return {"n_jobs": 2, **self.options}

    @property
    def apart(self) -> OptionArgs:
        """The same, with every item kept out of the caller where there are processes for it."""
        return self.given if PROCESSES in self.cannot_occur else {**self.given, "isolate": True}

    def pmap(self, func: Callable[..., Any], *iterables: Iterable[Any], **more: Any) -> list[Any]:
        """Run a function over items with the backend."""
        options: dict[str, Any] = {**self.given, **more}
        return amorsize.pmap(func, *iterables, **options)

    def pmap_apart(self, func: Callable[..., Any], *iterables: Iterable[Any], **more: Any) -> list[Any]:
        """Run a function over items, none of them in the caller where there are processes."""
        return self.pmap(func, *iterables, **{**self.apart, **more})

    def pimap(self, func: Callable[..., Any], *iterables: Iterable[Any], **more: Any) -> Stream[Any]:
        """Return the results of a function as they come from the backend."""
        options: dict[str, Any] = {**self.given, **more}
        return amorsize.pimap(func, *iterables, **options)

    def pimap_apart(self, func: Callable[..., Any], *iterables: Iterable[Any], **more: Any) -> Stream[Any]:
        """Return the results as they come, no item run in the caller where there are processes."""
        return self.pimap(func, *iterables, **{**self.apart, **more})

    @pytest.fixture
    def calls(self, tmp_path: Path) -> Calls:
        """Where items note that they were called."""
        return Calls(tmp_path / "calls")

    @pytest.fixture
    def gate(self, tmp_path: Path, nothing_left_behind: None) -> Iterator[Gate]:
        """What items wait at."""
        with Gate(tmp_path / "gate") as gate:
            yield gate
