"""What a machine offers to parallel work, what limits it, and what to do about that: facts in, words out."""

from __future__ import annotations

import errno

from amorsize.calibration.costs import Costs
from amorsize.planning.words import span
from amorsize.records import Record
from amorsize.report.text import if_known, named, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from amorsize.records import Capacity, Machine

LOW_MEMORY_BYTES = 256 * 2**20
"""Free memory for each usable core below which it is called a limit: a worker with NumPy and some data takes about this
much. Lower and swapping comes without a word; higher and every small container is told so."""

BUSY_SHARE = 0.5
"""Load over usable cores from which on the machine is called busy: half of the cores are then somebody else's."""


REPORT_IT = "set AMORSIZE_DISABLE=1, and report it"

SHORTAGES = {
    errno.EAGAIN: "raise the limit of processes (ulimit -u, the container's pids.max, systemd's TasksMax)",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "raise the system's limit of open files (sysctl fs.file-max)",
    errno.ENOMEM: "close what takes memory, or raise the container's limit",
}
"""What to do about workers that could not be started, by the system's number for the reason."""


class StoreState(Record):
    """What is kept here, and whether it can be.

    Attributes:
        directory: where; None where the environment turns the store off.
        size_bytes: what it takes on disk.
        n_records: profiles that are kept; None where not all can be read.
        functions: their functions, sorted.
        n_machines: machines that they were measured on.
        fault: why it cannot be used as it stands, in words; None where it can.
        problem: why nothing can be written, in words; None where it can.
        note: what else a person should know about where it is.
    """

    directory: str | None
    size_bytes: int = 0
    n_records: int | None = None
    functions: tuple[str, ...] = ()
    n_machines: int = 0
    fault: str | None = None
    problem: str | None = None
    note: str | None = None


class Workers(Record):
    """What was found out by starting workers here.

    Attributes:
        counter: where they take their next items from.
        counter_fault: what went wrong with it, in words; None for nothing.
        costs: prices.
        is_measured: whether all that can be measured was.
        fault: why some could not be started, in words; None where all could.
        fault_number: the system's number (`errno`) for that; None where it has none.
    """

    counter: str
    counter_fault: str | None
    costs: Costs
    is_measured: bool = True
    fault: str | None = None
    fault_number: int | None = None


class Finding(Record):
    """Something that limits parallel speed here, and what to do about it."""

    what: str
    cure: str


class Diagnosis(Record):
    """Facts about a machine as one process sees it. `None` is "not known".

    Attributes:
        machine: what it is.
        capacity: how much of it this process may use now.
        logical_cores: cores of the whole machine, hyper-threads counted.
        physical_cores: cores of the whole machine.
        affinity_cores: logical cores that this process may run on.
        total_bytes: memory of the whole machine.
        address_space_bytes: RLIMIT_AS of this process; None for no limit.
        load: processes that want to run, averaged over the last minute.
        start_methods: ways to start a process that Python has here.
        refusal: why workers cannot be forked here, in words; None where they can.
        launch_refusal: why fresh interpreters cannot be launched in their place, in words; None where they can.
        workers: what starting some has shown; None where that is refused.
        n_jobs_ceiling: set by the environment.
        is_disabled: whether the environment turns every call into the loop.
        wrong_setting: what is wrong with the environment, in words.
        store: what is kept here.
    """

    machine: Machine
    capacity: Capacity
    logical_cores: int | None
    physical_cores: int | None
    affinity_cores: int | None
    total_bytes: int | None
    address_space_bytes: int | None
    load: float | None
    start_methods: tuple[str, ...]
    refusal: str | None
    launch_refusal: str | None
    workers: Workers | None
    n_jobs_ceiling: int | None
    is_disabled: bool
    wrong_setting: str | None
    store: StoreState


def findings(seen: Diagnosis) -> list[Finding]:
    """Return what limits parallel speed, the hardest limit first."""
    found = (*_settings(seen), *_cores(seen), *_room(seen), *_store(seen))
    return [Finding(what=what, cure=cure) for what, cure in found]


def _settings(seen: Diagnosis) -> Iterator[tuple[str, str]]:
    if seen.wrong_setting is not None:
        yield seen.wrong_setting, "correct it: until then every pmap raises this"
    if seen.is_disabled:
        yield "every pmap is the plain loop: AMORSIZE_DISABLE is set", "unset it"
    if seen.refusal is not None and seen.launch_refusal is not None:
        yield f"no worker can be started: {seen.launch_refusal}", "none here: pmap is the plain loop"
    elif seen.refusal is not None:
        yield (
            f"no worker can be forked: {seen.refusal}",
            "none needed: workers are fresh interpreters, which start later and stay for the next call",
        )
    if seen.workers is not None and seen.workers.counter_fault is not None:
        yield f"this kernel fails workers: {seen.workers.counter_fault}", REPORT_IT
    if seen.workers is not None and seen.workers.fault is not None:
        cure = SHORTAGES.get(seen.workers.fault_number or 0, REPORT_IT)
        yield f"workers could not be started: {seen.workers.fault}", cure
    if seen.n_jobs_ceiling is not None and seen.n_jobs_ceiling < seen.capacity.n_cores:
        yield f"at most {seen.n_jobs_ceiling} processes: AMORSIZE_N_JOBS is set", "raise it, or unset it"


