"""Examine this machine for `amorsize doctor`: read the facts, measure the costs, judge nothing."""

from __future__ import annotations

import os
import sys
from time import perf_counter

from amorsize.calibration.costs import Unmeasured
from amorsize.clocks import usable_cpus
from amorsize.engine import safety
from amorsize.engine.spawn import launch
from amorsize.identity.machine import capacity, machine
from amorsize.options import Options, resolve
from amorsize.report.diagnosis import Diagnosis, Workers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.records import Capacity
    from amorsize.report.diagnosis import StoreState


def examine(store: StoreState) -> Diagnosis:
    """Return what can be found out; where workers can be started it starts some, for half a second in all.

    Args:
        store: what is kept here, as somebody else has found out.
    """
    options, wrong_setting = _environment()
    physical_cores, total_bytes = _whole_machine()
    room, load, refusal = capacity(perf_counter()), _load(), safety.refusal()
    return Diagnosis(
        machine=machine(),
        capacity=room,
        logical_cores=os.cpu_count(),
        physical_cores=physical_cores,
        affinity_cores=_affinity_cores(),
        total_bytes=total_bytes,
        address_space_bytes=_address_space_bytes(),
        load=load,
        start_methods=_start_methods(),
        refusal=refusal,
        launch_refusal=launch.refusal(),
        workers=_workers(room, refusal),
        n_jobs_ceiling=options.n_jobs_ceiling,
        is_disabled=options.disabled,
        wrong_setting=wrong_setting,
        store=store,
    )


def _environment() -> tuple[Options, str | None]:
    """Return the options that hold where nobody gives any, and what is wrong with those in the environment."""
    try:
        return resolve({}, {}, {}), None
    except ValueError as error:
        return Options(), str(error)


def _workers(room: Capacity, refusal: str | None) -> Workers | None:
    """Return what starting some workers shows; None where that is refused."""
    if refusal is not None or sys.platform != "linux":  # elsewhere `refusal` says so; what follows is for Linux alone
        return None
    from amorsize.engine import counter, probe

    fault: BaseException | None = None
    counter_fault: str | None = None
    try:
        costs, is_measured = probe.measure(room), True
    except Unmeasured as error:
        costs, is_measured, fault = error.costs, False, error.__cause__
    try:
        counter_fault = probe.counter_fault()
    except OSError as error:
        fault = error
    kind = "a file offset, without a lock" if counter.offsets_are_serialised() else "a number in a file, under a lock"
    return Workers(
        counter=kind,
        counter_fault=counter_fault,
        fault=None if fault is None else getattr(fault, "strerror", None) or str(fault),
        fault_number=getattr(fault, "errno", None),
        costs=costs,
        is_measured=is_measured,
    )


def _whole_machine() -> tuple[int | None, int | None]:
    """Return physical cores and bytes of memory of the whole machine."""
    try:
        import psutil
    except ImportError:  # installed with amorsize, but it cannot be built everywhere
        return None, None
    try:
        return psutil.cpu_count(logical=False), psutil.virtual_memory().total
    except OSError:  # in a sandbox without /proc: neither is told
        return None, None


def _affinity_cores() -> int | None:
    if sys.platform != "linux":
        return None
    return len(usable_cpus())


def _load() -> float | None:
    """Return how many processes wanted to run, averaged over the last minute."""
    if sys.platform == "win32":
        return None
    try:
        return os.getloadavg()[0]
    except OSError:  # a system that does not tell
        return None


def _address_space_bytes() -> int | None:
    if sys.platform == "win32":
        return None
    try:
        import resource
    except ImportError:  # a Python built without it
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def _start_methods() -> tuple[str, ...]:
    import multiprocessing

    return tuple(multiprocessing.get_all_start_methods())
