"""Facts about a machine become limits and cures."""

from __future__ import annotations

import errno

import pytest

from amorsize.calibration.costs import Costs
from amorsize.records import Capacity, Machine
from amorsize.report.diagnosis import Diagnosis, StoreState, Workers, describe, describe_store, findings

WORKERS = Workers(counter="a file offset", counter_fault=None, costs=Costs())
FREE = Diagnosis(
    machine=Machine(digest="0" * 32, description="a CPU"),
    capacity=Capacity(n_cores=8, physical_cores=8, memory_bytes=2**35, rss_bytes=2**24),
    logical_cores=8,
    physical_cores=8,
    affinity_cores=8,
    total_bytes=2**36,
    address_space_bytes=None,
    load=0.5,
    start_methods=("fork", "spawn"),
    refusal=None,
    launch_refusal=None,
    workers=WORKERS,
    n_jobs_ceiling=None,
    is_disabled=False,
    wrong_setting=None,
    store=StoreState(directory="/cache"),
)
ROOM = FREE.capacity
ALONE = FREE.replace(capacity=ROOM.replace(n_cores=1), affinity_cores=1, logical_cores=1, load=0.0)


def test_a_free_machine_has_no_limit() -> None:
    assert findings(FREE) == []
    assert describe(FREE)[-1] == "- none was found"


@pytest.mark.parametrize(
    ("seen", "what", "cure"),
    [
        (FREE.replace(capacity=ROOM.replace(quota_cores=1.5)), "quota allows the work of 1.5 cores of 8", "CPU limit"),
        (FREE.replace(affinity_cores=8, logical_cores=64), "may run on 8 of 64 cores", "affinity"),
        (FREE.replace(capacity=ROOM.replace(n_cores=2), affinity_cores=8), "leaves 2 of 8", "SLURM_CPUS_PER_TASK"),
        (ALONE, "one usable core", "more"),
        (FREE.replace(capacity=ROOM.replace(physical_cores=4)), "8 hyper-threads share 4", "none needed"),
        (FREE.replace(capacity=ROOM.replace(memory_bytes=2**30)), "1.0 GiB of memory", "n_jobs"),
        (FREE.replace(load=7.0), "load of 7.0 on 8 cores", "other programs"),
        (FREE.replace(refusal="2 other threads are alive"), "forked: 2 other threads", "fresh interpreters"),
        (FREE.replace(refusal="gRPC", launch_refusal="Python is embedded"), "started: Python is", "plain loop"),
        (FREE.replace(workers=WORKERS.replace(counter_fault="3 taken twice")), "3 taken twice", "AMORSIZE_DISABLE"),
        (FREE.replace(workers=WORKERS.replace(fault="no", fault_number=errno.EMFILE)), "started: no", "ulimit -n"),
        (FREE.replace(workers=WORKERS.replace(fault="a worker died")), "a worker died", "report it"),
        (FREE.replace(is_disabled=True), "AMORSIZE_DISABLE", "unset"),
        (FREE.replace(n_jobs_ceiling=2), "at most 2 processes", "raise"),
        (FREE.replace(wrong_setting="AMORSIZE_N_JOBS='x' is wrong"), "is wrong", "correct"),
        (FREE.replace(store=StoreState(directory=None)), "nothing learned is kept", "unset"),
        (FREE.replace(store=StoreState(directory="/cache", fault="it is a link")), "it is a link", "cache clear"),
        (FREE.replace(store=StoreState(directory="/cache", problem="full")), "written: full", "AMORSIZE_CACHE_DIR"),
    ],
)
def test_a_limit_is_named_with_its_cure(seen: Diagnosis, what: str, cure: str) -> None:
    (found,) = findings(seen)
    assert what in found.what
    assert cure in found.cure
    assert f"- {found.what}" in describe(seen)


def test_facts_that_nobody_tells_are_no_limit() -> None:
    unknown = FREE.replace(
        capacity=Capacity(n_cores=8),
        logical_cores=None,
        physical_cores=None,
        affinity_cores=None,
        total_bytes=None,
        load=None,
    )
    assert findings(unknown) == []
    assert "memory         unknown free of unknown" in describe(unknown)


def test_measured_costs_are_told_in_words() -> None:
    lines = describe(FREE.replace(workers=WORKERS.replace(costs=Costs(crowding=((2, 1.25),)))))
    assert "MEASURED COSTS" in lines
    assert any(line.startswith("start a worker") for line in lines)
    assert any(line.startswith("2 at once") and "1.25 times" in line for line in lines)


def test_costs_that_were_not_measured_are_said_to_be_assumed() -> None:
    workers = WORKERS.replace(is_measured=False, fault="no room")
    assert "COSTS, ALL OF THEM ASSUMED: no room" in describe(FREE.replace(workers=workers))
    some = workers.replace(costs=Costs(fork_s=1.0))
    assert "COSTS, SOME OF THEM ASSUMED: no room" in describe(FREE.replace(workers=some))


def test_a_store_that_is_off_says_how_it_came_to_be() -> None:
    assert "AMORSIZE_CACHE" in describe_store(StoreState(directory=None))[0]


def test_a_store_tells_what_it_holds() -> None:
    state = StoreState(directory="/cache", size_bytes=4096, n_records=3, functions=("a:f", "b:g"), n_machines=1)
    assert describe_store(state) == [
        "store    /cache",
        "size     4.0 KiB",
        "records  3 about 2 functions on 1 machine",
        "state    usable",
    ]
