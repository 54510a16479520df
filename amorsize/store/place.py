"""Is this directory ours alone, on a local disk, and as SQLite left it? Looks at names and modes, never at rows.

Whoever can write the directory can put a link or a journal beside the database, and SQLite would follow it: a planted
rollback journal can name any file of this user's to be deleted ("super-journal"), a hard link called cache.db-journal
is truncated, a -wal file switches the database to shared memory. So all of it is looked at before SQLite is.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from _io import FileIO  # a test may have put a mock in the place of `open`

from amorsize.store.base import StoreForeign, StoreLocked, StoreUnusable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from amorsize.store.base import Patience

DATABASE = "cache.db"  # diskcache's own name for it
_JOURNAL = "cache.db-journal"
_SHARED_MEMORY = ("cache.db-wal", "cache.db-shm")
_QUARANTINE = "cache.db.quarantine"
_SQLITE = b"SQLite format 3\0"
_ROLLBACK = b"\1\1"  # bytes 18 and 19 of the header: a rollback journal is used to write and to read, and no WAL
_SUPER_JOURNAL = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"  # a journal that ends with this names another file before it
_JOURNAL_HEADER = 512  # bytes, at least; it begins with the same mark, and another process may be writing it now
_RETRY_S = 1e-3  # beginning a store takes 5 ms: shorter naps burn the core that does it, longer ones add to the wait
_NETWORK = frozenset(
    ("9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "smb3")
)


def check(directory: str) -> tuple[int, int] | None:
    """Return what identifies the database file (device, inode), None where there is none yet.

    Raises:
        StoreUnusable: where somebody else may have written the directory, or a name in it leads elsewhere.
        StoreForeign: where the database is none, or not in the state that we leave it in.
    """
    if _own(directory, stat.S_ISDIR) is None:
        return None
    database = _own(os.path.join(directory, DATABASE), stat.S_ISREG)
    journal = _own(os.path.join(directory, _JOURNAL), stat.S_ISREG)
    if database is None:
        return None
    if any(_lstat(os.path.join(directory, name)) for name in _SHARED_MEMORY):
        raise StoreForeign("it has a write-ahead log")
    header = _read(os.path.join(directory, DATABASE), 0, 20)
    if header[:16] != _SQLITE or header[18:] != _ROLLBACK:
        raise StoreForeign("it is no SQLite database with a rollback journal")
    end = 0 if journal is None else journal.st_size
    if end > _JOURNAL_HEADER and _read(os.path.join(directory, _JOURNAL), end - 8, 8) == _SUPER_JOURNAL:
        raise StoreForeign("its journal names another file")
    return database.st_dev, database.st_ino


def identity(directory: str) -> tuple[int, int] | None:
    """Return (device, inode) of the database file without any check; None where there is none."""
    found = _lstat(f"{directory}/{DATABASE}")  # before each look-up: `join` takes as long as the system call
    return None if found is None else (found.st_dev, found.st_ino)


def size_bytes(directory: str) -> int:
    """Return the bytes of the database and its journal; 0 for a directory that may not even be looked into."""
    try:
        found = [_lstat(os.path.join(directory, name)) for name in (DATABASE, _JOURNAL)]
    except OSError:
        return 0
    return sum([file.st_size for file in found if file is not None])


def network_file_system(directory: str) -> str | None:
    """Return the type of the network file system that the directory is, or would be, on; None for a local one.

    SQLite's locks cannot be trusted there, and a dead server would block `pmap` for ever.
    """
    if not sys.platform.startswith("linux"):
        return None
    st_dev = _device(directory)
    if os.major(st_dev):  # a real disk has a major number, a network file system never
        return None
    device = f"{os.major(st_dev)}:{os.minor(st_dev)}"
    try:
        with FileIO("/proc/self/mountinfo") as file:
            mounts = file.readall().decode("utf-8", "replace").splitlines()
    except OSError as error:
        if error.errno is None:  # a signal handler's
            raise
        return None  # no /proc: nothing tells
    kinds = [line.partition(" - ")[2].split(" ")[0] for line in mounts if line.split(" ")[2] == device]
    return next((kind for kind in kinds if kind in _NETWORK), None)


def begin(directory: str, build: Callable[[str], None], patience: Patience) -> None:
    """Make the directory (0700) and an empty database in it, which `build(empty directory)` makes.

    The database appears under its name only when it is whole, so nobody ever sees half of it, and a process that is
    killed meanwhile leaves nothing but a directory `new` for the next one to remove.
    """
    os.makedirs(directory, 0o700, exist_ok=True)
    check(directory)
    with _Exclusive(directory, patience) as is_alone:
        if identity(directory) is not None:
            return
        new = os.path.join(directory, "new" if is_alone else f"new-{os.getpid()}")
        _remove(new)
        os.mkdir(new, 0o700)
        try:
            build(new)
            _remove(os.path.join(directory, _JOURNAL))  # of a database that is gone: it would be replayed into ours
            os.rename(os.path.join(new, DATABASE), os.path.join(directory, DATABASE))
        finally:
            _remove(new)


def put_aside(directory: str, seen: tuple[int, int] | None, patience: Patience) -> None:
    """Rename the database that was found to be foreign; the one that was put aside before goes.

    Args:
        directory: where it is.
        seen: its identity; if it is another by now, somebody else has put it aside and begun anew.
        patience: how long to wait for somebody who is doing the same.
    """
    with _Exclusive(directory, patience):
        if identity(directory) != seen:
            return
        for name in (_JOURNAL, *_SHARED_MEMORY):
            _remove(os.path.join(directory, name))
        os.replace(os.path.join(directory, DATABASE), os.path.join(directory, _QUARANTINE))


def forget_aside(directory: str) -> None:
    """Delete what was put aside."""
    _remove(os.path.join(directory, _QUARANTINE))


class _Exclusive:
    """Hold the directory for oneself while the database is begun or put aside; the kernel frees it if we are killed.

    Says whether it does: without `flock`, of two processes that do so at the same moment one may lose its first update.
    """

    def __init__(self, directory: str, patience: Patience) -> None:
        self._directory = directory
        self._patience = patience
        self._descriptor: int | None = None

    def __enter__(self) -> bool:
        if sys.platform == "win32":  # which opens no directories
            return False
        try:
            import fcntl  # 0.2 ms that a read does not pay
        except ImportError:
            return False
        self._descriptor = os.open(self._directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._wait(lambda descriptor: fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB), self._descriptor)
        except BaseException:  # Ctrl-C, or a file system without locks
            os.close(self._descriptor)
            raise
        return True

    def _wait(self, lock: Callable[[int], None], descriptor: int) -> None:
        while True:
            try:
                lock(descriptor)
                return
            except BlockingIOError as exc:
                if not self._patience.left_s:
                    raise StoreLocked("another process is beginning a store") from exc
            time.sleep(_RETRY_S)

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)


def _own(path: str, is_kind: Callable[[int], bool]) -> os.stat_result | None:
    """Return the file's status, None where there is none; raise where it may be somebody else's."""
    found = _lstat(path)
    if found is None:
        return None
    if not is_kind(found.st_mode):
        wanted = "directory" if is_kind is stat.S_ISDIR else "file"
        raise StoreUnusable(f"{path} is no {wanted} of its own: remove it")
    # On Windows a user's own directories are protected by their access lists; WebAssembly's systems have no users.
    if sys.platform != "win32" and hasattr(os, "geteuid"):
        if found.st_uid != os.geteuid():
            raise StoreUnusable(
                f"{path} belongs to user {found.st_uid}, not to {os.geteuid()}: have AMORSIZE_CACHE_DIR name another"
            )
        if found.st_mode & 0o022:
            raise StoreUnusable(f"{path} can be written by others: chmod go-w {path}")
        if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
            raise StoreUnusable(f"{path} is a hard link: remove it")
    return found


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _device(path: str) -> int:
    """Return the device of the path, or of its nearest parent that there is."""
    while True:
        try:
            return os.stat(path).st_dev
        except OSError as error:  # not there, or not to be looked at
            if error.errno is None:  # a signal handler's
                raise
            if path == os.path.dirname(path):
                return 0
            path = os.path.dirname(path)


def _read(path: str, start: int, n_bytes: int) -> bytes:
    """Return a few bytes of a file; none where it is gone.

    Closing it frees every lock that this process has on the file (POSIX), SQLite's too, so this happens only where no
    transaction of this process is under way: `disk` does one thing at a time.
    """
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    opened: list[int] = []
    try:
        opened.extend(map(os.open, (path,), (flags,)))  # in one step: Ctrl-C finds it noted, or not open yet
        os.lseek(opened[0], start, os.SEEK_SET)
        return os.read(opened[0], n_bytes)
    except FileNotFoundError:  # since it was looked at: a journal whose transaction ended, a database put aside
        return b""
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _remove(path: str) -> None:
    """Remove a file, a link, or a directory of files; nothing where there is none."""
    found = _lstat(path)
    if found is None:
        return
    if not stat.S_ISDIR(found.st_mode):
        os.unlink(path)
        return
    for name in os.listdir(path):
        os.unlink(os.path.join(path, name))
    os.rmdir(path)
