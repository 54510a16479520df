"""What this machine charges, measured with the engine's own pieces."""

from __future__ import annotations

import os
import sys

import pytest

if sys.platform != "linux" or not hasattr(os, "fork") or not hasattr(os, "memfd_create"):
    pytest.skip("forked workers exist on Linux only", allow_module_level=True)

from amorsize.calibration.costs import Costs, Unmeasured
from amorsize.engine import pools, probe, safety
from amorsize.records import Capacity

MB = 2**20

ROOM = Capacity(n_cores=2, rss_bytes=30 * MB)


def no_room(_name: str) -> int:
    raise OSError("no room")


@pytest.fixture(scope="module")
def measured() -> Costs:
    return probe.measure(ROOM)


def test_every_price_of_processes_is_measured(measured: Costs) -> None:
    assumed = Costs()
    # What a thread costs among a hundred others shows in no probe of a few, and is a part of the items' own seconds;
    # what a fresh interpreter costs depends on what the function imports: real runs tell.
    untold = ("crowding", "thread_s", "wake_s", "switch_s", "spawn_s")
    prices = [name for name, _ in assumed.items() if name not in untold]
    assert [name for name in prices if getattr(measured, name) == getattr(assumed, name)] == []


def test_every_price_is_one_that_a_machine_can_have(measured: Costs) -> None:
    """Bounds of reason, two powers of ten around the defaults: a missing division would be a factor of 200 and more."""
    assumed = Costs()
    for name in ("range_s", "publish_s", "drain_s", "encode_s", "decode_s", "byte_s", "pool_chunk_s", "pool_item_s"):
        assert getattr(assumed, name) / 100 < getattr(measured, name) < getattr(assumed, name) * 100, name
    assert 10e-6 < measured.start_s(30 * MB) < 1.0
    assert 100e-6 < measured.pool_s + measured.pool_worker_s < 1.0


def test_crowding_is_measured_up_to_all_cores(measured: Costs) -> None:
    assert [n_jobs for n_jobs, _ in measured.crowding] == [2]
    assert all(slower >= 1.0 for _, slower in measured.crowding)


def test_a_single_core_is_never_crowded() -> None:
    assert probe.crowding(1) == ()


def test_without_the_resident_memory_all_of_a_start_is_fixed() -> None:
    prices = probe.start_prices(None)
    assert prices["fork_s_per_byte"] == 0.0
    assert prices["fork_s"] > 0


def test_where_nothing_can_be_made_the_defaults_stand_and_are_not_said_to_be_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "memfd_create", no_room)
    with pytest.raises(Unmeasured, match="no room") as caught:
        probe.measure(ROOM)
    assert caught.value.costs == Costs()


def test_what_was_measured_before_room_ran_out_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "prices", lambda: no_room(""))
    with pytest.raises(Unmeasured) as caught:
        probe.measure(ROOM)
    assert caught.value.costs.fork_s != Costs().fork_s
    assert caught.value.costs.pool_s == Costs().pool_s


def test_a_worker_that_dies_measures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_answer_late", lambda *_: os._exit(9))
    with pytest.raises(Unmeasured, match="ended before it answered"):
        probe.measure(ROOM)


def test_the_shared_counter_loses_and_repeats_nothing() -> None:
    assert probe.counter_fault() is None


def test_a_counter_that_gives_out_positions_twice_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Private:
        """A counter that every process has for itself."""

        def __init__(self) -> None:
            self._position = 0

        def take(self, wanted: int) -> int:
            self._position += wanted
            return self._position - wanted

        def close(self) -> None:
            self._position = 0

    monkeypatch.setattr(probe, "open_counter", Private)
    assert probe.counter_fault(1000) == "of 1,000 positions 0 were lost and 1,000 taken twice"


def test_measuring_leaves_the_way_free_for_workers(measured: Costs) -> None:
    assert measured.crowding
    assert not safety.cores_are_taken
