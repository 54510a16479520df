"""Carry what was learned to another machine, or back to this one, where it becomes a first guess.

    rows ─> export_to ─> file ─> import_from ─> a prior for each function and kind of input that is not known here

A prior is worth two samples, so the first run outvotes it. What is known here stays as it is, and so does every row of
other machines and versions. What another machine charges for workers is no guess for this one, and is left out.
"""

from __future__ import annotations

import os
import re
from errno import EINVAL
from time import time

from amorsize.calibration.costs import Costs
from amorsize.calibration.profile import Profile
from amorsize.identity.machine import machine
from amorsize.store.parcel import MOST_CHARS, Damaged, pack, unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from amorsize.records import Facts, Machine
    from amorsize.store.disk import DiskStore
    from amorsize.store.rows import Merge

_PROFILE = re.compile("profile:([0-9a-f]{32}):[0-9a-f]{32}:([0-9a-f]{12})")
_COSTS = re.compile("costs:([0-9a-f]{32}):[a-z]{1,16}")


def export_to(file: str, entries: Iterable[tuple[str, Facts]]) -> int:
    """Write a store's rows into a file, which appears when it is whole; return how many these are.

    Raises:
        OSError: where it cannot be written.
    """
    kept = [(key, facts) for key, facts in entries if _PROFILE.fullmatch(key) or _COSTS.fullmatch(key)]
    if os.path.lexists(file) and not os.path.isfile(file):  # a device or a pipe would be replaced
        raise OSError(EINVAL, "it is there, and no regular file")
    unfinished = f"{file}.{os.getpid()}.tmp"
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as whole:
            whole.write(pack(kept))
        os.replace(unfinished, file)
    except BaseException:  # a full disk, or Ctrl-C, which may come when all is done
        if os.path.exists(unfinished):
            os.unlink(unfinished)
        raise
    return len(kept)


def import_from(file: str, store: DiskStore) -> tuple[int, int]:
    """Keep what the file tells of functions that are not known here; return how many rows that were, and all others.

    Raises:
        Damaged: for a file that `export_to` has not written; nothing is kept of it.
        OSError: where it cannot be read.
    """
    with open(file, "rb") as opened:
        try:
            text = opened.read(MOST_CHARS + 1).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Damaged("it is no text") from error
    packed = unpack(text)
    place = machine()
    priors = {**_profiles(packed, place, time()), **_costs(packed, place)}
    before = store.read(list(priors))
    known = {key for key, facts in before.items() if _is_known(facts)}
    store.update({key: _unless_known(prior) for key, prior in priors.items() if key not in known})
    n_new = len(priors) - len(known)
    return n_new, len(packed) - n_new


def _profiles(packed: Mapping[str, Facts], place: Machine, now_s: float) -> dict[str, Facts]:
    """Return a prior for this machine by key, from all the machines that a text tells of."""
    found: dict[str, Profile] = {}
    labels: dict[str, Facts] = {}
    for key, facts in packed.items():
        named = _PROFILE.fullmatch(key)
        if named is None:
            continue
        profile, function, kind = Profile.from_facts(facts), facts.get("function"), facts.get("input")
        if profile is None or not profile.is_known or not isinstance(function, str) or not isinstance(kind, str):
            raise Damaged(f"the row {key} tells nothing that can be true")
        here = f"profile:{named[1]}:{place.digest}:{named[2]}"
        found[here] = found.get(here, Profile.empty()).merge(profile)
        labels[here] = {"function": function, "input": kind, "machine": place.description}
    return {key: {**profile.as_prior(now_s).to_facts(), **labels[key]} for key, profile in found.items()}


def _costs(packed: Mapping[str, Facts], place: Machine) -> dict[str, Facts]:
    """Return the prices of this very machine by key."""
    found: dict[str, Facts] = {}
    for key, facts in packed.items():
        named = _COSTS.fullmatch(key)
        if named is None:
            if _PROFILE.fullmatch(key) is None:
                raise Damaged(f"the row {key} is about nothing that amorsize keeps")
            continue
        costs = Costs.from_facts(facts)
        if costs is None:
            raise Damaged(f"the row {key} tells nothing that can be true")
        if named[1] == place.digest:
            found[key] = costs.to_facts()
    return found


def _is_known(facts: Facts | None) -> bool:
    profile = Profile.from_facts(facts)
    return (profile is not None and profile.is_known) or Costs.from_facts(facts) is not None


def _unless_known(prior: Facts) -> Merge:
    """Return a merge that keeps what somebody may have learned in between."""
    return lambda facts: prior if facts is None or not _is_known(facts) else facts
