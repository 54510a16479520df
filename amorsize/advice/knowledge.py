"""What is known about a function before it runs, and what is kept of its run afterwards.

    look_up:  memo of this process  ->  store on disk  ->  nothing yet
    learn:    memo at once; the store after the results are ready, inside the call only where that costs < 1 % of it

Loaded only when a call has lasted long enough for a look to pay, or when an earlier call of this process has loaded it.
"""

from __future__ import annotations

import atexit
import os
import sys
from _blake2 import blake2b
from time import time

from amorsize.calibration.costs import Costs
from amorsize.calibration.facts import believable
from amorsize.calibration.profile import Profile
from amorsize.engine.held import Held
from amorsize.errors import warn_once
from amorsize.garbage import uncollected
from amorsize.identity.function import function_key
from amorsize.identity.inputs import input_class
from amorsize.identity.machine import machine
from amorsize.store.where import directory, may_hold_rows, seems_closed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from amorsize.records import Facts, FunctionKey, InputClass, Machine
    from amorsize.store.disk import DiskStore
    from amorsize.store.rows import Merge

FIRST_WRITE_S = 0.025
"""What the first write of a process costs: importing diskcache and opening its database."""

WRITE_S = 0.004
"""What a later write costs on a slow and busy machine, 1 ms on an idle one: the database is opened, checked and closed
each time, for no descriptor outlives a call."""

WRITE_SHARE = 0.01
"""A write may take this share of a call; otherwise it waits for a longer call, or for the end of the process."""

MOST_ROWS = 1024
"""Rows of which this process remembers what it knows, and for which it lets the store wait. One takes 2 KB of memory;
who works with more functions at once is told by the store again."""

_ASSUMED = Costs()
_profiles: dict[str, Profile] = {}  # by row key: what this process knows, its own runs included
_names: dict[str, str] = {}  # by row key: the function's name
_costs: dict[str, Costs] = {}  # by row key
_rows_asked: dict[tuple[str, str, str], dict[str, InputClass]] = {}
_unwritten: dict[str, dict[str, tuple[Profile | Costs, Facts]]] = {}  # by directory and row key, with its labels
_stores: dict[str, DiskStore] = {}  # by directory
_glanced_at: dict[str, bool] = {}  # by directory
_owner_pid = 0  # a child forked by the user has a copy of all this, and must not write it a second time


class Knowledge:
    """What is known about one function with one kind of input on this machine.

    Attributes:
        function: the function's key.
        profile: its statistics; empty where nothing is known.
        costs: what this machine charges for running in parallel.
        is_hit: whether anything was known.
        has_run_here: whether the function has run in this process: its first call is behind it.
    """

    def __init__(self, function: FunctionKey, kind: InputClass, place: Machine, *, cache: bool) -> None:
        self.function = function
        self._place = place
        self._kinds = _rows(function, place, kind)
        self._costs_key = f"costs:{place.digest}:fork"
        self._directory = directory() if cache else None
        self.has_run_here = any(key in _profiles for key in self._kinds)
        if not self.has_run_here and self._directory is not None:
            self._read(self._directory)
        found = [_profiles.get(key) for key in self._kinds] if cache else []  # other threads learn meanwhile
        known = [profile for profile in found if profile is not None]
        self._cache = cache
        self.profile = known[0] if known else Profile.empty()
        self.costs = _costs.get(self._costs_key, _ASSUMED)
        self.is_hit = bool(known)

    def _read(self, where: str) -> None:
        """Take from the store into the memo what this process does not know; what does not read as a profile is a
        miss."""
        if where not in _stores and not may_hold_rows(where):
            return
        store = open_store(where)
        try:
            rows = store.read([*self._kinds, self._costs_key])
        finally:  # no descriptor outlives a call
            try:
                store.close()
            finally:
                store.close()  # where Ctrl-C came on the way into the first
        for key in self._kinds:
            profile = Profile.from_facts(rows.get(key))
            if profile is not None and profile.is_known:
                now_s = believable(time())
                _profiles[key] = profile.replace(updated_s=min(profile.updated_s, now_s)).aged(now_s)
                _names[key] = self.function.name
        costs = Costs.from_facts(rows.get(self._costs_key))
        if costs is not None:
            _costs.setdefault(self._costs_key, costs)

    def learn(self, seen: Profile, costs: Costs, call_s: float) -> None:
        """Keep what a call of `call_s` seconds has shown about the function and about the machine's prices."""
        if not self._cache:
            return
        _costs[self._costs_key] = costs
        lesson = Lesson(seen)
        for key in self._kinds:
            known = _profiles.pop(key, Profile.empty())  # it moves to the end: the oldest is forgotten first
            _profiles[key] = lesson.taught(known)
            _names[key] = self.function.name
        _forget_the_oldest()
        if self._directory is None:
            return
        for key, kind in self._kinds.items():
            _keep(self._directory, key, lesson, _labels(self.function, self._place, kind))
        if costs != _ASSUMED:
            _waiting_in(self._directory)[self._costs_key] = costs, {}
        write_s = WRITE_S if "diskcache" in sys.modules else FIRST_WRITE_S
        is_due = write_s <= WRITE_SHARE * call_s or len(_unwritten.get(self._directory, ())) > MOST_ROWS
        if is_due or _is_found_closed(self._directory):
            write(self._directory)

    @property
    def complaint(self) -> str | None:
        """Why what is learned ends with this process, in words; None where it is kept, or nobody has tried yet."""
        return _complaint(_stores.get(self._directory or ""))


