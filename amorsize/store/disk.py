"""The store on disk: what every process of this user on this machine has learned.

    read    waiting merges applied to what the database says (`read.Reader`)
    update  merges wait in memory  ->  one transaction for all that wait (`safe_disk.Writer`)
              locked for 20 ms     ->  they go on waiting, join the next write, or `flush` at exit
              damaged or foreign   ->  the database is put aside and a new one begun
              full, read-only, ... ->  memory only from here on, and `problem` says why

Nothing is raised for what a disk does, but by `entries`, `delete` and `clear`, which somebody waits for: all of it is
done, or a StoreError says why not. Light: diskcache is loaded by the first write.
"""

from __future__ import annotations

import os
import time
from _thread import allocate_lock

from amorsize.store import place, rows
from amorsize.store.base import Patience, StoreError, StoreForeign, StoreLocked, StoreMissing, StoreUnusable
from amorsize.store.read import Reader
from amorsize.store.where import temporary_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from typing import Concatenate, ParamSpec, TypeVar

    from amorsize.records import Facts
    from amorsize.store.rows import Merge
    from amorsize.store.safe_disk import Writer

    P = ParamSpec("P")
    T = TypeVar("T")

_LOCKED_S = 20e-3  # a transaction takes 0.2 ms: who holds the lock for longer is no update; 60 ms is all that we have
_ASKED_S = 2.0  # `entries`, `delete`, `clear`: somebody waits for it to be done
_MOST_WAITING = 10_000  # merges a key: of eight processes in a hurry one may be locked out for thousands of updates

_lock = allocate_lock()  # one thing at a time in this process: see `place._read`


def _after_fork() -> None:
    global _lock
    _lock = allocate_lock()  # the old one may be held by a thread that is not in this child


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _alone(act: Callable[Concatenate[DiskStore, P], T]) -> Callable[Concatenate[DiskStore, P], T]:
    """Have one thing done at a time, by the process whose store it is. The lock is taken and noted in one step: since
    Python 3.14 a signal's handler may have its turn in between `with` and its block, and leave a lock shut for ever."""

    def done(self: DiskStore, /, *args: P.args, **options: P.kwargs) -> T:
        lock, taken = _lock, list[bool]()
        try:
            taken.extend(map(lock.acquire, (True,)))
            self._leave_parent()
            return act(self, *args, **options)
        finally:
            if taken:
                lock.release()

    done.__doc__ = act.__doc__
    return done


