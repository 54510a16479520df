"""Where this ran, and who else was using it."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from importlib import metadata
from time import perf_counter

import psutil

import amorsize


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a figure depends on beside the code.

    Attributes:
        amorsize: version of amorsize.
        python: implementation and version.
        system: operating system and architecture.
        processor: what the processor calls itself.
        n_cores: cores that this process may use.
        n_machine_cores: cores that the machine has.
        load: runnable processes, averaged over the last minute.
        packages: versions of the peers' packages that are installed.
    """

    amorsize: str
    python: str
    system: str
    processor: str
    n_cores: int
    n_machine_cores: int
    load: float
    packages: dict[str, str]

    @classmethod
    def now(cls) -> Surroundings:
        """Look around."""
        return cls(
            amorsize=amorsize.__version__,
            python=f"{platform.python_implementation()} {platform.python_version()}",
            system=f"{platform.system()} {platform.machine()}",
            processor=_processor(),
            n_cores=usable_cores(),
            n_machine_cores=os.cpu_count() or 1,
            load=round(psutil.getloadavg()[0], 2),
            packages=_versions("diskcache", "psutil", "joblib", "loky", "mpire", "numpy"),
        )


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except FileNotFoundError:
        named = []  # no Linux
    return named[0] if named else platform.processor() or "unknown processor"


def _versions(*packages: str) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue  # an optional peer
    return found


class OthersWatch:
    """Tells how many cores other processes, and other guests of the same host, have used since it was made."""

    def __init__(self) -> None:
        self._began_s = perf_counter()
        self._busy_s, self._own_s = _busy_s(), _own_s()

    def cores(self) -> float | None:
        """Return cores, averaged; None where this process may not use all that the counts are about."""
        if usable_cores() != os.cpu_count():
            return None
        busy_s, own_s = _busy_s() - self._busy_s, _own_s() - self._own_s
        return max(0.0, (busy_s - own_s) / (perf_counter() - self._began_s))


def _busy_s() -> float:
    """Return the seconds that all cores together have worked, or were kept from working by the host."""
    times = psutil.cpu_times()
    names = ("user", "nice", "system", "irq", "softirq", "steal")
    return sum(float(getattr(times, name, 0.0)) for name in names)


def _own_s() -> float:
    """Return the seconds that this process and its ended children have worked."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