def look_up(func: object, sample: Sequence[object], *, cache: bool) -> Knowledge:
    """Return what is known about this function with items like these."""
    function = function_key(func, Held)  # what a signal's handler raises is no error of what is looked at
    return Knowledge(function, input_class(sample), machine(), cache=cache)


def _rows(function: FunctionKey, place: Machine, kind: InputClass) -> dict[str, InputClass]:
    """Return the kind and the one above it, by row key; those of functions seen before for 0.5 us instead of 8."""
    asked = function.digest, place.digest, kind.label
    found = _rows_asked.get(asked)
    if found is None:
        if len(_rows_asked) >= MOST_ROWS:
            _rows_asked.clear()
        kinds = (kind,) if kind.parent is None else (kind, kind.parent)
        found = _rows_asked[asked] = {_row_key(function, place, each): each for each in kinds}
    return found


def _row_key(function: FunctionKey, place: Machine, kind: InputClass) -> str:
    return f"profile:{function.digest}:{place.digest}:{blake2b(kind.label.encode(), digest_size=6).hexdigest()}"


def _labels(function: FunctionKey, place: Machine, kind: InputClass) -> Facts:
    return {"function": function.name, "input": kind.label, "machine": place.description}


def _merging(seen: Profile | Costs, labels: Facts) -> Merge:
    def merge(facts: Facts | None) -> Facts:
        if not isinstance(seen, Profile):
            return seen.to_facts()
        known = Profile.from_facts(facts) or Profile.empty()
        return {**known.learn(seen).to_facts(), **labels}

    return merge


def _forget_the_oldest() -> None:
    """Keep the memo small where functions are made in a loop: a partial for every call, say."""
    n_over = len(_profiles) - MOST_ROWS
    for oldest in list(_profiles)[:n_over] if n_over > 0 else ():
        _profiles.pop(oldest, None)
        _names.pop(oldest, None)


class Lesson:
    """What a call has shown of a function, to be learned by several rows.

    Rows that have never differed share one profile, and are taught once, for 0.03 ms: a function that is called with
    one kind of items has four, and all are equal where the store knew nothing.

    Args:
        seen: what was shown.
    """

    __slots__ = ("_seen", "_taught")

    def __init__(self, seen: Profile) -> None:
        self._seen = seen
        self._taught: dict[int, tuple[Profile, Profile]] = {}  # by identity: the one before, which keeps it, and after

    def taught(self, known: Profile) -> Profile:
        """Return what is known from now on."""
        if id(known) not in self._taught:
            self._taught[id(known)] = known, known.learn(self._seen)
        return self._taught[id(known)][1]


def _keep(where: str, key: str, lesson: Lesson, labels: Facts) -> None:
    """Remember what the store has yet to be told; what several calls have shown of one row becomes one."""
    waiting = _waiting_in(where)
    before = waiting[key][0] if key in waiting else None
    waiting[key] = lesson.taught(before if isinstance(before, Profile) else Profile.empty()), labels


def _waiting_in(where: str) -> dict[str, tuple[Profile | Costs, Facts]]:
    """Return, by row key, what a store has yet to be told."""
    global _owner_pid
    if _owner_pid != os.getpid():
        _owner_pid = os.getpid()
        _unwritten.clear()
        atexit.register(_write_at_exit, _owner_pid)
    return _unwritten.setdefault(where, {})


def _is_found_closed(where: str) -> bool:
    """Tell, once a process, whether a store seems closed: it is written at once then, for the call's report to say
    why."""
    if where in _glanced_at:
        return False
    _glanced_at[where] = True
    return seems_closed(where)


def _complaint(store: DiskStore | None) -> str | None:
    if store is None or store.problem is None:
        return None
    return (
        f"what is learned ends with this process: {store.problem}; name another directory in AMORSIZE_CACHE_DIR, or "
        "keep nothing with AMORSIZE_CACHE=0"
    )


def open_store(where: str) -> DiskStore:
    """Return this process's store in that directory."""
    if where not in _stores:
        from amorsize.store.disk import DiskStore

        _stores[where] = DiskStore(where)
    return _stores[where]


def write(where: str) -> None:
    """Tell the store what it has yet to be told; what finds it locked waits there for the next time."""
    waiting = _unwritten.pop(where, None)
    if waiting:
        # The first time, when diskcache is loaded, 1 ms less of 34, and 27 of 63 beside a list of 1,000,000 objects.
        uncollected(lambda: _tell(where, waiting))


def _tell(where: str, waiting: dict[str, tuple[Profile | Costs, Facts]]) -> None:
    from amorsize.store.long import note_long

    store = open_store(where)
    waiting = waiting.copy()  # another thread may still be at it
    merges = {key: _merging(seen, labels) for key, (seen, labels) in waiting.items()}
    if store.update(merges) and store.path == where:
        profiles = ((labels, seen) for seen, labels in waiting.values() if isinstance(seen, Profile))
        note_long(where, {str(labels["function"]): seen.item.mean for labels, seen in profiles})
    store.close()


def _write_at_exit(owner_pid: int) -> None:
    if os.getpid() == owner_pid:
        for where in list(_unwritten):
            write(where)
        for store in list(_stores.values()):  # what an earlier write found locked waits there
            store.flush()
            store.close()
        for complaint in filter(None, map(_complaint, _stores.values())):
            warn_once(complaint)


def forget_here(name: str) -> set[str]:
    """Drop what this process knows about the function `module:qualname`; return the keys of these rows."""
    known = {key for key, owner in list(_names.items()) if owner == name}
    for key in known:
        _profiles.pop(key, None)
        _names.pop(key, None)
    return known
