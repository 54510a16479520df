"""Tell what this machine is, and how much of it this process may use now. Facts are read, never measured.

machine()        what cannot change while a process lives: CPU, system, Python      read once
capacity(now_s)  quota, free memory                                                 read at most once a second
                 resident memory of this process's own                              read at most once a ms
                 affinity                                                           asked for each time
"""

from __future__ import annotations

import os
import sys
from _blake2 import blake2b

from amorsize.clocks import usable_cpus
from amorsize.identity.cgroup import free_bytes, quota_cores, read_text
from amorsize.records import Capacity, Machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# Seconds for which quota and free memory are believed. Reading them again takes 0.1 to 0.3 ms; a plan made from a quota
# that has just shrunk is put right by the engine's retreat. Affinity is asked for each time: that takes 0.6 us.
_BELIEVED_S = 1.0

# Seconds for which resident memory is believed. Reading it takes 5 us, and calls of 0.1 ms come one after the other; in
# that time a program touches 10 MB at most, which make a fork 0.3 ms longer than expected.
_RESIDENT_BELIEVED_S = 1e-3

# Bytes of resident memory that make no difference: 0.016 ms of a fork. With each page told apart, hardly any call would
# find the plan that the one before was given.
_RESIDENT_STEP = 1 << 20

# What tells one CPU from another in /proc/cpuinfo, on x86 and on ARM. Clock and microcode are left out: they change.
_CPU_FIELDS = (
    "vendor_id", "cpu family", "model", "model name", "flags",
    "CPU implementer", "CPU architecture", "CPU variant", "CPU part", "Features",
)  # fmt: skip

HAS_GIL: bool = getattr(sys, "_is_gil_enabled", lambda: True)()
"""Whether threads have to take turns at running Python code."""

_machine: Machine | None = None
# When all was read, and when resident memory; for which CPUs; what was found.
_believed: tuple[float, float, frozenset[int] | None, Capacity] | None = None
_physical: dict[tuple[frozenset[int], str], int | None] = {}


def machine() -> Machine:
    """Return what decides how fast code runs here, whatever share of it is ours at the moment.

    Example:
        >>> machine() is machine()
        True
    """
    global _machine
    if _machine is None:
        cpu = cpu_facts(read_text("/proc/cpuinfo") or "") or _cpu_of_other_systems()
        architecture = _architecture()
        is_debug = hasattr(sys, "gettotalrefcount")
        python = (sys.implementation.name, sys.version, f"debug {is_debug}", f"GIL {HAS_GIL}")
        facts = (*cpu.values(), sys.platform, architecture, *python)
        model = cpu.get("model name") or cpu.get("CPU part") or "unknown CPU"
        version = ".".join(map(str, sys.version_info[:3]))
        _machine = Machine(
            digest=blake2b("\0".join(facts).encode(), digest_size=16).hexdigest(),
            description=f"{model}, {sys.platform} {architecture}, {sys.implementation.name} {version}"
            + ("" if HAS_GIL else " without GIL"),
        )
    return _machine


def cpu_facts(cpuinfo: str) -> dict[str, str]:
    """Return the fields of the first processor in the text of /proc/cpuinfo that tell one CPU from another."""
    pairs = (line.partition(":") for line in cpuinfo.partition("\n\n")[0].splitlines())
    found = {name.strip(): value.strip() for name, _, value in pairs}
    return {name: found[name] for name in _CPU_FIELDS if name in found}


def _cpu_of_other_systems() -> dict[str, str]:
    """Ask where there is no /proc/cpuinfo; empty strings stand for what is not told."""
    if sys.platform == "darwin":
        import subprocess

        try:
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            brand = subprocess.run(command, capture_output=True, text=True, timeout=1, check=True).stdout.strip()
        except (OSError, subprocess.SubprocessError):  # forbidden in a sandbox: the architecture must do
            brand = ""
        return {"model name": brand}
    return {"model name": os.environ.get("PROCESSOR_IDENTIFIER", "")}


def _architecture() -> str:
    if sys.platform == "win32":
        return os.environ.get("PROCESSOR_ARCHITECTURE", "")
    return os.uname().machine


