"""Look rows up in diskcache's database without diskcache: read-only, checked first, 2 ms in a fresh process.

    names, owners, modes, header (`place`)  ->  open mode=ro  ->  schema and settings  ->  SELECT  ->  `rows.decode`

`import diskcache`, open and get take 20 ms. `_sqlite3` is the C half of sqlite3. Rows may be planted: nothing is read
but text in the row itself, the length of what SQLite hands out is limited, and no schema but diskcache's own is used.
"""

from __future__ import annotations

import os
import sys
from _blake2 import blake2b

from amorsize.store import place, rows
from amorsize.store.base import Patience, StoreForeign, StoreLocked, StoreMissing, StoreUnusable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _sqlite3
    from collections.abc import Callable, Iterator
    from typing import Any

    from amorsize.records import Facts


class _LruCacheOnly:
    """What `_sqlite3` wants of functools; whoever else should get hold of it is given the real one."""

    @staticmethod
    def lru_cache(most: int) -> Callable[[Callable[..., object]], object]:
        from _functools import _lru_cache_wrapper  # type: ignore[import-not-found]  # has no stub

        return lambda function: _lru_cache_wrapper(function, most, False, tuple)

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):  # the import machinery looks for a __spec__
            raise AttributeError(name)
        self.vanish()
        import functools

        return getattr(functools, name)

    def vanish(self) -> None:
        """Leave `sys.modules` to the real one."""
        if sys.modules.get("functools") is self:  # type: ignore[comparison-overlap]  # it is no module
            del sys.modules["functools"]


def _c_sqlite3() -> tuple[object, str]:
    """Import the C half of sqlite3; return None, and why, where it cannot be.

    It imports functools, 2.5 of its 3.5 ms, for `lru_cache` alone, which is written in C: a stand-in has just that.
    """
    stand_in: Any = _LruCacheOnly()  # Any: it stands where only modules are expected
    sys.modules.setdefault("functools", stand_in)
    try:
        import _sqlite3
    except ImportError as error:  # a Python that is built without it, or a library that it needs is gone
        return None, f"this Python cannot load sqlite3: {error}"
    finally:
        stand_in.vanish()
    return _sqlite3, ""


_found, _missing = _c_sqlite3()
if not TYPE_CHECKING:
    _sqlite3 = _found

SETTINGS: dict[str, int | str] = {
    "statistics": 0,
    "tag_index": 0,
    "eviction_policy": "none",
    "cull_limit": 0,  # nothing is ever thrown out while something is written
    "size_limit": 2**30,
    "disk_min_file_size": 2**15,
    "disk_pickle_protocol": 0,
    # OFF: no fsync, which takes 1 to 50 ms of somebody's `pmap`. A killed process loses nothing; after a power cut the
    # database may be damaged, which the checks find, and timings are learned again. First: the next one writes.
    "sqlite_synchronous": 0,
    "sqlite_auto_vacuum": 1,  # FULL: `clear` gives the space back
    "sqlite_cache_size": 2**11,  # pages
    # With a write-ahead log every reader maps a shared file: cut short, it kills the process by SIGBUS; and a reader
    # needs to write it. A rollback journal has none of that; a reader may meet a commit, for 0.1 ms.
    "sqlite_journal_mode": "truncate",
    "sqlite_mmap_size": 0,
}
"""What the Settings table has to say: diskcache runs `sqlite_` rows as PRAGMAs and hands `disk_` rows to its Disk."""

_COUNTERS = frozenset(("count", "size", "hits", "misses"))
SCHEMA_DIGEST = "8567707337a50c489120ccde8a21cc33"
"""blake2b over diskcache's tables, indexes and triggers; any other one, or one more, is foreign."""

_PREPARE = ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0", "temp_store = MEMORY")
_LIMIT_LENGTH = 0  # SQLITE_LIMIT_LENGTH, bytes of the longest value or row
_MOST_BYTES = 4 * rows.MOST_ROW_CHARS
LOOKUP_S = 3e-3  # a commit keeps readers out for 0.1 ms; a miss would cost a calibration, waiting longer the 60 ms
_STEPS = 20_000  # a lookup takes 40 of SQLite's steps, a hostile database any number: look at the clock after so many
_UNUSABLE = frozenset((3, 7, 8, 10, 13, 14, 22))  # PERM NOMEM READONLY IOERR FULL CANTOPEN NOLFS
_LOCKED = frozenset((5, 6))  # BUSY LOCKED
_EXPECTED = {(name, type(value), value) for name, value in SETTINGS.items()}
_SELECT = "SELECT value FROM Cache WHERE key = ? AND raw = 1 AND mode = 1 AND filename IS NULL"
_SELECT_KEYS = "SELECT rowid, key FROM Cache WHERE rowid > ? AND raw = 1 ORDER BY rowid LIMIT 500"


