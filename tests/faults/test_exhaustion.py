"""R14: descriptors, processes, memory files, address space or file sizes run out.

Fewer workers or the loop, at most one warning, the right answer. The rest is held elsewhere. Whatever operation of the
system fails once or for ever, free descriptors and limits on file sizes for workers forked over a list, a kernel
without pidfds: `tests/engine/test_scarcity.py`. What fails in the launch of an interpreter:
`tests/engine/spawn/test_spawn_endings.py`. That a worker which the kernel ends by SIGKILL is told as such, with memory
as the likely reason: `test_crash_matrix.py`.
"""

from __future__ import annotations

import errno
import gc
import os
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from amorsize import BackendUnavailable, errors, pimap, pmap, shutdown
from amorsize.engine.spawn import launch
from amorsize.testing.items import double

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

resource = pytest.importorskip("resource")

pytestmark = [pytest.mark.fault("R14"), pytest.mark.needs_fork]

DOUBLES = [2 * item for item in range(30)]

KINDS: dict[str, Callable[..., list[Any]]] = {
    "pmap over an iterator": lambda **options: pmap(double, iter(range(30)), **options),
    "pimap": lambda **options: list(pimap(double, iter(range(30)), **options)),
}

PROCESS: dict[str, Any] = {"backend": "process", "n_jobs": 3, "cache": False}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was warned about; what is imported on the way is there from here on."""
    pmap(double, iter(range(30)), **PROCESS)
    monkeypatch.setattr(errors, "_warned", set())
    texts: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_: texts.append(str(message))
        yield texts


# ---- descriptors


def with_free_descriptors(n_free: int, call: Callable[[], list[Any]]) -> list[Any]:
    """Make a call where only so many descriptors are left."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    taken = []
    try:
        while True:
            try:
                taken.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                break
        for _ in range(n_free):
            os.close(taken.pop())
        return call()
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("start_method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_free_descriptors_gives_the_right_answer(kind: str, start_method: Any, told: list[str]) -> None:
    n_told = 0
    for n_free in range(16):
        errors._warned.clear()
        told.clear()
        found = with_free_descriptors(n_free, lambda: KINDS[kind](**PROCESS, start_method=start_method))
        assert found == DOUBLES
        assert len(told) <= 1
        n_told += len(told)
    assert n_told > 0


def with_files(item: int) -> int:
    """Hold three files open for a moment."""
    taken: list[int] = []
    try:
        while len(taken) < 3:
            taken.append(os.open(os.devnull, os.O_RDONLY))
        return 2 * item
    finally:
        for fd in taken:
            os.close(fd)


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("items", [list, iter], ids=["a list", "an iterator"])
@pytest.mark.parametrize("start_method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_an_item_can_open_its_files_where_it_could_in_the_loop(start_method: Any, items: Any) -> None:
    options = {**PROCESS, "start_method": start_method}
    assert pmap(with_files, items(range(30)), **options) == DOUBLES  # what is imported on the way is there from here on
    for n_free in range(3, 16):
        shutdown()
        assert with_free_descriptors(n_free, lambda: pmap(with_files, items(range(30)), **options)) == DOUBLES


@pytest.mark.parametrize("kind", KINDS)
def test_where_native_threads_cannot_be_limited_it_is_the_loop(
    kind: str, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def limit(_n_threads: object) -> Any:  # it reads which libraries are loaded
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("amorsize.engine.fed.forked.limit", limit)
    assert KINDS[kind](**PROCESS, start_method="fork") == DOUBLES
    gc.collect()  # a socket that nobody has closed would be told
    (text,) = told
    assert os.strerror(errno.EMFILE) in text


# ---- processes


@pytest.mark.slow
@pytest.mark.parametrize("n_launched", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_as_many_interpreters_run_as_can_be_launched(
    kind: str, n_launched: int, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    start, rooms = launch.start, iter([True] * n_launched)

    def start_one(ahead: str) -> Any:
        if next(rooms, False):
            return start(ahead)
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(launch, "start", start_one)
    assert KINDS[kind](**PROCESS, start_method="spawn") == DOUBLES
    assert len(told) == 1
    assert os.strerror(errno.EAGAIN) in told[0]


def test_isolated_items_are_refused_where_no_interpreter_can_be_launched(monkeypatch: pytest.MonkeyPatch) -> None:
    def start_none(_ahead: str) -> Any:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(launch, "start", start_none)
    with pytest.raises(BackendUnavailable, match=os.strerror(errno.EAGAIN)):
        pmap(double, range(30), isolate=True, start_method="spawn")


LIMITED = """
import os, resource, warnings
import fcntl, _socket
from amorsize import BackendUnavailable, pimap, pmap
from amorsize.testing.items import double

OPTIONS = dict(backend="process", n_jobs=3, start_method="fork", cache=False)
pmap(double, range(30), **OPTIONS)  # what it imports may be out of reach later
pmap(double, iter(range(30)), **OPTIONS)
told = []
warnings.simplefilter("always")
warnings.showwarning = lambda message, *_: told.append(str(message))
CALLS = [
    lambda **options: pmap(double, range(30), **options),
    lambda **options: pmap(double, iter(range(30)), **options),
    lambda **options: list(pimap(double, iter(range(30)), **options)),
]
"""


@pytest.mark.parametrize("n_processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_limit_on_the_processes_of_a_user_gives_the_right_answer(
    n_processes: int, fresh_python: Callable[..., str]
) -> None:
    source = f"""{LIMITED}
from amorsize import errors
if os.getuid() == 0:  # whom nothing limits: become a user who has no other process
    os.setgroups([])
    os.setresgid(61_234, 61_234, 61_234)
    os.setresuid(61_234, 61_234, 61_234)
resource.setrlimit(resource.RLIMIT_NPROC, ({n_processes}, {n_processes}))
for call in CALLS:
    told.clear()
    errors._warned.clear()
    right = call(**OPTIONS) == [2 * n for n in range(30)]
    print(right, len(told), {os.strerror(errno.EAGAIN)!r} in told[0])
"""
    assert fresh_python("-c", source) == "True 1 True\n" * 3


# ---- address space, and the sizes of files


@pytest.mark.parametrize("n_bytes", [8 << 20, pytest.param(32 << 20, marks=pytest.mark.slow)])
def test_little_address_space_gives_the_right_answer(n_bytes: int, fresh_python: Callable[..., str]) -> None:
    source = f"""{LIMITED}
with open("/proc/self/statm") as statm:
    size = int(statm.read().split()[0]) * resource.getpagesize() + {n_bytes}
resource.setrlimit(resource.RLIMIT_AS, (size, size))
print([call(**OPTIONS) == [2 * n for n in range(30)] for call in CALLS], len(told) <= 1)
"""
    assert fresh_python("-c", source) == "[True, True, True] True\n"


@pytest.mark.parametrize("start_method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_an_item_for_which_there_is_no_memory_raises_memory_error(
    start_method: str, fresh_python: Callable[..., str]
) -> None:
    source = f"""{LIMITED}
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
options = dict(OPTIONS, isolate=True, start_method={start_method!r})
for kind in (list, iter):
    try:
        pmap(lambda item: len(bytes(8 << 30)) if item == 3 else item, kind(range(10)), **options)
    except MemoryError as error:
        print([error.finished[k] for k in range(3)], error.__notes__[-2])
    print(pmap(double, kind(range(30)), **options) == [2 * n for n in range(30)])
"""
    expected = "[0, 1, 2] amorsize: raised by item 3: 3\nTrue\n"
    assert fresh_python("-c", source) == expected * 2


@pytest.mark.parametrize("start_method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
@pytest.mark.parametrize("limit_bytes", [0, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_limit_on_the_size_of_files_loses_no_result_that_is_sent(
    limit_bytes: int, start_method: str, fresh_python: Callable[..., str]
) -> None:
    source = f"""{LIMITED}
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes}, {limit_bytes}))
make = lambda item: bytes([item]) * 1_000_000
options = dict(OPTIONS, start_method={start_method!r})
found = pmap(make, iter(range(8)), **options), list(pimap(make, iter(range(8)), **options))
print([each == [make(item) for item in range(8)] for each in found])
"""
    assert fresh_python("-B", "-c", source) == "[True, True]\n"


def test_without_the_module_that_ends_workers_with_their_caller_streams_are_loops(
    fresh_python: Callable[..., str],
) -> None:
    source = """
import sys, warnings
sys.modules["fcntl"] = None
from amorsize import BackendUnavailable, pimap, pmap
warnings.simplefilter("ignore")
options = dict(backend="process", start_method="fork", n_jobs=2, cache=False)
print(list(pimap(abs, iter(range(9)), **options)) == pmap(abs, iter(range(9)), **options) == list(range(9)))
for given in {"isolate": True}, {"timeout": 20}:
    try:
        pmap(abs, range(9), **options, **given)
    except BackendUnavailable as error:
        print("no worker could be started" in str(error))
"""
    assert fresh_python("-c", source) == "True\n" * 3