def capacity(now_s: float, *, forks: bool = True, anew: bool = False) -> Capacity:
    """Return how much of the machine this process may use now.

    Args:
        now_s: the reading of a clock that never goes back, in seconds.
        forks: whether resident memory matters, which a fork would copy the page tables of; else it is what it was up to
            a second ago.
        anew: whether all is to be read again, however short ago that was.

    Example:
        >>> capacity(0.0).n_cores >= 1
        True
    """
    global _believed
    cpus: frozenset[int] | None = None
    if sys.platform == "linux":
        cpus = usable_cpus()
    read_s, resident_s, cpus_then, known = _believed or (now_s, now_s, None, None)
    if anew or known is None or cpus != cpus_then or not 0 <= now_s - read_s < _BELIEVED_S:
        read_s, resident_s, known = now_s, now_s, _read_anew(cpus)
    elif forks and sys.platform == "linux" and not 0 <= now_s - resident_s < _RESIDENT_BELIEVED_S:
        resident_s, rss_bytes = now_s, resident_bytes("/proc")
        if rss_bytes != known.rss_bytes:
            known = known.replace(rss_bytes=rss_bytes)
    _believed = read_s, resident_s, cpus, known
    return known


def _read_anew(cpus: frozenset[int] | None) -> Capacity:
    if cpus is not None:
        return read_capacity(cpus, os.environ)
    n_cores = n_allowed_cores(os.cpu_count() or 1, os.environ)
    try:
        import psutil
    except ImportError:  # installed with amorsize, but it cannot be built everywhere
        return Capacity(n_cores=n_cores)
    return Capacity(
        n_cores=n_cores,
        physical_cores=psutil.cpu_count(logical=False),
        memory_bytes=psutil.virtual_memory().available,
        rss_bytes=psutil.Process().memory_info().rss,
    )


def read_capacity(
    cpus: frozenset[int], environment: Mapping[str, str], proc: str = "/proc", sysfs: str = "/sys"
) -> Capacity:
    """Read from the Linux kernel's files what may be used.

    Args:
        cpus: numbers of the CPUs that the process may run on.
        environment: the environment's variables; some of them lower the number of cores.
        proc: where the proc file system is mounted.
        sysfs: where the sys file system is mounted.
    """
    groups, mounted = read_text(f"{proc}/self/cgroup") or "", f"{sysfs}/fs/cgroup"
    limits = (free_bytes(groups, mounted), available_bytes(read_text(f"{proc}/meminfo") or ""))
    return Capacity(
        n_cores=n_allowed_cores(len(cpus), environment),
        quota_cores=quota_cores(groups, mounted),
        physical_cores=n_physical_cores(cpus, f"{sysfs}/devices/system/cpu"),
        memory_bytes=min((limit for limit in limits if limit is not None), default=None),
        rss_bytes=resident_bytes(proc),
    )


def n_allowed_cores(n_cpus: int, environment: Mapping[str, str]) -> int:
    """Return how many of the CPUs the environment leaves: its ceilings, then one share of a pytest-xdist run."""
    ceilings = (_count(environment, name) for name in ("PYTHON_CPU_COUNT", "SLURM_CPUS_PER_TASK"))
    n_allowed = min([n_cpus, *(ceiling for ceiling in ceilings if ceiling)])
    return max(1, n_allowed // (_count(environment, "PYTEST_XDIST_WORKER_COUNT") or 1))


def _count(environment: Mapping[str, str], name: str) -> int | None:
    value = environment.get(name, "")
    return int(value) if value.isascii() and value.isdigit() else None


def n_physical_cores(cpus: frozenset[int], folder: str) -> int | None:
    """Count the cores behind these CPUs, hyper-threads of one core once; None where the kernel does not tell.

    Args:
        cpus: numbers of CPUs.
        folder: the CPUs' folder, usually /sys/devices/system/cpu.
    """
    key = (cpus, folder)
    if key not in _physical:  # one file a CPU: 0.6 ms on a machine with 64 of them
        cores = {read_text(f"{folder}/cpu{cpu}/topology/thread_siblings_list") for cpu in cpus}
        _physical[key] = None if None in cores else len(cores)
    return _physical[key]


def available_bytes(meminfo: str) -> int | None:
    """Return the memory that can be had without swapping, from the text of /proc/meminfo; None for an old kernel's."""
    _, found, rest = meminfo.partition("MemAvailable:")
    return int(rest.split(maxsplit=1)[0]) * 1024 if found else None


def resident_bytes(proc: str) -> int | None:
    """Return the resident memory that is this process's own, rounded down to what makes a difference to a fork.

    Of mapped files and of memory that is shared a fork copies no page tables: children find these pages by themselves.
    """
    fields = (read_text(f"{proc}/self/statm") or "").split()
    if len(fields) < 3 or sys.platform == "win32":
        return None
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE") // _RESIDENT_STEP * _RESIDENT_STEP