class DiskStore:
    """Facts in diskcache's database in `directory`; opened by the first use, closed by `close`.

    Args:
        directory: an absolute path; made (0700) by the first update.
        clock: seconds, monotonic.
        file_system: returns the type of the network file system a directory is on, None for a local one.

    Attributes:
        problem: why nothing can be written any more, in words; None while it can.
        note: what a person should know about where the store is; None for nothing.
    """

    def __init__(
        self,
        directory: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        file_system: Callable[[str], str | None] = place.network_file_system,
    ) -> None:
        self.problem: str | None = None
        self.note: str | None = None
        self._wanted = directory
        self._directory: str | None = None
        self._clock = clock
        self._file_system = file_system
        self._patience_s = _LOCKED_S
        self._pid = os.getpid()
        self._waiting: dict[str, list[Merge]] = {}
        self._reader: Reader | None = None
        self._writer: Writer | None = None

    @property
    def path(self) -> str:
        """The directory in use: the one asked for, or a local one where that is on a network file system."""
        if self._directory is None:
            self._directory = self._wanted
            kind = self._file_system(self._wanted)
            if kind is not None:
                self._directory = temporary_directory(os.environ)
                self.note = f"kept in {self._directory}, because {self._wanted} is on a network file system ({kind})"
        return self._directory

    @property
    def size_bytes(self) -> int:
        """Bytes that the store takes on disk."""
        return place.size_bytes(self.path)

    @_alone
    def read(self, keys: Sequence[str]) -> dict[str, Facts]:
        """Return the facts of those keys that have any, with all that waits to be written; a damaged row is a miss."""
        return self._known(keys)

    @_alone
    def update(self, merges: Mapping[str, Merge]) -> bool:
        """Replace the facts of each key by `merge(facts)`, all in one transaction; False where they wait for the next.

        `merge` gets None for a key without facts. It may be called more than once, and much later, so it must be pure.
        Facts outside of the limits (see `rows`) are not kept: the row stays as it was.
        """
        for key, merge in merges.items():
            waiting = self._waiting.setdefault(key, [])
            waiting.append(merge)
            del waiting[:-_MOST_WAITING]
        return self._write(self._patience_s)

    @_alone
    def flush(self, deadline_s: float = 2.0) -> bool:
        """Write what waits; return whether nothing waits any more. For the end of the process."""
        return self._write(deadline_s)

    @_alone
    def entries(self) -> Iterator[tuple[str, Facts]]:
        """Return every key with its facts."""
        return iter(self._merged(self._whole(), self._waiting).items())

    @_alone
    def delete(self, keys: Iterable[str]) -> int:
        """Forget these keys; return how many there were."""
        unwanted = set(keys)
        self._write(_ASKED_S)
        n_waiting = sum([self._waiting.pop(key, None) is not None for key in unwanted])
        return n_waiting + self._remove(lambda writer, patience: writer.delete(unwanted, patience))

    @_alone
    def clear(self) -> int:
        """Forget everything; return how many keys there were."""
        self._write(_ASKED_S)
        n_waiting, self._waiting = len(self._waiting), {}
        return n_waiting + self._remove(lambda writer, patience: writer.clear(patience))

    @_alone
    def close(self) -> None:
        """Close the files; the next use opens them again. What waits goes on waiting."""
        self._close_reader()
        self._close_writer()

    def _known(self, keys: Collection[str]) -> dict[str, Facts]:
        """Return what the database says of these keys, or did before an error, with the merges that wait."""
        known: dict[str, Facts] = {}
        try:
            reader = self._current_reader()
            for key in keys:
                facts = reader.get(key)
                if facts is not None:
                    known[key] = facts
        except BaseException as error:  # Ctrl-C, too: no descriptor outlives the call that it ends
            self._close_reader()
            if not isinstance(error, StoreError) and getattr(error, "errno", None) is None:
                raise  # else nothing is there, or nothing that may be read: a miss; `_write` says why
        return self._merged(known, keys) if self._waiting else known

    def _merged(self, known: dict[str, Facts], keys: Collection[str]) -> dict[str, Facts]:
        """Apply the merges of these keys that wait."""
        for key in self._waiting.keys() & keys:
            facts = known.pop(key, None)
            for merge in self._waiting[key]:
                facts = rows.merged(key, merge, facts)
            if facts is not None:
                known[key] = facts
        return known

    def _whole(self) -> dict[str, Facts]:
        """Return all that the database says, by a connection that waits longer; raise where it cannot be read to its
        end."""
        try:
            reader = Reader(self.path, self._clock, _ASKED_S)
        except StoreMissing:
            return {}
        except OSError as exc:
            raise StoreUnusable(str(exc)) from exc
        try:
            return dict(reader.entries())
        finally:
            reader.close()

    def _current_reader(self) -> Reader:
        if self._reader is not None and not self._reader.is_current:
            self._close_reader()
        if self._reader is None:
            self._reader = Reader(self.path, self._clock)
        return self._reader

    def _write(self, patience_s: float) -> bool:
        """Write what waits; return whether nothing waits any more."""
        if self.problem is None and self._waiting:
            waiting, self._waiting = self._waiting, {}  # a merge that raises is not tried again
            merges = [(key, merge) for key, each in waiting.items() for merge in each]
            try:
                self._with_writer(lambda writer, patience: writer.merge(merges, patience), patience_s)
                self._patience_s = _LOCKED_S
            except StoreLocked:
                self._waiting = waiting
                self._patience_s = 0.0  # who was locked out for 20 ms only knocks, until the door is open again
            except StoreUnusable:
                self._waiting = waiting
        if self.problem is not None:  # no write will come: keep no more than the facts that it would have made
            self._waiting = {key: [_constant(facts)] for key, facts in self._known(self._waiting).items()}
        return not self._waiting

    def _remove(self, act: Callable[[Writer, Patience], int]) -> int:
        try:
            if place.identity(self.path) is None:
                return 0
            n_removed = self._with_writer(act, _ASKED_S)
            place.forget_aside(self.path)
        except OSError as exc:
            raise StoreUnusable(str(exc)) from exc
        return n_removed

    def _with_writer(self, act: Callable[[Writer, Patience], T], patience_s: float) -> T:
        """Do it, twice where the first database was no good.

        Raises:
            StoreLocked: for later.
            StoreUnusable: for good; `problem` is set.
        """
        patience = Patience(patience_s, self._clock)
        try:
            seen = place.identity(self.path)
            try:
                return act(self._current_writer(patience), patience)
            except (StoreForeign, StoreUnusable) as exc:
                self._close_writer()
                if isinstance(exc, StoreUnusable) and place.identity(self.path) == seen:
                    raise
                place.put_aside(self.path, seen, patience)  # if nobody else has, which SQLite calls an I/O error
                return act(self._current_writer(patience), patience)
        except StoreLocked:
            self._close_writer()
            raise
        except (OSError, ImportError, StoreError) as exc:
            self._close_writer()
            self.problem = f"nothing can be written to {self.path}: {exc}"
            raise StoreUnusable(self.problem) from exc
        except BaseException:  # Ctrl-C, or a merge's own error: a transaction left open would lock everybody out
            self._close_writer()
            raise

    def _current_writer(self, patience: Patience) -> Writer:
        if self._writer is not None and not self._writer.is_current:
            self._close_writer()
        if self._writer is None:
            from amorsize.store.safe_disk import Writer  # 20 ms, with diskcache: not before results are ready

            self._writer = Writer(self.path, patience)
        return self._writer

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _leave_parent(self) -> None:
        """After a fork, leave connections and waiting merges to the parent, whose they are."""
        if self._pid != os.getpid():
            _of_parents.extend((self._reader, self._writer))
            self._pid, self._reader, self._writer, self._waiting = os.getpid(), None, None, {}


_of_parents: list[object] = []
"""Connections that came with a fork: SQLite forbids to use them here, closing them included."""


def _constant(facts: Facts) -> Merge:
    return lambda _: facts