def connect(directory: str, mode: str, patience: Patience) -> _sqlite3.Connection:
    """Open the database (`ro`, `rw`, or `rwc` to begin one), trust nothing in it, map nothing, and stop at what is too
    long.

    `patience` limits how long it waits for locks, and how long a statement may take.

    Raises:
        StoreUnusable: where this Python has no SQLite.
    """
    if _sqlite3 is None:
        raise StoreUnusable(_missing)
    uri = f"{_uri(os.path.join(directory, place.DATABASE))}?mode={mode}"
    try:
        connection = _sqlite3.connect(
            uri, timeout=patience.left_s, isolation_level=None, check_same_thread=False, cached_statements=8, uri=True
        )
    except (_sqlite3.Error, MemoryError) as exc:
        raise translated(exc) from exc
    try:
        connection.set_progress_handler(lambda: not patience.left_s, _STEPS)
        connection.setlimit(_LIMIT_LENGTH, _MOST_BYTES)
        connection.text_factory = _lenient
        for pragma in _PREPARE:
            connection.execute(f"PRAGMA {pragma}")
    except (_sqlite3.Error, MemoryError) as exc:
        connection.close()
        raise translated(exc) from exc
    except BaseException:  # Ctrl-C: a connection refers to itself, and would wait for the garbage collector
        connection.close()
        raise
    return connection


def check_layout(connection: _sqlite3.Connection) -> None:
    """Raise StoreForeign unless schema and settings are exactly those that we make."""
    if schema_digest(connection) != SCHEMA_DIGEST:
        raise StoreForeign("its tables are not ours")
    settings = dict(ask(connection, "SELECT key, value FROM Settings LIMIT 64"))
    counters = {name for name in _COUNTERS if type(settings.pop(name, None)) is int}
    if counters != _COUNTERS or {(name, type(value), value) for name, value in settings.items()} != _EXPECTED:
        raise StoreForeign("its settings are not ours")


def schema_digest(connection: _sqlite3.Connection) -> str:
    """Return the digest of all that the database declares."""
    found = ask(connection, "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name LIMIT 64")
    return blake2b(repr(found).encode(), digest_size=16).hexdigest()


def ask(connection: _sqlite3.Connection, query: str, arguments: tuple[str | int, ...] = ()) -> list[Any]:  # Any: SQL's
    """Return the rows that answer a query.

    Raises:
        StoreForeign: what is wrong with the database; also where a row is longer than any of ours.
        StoreError: what else keeps it from being read.
    """
    try:
        return connection.execute(query, arguments).fetchall()
    except (_sqlite3.Error, UnicodeDecodeError, MemoryError) as exc:  # SQLite's error may quote bytes that are no text
        raise translated(exc) from exc


def translated(error: BaseException) -> StoreLocked | StoreForeign | StoreUnusable:
    """Return what an error of SQLite means for the store; of its codes, Python makes one a MemoryError."""
    if isinstance(error, MemoryError):
        return StoreUnusable("out of memory")
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _LOCKED:
        return StoreLocked("the database is locked by another process")
    if code in _UNUSABLE:
        return StoreUnusable(str(error))
    return StoreForeign(str(error))


class Reader:
    """A connection that can only read; every row that is not right in every way is a miss.

    Args:
        directory: where the database is.
        clock: seconds, monotonic.
        patience_s: how long each look may wait for others.

    Raises:
        StoreMissing: where there is no database yet.
        StoreError: where there is nothing that may be read; by the methods too.
    """

    def __init__(self, directory: str, clock: Callable[[], float], patience_s: float = LOOKUP_S) -> None:
        identity = place.check(directory)
        if identity is None:
            raise StoreMissing(directory)
        self._directory = directory
        self._identity = identity
        self._patience = Patience(patience_s, clock)
        self._connection = connect(directory, "ro", self._patience)
        try:
            try:
                check_layout(self._connection)
            except StoreUnusable:  # a transaction of a killed process has to be undone first, by who may write
                self._patience.renew()
                _undo(directory, self._patience)
                check_layout(self._connection)
        except BaseException:  # what is wrong with it, or Ctrl-C
            self._connection.close()
            raise

    @property
    def is_current(self) -> bool:
        """Whether the file that was opened is still the one under that name."""
        return place.identity(self._directory) == self._identity

    def get(self, key: str) -> Facts | None:
        """Return the facts of a key, None for a miss."""
        if not rows.is_key(key):
            return None
        self._patience.renew()
        try:
            found = self._connection.execute(_SELECT, (key,)).fetchall()
        except _sqlite3.DataError:  # longer than any row of ours
            return None
        except (_sqlite3.Error, UnicodeDecodeError, MemoryError) as exc:
            raise translated(exc) from exc
        return rows.decode(key, found[0][0]) if found else None

    def entries(self) -> Iterator[tuple[str, Facts]]:
        """Yield every valid key with its facts, in the order of their first writing."""
        last = 0
        while found := self._page(last):
            last = found[-1][0]
            for _, key in found:
                if type(key) is str and (facts := self.get(key)) is not None:
                    yield key, facts

    def _page(self, after: int) -> list[tuple[int, object]]:
        self._patience.renew()
        return ask(self._connection, _SELECT_KEYS, (after,))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _undo(directory: str, patience: Patience) -> None:
    connection = connect(directory, "rw", patience)
    try:
        ask(connection, "SELECT 1 FROM sqlite_master")
    finally:
        connection.close()


def _lenient(text: bytes) -> str:
    return text.decode("utf-8", "replace")  # a row that is no UTF-8 must fail its checksum, not the whole lookup


def _uri(path: str) -> str:
    for mark, code in (("%", "%25"), ("?", "%3f"), ("#", "%23"), (os.sep, "/")):
        path = path.replace(mark, code)
    return f"file://{path}" if path.startswith("/") else f"file:///{path}"  # C:/...
