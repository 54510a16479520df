"""Forget a function: in this process, in the store, and in the list of functions with long items."""

from __future__ import annotations

from amorsize.advice.knowledge import forget_here, open_store, write
from amorsize.errors import warn_once
from amorsize.store.base import StoreError
from amorsize.store.long import forget_long
from amorsize.store.where import directory


def forget(name: str) -> int:
    """Drop what is known about the function `module:qualname`; return how many rows are gone, and warn where some
    stay."""
    try:
        return drop(name)
    except StoreError as error:
        warn_once(f"what is known about {name} is still kept in {directory()}: {error}")
        return 0


def drop(name: str) -> int:
    """Do as `forget`, and have the caller tell what went wrong.

    Raises:
        StoreError: where rows are still there.
    """
    known = forget_here(name)
    where = directory()
    if where is None:
        return len(known)
    write(where)
    store = open_store(where)
    try:
        known.update([key for key, facts in store.entries() if facts.get("function") == name])
        store.delete(known)
    finally:
        store.close()
    forget_long(store.path, name)
    return len(known)
