"""What a fresh interpreter takes over from its caller before every call, so that a function finds there what it finds
here: import path, directory, environment, umask, warning filters, limits, settings of libraries; which signals it
leaves to its caller, which standard streams lie in memory, and whether warnings are kept.

Everything travels as what marshal knows: a worker needs neither pickle nor `re` for it.
"""

from __future__ import annotations

import os
import sys
import time
from _io import FileIO  # a test may have put a mock in the place of `open`

from amorsize.engine import alive, said, warned
from amorsize.engine.child import handled_for_all, leave_to_caller
from amorsize.engine.spawn import settings
from amorsize.engine.spawn.names import Importing
from amorsize.loggers import close_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from amorsize.engine.spawn.settings import Settings

    Environment: TypeAlias = dict[bytes, bytes] | dict[str, str]
    Filters: TypeAlias = list[tuple[Any, ...]]
    Surroundings: TypeAlias = tuple[
        list[str],  # import path
        list[str],  # arguments
        str | None,  # directory
        Environment,
        int | None,  # umask
        Filters,
        tuple[int, int],  # limits
        list[int],  # signals handled here
        list[str],  # streams in memory
        bool,  # whether warnings are kept
        Settings,  # of libraries
    ]
else:
    import _signal as signal  # the C half is loaded anyway; `signal` itself costs 3.3 ms

UMASK_FIELD = b"\nUmask:\t"

DIGITS_BY_DEFAULT = 4300
"""Digits that an integer's text may have, where nobody has changed it (an old patch release has no such limit)."""


def here() -> Surroundings:
    """Describe this process."""
    return (
        import_path(),
        _arguments(),
        _directory(),
        _environment(),
        _umask(),
        _filters(),
        _limits(),
        handled_for_all(),
        said.in_memory(),
        warned.are_kept(),
        settings.here(),
    )


def directory_of(surroundings: Surroundings) -> str | None:
    """Return the caller's directory; None where only a process that is started by the caller now would be there."""
    _, _, directory, *_ = surroundings
    return directory


def import_path() -> list[str]:
    """Return where this process looks for modules; what is no text there, only a hook of its own would know."""
    return [entry for entry in list[object](sys.path) if isinstance(entry, str)]


def _arguments() -> list[str]:
    return [argument for argument in getattr(sys, "argv", []) if isinstance(argument, str)]


def _directory() -> str | None:
    """Return the current directory; None where its name leads nobody there: it has been deleted, or is forbidden by
    now. Only a process that is started here is there then."""
    try:
        directory = os.getcwd()
    except OSError:
        return None
    return directory if os.access(directory, os.X_OK) else None


def _environment() -> Environment:
    """Return the environment as Python keeps it, which is bytes on POSIX: decoding it takes 25 us, and as long again in
    every worker. A mapping that a program has put in its place is taken as it is."""
    return dict(getattr(os.environ, "_data", os.environ))


def _umask() -> int | None:
    """Return the umask, on Linux without changing it where there are other threads: for a moment, they would make files
    with another. To have the kernel write it down takes 10 us, and 40 in a program that has other things in its cache.

    Signal handlers have to be held back meanwhile.
    """
    if sys.platform == "linux" and alive.n_native() != 1:
        try:
            with FileIO("/proc/self/status") as status:
                return int(status.read(1 << 16).partition(UMASK_FIELD)[2].split(None, 1)[0], 8)
        except (OSError, ValueError, IndexError):
            return None
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def _limits() -> tuple[int, int]:
    digits = sys.get_int_max_str_digits() if hasattr(sys, "get_int_max_str_digits") else DIGITS_BY_DEFAULT
    return sys.getrecursionlimit(), digits


def _filters() -> list[tuple[Any, ...]]:
    """Return the warning filters; one whose category has no name that could be looked up is left out."""
    warnings = sys.modules.get("warnings") or sys.modules["_warnings"]
    return [
        (action, _text(message), category.__module__, category.__qualname__, _text(module), line)
        for action, message, category, module, line in warnings.filters
        if category.__module__ != "__main__" and "." not in category.__qualname__
    ]


