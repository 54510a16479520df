"""The command `amorsize`: look at what is kept, at this machine, and at the plan for a function.

Data goes to stdout, messages to stderr. Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
What a command needs is imported by that command: `amorsize --version` loads argparse and hardly more.
"""

from __future__ import annotations

import argparse
import os
import sys

from amorsize import __version__
from amorsize.report.text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TextIO, TypeAlias

    from amorsize.report.diagnosis import StoreState
    from amorsize.report.kept import Kept
    from amorsize.store.disk import DiskStore

    Answer: TypeAlias = tuple[object, list[str]]  # for --json: records and plain values; for people: lines
    Command: TypeAlias = Callable[[argparse.Namespace], Answer]
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]

INTERRUPTED = 130
"""What a shell reports of a command that Ctrl-C ended: 128 + SIGINT."""


class Failure(Exception):
    """What went wrong, in words for stderr; the command exits with 1."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Args:
        arguments: of the command line, without the program's name; None for those of this process.

    Raises:
        SystemExit: by argparse, with 2 for wrong usage, with 0 after `--help` and `--version`.
    """
    try:
        options = _parser().parse_args(arguments)
        _answer(options.command(options), as_json=options.json)
    except Failure as failure:
        _tell(str(failure))
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the flush at exit complains
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    every = argparse.ArgumentParser(add_help=False)
    every.add_argument("--json", action="store_true", help="print JSON, with seconds and bytes as plain numbers")
    parser = argparse.ArgumentParser(
        prog="amorsize", description="Look at what is kept, at this machine, and at plans.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"amorsize {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(group: Commands, name: str, command: Command, told: str) -> argparse.ArgumentParser:
        made = group.add_parser(name, help=told, description=f"{told}.", parents=[every], allow_abbrev=False)
        made.set_defaults(command=command)
        return made

    cache = commands.add_parser("cache", help="Look at what is kept, or drop it", allow_abbrev=False)
    actions = cache.add_subparsers(metavar="ACTION", required=True)
    add(actions, "info", _cache_info, "Show where the cache is, its size and whether it can be used")
    add(actions, "list", _cache_list, "Show a line for each function, kind of input and machine")
    show = add(actions, "show", _cache_show, "Show everything that is kept under a key")
    show.add_argument("key", metavar="KEY", help="the key that `amorsize cache list` shows, or its beginning")
    clear = add(actions, "clear", _cache_clear, "Drop what is kept about one function, or everything")
    clear.add_argument("function", metavar="FUNC", nargs="?", help="module:function; without it, everything goes")
    add(actions, "path", _cache_path, "Show the cache's directory")
    add(commands, "doctor", _doctor, "Show what this machine offers, what limits it, and what to do about that")
    explain = add(
        commands, "explain", _explain, "Show what is known of a function, and how it would run; never calls it"
    )
    explain.add_argument("function", metavar="MODULE:FUNC", type=_target, help="such as package.module:function")
    explain.add_argument("--items", metavar="N", type=_count, help="plan for so many (default: as in the last run)")
    return parser


def _target(text: str) -> tuple[str, str]:
    module, _, name = text.partition(":")
    if not module or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not module:function, such as package.module:function")
    return module, name


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be an int >= 1, got {text!r}")
    return int(text)


def _answer(answer: Answer, *, as_json: bool) -> None:
    value, lines = answer
    if as_json:
        from json import dumps

        lines = dumps(value, default=lambda record: dict(record.items()), indent=2, allow_nan=False).split("\n")
    _print(lines, sys.stdout)


def _tell(text: str) -> None:
    _print([f"amorsize: {text}"], sys.stderr)


def _print(lines: Sequence[str], stream: TextIO) -> None:
    """Print lines so that a terminal shows them and obeys nothing in them; all output goes through here."""
    encoding = stream.encoding or "ascii"
    for line in lines:
        print(printable(line).encode(encoding, "backslashreplace").decode(encoding), file=stream)
    stream.flush()


# What is kept.


def _cache_info(_options: argparse.Namespace) -> Answer:
    from amorsize.report.diagnosis import describe_store

    state = _store_state()
    return state, describe_store(state)


def _cache_list(_options: argparse.Namespace) -> Answer:
    from time import time

    from amorsize.identity.machine import machine
    from amorsize.report.kept import list_kept

    kept = _kept()
    if not kept:
        _tell(f"nothing is kept in {_store().path} yet")
    here = machine().digest
    return kept, list_kept(kept, here, time())


def _cache_show(options: argparse.Namespace) -> Answer:
    from time import time

    from amorsize.identity.machine import machine
    from amorsize.report.kept import SHORT_ID, describe_kept

    found = [each for each in _kept() if options.key in (each.key, each.id[: len(options.key)])]
    if not found:
        raise Failure(f"no key begins with {options.key}: amorsize cache list shows them")
    if len(found) > 1:
        ids = ", ".join(each.id[: 2 * SHORT_ID] for each in found)
        raise Failure(f"{len(found)} keys begin with {options.key!r}: {ids}")
    here = machine().digest
    return found[0], describe_kept(found[0], here, time())


def _cache_clear(options: argparse.Namespace) -> Answer:
    from amorsize.knowledge import forget

    store, name = _store(), options.function
    where, before = store.path, store.note  # in this order: it is the path that may need a note
    if name is not None:
        _require_known(name, {each.function for each in _kept()})
    n_dropped = store.clear() if name is None else forget(name)
    store.close()
    if store.note != before:
        raise Failure(store.note or "")
    return {"dropped": n_dropped}, [f"dropped {n_dropped:,} rows: {name or where}"]


def _require_known(name: str, names: set[str]) -> None:
    if name not in names:
        from difflib import get_close_matches

        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else "amorsize cache list shows what is kept"
        raise Failure(f"nothing is kept about {name}: {hint}")


def _cache_path(_options: argparse.Namespace) -> Answer:
    path = _store().path
    return {"path": path}, [path]


def _store() -> DiskStore:
    from amorsize.knowledge import directory, open_store

    where = directory()
    if where is None:
        raise Failure("the cache is off: AMORSIZE_CACHE is set to 0; unset it to look at what is kept")
    return open_store(where)


def _kept() -> list[Kept]:
    """Return what the store keeps of functions.

    Raises:
        Failure: where it cannot be read.
    """
    from amorsize.report.kept import kept_in

    store = _store()
    fault, kept = store.fault, kept_in(store.entries())
    store.close()
    if fault is not None:
        raise Failure(f"the cache in {store.path} cannot be read: {fault}; amorsize cache clear begins a new one")
    return kept


def _store_state() -> StoreState:
    from amorsize.knowledge import directory
    from amorsize.report.diagnosis import StoreState
    from amorsize.report.kept import kept_in

    if directory() is None:
        return StoreState(directory=None)
    store = _store()
    kept = kept_in(store.entries())
    state = StoreState(
        directory=store.path,
        size_bytes=store.size_bytes,
        n_records=len(kept),
        functions=tuple(sorted({each.function for each in kept})),
        n_machines=len({each.machine_digest for each in kept}),
        fault=store.fault,
        note=store.note,
    )
    store.close()
    return state


# This machine, and plans.


def _doctor(_options: argparse.Namespace) -> Answer:
    from amorsize.doctor import examine
    from amorsize.report.diagnosis import describe

    seen = examine(_store_state())
    return seen, describe(seen)


def _explain(options: argparse.Namespace) -> Answer:
    from time import time

    from amorsize.explain import NotFound, look_ahead
    from amorsize.report.outlook import describe_outlook

    module, name = options.function
    try:
        outlook = look_ahead(module, name, options.items, _kept())
    except NotFound as error:
        raise Failure(str(error)) from error
    for warning in outlook.warnings:
        _tell(warning)
    return outlook, describe_outlook(outlook, time())
