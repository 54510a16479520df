"""Which share of its time a function computes: what tells one that waits from one that others keep from computing."""

from __future__ import annotations

import sys

from amorsize.calibration.profile import Profile
from amorsize.clocks import n_resting
from amorsize.identity.cgroup import read_text
from amorsize.inline import CPU_TELLS_FROM_S
from amorsize.planning.model import ALL_USED, NATIVE_FROM, WAITS_BELOW

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from amorsize.engine.job import Outcome
    from amorsize.inline import Timings

BUSY_OTHERS = 0.3
"""Share of a core that other threads of the program may use while the caller's own CPU share still tells something:
with more, it waits for the GIL that they hold."""

FORGETS = 0.25
"""Share of the way that what is known of native threads goes towards a call that has shown fewer. A busy machine hides
them: the caller spins while it waits for one that got no core, and its CPU time looks like that of a single thread.
Nothing makes them up. With 1.0 one such call gave them to two workers, and took five times as long as the loop; after
some eight that show none they are forgotten."""

SPINS_S = 0.15
"""For so long native threads may spin after what the program did before: a call that has lasted no longer does not tell
later ones that a function has any. It cannot tell itself, and the loop is safe."""

LOADS_FROM = 0.1
"""CPU share from which on a first item that waits may have loaded something: 50 requests, the first of which imported
what it needed, got 4 threads and took 106 ms, in the next process 123; with 16 they take 65."""

TELLING_ITEMS = 4
"""Items a thread from which on its last one, which runs alone, no longer hides how many cores the threads used."""


def queued_s() -> float | None:
    """Return for how long this thread has been ready to compute and found no core, in all; None where nothing tells.

    Takes 11 us.
    """
    fields = (read_text("/proc/thread-self/schedstat") or "").split()
    return int(fields[1]) * 1e-9 if len(fields) == 3 and fields[0] != "0" else None


class CpuShare:
    """The CPU seconds over the seconds of the items that the caller has run alone.

    Args:
        known: what earlier calls have told; None where they have not.
        queued: tells as `queued_s` does.

    Attributes:
        value: the share; None while it is not known.
        is_unsure: whether the next items will tell if the function waits, or was kept from computing.
    """

    def __init__(self, known: float | None, queued: Callable[[], float | None] = queued_s) -> None:
        self._known = known or 0.0
        self._queued = queued
        self._queued_before_s: float | None = None
        self._has_native_threads = False
        self._window: tuple[float, float, float] | None = None
        self.value: float | None = None
        self.is_unsure = False

    def look(self, timings: Timings) -> None:
        """Take in what was run since the last time."""
        window = timings.window
        if window is None or window is self._window:
            return
        self._window = window
        seconds, cpu_s, process_s = window
        was_unsure, self.is_unsure = self.is_unsure, False
        self.value = self._of(seconds, cpu_s, process_s)
        if self.value is not None and self.value < WAITS_BELOW:
            self._doubt(seconds, cpu_s, process_s, was_unsure=was_unsure)
        if timings.n_items == 1 and self.value is not None and self._may_mislead(self.value):
            self.value, self.is_unsure = None, not self._known
        if self.value is not None and WAITS_BELOW <= self.value < self._known >= NATIVE_FROM:
            self.value = self._known + FORGETS * (self.value - self._known)

    def _may_mislead(self, first: float) -> bool:
        """Tell whether the share of a first item may be that of what it loads, or of threads that still spin after what
        the program did before: then what is known holds, or the next item tells."""
        if first >= NATIVE_FROM:
            return self._known < NATIVE_FROM
        return LOADS_FROM < first < WAITS_BELOW and self._known < WAITS_BELOW

    def begin(self) -> None:
        """Be told that the next items begin now: what was queued between two looks besides them does not count."""
        if self.is_unsure or self._has_native_threads:
            self._queued_before_s = self._queued()

    def _of(self, seconds: float, cpu_s: float, process_s: float) -> float | None:
        """Return the share; where native threads work for the caller, what it is when nobody else uses the cores.

        They keep the caller busy, too; those of BLAS also spin for a while after that. Beside another program they got
        one core between them, looked like one thread, and were given to two workers: each item then took five times as
        long.
        """
        others_s = process_s - cpu_s
        if len(sys._current_frames()) - n_resting() > 1:
            return cpu_s / seconds if others_s < BUSY_OTHERS * seconds else None
        if process_s >= NATIVE_FROM * cpu_s and cpu_s >= WAITS_BELOW * seconds:
            self._has_native_threads = True
            return process_s / self._undisturbed_s(seconds, cpu_s, self._queued())
        return min(cpu_s / seconds, 1.0) if process_s < NATIVE_FROM * seconds else None

    def _undisturbed_s(self, seconds: float, cpu_s: float, queued_s: float | None) -> float:
        """Return what the items would have taken on cores of their own: at most all that this thread has ever been
        queued is left out the first time."""
        return max(seconds - ((queued_s or 0.0) - (self._queued_before_s or 0.0)), cpu_s, 1e-9)

    def _doubt(self, seconds: float, cpu_s: float, process_s: float, *, was_unsure: bool) -> None:
        """Leave out the time in which no core was free: one stall of 5 ms makes any short item look as if it waited.

        Where what is left out could explain everything, and where the system does not tell, the next items have to show
        the same.
        """
        before_s, now_s = self._queued_before_s, self._queued()
        if now_s is not None:
            undisturbed_s = self._undisturbed_s(seconds, cpu_s, now_s)
            self.value = cpu_s / undisturbed_s
            if self.value >= WAITS_BELOW and process_s >= NATIVE_FROM * cpu_s:
                self.value = process_s / undisturbed_s
        looks_busy = self.value is not None and self.value >= WAITS_BELOW
        if not was_unsure and (now_s is None or (before_s is None and looks_busy)):
            self.value, self.is_unsure = None, True


