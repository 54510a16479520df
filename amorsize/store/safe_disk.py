"""diskcache, made safe: text in rows only, our patience in place of its own, our settings in place of the database's.

Plain diskcache unpickles what a row tells it to, opens and deletes the files that a row names, runs the Settings table
as PRAGMAs, and waits up to 60 s per statement for a lock (CVE-2025-69872 is about the first). Loaded only to write.
"""

from __future__ import annotations

import os
import zlib
from contextlib import closing, contextmanager
from sqlite3 import Connection, Cursor, DataError, Error

import diskcache
from diskcache.core import ENOVAL, MODE_RAW, UNKNOWN

from amorsize.store import place, read, rows
from amorsize.store.base import StoreForeign, StoreUnusable

TYPE_CHECKING = False  # diskcache does without `typing`, whose import takes 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any, NoReturn

    from amorsize.store.base import Patience
    from amorsize.store.rows import Merge

_LEAST_WAIT_MS = 2  # a COMMIT meets readers, which take 0.1 ms: without a wait, having got the lock would be in vain
_MEETS_OTHERS = frozenset(("BEGIN IMMEDIATE", "COMMIT"))  # what is between them has the lock already
_MAKING = ("CREATE ", "DROP ", "INSERT OR ")  # as diskcache's constructor begins to make tables, indexes and settings


class TextDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache ships no types
    """Keep text under text keys, in the rows themselves; whatever else a row says, it has no value and no file."""

    def store(self, value: str, read: bool, key: object = UNKNOWN) -> Any:  # Any: diskcache's types are only inferred
        if read or type(value) is not str:
            raise TypeError(f"the store keeps text, got {value!r}")
        return 0, MODE_RAW, None, value

    def fetch(self, mode: object, filename: object, value: object, read: bool) -> str | None:
        return value if type(value) is str and mode == MODE_RAW and filename is None and not read else None

    def put(self, key: str) -> Any:  # Any: as above
        if type(key) is not str:
            raise TypeError(f"the store's keys are text, got {key!r}")
        return key, True

    def get(self, key: object, raw: object) -> str | None:
        return key if type(key) is str and raw == 1 else None

    def hash(self, key: str) -> int:
        return zlib.adler32(key.encode())

    def filename(self, key: object = UNKNOWN, value: object = UNKNOWN) -> NoReturn:
        raise TypeError("the store keeps no files beside its database")

    def remove(self, file_path: object) -> None:
        """Leave it: a row can name any file of this user's."""


class PatientCache(diskcache.Cache):  # type: ignore[misc]  # diskcache ships no types
    """Cache on a connection of ours, with one patience for all statements of an operation.

    Args:
        directory: where its database is.
        connection: to that database, in a transaction: what diskcache makes of it is the first part of an operation.
        patience: for that operation.
        is_made: its tables and settings are known to be as diskcache would make them: it need not try.

    Attributes:
        patience: set it before each later operation.
    """

    def __init__(self, directory: str, connection: Connection, patience: Patience, *, is_made: bool) -> None:
        self._connection = connection
        self._is_made = is_made
        self.patience = patience
        super().__init__(directory, timeout=0, disk=TextDisk, **read.SETTINGS)

    @property
    def _con(self) -> Connection:
        return self._connection

    @property
    def _sql(self) -> Callable[..., Cursor]:
        return self._execute

    @property
    def _sql_retry(self) -> Callable[..., Cursor]:
        return self._execute

    def _execute(self, statement: str, arguments: Sequence[str | float | None] = ()) -> Cursor:
        connection = self._connection
        if statement == "ROLLBACK" and not connection.in_transaction:
            return connection.cursor()  # SQLite did it itself: a second time would hide the error, such as a full disk
        if statement == "BEGIN IMMEDIATE" and connection.in_transaction:
            return connection.cursor()  # the one in which the database was checked
        if self._is_made and statement.startswith(_MAKING):
            return connection.cursor()
        if statement in _MEETS_OTHERS:
            left_ms = max(_LEAST_WAIT_MS, int(self.patience.left_s * 1e3))
            connection.execute(f"PRAGMA busy_timeout = {left_ms}")
        return connection.execute(statement, arguments)

    def reset(self, key: str, value: Any = ENOVAL, update: bool = True) -> Any:  # Any: as diskcache has it
        """Take a setting over as an attribute; neither run it as a PRAGMA nor write it, nor ask for what it counts."""
        setattr(self, key, value)
        return value

    def close(self) -> None:
        """Leave the connection to who has opened it."""


