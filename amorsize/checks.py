"""Which values an option may have, and what is said of those that it may not."""

import operator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from types import CodeType
    from typing import Any, SupportsIndex, TypeGuard

BACKENDS = ("auto", "serial", "process", "thread")
START_METHODS = ("auto", "fork", "spawn")
ON_ERROR = ("raise", "return", "skip")

PEERS = {
    "max_workers": "n_jobs",
    "num_workers": "n_jobs",
    "workers": "n_jobs",
    "processes": "n_jobs",
    "num_proc": "n_jobs",
    "nprocs": "n_jobs",
    "n_workers": "n_jobs",
    "nb_workers": "n_jobs",
    "cores": "n_jobs",
    "n_cores": "n_jobs",
    "num_cpus": "n_jobs",
    "threads": "n_jobs",
    "concurrency": "n_jobs",
    "chunk_size": "chunksize",
    "batch_size": "chunksize",
    "max_buffer": "buffersize",
    "executor": "backend",
    "prefer": "backend",
    "mp_context": "start_method",
    "progress_bar": "progress",
    "show_progress": "progress",
}
"""How other libraries spell our options."""


def _is_whole(value: object) -> "TypeGuard[SupportsIndex]":
    return not isinstance(value, bool) and getattr(value, "__index__", None) is not None


def _check_n_jobs(value: "Any") -> object:  # Any: whatever a caller gave
    if value == "auto":
        return value
    if not _is_whole(value):
        raise TypeError(f'n_jobs must be an int or "auto", got {value!r} ({type(value).__name__})')
    n_jobs = operator.index(value)
    if n_jobs == 0:
        raise ValueError('n_jobs must be >= 1, negative (-1 all cores, -2 all but one) or "auto", got 0')
    return n_jobs


def _one_of(name: str, choices: tuple[str, ...]) -> "Callable[[object], object]":
    def check(value: object) -> object:
        if not isinstance(value, str):
            raise TypeError(f"{name} must be one of {', '.join(choices)}, got {value!r} ({type(value).__name__})")
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
        return value

    return check


def _flag(name: str) -> "Callable[[object], object]":
    def check(value: object) -> object:
        if not isinstance(value, bool):
            raise TypeError(f"{name} must be True or False, got {value!r} ({type(value).__name__})")
        return value

    return check


def _seconds(name: str) -> "Callable[[object], object]":
    def check(value: object) -> object:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{name} must be seconds > 0 or None, got {value!r} ({type(value).__name__})")
        if not 0 < value < float("inf"):
            raise ValueError(f"{name} must be > 0 seconds, or None for any time, got {value!r}")
        return float(value)

    return check


def count_from(least: int, name: str, other: str | None = None) -> "Callable[[Any], Any]":
    """Return what checks a number of something, or what stands in its place."""
    also = "" if other is None else f' or "{other}"'

    def check(value: "Any") -> "Any":  # Any: whatever a caller gave
        if isinstance(value, str) and value == other:
            return other
        if not _is_whole(value):
            raise TypeError(f"{name} must be an int >= {least}{also}, got {value!r} ({type(value).__name__})")
        count = operator.index(value)
        if count < least:
            raise ValueError(f"{name} must be >= {least}{also}, got {value!r}")
        return count

    return check


def _check_progress(value: object) -> object:
    if not isinstance(value, bool) and not callable(value):
        raise TypeError(f"progress must be True, False or called as progress(n_done, n_items), got {value!r}")
    return value


def _check_retry_on(value: object) -> object:
    kinds = (value,) if isinstance(value, type) else value
    if not isinstance(kinds, (tuple, list)) or not all(
        isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds
    ):
        raise TypeError(f"retry_on must be a tuple of exception types, got {value!r}")
    return tuple(kinds)


def _check_initializer(value: object) -> object:
    if value is not None and not callable(value):
        raise TypeError(f"initializer must be a function or None, got {value!r} ({type(value).__name__})")
    return value


