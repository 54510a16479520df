"""What is done in each run: drawn from the seed and the run's number. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping


class Fault(StrEnum):
    """What is done from outside while the run is under way."""

    NONE = "nothing"
    KILL = "SIGKILL to a worker"
    STALL = "SIGSTOP, then SIGCONT, to a worker"
    INTERRUPT = "SIGINT to the caller"
    PROGRAM = "SIGKILL to another program in its runs"
    WRITER = "SIGKILL to a process that writes the store"


class Kind(StrEnum):
    """What the function does, or its items."""

    INTS = "ints"
    FLOATS = "floats"
    TEXTS = "texts"
    TUPLES = "tuples"
    BYTES = "bytes"
    MIXED = "mixed"
    SPINS = "spins"
    SLEEPS = "sleeps"
    CLOSURE = "closure"
    NESTED = "nested"
    RAISES = "raises"
    ODD_ERROR = "raises what cannot be rebuilt"
    NO_PICKLE = "returns what cannot be pickled"
    LEAVES = "raises SystemExit"
    DIES = "dies"
    DIES_ONCE = "dies once"
    WAITS = "waits for ever"
    INPUT_FAILS = "input raises"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run.

    Attributes:
        number: which one.
        kind: what is mapped.
        n_items: over how many items.
        at: the item at which something happens.
        source: `range`, `list` or `generator`.
        is_stream: pimap instead of pmap.
        is_ordered: of a stream.
        taken: results of a stream that are taken before it is closed; None for all.
        options: of the call.
        fault: what is done meanwhile.
        delays_s: seconds after the beginning at which it is done.
        stall_s: how long a stopped worker stays so.
        choice: 0..1, which worker it is done to.
    """

    number: int
    kind: Kind
    n_items: int
    at: int
    source: str
    is_stream: bool
    is_ordered: bool
    taken: int | None
    options: Mapping[str, object]
    fault: Fault
    delays_s: tuple[float, ...]
    stall_s: float
    choice: float

    @property
    def on_error(self) -> str:
        """The option."""
        return cast("str", self.options.get("on_error", "raise"))


_HOW: tuple[tuple[int, dict[str, object]], ...] = (
    (3, {}),
    (2, {"n_jobs": 2, "backend": "process", "start_method": "fork"}),
    (3, {"n_jobs": 2, "backend": "process", "start_method": "fork", "isolate": True}),
    (2, {"n_jobs": 2, "backend": "process", "start_method": "spawn", "isolate": True}),
    (2, {"n_jobs": 3, "backend": "thread"}),
    (1, {"n_jobs": 3, "isolate": True}),
    (1, {"backend": "serial"}),
)
_FAULTS = (
    (10, Fault.NONE),
    (6, Fault.KILL),
    (3, Fault.STALL),
    (3, Fault.INTERRUPT),
    (1, Fault.PROGRAM),
    (1, Fault.WRITER),
)
_ISOLATED = {"n_jobs": 2, "isolate": True}


def plan_of(seed: int, number: int) -> Plan:
    """Return what is done in a run."""
    chance = Random(f"{seed}:{number}")
    kind = chance.choice(list(Kind))
    (how,) = chance.choices([each for _, each in _HOW], [weight for weight, _ in _HOW])
    options = dict(how)
    n_items = max(4, round(10 ** chance.uniform(0.7, 3.3)))
    if kind in (Kind.SPINS, Kind.SLEEPS, Kind.NESTED, Kind.BYTES):
        n_items = min(n_items, 200)
    if chance.random() < 0.3:
        options["chunksize"] = chance.choice((1, 2, 7, 50))
    if chance.random() < 0.4 and kind is not Kind.LEAVES:
        options["on_error"] = chance.choice(("return", "skip"))
    if chance.random() < 0.3:
        options["retries"] = chance.choice((1, 2))
    if chance.random() < 0.1:
        options["cache"] = False
    at = chance.randrange(n_items)
    if kind is Kind.DIES_ONCE:
        options["retries"] = 2
    if kind in (Kind.DIES, Kind.DIES_ONCE, Kind.WAITS):
        options = {**options, **_ISOLATED, "backend": "process"}
        options.setdefault("start_method", chance.choice(("fork", "spawn")))
    if kind is Kind.WAITS:
        options["timeout"] = 0.25
        options.pop("retries", None)
    is_stream = chance.random() < 0.4
    source = "generator" if kind is Kind.INPUT_FAILS else chance.choice(("range", "list", "generator"))
    (fault,) = chance.choices([each for _, each in _FAULTS], [weight for weight, _ in _FAULTS])
    return Plan(
        number=number,
        kind=kind,
        n_items=n_items,
        at=at,
        source=source,
        is_stream=is_stream,
        is_ordered=chance.random() < 0.6,
        taken=chance.randrange(n_items) if is_stream and chance.random() < 0.2 else None,
        options=options,
        fault=fault,
        delays_s=_delays(chance, fault),
        stall_s=chance.uniform(0.01, 0.15),
        choice=chance.random(),
    )


def _delays(chance: Random, fault: Fault) -> tuple[float, ...]:
    """Return when it is done: most runs last for some milliseconds."""
    if fault in (Fault.PROGRAM, Fault.WRITER):
        return (chance.uniform(0.05, 0.3),)
    n_times = chance.choice((1, 1, 1, 2, 3)) if fault is Fault.KILL else 1
    return tuple(sorted(10 ** chance.uniform(-4, -1.2) for _ in range(n_times)))
