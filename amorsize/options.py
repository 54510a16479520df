"""What a caller may set, where it may be set, and which setting wins.

    call  >  .options()  >  with amorsize.config(...)  >  decorator  >  environment  >  default

Each place gives a plain mapping of checked values; `resolve` lays them over each other. This is the only module that
reads `AMORSIZE_*`. `AMORSIZE_N_JOBS` and `AMORSIZE_DISABLE` are no defaults but ceilings: nothing overrides them.
"""

import operator
import os
from _contextvars import ContextVar

from amorsize.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Any, Self

    from amorsize.protocols import Backend, Chunksize, NJobs, StartMethod

    Given = Mapping[str, object]

BACKENDS = ("auto", "serial", "process", "thread")
START_METHODS = ("auto", "fork")

PEERS = {
    "max_workers": "n_jobs",
    "num_workers": "n_jobs",
    "workers": "n_jobs",
    "processes": "n_jobs",
    "num_proc": "n_jobs",
    "nprocs": "n_jobs",
    "chunk_size": "chunksize",
    "batch_size": "chunksize",
    "executor": "backend",
    "prefer": "backend",
    "mp_context": "start_method",
}
"""How other libraries spell our options."""


class Options(Record):
    """The options of one call, all places laid over each other.

    Attributes:
        n_jobs: processes that compute at once, the caller included, or threads; -1 is all cores, -2 all but one.
        chunksize: the largest range of items taken at once.
        isolate: no item ever runs in the caller.
        cache: whether timings are looked up and kept.
        n_jobs_ceiling: `AMORSIZE_N_JOBS`; None for no ceiling.
        disabled: `AMORSIZE_DISABLE` is set: always the plain loop.
    """

    n_jobs: "NJobs" = "auto"
    chunksize: "Chunksize" = "auto"
    backend: "Backend" = "auto"
    start_method: "StartMethod" = "auto"
    isolate: bool = False
    cache: bool = True
    n_jobs_ceiling: int | None = None
    disabled: bool = False

    def check(self) -> None:
        if self.isolate and self.backend == "serial":
            raise ValueError('isolate=True keeps every item out of the caller: it excludes backend="serial"')
        if self.isolate and self.backend == "thread":
            raise ValueError(
                'isolate=True keeps every item out of this process, which threads are part of: write backend="process"'
            )

    def jobs_asked(self, n_cores: int) -> int | None:
        """Return the number of processes asked for on a machine of `n_cores`; None for "auto"."""
        if self.n_jobs == "auto":
            return None
        return self.n_jobs if self.n_jobs > 0 else max(1, n_cores + 1 + self.n_jobs)

    def jobs_ceiling(self, n_cores: int, quota_cores: float | None) -> int:
        """Return how many processes may compute at once: cores or what was asked for, within quota and environment."""
        most = max(n_cores, self.jobs_asked(n_cores) or 1)
        if quota_cores is not None:
            most = min(most, max(1, -int(-quota_cores // 1)))
        return most if self.n_jobs_ceiling is None else min(most, self.n_jobs_ceiling)

    def threads_ceiling(self, n_cores: int, most: int) -> int:
        """Return how many threads may run at once: `most` or what was asked for, within the environment's ceiling."""
        most = max(most, self.jobs_asked(n_cores) or 1)
        return most if self.n_jobs_ceiling is None else min(most, self.n_jobs_ceiling)


def _whole_number(name: str, value: "Any") -> int:  # Any: whatever a caller gave
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f'{name} must be an int or "auto", got {value!r} ({type(value).__name__})')
    return operator.index(value)


def _check_n_jobs(value: object) -> object:
    if value == "auto":
        return value
    n_jobs = _whole_number("n_jobs", value)
    if n_jobs == 0:
        raise ValueError('n_jobs must be >= 1, negative (-1 all cores, -2 all but one) or "auto", got 0')
    return n_jobs


def _check_chunksize(value: object) -> object:
    if value == "auto":
        return value
    if isinstance(value, str):
        raise ValueError(f'chunksize must be an int >= 1 or "auto", got {value!r}')
    chunksize = _whole_number("chunksize", value)
    if chunksize < 1:
        raise ValueError(f'chunksize must be >= 1 or "auto", got {chunksize}')
    return chunksize


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


_CHECKS: "dict[str, Callable[[object], object]]" = {
    "n_jobs": _check_n_jobs,
    "chunksize": _check_chunksize,
    "backend": _one_of("backend", BACKENDS),
    "start_method": _one_of("start_method", START_METHODS),
    "isolate": _flag("isolate"),
    "cache": _flag("cache"),
}


def _unknown(name: str) -> "TypeError":
    if name in PEERS:
        return TypeError(f"amorsize calls {name!r} {PEERS[name]!r}: write {PEERS[name]}=...")
    import difflib

    near = difflib.get_close_matches(name, _CHECKS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return TypeError(f"unknown option {name!r}{hint} The options are {', '.join(_CHECKS)}.")


def checked(given: "Given") -> dict[str, object]:
    """Return the given options, checked.

    Raises:
        TypeError: for an unknown option, a peer's spelling, or a value of the wrong type.
        ValueError: for a value out of range.
    """
    values = {}
    for name, value in given.items():
        check = _CHECKS.get(name)
        if check is None:
            raise _unknown(name)
        values[name] = check(value)
    return values


_everywhere: dict[str, object] = {}
_within: "ContextVar[dict[str, object] | None]" = ContextVar("amorsize.config", default=None)


class config:  # noqa: N801 - a context manager that reads like a function, as contextlib's own do
    """Set options for all calls: from here on, or inside a `with` block.

    Example:
        >>> import amorsize
        >>> with amorsize.config(n_jobs=2):
        ...     amorsize.pmap(abs, [-1, 2])
        [1, 2]

    A plain `config(n_jobs=2)` holds for the whole process; a `with` block holds for the block, in its own thread and
    async task. Raises what `checked` raises.
    """

    def __init__(self, **options: object) -> None:
        self._options = checked(options)
        self._before = dict(_everywhere)
        _everywhere.update(self._options)

    def __enter__(self) -> "Self":
        _everywhere.clear()
        _everywhere.update(self._before)
        self._token = _within.set({**(_within.get() or {}), **self._options})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        _within.reset(self._token)


def _is_set(text: str | None) -> bool:
    return text is not None and text.strip().lower() not in ("", "0", "false", "no", "off")


def _environment() -> dict[str, object]:
    """Return what the environment sets; costs three look-ups (2 us) where it sets nothing."""
    found: dict[str, object] = {}
    backend = os.environ.get("AMORSIZE_BACKEND")
    if backend:
        found["backend"] = _from_environment("AMORSIZE_BACKEND", _CHECKS["backend"], backend)
    n_jobs = os.environ.get("AMORSIZE_N_JOBS")
    if n_jobs:
        found["n_jobs_ceiling"] = _from_environment("AMORSIZE_N_JOBS", _ceiling, n_jobs)
    if _is_set(os.environ.get("AMORSIZE_DISABLE")):
        found["disabled"] = True
    return found


def _ceiling(text: object) -> int:
    ceiling = int(str(text))
    if ceiling < 1:
        raise ValueError("must be an int >= 1")
    return ceiling


def _from_environment(variable: str, check: "Callable[[object], object]", text: str) -> object:
    try:
        return check(text)
    except ValueError as error:
        raise ValueError(f"the environment variable {variable}={text!r} is wrong: {error}") from None


def resolve(decorator: "Given", view: "Given", call: "Given") -> "Options":
    """Lay all places over each other and return the options of one call; all three mappings are checked already."""
    merged = {**_environment(), **decorator, **_everywhere, **(_within.get() or {}), **view, **call}
    return Options(**merged)  # type: ignore[arg-type]  # every value passed its check in `checked`


def cache_settings() -> tuple[bool, str | None]:
    """Return whether the environment allows a store on disk (`AMORSIZE_CACHE`), and where it wants it."""
    switch = os.environ.get("AMORSIZE_CACHE")
    return switch is None or _is_set(switch), os.environ.get("AMORSIZE_CACHE_DIR") or None
