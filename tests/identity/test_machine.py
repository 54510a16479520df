"""What this machine is, and how much of it may be used, from planted kernel files."""

from __future__ import annotations

import mmap
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from amorsize.identity.cgroup import free_bytes, quota_cores, read_text
from amorsize.identity.machine import (
    available_bytes,
    capacity,
    cpu_facts,
    machine,
    n_allowed_cores,
    n_physical_cores,
    read_capacity,
    resident_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Callable

NOT_LINUX = "reads the Linux kernel's own files"


def plant(root: Path, files: dict[str, str]) -> str:
    """Write files below a folder; return the folder."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


# ---- the machine


def test_every_process_finds_the_same_machine(fresh_python: Callable[..., str]) -> None:
    found = fresh_python("-c", "from amorsize.identity.machine import machine; print(machine().digest)").strip()
    assert found == machine().digest
    assert re.fullmatch("[0-9a-f]{32}", found)


def test_the_description_names_cpu_system_and_python() -> None:
    assert sys.platform in machine().description
    assert "{}.{}.{}".format(*sys.version_info) in machine().description


def test_the_number_of_cores_is_no_part_of_the_machine() -> None:
    one = "vendor_id : A\nmodel name\t: Fast CPU\ncpu MHz : 2000.1\nflags : a b\n\n"
    two = "vendor_id : A\nmodel name\t: Fast CPU\ncpu MHz : 3100.7\nflags : a b\n\nprocessor : 1\nflags : c\n"
    assert cpu_facts(one) == cpu_facts(two) == {"vendor_id": "A", "model name": "Fast CPU", "flags": "a b"}


# ---- the capacity of this process


def test_this_process_has_at_least_one_core() -> None:
    assert 1 <= capacity(0.0).n_cores <= (os.cpu_count() or 1)


def test_a_lowered_affinity_is_seen_at_once() -> None:
    if sys.platform != "linux":
        pytest.skip(NOT_LINUX)
    cpus = os.sched_getaffinity(0)
    before = capacity(1000.0)
    try:
        os.sched_setaffinity(0, [min(cpus)])
        assert capacity(1000.0).n_cores == 1
    finally:
        os.sched_setaffinity(0, cpus)
    assert capacity(1000.0).n_cores == before.n_cores


def test_what_the_environment_and_the_kernel_s_files_say_is_believed_for_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if capacity(1500.0).n_cores < 2:
        pytest.skip("there is one core, and no less")
    with monkeypatch.context() as changed:
        changed.setenv("PYTHON_CPU_COUNT", "1")
        assert capacity(1500.9).n_cores > 1
        assert capacity(1501.1).n_cores == 1
    assert capacity(1503.0).n_cores > 1


def test_resident_memory_is_believed_for_a_millisecond() -> None:
    if sys.platform != "linux":
        pytest.skip(NOT_LINUX)
    before = capacity(2000.0).rss_bytes
    held = b"x" * (64 << 20)
    assert capacity(2000.0009).rss_bytes == before
    after = capacity(2000.0011).rss_bytes
    assert before is not None
    assert after is not None
    assert after - before > len(held) // 2


def test_who_does_not_fork_is_not_told_of_new_resident_memory() -> None:
    if sys.platform != "linux":
        pytest.skip(NOT_LINUX)
    before = capacity(2500.0)
    held = b"x" * (64 << 20)
    assert capacity(2500.5, forks=False) is before
    assert capacity(2500.5).rss_bytes != before.rss_bytes
    assert held


@pytest.mark.fault("R13")
@pytest.mark.parametrize(
    ("environment", "n_cores"),
    [
        ({}, 8),
        ({"PYTHON_CPU_COUNT": "3"}, 3),
        ({"PYTHON_CPU_COUNT": "30"}, 8),
        ({"PYTHON_CPU_COUNT": "default"}, 8),
        ({"PYTHON_CPU_COUNT": "0"}, 8),
        ({"SLURM_CPUS_PER_TASK": "2"}, 2),
        ({"SLURM_CPUS_PER_TASK": "²"}, 8),
        ({"SLURM_CPUS_PER_TASK": "2", "PYTHON_CPU_COUNT": "4"}, 2),
        ({"PYTEST_XDIST_WORKER_COUNT": "3"}, 2),
        ({"PYTEST_XDIST_WORKER_COUNT": "16"}, 1),
        ({"PYTEST_XDIST_WORKER_COUNT": "2", "PYTHON_CPU_COUNT": "4"}, 2),
    ],
)
def test_the_environment_is_a_ceiling(environment: dict[str, str], n_cores: int) -> None:
    assert n_allowed_cores(8, environment) == n_cores


def test_hyper_threads_of_one_core_count_once(tmp_path: Path) -> None:
    folder = plant(
        tmp_path, {f"cpu{cpu}/topology/thread_siblings_list": f"{cpu % 2},{cpu % 2 + 2}\n" for cpu in range(4)}
    )
    assert n_physical_cores(frozenset(range(4)), folder) == 2
    assert n_physical_cores(frozenset({0, 2}), folder) == 1
    assert n_physical_cores(frozenset(range(5)), folder) is None


def test_everything_is_read_from_the_kernel_s_files(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip(NOT_LINUX)
    proc = plant(
        tmp_path / "proc",
        {
            "self/cgroup": "0::/app\n",
            "meminfo": "MemTotal: 9000 kB\nMemAvailable:    4000 kB\nBuffers: 1 kB\n",
            "self/statm": "10000 4600 2000 4 5 6 7\n",
        },
    )
    sysfs = plant(
        tmp_path / "sys",
        {
            "fs/cgroup/app/cpu.max": "150000 100000\n",
            "fs/cgroup/app/memory.max": "3000000\n",
            "fs/cgroup/app/memory.current": "1000000\n",
            "devices/system/cpu/cpu0/topology/thread_siblings_list": "0\n",
        },
    )
    found = read_capacity(frozenset({0}), {}, proc, sysfs)
    assert found.n_cores == 1
    assert found.quota_cores == 1.5
    assert found.physical_cores == 1
    assert found.memory_bytes == 2_000_000
    assert found.rss_bytes is not None
    assert found.rss_bytes % (1 << 20) == 0  # in whole MB: less makes no difference, and would be no known plan's
    assert 0 <= 2600 * os.sysconf("SC_PAGE_SIZE") - found.rss_bytes < 1 << 20


@pytest.mark.skipif(sys.platform != "linux", reason=NOT_LINUX)
def test_pages_that_are_shared_do_not_make_a_fork_longer() -> None:
    before = resident_bytes("/proc") or 0
    with mmap.mmap(-1, 64 << 20) as shared:
        shared[:: mmap.PAGESIZE] = b"x" * len(shared[:: mmap.PAGESIZE])
        assert (resident_bytes("/proc") or 0) - before < 32 << 20


def test_without_any_of_the_kernel_s_files_only_the_cores_are_known(tmp_path: Path) -> None:
    found = read_capacity(frozenset({0, 1}), {}, str(tmp_path), str(tmp_path))
    assert found.n_cores == 2
    assert [found.quota_cores, found.physical_cores, found.memory_bytes, found.rss_bytes] == [None] * 4


def test_old_and_empty_kernel_files_tell_nothing(tmp_path: Path) -> None:
    assert available_bytes("MemTotal: 9000 kB\n") is None
    assert resident_bytes(plant(tmp_path, {"self/statm": ""})) is None
    assert read_text(str(tmp_path)) is None


# ---- control groups


@pytest.mark.parametrize(
    ("own", "parent", "quota"),
    [
        ("max 100000", "max 100000", None),
        ("50000 100000", "max 100000", 0.5),
        ("max 100000", "250000 100000", 2.5),
        ("400000 100000", "100000 50000", 2.0),
        ("nonsense", "max", None),
    ],
)
def test_the_smallest_quota_from_the_own_group_up_to_the_root_counts(
    own: str, parent: str, quota: float | None, tmp_path: Path
) -> None:
    root = plant(tmp_path, {"a/b/cpu.max": own, "a/cpu.max": parent})
    assert quota_cores("0::/a/b\n", root) == quota


def test_a_quota_of_version_1_is_read(tmp_path: Path) -> None:
    groups = "5:cpu,cpuacct:/job\n4:memory:/job\n1:name=systemd:/x\n0::/\n"
    files = {
        "cpu,cpuacct/job/cpu.cfs_quota_us": "75000\n",
        "cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
        "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    }
    assert quota_cores(groups, plant(tmp_path, files)) == 0.75


def test_the_host_s_path_that_does_not_exist_in_a_container_leads_to_the_root(tmp_path: Path) -> None:
    root = plant(tmp_path, {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"})
    assert quota_cores("3:cpu:/docker/0123abcd\n", root) == 2.0


def test_a_path_does_not_lead_out_of_the_mount(tmp_path: Path) -> None:
    plant(tmp_path, {"cpu.max": "50000 100000", "root/keep": ""})
    assert quota_cores("0::/../..\n", str(tmp_path / "root")) is None


def test_memory_is_the_limit_less_what_is_used_and_cannot_be_dropped(tmp_path: Path) -> None:
    root = plant(
        tmp_path,
        {
            "a/memory.max": "1000",
            "a/memory.current": "700",
            "a/memory.stat": "anon 400\ninactive_file 200\nactive_file 100\n",
            "memory.max": "max",
            "memory.current": "9000",
        },
    )
    assert free_bytes("0::/a\n", root) == 500


def test_memory_of_version_1_is_read_and_its_number_for_no_limit_is_known(tmp_path: Path) -> None:
    files = {
        "memory/a/memory.limit_in_bytes": "1000",
        "memory/a/memory.usage_in_bytes": "1600",
        "memory/a/memory.stat": "inactive_file 10\ntotal_inactive_file 20\n",
        "memory/memory.limit_in_bytes": "9223372036854771712",
        "memory/memory.usage_in_bytes": "5000",
    }
    root = plant(tmp_path, files)
    assert free_bytes("4:memory:/a\n", root) == 0
    assert free_bytes("4:memory:/\n", root) is None