class Writer:
    """The database open for writing, begun where there is none, and found to be as we make it.

    Every operation is one transaction and takes the patience that it may wait for others with; opening is a part of
    the first. After an error the writer is to be closed.

    Raises:
        StoreError: what is wrong with the database; by the methods too.
        OSError: what is wrong with the directory.
    """

    def __init__(self, directory: str, patience: Patience) -> None:
        if os.path.expandvars(os.path.expanduser(directory)) != directory:  # diskcache would go elsewhere
            raise StoreUnusable(f"{directory} has a ~ or a variable in its name: choose another directory")
        identity = place.check(directory)
        if identity is None:
            place.begin(directory, lambda new: _build(new, patience), patience)
            identity = place.check(directory)
        self._directory = directory
        self._identity = identity
        self._connection = read.connect(directory, "rw", patience)
        try:
            with _plainly():
                _set(self._connection)
                self._connection.execute("BEGIN IMMEDIATE")  # others are kept out, and a killed one's half is undone
                read.check_layout(self._connection)
                self._connection.set_progress_handler(None, 0)
                self._cache = PatientCache(directory, self._connection, patience, is_made=True)
        except BaseException:  # whatever it is, the connection must not stay open behind it
            self.close()
            raise

    @property
    def is_current(self) -> bool:
        """Whether the file that was opened is still the one under that name."""
        return place.identity(self._directory) == self._identity

    def merge(self, merges: Iterable[tuple[str, Merge]], patience: Patience) -> None:
        """Replace each key's facts by what its merge makes of them."""
        with self._transaction(patience):
            for key, merge in merges:
                text = rows.encode(key, merge(rows.decode(key, self._text(key))))
                if text is None:
                    continue
                self._cache.set(key, text)
                if self._text(key) != text:  # damage that SQLite does not see, such as an index that lies
                    raise StoreForeign("a row does not come back as it was written")

    def delete(self, keys: Iterable[str], patience: Patience) -> int:
        """Remove these keys; return how many there were."""
        with self._transaction(patience):
            return sum(self._cache.delete(key) for key in set(keys) if rows.is_key(key))

    def clear(self, patience: Patience) -> int:
        """Remove all rows; return how many there were."""
        with self._transaction(patience):
            removed: int = self._cache.clear()
            return removed

    def close(self) -> None:
        """Close the file; what was not committed is undone."""
        self._connection.close()

    @contextmanager
    def _transaction(self, patience: Patience) -> Iterator[None]:
        self._cache.patience = patience
        with _plainly(), self._cache.transact():
            yield

    def _text(self, key: str) -> object:
        try:
            return self._cache.get(key) if rows.is_key(key) else None
        except DataError:  # longer than any row of ours: it is overwritten
            return None


def _build(directory: str, patience: Patience) -> None:
    with closing(read.connect(directory, "rwc", patience)) as connection, _plainly():
        _set(connection)
        connection.execute(f"PRAGMA auto_vacuum = {read.SETTINGS['sqlite_auto_vacuum']}")  # which the file remembers
        connection.execute("BEGIN IMMEDIATE")
        PatientCache(directory, connection, patience, is_made=False)
        connection.execute("COMMIT")


def _set(connection: Connection) -> None:
    """Make the settings that a connection forgets; some read the schema, which may be damaged."""
    for name in ("synchronous", "cache_size", "journal_mode"):
        read.ask(connection, f"PRAGMA {name} = {read.SETTINGS[f'sqlite_{name}']}")


@contextmanager
def _plainly() -> Iterator[None]:
    """Say what an error of SQLite or diskcache means."""
    try:
        yield
    except diskcache.Timeout as exc:  # diskcache takes any failure to begin a transaction for a lock
        raise read.translated(exc.__context__ or exc) from exc
    except (Error, MemoryError) as exc:
        raise read.translated(exc) from exc
