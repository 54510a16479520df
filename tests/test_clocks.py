"""What threads on other cores have used is known up to now, and not up to the last tick of the kernel's clock."""

from __future__ import annotations

import errno
import os
import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from typing import TYPE_CHECKING

import pytest

from amorsize import clocks, pmap, short
from amorsize.advice import plans
from amorsize.clocks import count_now
from amorsize.identity.machine import capacity
from amorsize.inline import CPU_TELLS_FROM_S, all_threads_s

if TYPE_CHECKING:
    from collections.abc import Callable


def test_counting_needs_no_other_thread() -> None:
    count_now()


@pytest.mark.parametrize(
    ("module", "ask", "answer"),
    [
        ("amorsize.engine.bare", lambda: clocks.n_resting(), 0),
        ("amorsize.engine.spawn.warm", lambda: plans.n_warm(), 0),
        ("amorsize.options", lambda: short._is_plain(), True),
    ],
)
def test_a_module_that_another_thread_is_loading_is_not_there_yet(
    monkeypatch: pytest.MonkeyPatch, module: str, ask: Callable[[], object], answer: object
) -> None:
    spec = ModuleSpec(module, None)
    spec._initializing = True  # type: ignore[attr-defined]  # as the import system marks it, for the same question
    monkeypatch.setitem(sys.modules, module, module_from_spec(spec))
    monkeypatch.delitem(sys.modules, "amorsize.advice.adviser", raising=False)
    assert ask() == answer


def test_a_window_too_short_to_tell_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[bool] = []
    monkeypatch.setattr("amorsize.clocks.count_now", lambda: counted.append(True))
    all_threads_s(CPU_TELLS_FROM_S / 2)
    assert not counted
    all_threads_s(CPU_TELLS_FROM_S)
    assert counted


USES_NUMPY = """
from time import process_time, thread_time
import numpy
from amorsize.clocks import count_now
matrix = numpy.ones((300, 300))
matrix @ matrix
shares = []
for _ in range(50):
    own_s, all_s = thread_time(), process_time()
    matrix @ matrix
    count_now()
    shares.append((process_time() - all_s) / (thread_time() - own_s))
print(min(shares))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is late")
def test_what_a_native_thread_uses_is_told_between_two_ticks(fresh_python: Callable[..., str]) -> None:
    pytest.importorskip("numpy")
    pools = pytest.importorskip("threadpoolctl").threadpool_info()
    if max([pool["num_threads"] for pool in pools], default=1) < 2:
        pytest.skip("this NumPy has no threads of its own")
    assert float(fresh_python("-c", USES_NUMPY)) > 1.05


FIRST_WINDOW = """
import sys
from amorsize.inline import Timings, Work, advance
assert "amorsize.clocks" not in sys.modules
timings = Timings()
advance(Work(sum, ([range(1_000_000)] * 3,)), [], timings, 3, 60)
_, own_s, all_s = timings.window
print(all_s - own_s)
"""


def test_what_loading_the_clocks_takes_is_nobodys(fresh_python: Callable[..., str]) -> None:
    """It looked like a native thread of 0.3 ms: to limit them cost the first call of a program 13 to 36 ms."""
    assert float(fresh_python("-c", FIRST_WINDOW)) < 1e-4


@pytest.mark.fault("R14")
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody asks for cores")
def test_where_a_sandbox_does_not_tell_the_usable_cores_all_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int) -> set[int]:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "sched_getaffinity", refuse)
    assert len(clocks.usable_cpus()) == os.cpu_count()
    for backend in ("auto", "thread", "process"):
        assert pmap(abs, range(-50, 0), backend=backend, n_jobs=2, cache=False) == list(range(50, 0, -1))
    assert capacity(0.0).n_cores >= 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody asks for cores")
def test_what_a_signal_s_handler_raises_while_cores_are_asked_for_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_pid: int) -> set[int]:
        raise TimeoutError("of a handler")

    monkeypatch.setattr(os, "sched_getaffinity", interrupt)
    with pytest.raises(TimeoutError, match="of a handler"):
        clocks.usable_cpus()
