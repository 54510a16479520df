"""The contract, over every backend: the same tests wherever items may run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from amorsize.testing import (
    CONTEXT,
    HANDLERS,
    IN_ONE_PROCESS,
    OVERLAP,
    SEEDS,
    WITHOUT_SEEDS,
    WITHOUT_TIMEOUTS,
    BackendContract,
)
from amorsize.testing.items import double

if TYPE_CHECKING:
    from collections.abc import Mapping

    from amorsize.protocols import OptionArgs

THREADS_BESIDE_FORKS = "a process with two threads is not forked, and isolate=True allows nothing else"
OWN_NUMBERS = "each item's numbers are its own"
ENDED = "a worker is a process, which can be ended"


class Contract(BackendContract):
    """The public contract, and properties."""

    @settings(
        max_examples=15,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(
        items=st.lists(st.integers() | st.text(max_size=5) | st.lists(st.booleans(), max_size=3), max_size=60),
        n_jobs=st.integers(1, 3),
        chunksize=st.integers(1, 70) | st.just("auto"),
        ordered=st.booleans(),
    )
    def test_results_equal_the_loop_s_for_any_sizes(
        self, items: list[Any], n_jobs: int, chunksize: int | str, ordered: bool
    ) -> None:
        expected = [double(item) for item in items]
        assert self.pmap(double, items, n_jobs=n_jobs, chunksize=chunksize) == expected
        found = list(self.pimap(double, iter(items), n_jobs=n_jobs, chunksize=chunksize, ordered=ordered))
        assert found == expected if ordered else sorted(found, key=repr) == sorted(expected, key=repr)


class TestSerial(Contract):
    options: ClassVar[OptionArgs] = {"backend": "serial"}
    cannot_occur: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(IN_ONE_PROCESS, "all items run in the caller"),
        OVERLAP: "one item after the other",
        WITHOUT_SEEDS: OWN_NUMBERS,
    }


class TestThreads(Contract):
    options: ClassVar[OptionArgs] = {"backend": "thread"}
    cannot_occur: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(IN_ONE_PROCESS, "threads live in the caller's process"),
        SEEDS: "threads share the global generators",
    }


@pytest.mark.needs_fork
class TestFork(Contract):
    options: ClassVar[OptionArgs] = {"backend": "process", "start_method": "fork"}
    cannot_occur: ClassVar[Mapping[str, str]] = {WITHOUT_TIMEOUTS: ENDED, WITHOUT_SEEDS: OWN_NUMBERS}


@pytest.mark.slow
@pytest.mark.needs_fork
class TestForkIsolated(Contract):
    options: ClassVar[OptionArgs] = {"backend": "process", "start_method": "fork", "isolate": True}
    cannot_occur: ClassVar[Mapping[str, str]] = {
        WITHOUT_TIMEOUTS: ENDED,
        WITHOUT_SEEDS: OWN_NUMBERS,
        "two_threads_call_at_once": THREADS_BESIDE_FORKS,
    }


class TestSpawn(Contract):
    options: ClassVar[OptionArgs] = {"backend": "process", "start_method": "spawn"}
    cannot_occur: ClassVar[Mapping[str, str]] = {
        WITHOUT_TIMEOUTS: ENDED,
        WITHOUT_SEEDS: OWN_NUMBERS,
        CONTEXT: "context variables stay in their process",
        HANDLERS: "fresh interpreters have their own handlers, and a call says so",
    }


@pytest.mark.slow
class TestSpawnIsolated(Contract):
    options: ClassVar[OptionArgs] = {"backend": "process", "start_method": "spawn", "isolate": True}
    cannot_occur: ClassVar[Mapping[str, str]] = TestSpawn.cannot_occur
