"""What threads on other cores have used up to now, how many of them cannot, those of ours that rest, and which cores
there are."""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

THREADS_CPU_CLOCK = 6
"""Linux's number for the CPU clock of a thread, below its complemented id (`pthread_getcpuclockid` in C)."""

LINKS_OF_NONE = 3
"""Links of the folder of a process's threads where there are no others: its own two, and one a thread."""

MOST_ASKED = 64
"""Threads that are asked for what they have used, at 0.5 us each, those that rest not counted: any library's pool."""


def loaded(module: str) -> "Any":  # Any: a module, whose names are known where it is asked for
    """Return a module that is there, all of it; None before, also while another thread is loading it."""
    found = sys.modules.get(module)
    return None if found is None or getattr(found.__spec__, "_initializing", False) else found


def n_resting() -> int:
    """Return how many threads of ours wait for the next call."""
    bare = loaded("amorsize.engine.bare")
    return 0 if bare is None else bare.n_resting()


def usable_cpus() -> frozenset[int]:
    """Return the numbers of the CPUs that this thread may run on; of all, where the system does not tell."""
    if sys.platform == "linux":
        try:
            return frozenset(os.sched_getaffinity(0))
        except OSError as error:  # a sandbox forbids to ask
            if error.errno is None:  # a signal handler's
                raise
    return frozenset(range(os.cpu_count() or 1))


if sys.platform == "linux":
    from time import clock_gettime

    def count_now() -> None:
        """Have the kernel count what other threads have used up to now, so that `process_time` tells it.

        It does so when they leave their core, at each tick of its clock, and when somebody asks for theirs alone. Of
        two items of 1.3 ms that both cores computed, ticks 4 ms apart saw all or nothing: one cold call in four took
        them for those of a single thread, gave them to two workers, and lasted nine times as long. Takes 2 us where
        there are no others.
        """
        try:
            idle = n_resting()
            if os.stat("/proc/self/task").st_nlink > LINKS_OF_NONE + idle:
                for thread in os.listdir("/proc/self/task")[: MOST_ASKED + idle]:
                    clock_gettime(~int(thread) << 3 | THREADS_CPU_CLOCK)
        except OSError as error:  # no such folder, or one has just ended: what the others use counts at the next tick
            if error.errno is None:  # a signal handler's
                raise

else:

    def count_now() -> None:
        """Do nothing: no other system is known to be late by more than it tells."""
