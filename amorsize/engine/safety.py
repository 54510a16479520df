"""When a fork is safe here: facts about this process, each with what goes wrong otherwise."""

from __future__ import annotations

import os
import sys
from _contextvars import ContextVar
from time import perf_counter, sleep

from amorsize.clocks import loaded
from amorsize.engine import alive, held
from amorsize.footprint import read_kernel_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.engine.modes import Modes

FORK_UNSAFE = {
    "grpc": "gRPC's threads do not survive a fork",
    "mpi4py.MPI": "MPI does not support a fork",
    "gevent": "gevent's hub does not survive a fork",
    "eventlet": "eventlet's hub does not survive a fork",
    "pycuda.autoinit": "a CUDA context does not survive a fork",
    "cupy": "a CUDA context does not survive a fork",
}
"""Modules that, once loaded, may have started what a forked child cannot use."""

POOLS_THAT_SURVIVE = (b"openblas", b"libmkl_rt", b"libmkl_core", b"libblis", b"libiomp")
"""Thread pools that end or restart their threads around a fork by pthread_atfork (OpenBLAS: blas_thread_shutdown; MKL
and BLIS through Intel's OpenMP). GNU's libgomp does not: a child hangs in its first parallel region."""

POOL_WITH_A_HOME = b"openblas"
"""Its threads wait at an address in its own data, which tells them from others: once a fork has ended them, those of
another library, as many, would else pass for them."""

POOL_THAT_HANGS = b"libgomp"
"""Where it is loaded, a thread that does not show whose it is may be one of its own."""

YIELDS = (b"24", b"124", b"158")
"""Numbers of the system call by which OpenBLAS's threads, for up to 30 ms after their last work, look for more: on x86,
on ARM and RISC-V, on others."""

THREADS_THAT_SURVIVE = (b"jemalloc_bg_thd",)
"""Names of threads that a library's own pthread_atfork handlers stop around a fork. Arrow brings jemalloc's, and pandas
loads Arrow."""

WITHOUT_PROCESSES = ("emscripten", "wasi", "ios", "tvos", "watchos", "android")

cores_are_taken = False
"""Whether workers are running for a call of this process, or this process is one of them (it inherits the value)."""

LEVEL_BYTES = 2048
"""Of a stack, what a level of recursion through C code may take at the most: one through `functools.lru_cache` takes
500. Where there is less than that, the process crashes, and does not raise RecursionError."""

SYSTEMS_STACK_BYTES = 8 << 20
"""Of a new thread for which nobody has asked for another, as of the main thread of an ordinary process."""

is_item_of_a_thread: "ContextVar[bool]" = ContextVar("amorsize.is_item_of_a_thread", default=False)
"""Whether this code is part of an item that a thread of ours runs: set in the context that the thread was given."""

ENDED_S = 0.005
"""For how long native threads that may be on their way out are waited for, once, before a fork is refused."""

_surviving: tuple[list[str], int] = [], 0
"""The native threads that were last looked at, and how many of them survive a fork, the caller not counted."""

n_looked_at = 1
"""How many native threads there were when this was last asked."""

_n_that_stay = 1
"""How many native threads were left the last time that they were waited for: for these, nobody waits again."""


def enter_thread(modes: Modes | None) -> None:
    """Note that what this context runs are items, and give it a context of `decimal` of its own: a copied one holds the
    very same object, which items may change. What torch keeps for a thread is taken over."""
    is_item_of_a_thread.set(True)
    if modes is not None:
        from amorsize.engine.modes import take_over

        take_over(modes)
    decimal = sys.modules.get("decimal")
    if decimal is not None and hasattr(decimal, "setcontext"):  # nobody is still loading it
        decimal.setcontext(decimal.getcontext().copy())


def refusal() -> str | None:
    """Return why this process must not fork now, in words; None where it may. Costs about 6 us."""
    return no_workers() or no_fork()


def no_workers() -> str | None:
    """Return why no worker may be started in any way: the cores are in use, or somebody watches this process."""
    return nested() or watched()