def _text(pattern: Any) -> Any:
    """Return a compiled pattern as its text and flags; the interpreter's own filters have plain text, or none."""
    return pattern if pattern is None or isinstance(pattern, str) else (pattern.pattern, pattern.flags)


def take_over(surroundings: Surroundings, tell: Callable[[], None]) -> None:
    """Make this process like the one described.

    Args:
        surroundings: of the caller.
        tell: as of `warned.take_over`.

    Raises:
        OSError: where the directory cannot be entered.
    """
    path, arguments, directory, environment, umask, filters, limits, handled, streams, kept, of_libraries = surroundings
    if sys.path != path:
        sys.path[:] = path
    sys.argv[:] = arguments
    enter(directory)
    _set_environment(environment)
    if umask is not None:
        os.umask(umask)
    _set_filters(filters)
    if limits != _limits():
        depth, digits = limits
        sys.setrecursionlimit(depth)
        if hasattr(sys, "set_int_max_str_digits"):
            sys.set_int_max_str_digits(digits)
    _leave_to_caller(handled)
    said.take_over(streams)
    warned.take_over(kept, tell)
    settings.take_over(of_libraries)


def _leave_to_caller(handled: list[int]) -> None:
    """Let these signals pass, which were held back at the launch, and those no more that the caller handled before."""
    changed = set(handled).symmetric_difference(handled_for_all())
    for number in changed:
        signal.signal(number, leave_to_caller if number in handled else signal.SIG_DFL)
    if changed and sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, changed)


def put_right(surroundings: Surroundings | None) -> None:
    """Set anew what the import of a user's module may have set otherwise: settings of libraries. What it has warned of,
    the caller has been told at its own import."""
    if surroundings is not None:
        warned.forget()
        *_, of_libraries = surroundings
        settings.take_over(of_libraries)


def let_go(surroundings: Surroundings | None) -> None:
    """Hold no log file, and no directory to which there is a way back."""
    close_files()
    if surroundings is None or directory_of(surroundings) is not None:
        enter(os.path.abspath(os.sep))


def enter(directory: str | None) -> None:
    """Make a directory the current one; None is that in which this process was started.

    Raises:
        OSError: where that cannot be done.
    """
    if directory is not None:
        os.chdir(directory)


def _set_environment(environment: Environment) -> None:
    """Set only what differs: each change is one in C's own environment, too."""
    if environment == _environment():
        return
    zone = os.environ.get("TZ")
    wanted = {os.fsdecode(name): os.fsdecode(value) for name, value in environment.items()}
    for name in os.environ.keys() - wanted.keys():
        del os.environ[name]
    for name, value in wanted.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    if os.environ.get("TZ") != zone and hasattr(time, "tzset"):
        time.tzset()


def _set_filters(filters: list[tuple[Any, ...]]) -> None:
    """Set the warning filters; whatever has been shown here, the caller decides whether it is shown once more."""
    import warnings

    if filters == _filters():
        with warnings.catch_warnings():  # whose end forgets what has been shown
            return
    made = []
    for action, message, module_name, category_name, module, line in filters:
        category = _category(module_name, category_name)
        if category is not None:
            made.append((action, _pattern(message), category, _pattern(module), line))
    warnings.resetwarnings()  # tells the interpreter's own half that they change
    warnings.filters[:] = made  # type: ignore[index]  # pyright: ignore[reportIndexIssue]  # a list, typed as a Sequence


def _category(module_name: str, name: str) -> Any:
    """Return the class of a filter, or None where its module has none or cannot be loaded: then it does not warn
    either."""
    import importlib

    try:
        with Importing():
            return getattr(importlib.import_module(module_name), name)
    except BaseException:  # of the import of a user's module, which may raise anything, or exit
        return None


def _pattern(text: Any) -> Any:
    if text is None or isinstance(text, str):
        return text
    import re

    return re.compile(*text)
