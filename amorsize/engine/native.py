"""Keep the native threads of BLAS and OpenMP libraries within the cores while workers run (needs `threadpoolctl`)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def limit(n_threads: int | None) -> Callable[[], None]:
    """Let each loaded library use at most so many threads, None for any number; return what gives it back what it had.

    Holds for the whole process, and for what is forked from it meanwhile. A library that may use fewer already keeps
    its number. Does nothing where `threadpoolctl` is not installed. Takes 5 ms, and 8 ms more to load it.
    """
    if n_threads is None:
        return lambda: None
    try:
        import threadpoolctl
    except ImportError:
        return lambda: None
    try:
        loaded = threadpoolctl.threadpool_info()
    except (OSError, TypeError) as error:  # it reads a file of the system's: no descriptor is left, or a mock is `open`
        if getattr(error, "errno", 0) is None:  # a signal handler's
            raise
        return lambda: None
    found = [pool for pool in loaded if pool["num_threads"] > n_threads]
    if not found:
        return lambda: None
    limits = threadpoolctl.threadpool_limits(limits={pool["prefix"]: n_threads for pool in found})
    restore: Callable[[], None] = limits.restore_original_limits
    return restore
