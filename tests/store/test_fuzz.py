"""A real store, its bytes changed at random (faults.md R15, R16): nothing raised, and no number that nobody wrote."""

from __future__ import annotations

import math
import random
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from amorsize.calibration.costs import Costs
from amorsize.calibration.profile import Profile
from amorsize.calibration.runs import Run
from amorsize.store import rows
from amorsize.store.base import StoreError
from amorsize.store.disk import DiskStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from amorsize.records import Facts
    from amorsize.store.rows import Merge

pytestmark = pytest.mark.fault("R15", "R16")

N_FUNCTIONS = 40


def profile(number: int) -> Profile:
    """Return what a function that ran a few times is known by."""
    chance = random.Random(number)
    item_s = 10 ** chance.uniform(-6, -1)
    batches = [(2**at, 2**at * item_s * chance.uniform(0.9, 1.2)) for at in range(8)]
    known = Profile.of(batches, 1.7e9 + number).replace(cpu_share=0.98, argument_bytes=28.0, result_bytes=31.5)
    for n_items in (100, 2000):
        predicted_s = n_items * item_s * 0.6
        measured_s = predicted_s * chance.uniform(0.8, 1.2)
        known = known.ran(
            Run(
                backend="process",
                n_jobs=2,
                chunksize=50,
                n_items=n_items,
                predicted_s=predicted_s,
                measured_s=measured_s,
            )
        )
    return known


def put(facts: Facts) -> Merge:
    return lambda _: facts


class Specimen:
    """A store with what some functions and a machine are known by."""

    def __init__(self, directory: Path) -> None:
        labels: Facts = {"function": "pkg.mod:score", "input": "int", "machine": "a machine, 2 cores"}
        self.directory = directory
        self.facts: dict[str, Facts] = {
            f"profile:{number}": {**profile(number).to_facts(), **labels} for number in range(N_FUNCTIONS)
        }
        self.facts["costs:fork"] = Costs().to_facts()
        store = DiskStore(str(directory))
        assert store.update({key: put(facts) for key, facts in self.facts.items()})
        store.close()
        self.database = directory / "cache.db"
        self.whole = self.database.read_bytes()
        self.texts = {key: rows.encode(key, facts) or "" for key, facts in self.facts.items()}

    def spoilt(self, chance: random.Random) -> bytes:
        """Return the file with a few bytes changed, or its end cut off."""
        if chance.random() < 0.2:
            return self.whole[: chance.randrange(len(self.whole))]
        damaged = bytearray(self.whole)
        region = chance.choice((100, 4096, len(damaged), len(damaged)))
        for _ in range(chance.choice((1, 1, 3, 30))):
            damaged[chance.randrange(region)] = chance.randrange(256)
        return bytes(damaged)

    def forged(self, chance: random.Random) -> tuple[str, bytes]:
        """Return the file with a few bytes of one row changed, or its end blanked, and the checksum made right."""
        key = chance.choice(list(self.texts))
        text = self.texts[key]
        body = bytearray(text[rows._BODY : -1].encode())
        way = chance.random()
        if way < 0.1:
            end = chance.randrange(len(body))
            body[end:] = b" " * (len(body) - end)
        elif way < 0.6:  # numbers that nobody measured
            digits = [at for at, byte in enumerate(body) if byte in b"0123456789"]
            for at in chance.choices(digits, k=chance.choice((1, 1, 3, 9))):
                body[at] = chance.choice(b"0123456789-.e")
        else:
            for _ in range(chance.choice((1, 1, 2, 5))):
                body[chance.randrange(len(body))] = chance.choice(b'0123456789-+.eE,:"[]{}naNIft ' + bytes(range(128)))
        words = body.decode("ascii")
        row = f'[1,"{rows._checksum(key, words)}",{words}]'.encode()
        at = self.whole.index(text.encode())
        return key, self.whole[:at] + row + self.whole[at + len(row) :]

    def opened(self, content: bytes) -> DiskStore:
        """Return the store with this content."""
        self.database.write_bytes(content)
        return DiskStore(str(self.directory))


@pytest.fixture
def specimen(directory: Path) -> Specimen:
    return Specimen(directory)


def spoil(specimen: Specimen, seed: int, n_rounds: int) -> Counter[str]:
    """Spoil bytes anywhere: what is still read is what was written."""
    chance, counts = random.Random(seed), Counter[str]()
    for number in range(n_rounds):
        store = specimen.opened(specimen.spoilt(chance))
        known = store.read(list(specimen.facts))
        for key, facts in known.items():
            assert facts == specimen.facts[key], (seed, number, key)
        with suppress(StoreError):
            for key, facts in store.entries() if number % 5 == 0 else ():
                assert facts == specimen.facts.get(key), (seed, number, key)
        counts["all read" if len(known) == len(specimen.facts) else "some read" if known else "none read"] += 1
        if number % 10 == 0:
            assert store.update({"new": put({"n": 1})}), (seed, number, store.problem)
            assert store.read(["new"]) == {"new": {"n": 1}}, (seed, number)
            counts["written"] += 1
        store.close()
    return counts


def forge(specimen: Specimen, seed: int, n_rounds: int) -> Counter[str]:
    """Forge rows: they are a miss, or facts within the limits, which make a possible profile or none."""
    chance, counts = random.Random(seed), Counter[str]()
    for number in range(n_rounds):
        key, content = specimen.forged(chance)
        store = specimen.opened(content)
        known = store.read(list(specimen.facts))
        store.close()
        facts = known.pop(key, None)
        assert known == {other: specimen.facts[other] for other in specimen.facts if other != key}, (seed, number)
        counts["a miss" if facts is None else is_possible(key, facts, (seed, number))] += 1
    return counts


def is_possible(key: str, facts: Facts, where: tuple[int, int]) -> str:
    """Check that facts are what a store may keep, and that what is made of them can be reckoned with."""
    assert rows.encode(key, facts) is not None, where
    if key.startswith("costs:"):
        return "no costs" if Costs.from_facts(facts) is None else "costs"
    made = Profile.from_facts(facts)
    if made is None:
        return "no profile"
    later = made.aged(2e9).learn(profile(1))
    for known in (made, later):
        numbers = (known.item.mean, known.bound_s(-2.0), known.bound_s(2.0), known.sd_s, known.longest_of_s(10**6))
        assert all(math.isfinite(number) and number >= 0 for number in numbers), where
        assert all(run.n_jobs <= 2**16 and run.measured_s >= 0 for run in known.runs), where
        assert Profile.from_facts(known.to_facts()) == known, where
    return "a profile"


def test_some_bytes_changed_anywhere_are_a_miss_or_no_matter(specimen: Specimen) -> None:
    counts = spoil(specimen, seed=1, n_rounds=150)
    print(f"seed 1: {dict(counts)}")
    assert min(counts["all read"], counts["some read"], counts["none read"]) > 0


def test_some_forged_rows_are_a_miss_or_possible(specimen: Specimen) -> None:
    counts = forge(specimen, seed=1, n_rounds=150)
    print(f"seed 1: {dict(counts)}")
    assert min(counts["a miss"], counts["no profile"], counts["a profile"]) > 0


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("act", [spoil, forge])
@pytest.mark.parametrize("seed", [2, 3])
def test_ten_thousand_changes(specimen: Specimen, act: Callable[[Specimen, int, int], Counter[str]], seed: int) -> None:
    counts = act(specimen, seed, 2500)
    print(f"seed {seed}: {dict(counts)}")
    assert sum(counts.values()) >= 2500