def may_be_native(cpu_share: float | None) -> bool:
    """Tell whether items were seen to use native threads, or nobody knows and NumPy, which has them, is loaded."""
    return "numpy" in sys.modules if cpu_share is None else cpu_share >= NATIVE_FROM


def lasting_share(share: float | None, known: float | None, alone_s: float) -> float | None:
    """Return the CPU share that later calls are told, of what a caller has seen in so many seconds alone."""
    if share is None or share < NATIVE_FROM or alone_s >= SPINS_S:
        return share
    return known


def own_batches(job: Outcome, known: Profile) -> list[tuple[int, float]]:
    """Return items and seconds of each range that workers have run, as if each had run alone.

    Threads that compute wait for the GIL and for cores: there an item's own seconds follow from its CPU time. Processes
    make each other's items longer where these want the same memory, or have native threads.
    """
    if job.plan.backend == "process" and known.crowding:
        longer = 1 + known.crowding * (job.plan.n_jobs - 1)
        return [(n_items, seconds / longer) for n_items, seconds in job.timings.batches]
    if job.cpu_timings is None or _waits(job, known.cpu_share):
        return job.timings.batches
    share = min(1.0, known.cpu_share or 1.0)
    return [(n_items, seconds / share) for n_items, seconds in job.cpu_timings.batches]


def seen_by_workers(job: Outcome, known: Profile, now_s: float) -> Profile:
    """Return what workers have shown of a function whose CPU share is known, or of one of which nothing is.

    Threads that wait tell the share, too: queueing for each other and for whom they ask, they take longer than one
    alone, and compute no more. With longer items and the old share, 50 requests seemed to hold the GIL twice as long as
    they do, and half as many threads enough for that.

    Args:
        job: a run that has ended.
        known: of the function; where its share is not, threads that kept no core busy wait.
        now_s: seconds since 1970.
    """
    seen = Profile.of(own_batches(job, known), now_s, starts_cold=False)
    if job.cpu_timings is None or job.timings.total_s < CPU_TELLS_FROM_S or not _waits(job, known.cpu_share):
        return seen
    return seen.replace(cpu_share=min(1.0, job.cpu_timings.total_s / job.timings.total_s))


def believed_gil_free(jobs: Sequence[Outcome], known: Profile, n_cores: float) -> float | None:
    """Return the GIL-free share that later calls are told, after what threads have shown that compute.

    A ticker gets its turn whenever the GIL is let go, for however short a moment: of functions of pandas, which do so
    in nearly every line, it tells 0.9, and two threads take as long as the loop, call after call. Where threads used
    no more cores than one thread would, the GIL was held all the time, or others used the cores: half of the way.

    Args:
        jobs: the runs of a call that threads took part in.
        known: of the function.
        n_cores: that could be used at once.
    """
    free, share = known.gil_free_share, min(1.0, known.cpu_share or 0.0)
    for job in jobs:
        few = job.timings.n_items < TELLING_ITEMS * job.plan.n_jobs
        if free is None or job.cores_used is None or few or share < WAITS_BELOW:
            continue
        used = share if job.retreat is not None else max(share, job.cores_used)
        shown = 1 - share / used
        if shown < free and used < ALL_USED * min(job.plan.n_jobs * share, n_cores):
            free = (free + shown) / 2
    return free


def _waits(job: Outcome, cpu_share: float | None) -> bool:
    return (job.cores_used or 0.0) < WAITS_BELOW if cpu_share is None else cpu_share < WAITS_BELOW