def _cores(seen: Diagnosis) -> Iterator[tuple[str, str]]:
    usable, physical = seen.capacity.n_cores, seen.capacity.physical_cores
    quota, affinity = seen.capacity.quota_cores, seen.affinity_cores
    if quota is not None and quota < usable:
        yield (
            f"a CPU quota allows the work of {quota:g} cores of {usable}",
            "raise the container's CPU limit (docker --cpus, Kubernetes limits.cpu, systemd CPUQuota)",
        )
    if affinity is not None and seen.logical_cores is not None and affinity < seen.logical_cores:
        yield (
            f"this process may run on {affinity} of {seen.logical_cores} cores",
            "widen its affinity (taskset, numactl, the container's cpuset, the batch system's request)",
        )
    if affinity is not None and usable < affinity:
        yield (
            f"the environment leaves {usable} of {affinity} cores",
            "raise or unset PYTHON_CPU_COUNT or SLURM_CPUS_PER_TASK; under pytest-xdist the cores are shared out",
        )
    if usable == 1:
        yield "one usable core: two processes would only take turns", "run where there are more"
    elif physical is not None and physical < usable:
        yield (
            f"{usable} hyper-threads share {physical} physical cores",
            "none needed: plans expect about 1.3 times the work of a core from its two threads, or what was measured",
        )


def _room(seen: Diagnosis) -> Iterator[tuple[str, str]]:
    usable, free_bytes = seen.capacity.n_cores, seen.capacity.memory_bytes
    if free_bytes is not None and free_bytes < LOW_MEMORY_BYTES * usable:
        yield (
            f"{size(free_bytes)} of memory are free for {usable} processes",
            "close what takes memory, raise the container's limit, or use a lower n_jobs for large items",
        )
    if seen.load is not None and seen.load >= BUSY_SHARE * usable:
        yield (
            f"the machine is busy: a load of {seen.load:.1f} on {usable} cores",
            "wait for other programs to end, or expect less; what is measured now is less exact",
        )


def _store(seen: Diagnosis) -> Iterator[tuple[str, str]]:
    if seen.store.directory is None:
        yield "nothing learned is kept: AMORSIZE_CACHE turns the store off", "unset it, and later runs start tuned"
    elif seen.store.fault is not None:
        yield (
            f"what was learned is of no use: {seen.store.fault}",
            "amorsize cache clear, or another AMORSIZE_CACHE_DIR",
        )
    elif seen.store.problem is not None:
        yield (
            f"nothing learned is kept: {seen.store.directory} cannot be written: {seen.store.problem}",
            "have it written by this user, or name another one in AMORSIZE_CACHE_DIR",
        )


def describe_store(store: StoreState) -> list[str]:
    """Tell the state of the store."""
    if store.directory is None:
        return named([("store", "off: AMORSIZE_CACHE is set to 0, nothing is read or kept")])
    functions = "1 function" if len(store.functions) == 1 else f"{len(store.functions)} functions"
    machines = "1 machine" if store.n_machines == 1 else f"{store.n_machines} machines"
    kept = f"{store.n_records:,} about {functions} on {machines}" if store.n_records else "none yet"
    if store.n_records is None:
        kept = "not known"
    return named(
        [
            ("store", store.directory),
            ("size", size(store.size_bytes)),
            ("records", kept),
            ("state", store.fault or if_known(store.problem, "cannot be written: {}".format) or "usable"),
            ("note", store.note),
        ]
    )


def describe_costs(costs: Costs, rss_bytes: int | None) -> list[str]:
    """Tell what this machine charges, for a process of so much resident memory."""
    return named(
        [
            ("start a worker", f"{span(costs.start_s(rss_bytes))}, and end it"),
            ("take a range", span(costs.range_s)),
            ("send results", f"{span(costs.publish_s + costs.drain_s)} a time"),
            ("send one result", f"{span(costs.encode_s + costs.decode_s)}, and {span(2e6 * costs.byte_s)} a megabyte"),
            ("start a Pool", f"{span(costs.pool_start_s(2))} (multiprocessing.Pool of two)"),
            *((f"{n_jobs} at once", f"an item takes {slower:.2f} times as long") for n_jobs, slower in costs.crowding),
        ]
    )


def _head(workers: Workers) -> str:
    if workers.is_measured:
        return "MEASURED COSTS"
    how_many = "ALL" if workers.costs == Costs() else "SOME"
    return f"COSTS, {how_many} OF THEM ASSUMED: {workers.fault}"


def describe(seen: Diagnosis) -> list[str]:
    """Tell everything: facts, measured costs, limits, and what to do."""
    room = seen.capacity
    free = if_known(room.memory_bytes, size)
    facts = named(
        [
            ("machine", seen.machine.description),
            ("cores", f"{seen.logical_cores or 'unknown'} logical, {seen.physical_cores or 'unknown'} physical"),
            ("affinity", if_known(seen.affinity_cores, "{} cores".format)),
            ("quota", "none" if room.quota_cores is None else f"{room.quota_cores:g} cores"),
            ("usable", f"{room.n_effective:g} cores"),
            ("memory", f"{free or 'unknown'} free of {if_known(seen.total_bytes, size) or 'unknown'}"),
            ("memory limit", if_known(seen.address_space_bytes, size)),
            ("this process", if_known(room.rss_bytes, size)),
            ("load", if_known(seen.load, "{:.1f}".format)),
            ("start methods", ", ".join(seen.start_methods)),
            ("fork", seen.refusal or "safe in a plain script"),
            ("spawn", seen.launch_refusal or "fresh interpreters can be launched"),
            ("counter", if_known(seen.workers, lambda workers: workers.counter)),
        ]
    )
    costs = ["", _head(seen.workers), *describe_costs(seen.workers.costs, room.rss_bytes)] if seen.workers else []
    limits = [line for found in findings(seen) for line in (f"- {found.what}", f"  cure: {found.cure}")]
    return [*facts, *costs, "", *describe_store(seen.store), "", "LIMITS", *(limits or ["- none was found"])]
