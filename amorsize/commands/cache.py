"""The commands `amorsize cache ...`: look at what is kept, drop it, carry it to another machine."""

from __future__ import annotations

from amorsize.commands.terminal import Failure, tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from amorsize.commands.terminal import Answer
    from amorsize.records import Facts
    from amorsize.report.diagnosis import StoreState
    from amorsize.report.kept import Kept
    from amorsize.store.disk import DiskStore


def info(_options: argparse.Namespace) -> Answer:
    from amorsize.report.diagnosis import describe_store

    seen = state()
    return seen, describe_store(seen)


def listing(_options: argparse.Namespace) -> Answer:
    from time import time

    from amorsize.identity.machine import machine
    from amorsize.report.kept import list_kept

    found = kept()
    if not found:
        tell(f"nothing is kept in {_store().path} yet")
    return found, list_kept(found, machine().digest, time())


def show(options: argparse.Namespace) -> Answer:
    from time import time

    from amorsize.identity.machine import machine
    from amorsize.report.kept import SHORT_ID, describe_kept

    found = [each for each in kept() if options.key in (each.key, each.id[: len(options.key)])]
    if not found:
        raise Failure(f"no key begins with {options.key}: amorsize cache list shows them")
    if len(found) > 1:
        ids = ", ".join(each.id[: 2 * SHORT_ID] for each in found)
        raise Failure(f"{len(found)} keys begin with {options.key!r}: {ids}")
    return found[0], describe_kept(found[0], machine().digest, time())


def path(_options: argparse.Namespace) -> Answer:
    where = _store().path
    return {"path": where}, [where]


def clear(options: argparse.Namespace) -> Answer:
    from amorsize.advice.forget import drop
    from amorsize.store.long import forget_long

    store, name = _store(), options.function
    if name is not None:
        _require_known(name, {each.function for each in kept()})
        return _dropped(store, lambda: drop(name), name)
    told = _dropped(store, store.clear, store.path)
    forget_long(store.path)
    return told


def prune(options: argparse.Namespace) -> Answer:
    from time import time

    store, seen_until_s = _store(), time() - options.older_than
    old = [each.key for each in kept() if each.profile.updated_s < seen_until_s]
    return _dropped(store, lambda: store.delete(old), store.path)


def _dropped(store: DiskStore, drop: Callable[[], int], what: str) -> Answer:
    """Drop rows and tell how many there were.

    Raises:
        Failure: where they are still there.
    """
    from amorsize.store.base import StoreError

    try:
        n_dropped = drop()
    except StoreError as error:
        raise Failure(f"nothing was removed from {store.path}: {error}") from error
    finally:
        store.close()
    return {"dropped": n_dropped}, [f"dropped {n_dropped:,} rows: {what}"]


def _require_known(name: str, names: set[str]) -> None:
    if name not in names:
        from difflib import get_close_matches

        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else "amorsize cache list shows what is kept"
        raise Failure(f"nothing is kept about {name}: {hint}")


def export(options: argparse.Namespace) -> Answer:
    from amorsize.commands.exchange import export_to

    whole = entries()
    try:
        n_rows = export_to(options.file, whole)
    except OSError as error:
        raise Failure(f"{options.file} cannot be written: {error.strerror}") from error
    return {"exported": n_rows}, [f"exported {n_rows:,} rows: {options.file}"]


def bring(options: argparse.Namespace) -> Answer:
    from amorsize.commands.exchange import import_from
    from amorsize.store.parcel import Damaged

    entries()  # what is damaged is not replaced
    store = _store()
    try:
        n_new, n_left = import_from(options.file, store)
        is_written = store.flush()
    except OSError as error:
        raise Failure(f"{options.file} cannot be read: {error.strerror}") from error
    except Damaged as error:
        raise Failure(
            f"nothing was imported: {options.file} was not written by amorsize cache export: {error}"
        ) from error
    finally:
        store.close()
    if not is_written:
        raise Failure(store.problem or f"nothing was imported: another process keeps the cache in {store.path} locked")
    told = f"imported {n_new:,} rows as a first guess; {n_left:,} are known here, or of no use: {options.file}"
    return {"imported": n_new, "left": n_left}, [told]


def _store() -> DiskStore:
    from amorsize.advice.knowledge import open_store
    from amorsize.store.where import directory

    where = directory()
    if where is None:
        raise Failure("the cache is off: AMORSIZE_CACHE is set to 0; unset it to look at what is kept")
    return open_store(where)


def entries() -> list[tuple[str, Facts]]:
    """Return all rows of the store.

    Raises:
        Failure: where not all can be read.
    """
    from amorsize.store.base import StoreError, StoreLocked

    store = _store()
    try:
        return list(store.entries())
    except StoreError as error:
        cure = "try again" if isinstance(error, StoreLocked) else "amorsize cache clear begins a new one"
        raise Failure(f"the cache in {store.path} cannot be read: {error}; {cure}") from error


def kept() -> list[Kept]:
    """Return what the store keeps of functions.

    Raises:
        Failure: where not all can be read.
    """
    from amorsize.report.kept import kept_in

    return kept_in(entries())


def state() -> StoreState:
    """Return what there is to say about the store itself."""
    from amorsize.report.diagnosis import StoreState
    from amorsize.report.kept import kept_in
    from amorsize.store.attempt import obstacle
    from amorsize.store.base import StoreError
    from amorsize.store.where import directory

    if directory() is None:
        return StoreState(directory=None)
    store = _store()
    told = StoreState(directory=store.path, size_bytes=store.size_bytes, note=store.note)
    try:
        found = kept_in(store.entries())
    except StoreError as error:
        return told.replace(fault=str(error))
    return told.replace(
        problem=obstacle(store.path),
        n_records=len(found),
        functions=tuple(sorted({each.function for each in found})),
        n_machines=len({each.machine_digest for each in found}),
    )