def no_fork() -> str | None:
    """Return why workers must not be forked, where fresh interpreters may still do."""
    if sys.platform != "linux" or not hasattr(os, "fork"):
        return f"{sys.platform} does not offer a fork that is safe"
    if not hasattr(os, "memfd_create"):
        return "this Python was built without memory files"
    return _unwanted() or _other_threads() or _unsafe_modules()


def thread_refusal() -> str | None:
    """Return why "auto" starts no threads here, in words; None where it may."""
    return no_workers() or _greenlets() or _shallow_threads()


def nested() -> str | None:
    """Refuse any process where the cores are in use: inside another call, in a worker of anybody's."""
    if cores_are_taken or is_item_of_a_thread.get():
        return "this call runs inside another one, whose workers use the cores"
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        return "this process is a multiprocessing worker: its siblings use the other cores"
    billiard = sys.modules.get("billiard.process")
    if billiard is not None and billiard.current_process().name != "MainProcess":
        return "this process is a Celery worker: its siblings use the other cores"
    return None


def _unwanted() -> str | None:
    """Refuse where the program has said that it wants no forks."""
    context = sys.modules.get("multiprocessing.context")
    method = context._default_context.get_start_method(allow_none=True) if context is not None else None
    if method not in (None, "fork"):
        return f"multiprocessing.set_start_method({method!r}) was called: this program does not want forks"
    return None


def watched() -> str | None:
    """Refuse any process under a debugger, which would lose a worker's breakpoints; a coverage tracer is none."""
    trace = sys.gettrace()
    if trace is not None and "coverage" not in (type(trace).__module__ or ""):
        return "a debugger or tracer is active, which cannot follow into workers"
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is not None and monitoring.get_tool(monitoring.DEBUGGER_ID) is not None:
        return "a debugger is active, which cannot follow into workers"
    return None


def _shallow_threads() -> str | None:
    """Refuse threads where items may recurse deeper in the main thread, which this is, than the stack of a new one
    allows."""
    there = alive.stack_bytes() or SYSTEMS_STACK_BYTES
    if there >= sys.getrecursionlimit() * LEVEL_BYTES or not held.is_main_thread():
        return None
    return f"threads have a stack of {there >> 10} kB here, less than this one" if there < _main_stack_bytes() else None


def shallow_interpreters() -> str | None:
    """Refuse fresh interpreters where items may recurse deeper in this thread, which was given a stack of its own, than
    that of another process's main thread allows."""
    here = min(alive.stack_bytes(), sys.getrecursionlimit() * LEVEL_BYTES)
    if here <= SYSTEMS_STACK_BYTES or held.is_main_thread() or here <= (there := _main_stack_bytes()):
        return None
    return f"fresh interpreters have a stack of {there >> 10} kB, less than this thread"


def _main_stack_bytes() -> int:
    """Return how large the stack of a main thread may become: of this process, or one that it starts."""
    if sys.platform == "win32":
        return SYSTEMS_STACK_BYTES
    try:
        import resource
    except (ImportError, OSError) as error:  # no descriptor is left to load it with
        if getattr(error, "errno", 0) is None:  # a signal handler's
            raise
        return SYSTEMS_STACK_BYTES
    soft, _ = resource.getrlimit(resource.RLIMIT_STACK)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def _greenlets() -> str | None:
    """Refuse where threads may be none: a library has put its own in their place."""
    found = alive.greenlets()
    return None if found is None else f"{found} is loaded: what looks like threads may be its greenlets"


def _other_threads() -> str | None:
    """Refuse where other threads live: a lock that one of them holds would stay locked in the child for ever. Those of
    ours that rest end first, and with them what functions have kept in them: its destructors may hold locks, too."""
    global n_looked_at
    if (bare := loaded("amorsize.engine.bare")) is not None:  # else none was started
        bare.settle()
        bare.shutdown()
    n_python = len(sys._current_frames())
    if n_python > 1:
        return f"{n_python - 1} other threads are alive, and a lock that one holds would never open in a forked worker"
    if not held.is_main_thread():
        return "this is not the main thread"
    n_native = alive.n_native()
    if n_native is None:
        return "/proc does not tell how many native threads are alive"
    n_looked_at = n_native
    if n_native > 1:
        n_native = _without_the_ending(n_native, 1 + _surviving_threads())
    return None if n_native == 1 else f"{n_native - 1} native threads are alive that do not belong to a known BLAS pool"


