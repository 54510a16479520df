"""The command `amorsize`: look at what is kept, at this machine, and at the plan for a function.

Data goes to stdout, messages to stderr. Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
What a command needs is imported by that command: `amorsize --version` loads argparse and hardly more.
"""

from __future__ import annotations

import argparse
import os
import sys

from amorsize import __version__
from amorsize.commands import cache
from amorsize.commands.terminal import Failure, answer, tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from amorsize.commands.terminal import Answer

    Command: TypeAlias = Callable[[argparse.Namespace], Answer]
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]

INTERRUPTED = 130
"""What a shell reports of a command that Ctrl-C ended: 128 + SIGINT."""

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_MOST_DIGITS = 12  # of an age: longer than anything lasts, and still a float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Args:
        arguments: of the command line, without the program's name; None for those of this process.

    Raises:
        SystemExit: by argparse, with 2 for wrong usage, with 0 after `--help` and `--version`.
    """
    try:
        options = _parser().parse_args(arguments)
        answer(options.command(options), as_json=options.json)
    except Failure as failure:
        tell(str(failure))
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

    about = commands.add_parser("cache", help="Look at what is kept, drop it, or carry it", allow_abbrev=False)
    actions = about.add_subparsers(metavar="ACTION", required=True)
    add(actions, "info", cache.info, "Show where the cache is, its size and whether it can be used")
    add(actions, "list", cache.listing, "Show a line for each function, kind of input and machine")
    show = add(actions, "show", cache.show, "Show everything that is kept under a key")
    show.add_argument("key", metavar="KEY", help="the key that `amorsize cache list` shows, or its beginning")
    clear = add(actions, "clear", cache.clear, "Drop what is kept about one function, or everything")
    clear.add_argument("function", metavar="FUNC", nargs="?", help="module:function; without it, everything goes")
    prune = add(actions, "prune", cache.prune, "Drop what was not used for long")
    prune.add_argument("--older-than", metavar="AGE", type=_age, required=True, help="such as 30d, 12h or 2w")
    export = add(actions, "export", cache.export, "Write what is kept into a file")
    export.add_argument("file", metavar="FILE", help="to be made, or replaced")
    bring = add(actions, "import", cache.bring, "Keep what a file tells of functions not known here")
    bring.add_argument("file", metavar="FILE", help="that `amorsize cache export` has written")
    add(actions, "path", cache.path, "Show the cache's directory")
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
    if module.endswith(".py"):
        stem = os.path.basename(module).removesuffix(".py")
        raise argparse.ArgumentTypeError(f"{module!r} is a file, not a module: write {stem}:{name}")
    return module, name


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be an int >= 1, got {text!r}")
    return int(text)


def _age(text: str) -> int:
    number, unit = text[:-1], text[-1:]
    if not number.isdecimal() or len(number) > _MOST_DIGITS or unit not in _UNITS_S:
        raise argparse.ArgumentTypeError(f"{text!r} is no age, such as 30d, 12h or 2w")
    return int(number) * _UNITS_S[unit]


# This machine, and plans.


def _doctor(_options: argparse.Namespace) -> Answer:
    from amorsize.commands.doctor import examine
    from amorsize.report.diagnosis import describe

    seen = examine(cache.state())
    return seen, describe(seen)


def _explain(options: argparse.Namespace) -> Answer:
    from time import time

    from amorsize.commands.explain import NotFound, look_ahead
    from amorsize.report.outlook import describe_outlook

    module, name = options.function
    try:
        outlook = look_ahead(module, name, options.items, cache.kept())
    except NotFound as error:
        raise Failure(str(error)) from error
    for warning in outlook.warnings:
        tell(warning)
    return outlook, describe_outlook(outlook, time())