def _check_initargs(value: object) -> object:
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"initargs must be a tuple, got {value!r} ({type(value).__name__})")
    return tuple(value)


def _check_seed(value: "Any") -> object:  # Any: whatever a caller gave
    if value is not None and not _is_whole(value):
        raise TypeError(f"seed must be an int or None, got {value!r} ({type(value).__name__})")
    return None if value is None else operator.index(value)


CHECKS: "dict[str, Callable[[object], object]]" = {
    "n_jobs": _check_n_jobs,
    "chunksize": count_from(1, "chunksize", "auto"),
    "backend": _one_of("backend", BACKENDS),
    "start_method": _one_of("start_method", START_METHODS),
    "isolate": _flag("isolate"),
    "buffersize": count_from(1, "buffersize", "auto"),
    "progress": _check_progress,
    "timeout": _seconds("timeout"),
    "deadline": _seconds("deadline"),
    "on_error": _one_of("on_error", ON_ERROR),
    "retries": count_from(0, "retries"),
    "retry_on": _check_retry_on,
    "initializer": _check_initializer,
    "initargs": _check_initargs,
    "seed": _check_seed,
    "cache": _flag("cache"),
}


def _code_of(func: object) -> "CodeType | None":
    from types import CodeType

    code = getattr(getattr(func, "__func__", func), "__code__", None)
    return code if isinstance(code, CodeType) else None


def _unknown(name: str, func: object) -> "TypeError":
    code = _code_of(func)
    if code is not None and name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
        called = code.co_name if code.co_name.isidentifier() else "func"
        by_position = "an iterable for it by position, or " if name in code.co_varnames[: code.co_argcount] else ""
        return TypeError(
            f"{name!r} is an argument of {called}, not an option: give {by_position}"
            f"one value for all items with pmap(functools.partial({called}, {name}=...), items)"
        )
    if name in PEERS:
        return TypeError(f"amorsize calls {name!r} {PEERS[name]!r}: write {PEERS[name]}=...")
    import difflib

    near = difflib.get_close_matches(name, CHECKS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return TypeError(f"unknown option {name!r}{hint} The options are {', '.join(CHECKS)}.")


def _later_arguments(func: object, n_filled: int) -> tuple[str, ...]:
    """Return the names of a function's arguments that have defaults, beyond the first ones that an item fills."""
    code, defaults = _code_of(func), getattr(func, "__defaults__", None) or ()
    if code is None:
        return ()
    n_filled += hasattr(func, "__self__")
    n = code.co_argcount
    return (*code.co_varnames[max(n - len(defaults), n_filled) : n], *(getattr(func, "__kwdefaults__", None) or ()))


def warn_of_hidden(names: "Collection[str]", func: object, n_filled: int) -> None:
    """Warn of an option of a call that has the name of an argument, which its caller may have wanted to give.

    Args:
        names: of the options given.
        func: the function.
        n_filled: arguments that each item fills.
    """
    hidden = next((name for name in _later_arguments(func, n_filled) if name in names), None)
    if hidden is None:
        return
    from amorsize.errors import warn_once

    called = getattr(func, "__qualname__", "the function")
    warn_once(
        f"{hidden}= is an option here and not passed on to {called}, which has an argument of that name: map "
        f"functools.partial({called}, {hidden}=...) to give it that, or say .options({hidden}=...).pmap(items) to "
        "give the option and see no warning"
    )


def checked(given: "Mapping[str, object]", func: object = None) -> dict[str, object]:
    """Return the given options, checked; whose name is one of the function's arguments is told how to give it that.

    Raises:
        TypeError: for an unknown option, a peer's spelling, or a value of the wrong type.
        ValueError: for a value out of range.
    """
    values = {}
    for name, value in given.items():
        check = CHECKS.get(name)
        if check is None:
            raise _unknown(name, func)
        values[name] = check(value)
    return values
