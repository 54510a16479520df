"""Where the system has no room for workers there are fewer, or none: never a wrong answer, and nothing stays."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from amorsize import BackendUnavailable, WorkerDied, errors, parallelizable, pmap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.fault("R14"), pytest.mark.needs_fork]

ITEMS = range(30)
SQUARES = [item * item for item in ITEMS]

OPERATIONS = ("pipe", "memfd_create", "open", "fork", "pidfd_open")
"""What the engine asks of the system to start a worker."""


def square(item: int) -> int:
    return item * item


def failing_from(n_th: int, operation: Callable[..., Any], *, once: bool) -> Callable[..., Any]:
    """Return an operation that fails at its n-th call, or from then on."""
    n_calls = 0

    def operate(*arguments: Any, **keywords: Any) -> Any:
        nonlocal n_calls
        n_calls += 1
        if n_calls == n_th or (n_calls > n_th and not once):
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return operation(*arguments, **keywords)

    return operate


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was warned about, with nothing told before."""
    monkeypatch.setattr(errors, "_warned", set())
    pmap(square, ITEMS, backend="process", n_jobs=3, cache=False)  # what is imported on the way is there from here on
    texts: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_: texts.append(str(message))
        yield texts


@pytest.mark.fault("R19")
@pytest.mark.parametrize("once", [True, False], ids=["once", "for ever"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_whatever_is_refused_the_answer_is_right_and_one_warning_tells(
    name: str, told: list[str], *, once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n_th in range(1, 8):
        errors._warned.clear()
        told.clear()
        with monkeypatch.context() as patch:
            patch.setattr(os, name, failing_from(n_th, getattr(os, name), once=once))
            assert pmap(square, ITEMS, backend="process", n_jobs=3, cache=False) == SQUARES
        assert len(told) <= 1
        assert not told or os.strerror(errno.EAGAIN) in told[0]


@pytest.mark.fault("R19")
@pytest.mark.parametrize("once", [True, False], ids=["once", "for ever"])
@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.usefixtures("told")
def test_isolated_items_stay_out_of_a_caller_that_gets_no_workers(
    name: str, *, once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n_th in range(1, 8):
        pids: list[int] = []
        with monkeypatch.context() as patch:
            patch.setattr(os, name, failing_from(n_th, getattr(os, name), once=once))
            # a worker dies at birth where it cannot tie its life to the caller's
            with contextlib.suppress(BackendUnavailable, WorkerDied):
                pids = pmap(lambda _: os.getpid(), ITEMS, isolate=True, n_jobs=3, cache=False)
        assert os.getpid() not in pids


def test_without_memory_to_share_the_caller_runs_all_items(told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmap, "mmap", failing_from(1, mmap.mmap, once=False))
    assert pmap(square, ITEMS, backend="process", n_jobs=3, cache=False) == SQUARES
    assert os.strerror(errno.EAGAIN) in told[0]


@pytest.mark.parametrize("asked", [{"isolate": True}, {"timeout": 20}, {"deadline": 30, "isolate": True}], ids=repr)
def test_isolated_items_without_a_worker_are_refused_with_the_reason(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fork", failing_from(1, os.fork, once=False))
    name, value = next(iter(asked.items()))
    with pytest.raises(BackendUnavailable, match=rf"{name}={value}.* keeps items out .*{os.strerror(errno.EAGAIN)}"):
        pmap(square, ITEMS, **asked)


def test_a_loop_for_want_of_any_worker_is_reported_as_one(told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", failing_from(1, os.fork, once=False))
    measured = parallelizable(lambda item: item * item)
    assert measured.options(backend="process", n_jobs=3, cache=False).pmap(ITEMS) == SQUARES
    assert measured.last_run is not None
    assert (measured.last_run.backend, measured.last_run.n_jobs) == ("serial", 1)
    assert os.strerror(errno.EAGAIN) in measured.last_run.reason
    (text,) = told
    assert "runs as a plain loop" in text


def test_a_kernel_without_process_descriptors_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pidfd_open", failing_from(1, os.pidfd_open, once=False))
    assert pmap(square, ITEMS, isolate=True, n_jobs=2) == SQUARES


def test_a_death_on_a_kernel_without_process_descriptors_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pidfd_open", failing_from(1, os.pidfd_open, once=False))
    with pytest.raises(WorkerDied) as caught:
        pmap(os._exit, [3], isolate=True)
    assert (caught.value.first, caught.value.exitcode) == (0, 3)


def test_any_number_of_free_descriptors_gives_the_right_answer(told: list[str]) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    n_told = 0
    for n_free in range(24):
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
        taken = []
        try:
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            for _ in range(n_free):
                os.close(taken.pop())
        try:
            errors._warned.clear()
            told.clear()
            assert pmap(square, ITEMS, backend="process", n_jobs=3, cache=False) == SQUARES
            assert len(told) <= 1
            n_told += len(told)
        finally:
            for fd in taken:
                os.close(fd)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert n_told > 0


@pytest.mark.parametrize("n_free", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("options", [{}, {"backend": "process", "n_jobs": 2}])
def test_a_first_call_with_hardly_a_free_descriptor_gives_the_right_answer(
    options: dict[str, object], n_free: int, fresh_python: Callable[..., str]
) -> None:
    source = f"""
import os, resource
from amorsize import pmap
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
taken = []
try:
    while True:
        taken.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    for _ in range({n_free}):
        os.close(taken.pop())
found = pmap(lambda item: item + 0 * sum(range(10_000)), range(300), **{options})
for fd in taken:
    os.close(fd)
print(found == list(range(300)))
"""
    assert fresh_python("-W", "ignore", "-c", source) == "True\n"


@pytest.mark.parametrize("limit_bytes", [0, 1, 4096, 100_000, 3_000_000])
@pytest.mark.parametrize("kind", ["bytes", "list"])
def test_a_limit_on_the_size_of_files_loses_no_result(
    limit_bytes: int, kind: str, fresh_python: Callable[..., str]
) -> None:
    source = f"""
import resource
from amorsize import pmap
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes}, {limit_bytes}))
make = dict(bytes=lambda item: bytes([item]) * 1_000_000, list=lambda item: [item] * 300_000)[{kind!r}]
found = pmap(make, range(8), isolate=True, n_jobs=2, cache=False)
print(found == [make(item) for item in range(8)])
"""
    assert fresh_python("-B", "-c", source) == "True\n"


def test_a_limit_on_the_size_of_files_loses_no_array(fresh_python: Callable[..., str]) -> None:
    pytest.importorskip("numpy")
    source = """
import resource
import numpy
from amorsize import pmap
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
make = lambda item: [numpy.full(100_000, item), numpy.full(100_000, -item)]
found = pmap(make, range(8), isolate=True, n_jobs=2, cache=False)
print(all((one == other).all() for pair, item in zip(found, range(8)) for one, other in zip(pair, make(item))))
"""
    assert fresh_python("-B", "-c", source) == "True\n"
