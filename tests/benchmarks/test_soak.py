"""The soak: a seed says what is done, a judge says what is wrong with an outcome, a watchdog ends what hangs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from amorsize import ItemTimeout, WorkerDied
from benchmarks.soak import watchdog
from benchmarks.soak.judge import complaint
from benchmarks.soak.kinds import InputError, looped
from benchmarks.soak.plans import Fault, Kind, Plan, plan_of
from benchmarks.soak.watchdog import Tally, Watchdog

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]

PLAIN = Plan(
    number=0, kind=Kind.INTS, n_items=6, at=2, source="range", is_stream=False, is_ordered=True, taken=None, options={},
    fault=Fault.NONE, delays_s=(), stall_s=0.0, choice=0.0,
)  # fmt: skip
SQUARES = [0, 1, 4, 9, 16, 25]
DIED = WorkerDied("", first=2, stop=4)
DIED_EARLY = WorkerDied("", first=None, stop=None)


def test_a_seed_says_what_is_done_in_each_run() -> None:
    assert [plan_of(7, number) for number in range(50)] == [plan_of(7, number) for number in range(50)]
    assert [plan_of(7, number).kind for number in range(50)] != [plan_of(8, number).kind for number in range(50)]


def test_every_kind_and_every_fault_is_done_sooner_or_later() -> None:
    plans = [plan_of(1, number) for number in range(400)]
    assert {plan.kind for plan in plans} == set(Kind)
    assert {plan.fault for plan in plans} == set(Fault)


def plan(kind: Kind = Kind.INTS, fault: Fault = Fault.NONE, **options: object) -> Plan:
    return replace(PLAIN, kind=kind, fault=fault, options=options)


@pytest.mark.parametrize(
    ("done", "found", "error"),
    [
        (plan(), SQUARES, None),
        (plan(fault=Fault.KILL), SQUARES, None),
        (plan(fault=Fault.KILL), [], DIED),
        (plan(fault=Fault.KILL, on_error="return"), [0, 1, DIED, DIED, 16, 25], None),
        (plan(fault=Fault.KILL, on_error="return"), [0, 1, DIED_EARLY, DIED_EARLY, 16, 25], None),
        (plan(fault=Fault.KILL, on_error="skip"), [0, 1, 16, 25], None),
        (plan(fault=Fault.INTERRUPT), [], KeyboardInterrupt()),
        (plan(Kind.RAISES), [], ValueError()),
        (plan(Kind.DIES), [], DIED),
        (plan(Kind.WAITS, timeout=0.1), [], ItemTimeout("", index=2, timeout_s=0.1)),
        (replace(PLAIN, is_stream=True, taken=2), [0, 1], None),
        (replace(PLAIN, is_stream=True, is_ordered=False), SQUARES[::-1], None),
        (replace(plan(Kind.INPUT_FAILS, on_error="skip"), is_stream=True), [0, 1], InputError()),
    ],
)
def test_the_loop_s_results_and_errors_that_say_what_has_happened_are_right(
    done: Plan, found: Sequence[object], error: BaseException | None
) -> None:
    assert complaint(done, found, error) is None


@pytest.mark.parametrize(
    ("done", "found", "error", "what"),
    [
        (plan(), [0, 1, 4, 9, 16, 26], None, "result 5 is 26, not 25"),
        (plan(), [0, 1, 4.0, 9, 16, 25], None, "result 2 is 4.0, not 4"),
        (plan(), SQUARES[:-1], None, "1 results are missing, from item 5 on"),
        (plan(), [*SQUARES, 36], None, "one result too many: 36"),
        (plan(), [], DIED, "raised WorkerDied"),
        (plan(), [], KeyboardInterrupt(), "raised KeyboardInterrupt"),
        (plan(fault=Fault.KILL), [], OSError("pipe"), "raised OSError: pipe"),
        (plan(fault=Fault.KILL, on_error="return"), [], DIED, "raised WorkerDied"),
        (plan(fault=Fault.KILL, on_error="return"), [DIED, *SQUARES[1:]], None, "result 0 is WorkerDied"),
        (plan(on_error="return"), [0, 1, DIED, DIED, 16, 25], None, "result 2 is WorkerDied"),
        (plan(on_error="return"), [0, 1, DIED_EARLY, DIED_EARLY, 16, 25], None, "result 2 is WorkerDied"),
        (plan(on_error="skip"), [0, 1, 16, 25], None, "result 2 is 16, not 4"),
        (plan(Kind.RAISES), looped(plan(Kind.RAISES)), None, "returned, though an item fails"),
        (plan(Kind.INPUT_FAILS), SQUARES, None, "returned, though the input raises"),
        (plan(Kind.DIES, on_error="return", retries=1), [5, 6, DIED, DIED, 9, 10], None, "result 3 is WorkerDied"),
        (replace(PLAIN, is_stream=True, is_ordered=False), [0, 1, 4, 9, 16, 16], None, "a result that is none: 16"),
        (replace(PLAIN, is_stream=True, is_ordered=False), [0, 1, 4, 9, 16], None, "1 results are missing"),
    ],
)
def test_whatever_else_comes_is_complained_about(
    done: Plan, found: Sequence[object], error: BaseException | None, what: str
) -> None:
    said = complaint(done, found, error)
    assert said is not None
    assert said.startswith(what)


def first_of(fault: Fault) -> str:
    return str(next(number for number in range(1000) if plan_of(1, number).fault is fault))


@pytest.mark.slow
@pytest.mark.needs_fork
def test_a_short_soak_has_nothing_to_complain_about(tmp_path: Path) -> None:
    chosen = [argument for fault in Fault for argument in ("--run", first_of(fault))]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "soak", *chosen, "--json", str(tmp_path / "seen.json")],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 complaints" in done.stdout
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["runs"] == dict.fromkeys(Fault, 1)
    assert [check["left"] for check in seen["checks"]] == [[]]


@pytest.mark.slow
@pytest.mark.needs_fork
def test_a_run_that_hangs_is_complained_about_and_the_next_one_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "_STACKS_S", 0.01)
    tally = Tally()
    quiet = [number for number in range(99) if plan_of(1, number).fault is Fault.NONE]
    dog = Watchdog(str(tmp_path), 1, tally)
    try:
        dog.run(quiet[0])
        assert tally.complaints == []
        monkeypatch.setattr(watchdog, "_LIMIT_S", 0.2)
        os.kill(dog.pid, signal.SIGSTOP)
        dog.run(quiet[1])
        (said,) = tally.complaints
        monkeypatch.setattr(watchdog, "_LIMIT_S", 30.0)
        dog.run(quiet[2])
    finally:
        dog.close()
    assert said.startswith(f"run {quiet[1]}: HANG, seed 1")
    assert tally.complaints == [said]


@pytest.mark.needs_fork
def test_a_runner_that_ends_on_its_own_is_complained_about(tmp_path: Path) -> None:
    tally = Tally()
    quiet = next(number for number in range(99) if plan_of(1, number).fault is Fault.NONE)
    dog = Watchdog(str(tmp_path), 1, tally)
    try:
        os.kill(dog.pid, signal.SIGKILL)
        dog.run(quiet)
    finally:
        dog.close()
    assert tally.complaints == [f"run {quiet}: the caller ended, status -9"]
