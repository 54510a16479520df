"""Find out whether a store could be written: do what a writer would do, and take it back.

a database is there  ->  open it, write a row, undo that
none is there yet    ->  the same with a new one, in a directory that is made beside it and removed again
"""

from __future__ import annotations

import os
from tempfile import TemporaryDirectory
from time import monotonic

from amorsize.store import place
from amorsize.store.base import Patience, StoreError
from amorsize.store.where import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.records import Facts

_KEY = "attempt"
_PATIENCE_S = 2.0  # somebody waits for the answer; who holds the lock for longer would keep a writer out, too


def obstacle(directory: str) -> str | None:
    """Return what would keep a writer from this directory, in words; None for nothing. Nothing of the attempt stays."""
    try:
        if place.check(directory) is not None:
            _write(directory)
        else:
            near = nearest(directory)
            with TemporaryDirectory(prefix="amorsize-", dir=near) as beside:
                _write(os.path.join(beside, os.path.relpath(directory, near)))
    except (ImportError, OSError, StoreError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None


class _Undone(Exception):
    """Ends the transaction, which takes back what is in it."""


def _write(directory: str) -> None:
    from amorsize.store.safe_disk import Writer

    patience = Patience(_PATIENCE_S, monotonic)
    writer = Writer(directory, patience)
    try:
        writer.merge([(_KEY, lambda _: {}), (_KEY, _undo)], patience)
    except _Undone:
        pass
    finally:
        writer.close()


def _undo(_: Facts | None) -> Facts:
    raise _Undone
