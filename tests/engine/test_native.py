"""Native threads of BLAS and OpenMP libraries while workers run."""

from __future__ import annotations

import errno
import sys
import threading
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

pytest.importorskip("numpy")
threadpoolctl = pytest.importorskip("threadpoolctl")

from amorsize import pmap
from amorsize.advice import plans
from amorsize.advice.plans import native_threads_of
from amorsize.calibration.costs import Costs
from amorsize.calibration.profile import Profile
from amorsize.engine.native import limit
from amorsize.identity.machine import capacity
from amorsize.options import Options
from amorsize.records import Capacity

if TYPE_CHECKING:
    from collections.abc import Iterator


def pools() -> list[int]:
    return [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    """Let every library use two threads, whatever the machine has; skip where there is none to be limited."""
    before = threadpoolctl.threadpool_limits(limits=2)
    if set(pools()) != {2}:
        pytest.skip("no library here takes its number of threads at run time")
    yield
    before.restore_original_limits()


def test_a_limit_holds_until_it_is_given_back() -> None:
    give_back = limit(1)
    assert set(pools()) == {1}
    give_back()
    assert set(pools()) == {2}


def test_a_library_that_may_use_fewer_keeps_its_number() -> None:
    limit(64)()
    assert set(pools()) == {2}


def test_without_threadpoolctl_nothing_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    limit(1)()
    monkeypatch.undo()
    assert set(pools()) == {2}


def test_where_a_test_has_put_a_mock_in_the_place_of_open_nothing_is_limited() -> None:
    with mock.patch("builtins.open", mock.mock_open(read_data="text")):
        limit(1)()
    assert set(pools()) == {2}


def native_threads(n_jobs: int, cpu_share: float | None, n_cores: int) -> int | None:
    profile = Profile.empty().replace(cpu_share=cpu_share)
    return native_threads_of((profile, Costs(), Capacity(n_cores=n_cores), Options()), n_jobs)


def test_workers_times_native_threads_fit_on_the_cores() -> None:
    assert [native_threads(4, 2.0, n_cores) for n_cores in (16, 6, 2)] == [4, 1, 1]


def test_what_uses_no_native_threads_is_not_limited() -> None:
    assert native_threads(4, 1.0, 16) is None
    assert native_threads(4, 0.1, 16) is None


def test_what_may_use_them_is_limited_where_numpy_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", sys)
    assert native_threads(4, None, 16) == 4
    monkeypatch.delitem(sys.modules, "numpy")
    assert native_threads(4, None, 16) is None


@pytest.mark.parametrize(
    "options",
    [
        {"backend": "thread"},
        pytest.param({"backend": "process", "isolate": True}, marks=pytest.mark.needs_fork),
        pytest.param({"backend": "process", "timeout": 60.0}, marks=pytest.mark.needs_fork),
        {"backend": "process", "start_method": "spawn"},
    ],
    ids=["thread", "process", "fed process", "fresh interpreter"],
)
def test_workers_run_with_fewer_native_threads_and_the_caller_gets_its_own_back(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "capacity", lambda now_s, **_: capacity(now_s).replace(n_cores=2))
    assert all(set(found) == {1} for found in pmap(lambda _: pools(), range(4), n_jobs=2, **options))
    assert set(pools()) == {2}


def test_nothing_is_looked_for_where_no_native_threads_were_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    monkeypatch.delitem(sys.modules, "numpy")
    both = threading.Barrier(2)
    found = pmap(lambda _: both.wait(30) * 0 + len(set(pools()) - {2}), range(2), backend="thread", n_jobs=2)
    assert found == [0, 0]


def test_where_the_system_has_no_descriptor_left_nothing_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(error: OSError) -> None:
        def read() -> None:
            raise error

        monkeypatch.setattr(threadpoolctl, "threadpool_info", read)

    fail(OSError(errno.EMFILE, "Too many open files"))
    limit(1)()
    fail(TimeoutError("a signal handler's"))
    with pytest.raises(TimeoutError):
        limit(1)