def _without_the_ending(n_native: int, n_allowed: int) -> int:
    """Return 1 where no native thread is in the way, else how many there are.

    A Python thread that has been joined is still a native one for up to 3 ms. Those that do not end are not waited for
    again.
    """
    global _n_that_stay
    until_s = perf_counter() + (ENDED_S if n_native > _n_that_stay else 0.0)
    while n_native > n_allowed and perf_counter() < until_s:
        sleep(1e-4)
        n_native = alive.n_native() or n_native
    if n_native <= n_allowed:
        return 1
    _n_that_stay = n_native
    return n_native


def _surviving_threads() -> int:
    """Return how many native threads a fork leaves alone. Looked up once for the same ones, if all show whose they are:
    2 ms where pandas is loaded, which maps hundreds of files."""
    global _surviving
    try:
        numbers = os.listdir("/proc/self/task")
    except OSError as error:  # no descriptor is left
        if error.errno is None:  # a signal handler's
            raise
        return 0
    if _surviving[0] != numbers:
        names = {number: read_kernel_file(f"/proc/self/task/{number}/comm") or b"" for number in numbers}
        unnamed = [number for number in numbers if names[number].strip() not in THREADS_THAT_SURVIVE]
        n_pooled, is_sure = _threads_of_surviving_pools([number for number in unnamed if number != str(os.getpid())])
        _surviving = (numbers if is_sure else []), len(numbers) - len(unnamed) + n_pooled
    return _surviving[1]


def _threads_of_surviving_pools(numbers: list[str]) -> tuple[int, bool]:
    """Return how many of these threads belong to loaded pools that survive a fork, and whether another look would tell
    nothing new.

    Those of OpenBLAS show it by where they wait. Of those that are at work, and of pools that do not tell, as many are
    taken for theirs as they may have started: one a core each, less the caller.
    """
    lines = (read_kernel_file("/proc/self/maps") or b"").splitlines()
    files = {line.rpartition(b"/")[2] for line in lines if b".so" in line}
    pools = [name for name in files if any(pool in name for pool in POOLS_THAT_SURVIVE)]
    if not pools or not numbers:
        return 0, True
    tells = not any(b"ld-musl" in name for name in files)  # its threads wait at an address on their own stack
    waits = [_waits_at(number) if tells else None for number in numbers]
    n_busy, homes = waits.count(None), _homes(lines)
    n_at_home = sum(any(low <= at < high for low, high in homes) for at in waits if at is not None)
    if any(POOL_THAT_HANGS in name for name in files):
        return n_at_home, not n_busy
    n_each = (os.cpu_count() or 1) - 1
    n_telling = sum(POOL_WITH_A_HOME in name for name in pools)
    return n_at_home + min(n_busy, n_telling * n_each) + (len(pools) - n_telling) * n_each, True


def _homes(lines: list[bytes]) -> list[tuple[int, int]]:
    """Return first and last address of the data of pools that have a home: its file's, and nameless memory behind."""
    homes, is_home, end = [], False, b""
    for line in lines:
        words = line.split(None, 5)
        low, _, high = words[0].partition(b"-")
        if len(words) > 5:
            is_home = POOL_WITH_A_HOME in words[5].rpartition(b"/")[2]
        elif low != end:
            is_home = False
        if is_home:
            homes.append((int(low, 16), int(high, 16)))
        end = high
    return homes


def _waits_at(number: str) -> int | None:
    """Return the address at which a thread waits; None where it is at work, has ended, or nothing tells."""
    words = (read_kernel_file(f"/proc/self/task/{number}/syscall") or b"").split()
    return int(words[1], 16) if len(words) > 3 and words[0] not in YIELDS else None


def _unsafe_modules() -> str | None:
    for name in FORK_UNSAFE.keys() & sys.modules.keys():
        return f"{name} is loaded: {FORK_UNSAFE[name]}"
    torch = sys.modules.get("torch.cuda")
    if torch is not None and torch.is_initialized():
        return "torch has a CUDA context, which does not survive a fork"
    return None
