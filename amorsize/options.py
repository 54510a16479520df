"""What a caller may set, where it may be set, and which setting wins.

    call  >  .options()  >  with amorsize.config(...)  >  decorator  >  environment  >  default

Each place gives a plain mapping of checked values; `resolve` lays them over each other. This is the only module that
reads `AMORSIZE_*`. `AMORSIZE_N_JOBS` and `AMORSIZE_DISABLE` are no defaults but ceilings: nothing overrides them.
"""

import os
from _contextvars import ContextVar

from amorsize.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Literal, Self, TypeVar

    from amorsize.protocols import Backend, Chunksize, NJobs, OnError, StartMethod

    Given = Mapping[str, object]
    T = TypeVar("T")


class Options(Record):
    """The options of one call, all places laid over each other.

    Attributes:
        n_jobs: processes that compute at once, the caller included, or threads; -1 is all cores, -2 all but one.
        chunksize: the largest range of items taken at once.
        backend: what runs the items; "auto" for what is fastest.
        start_method: how worker processes are started.
        isolate: no item ever runs in the caller.
        buffersize: items of a stream that may have been pulled and whose results nobody has taken yet.
        progress: True for a bar, or called with (items done, items in all or None).
        timeout: seconds that one item may take; None for any time.
        deadline: seconds that the whole call may take; None for any time.
        on_error: what becomes of an item's exception: it is raised, returned as the result, or skipped.
        retries: further tries of an item after its worker died, or it raised one of `retry_on`.
        retry_on: types of exceptions; Ctrl-C ends the call even under BaseException.
        initializer: called once in every process (or thread) that runs items of the call, before its first; not again
            in fresh interpreters that have run it for an earlier call.
        initargs: its arguments.
        seed: what the random numbers of each item follow from; None to leave the generators alone.
        cache: whether timings are looked up and kept.
        n_jobs_ceiling: `AMORSIZE_N_JOBS`; None for no ceiling.
        disabled: `AMORSIZE_DISABLE` is set: always the plain loop.
    """

    n_jobs: "NJobs" = "auto"
    chunksize: "Chunksize" = "auto"
    backend: "Backend" = "auto"
    start_method: "StartMethod" = "auto"
    isolate: bool = False
    buffersize: "int | Literal['auto']" = "auto"
    progress: "bool | Callable[[int, int | None], object]" = False
    timeout: float | None = None
    deadline: float | None = None
    on_error: "OnError" = "raise"
    retries: int = 0
    retry_on: "tuple[type[BaseException], ...]" = ()
    initializer: "Callable[..., object] | None" = None
    initargs: tuple[object, ...] = ()
    seed: int | None = None
    cache: bool = True
    n_jobs_ceiling: int | None = None
    disabled: bool = False

    def check(self) -> None:
        if self.isolate and self.backend == "serial":
            raise ValueError('isolate=True keeps every item out of the caller: it excludes backend="serial"')
        if self.initargs and self.initializer is None:
            raise ValueError(f"initargs={self.initargs!r} are for an initializer, and there is none")
        if self.retry_on and not self.retries:
            names = ", ".join([kind.__name__ for kind in self.retry_on])
            raise ValueError(f"retry_on=({names}) says what is worth another try, and retries=0 allows none")
        if self.seed is not None and self.backend == "thread":
            raise ValueError(
                f"seed={self.seed} sets the random generators of a process before each item, and threads share those: "
                'write backend="process"'
            )
        if self.isolate and self.backend == "thread":
            raise ValueError(
                'isolate=True keeps every item out of this process, which threads are part of: write backend="process"'
            )

    @property
    def needs_guard(self) -> bool:
        """Whether something has to be done around each call of the function."""
        is_retried = bool(self.retries and self.retry_on)
        return is_retried or self.on_error != "raise" or self.seed is not None or self.initializer is not None

    @property
    def forces_workers(self) -> bool:
        """Whether workers were asked for, gain or not."""
        return self.isolate or self.backend in ("process", "thread")

    @property
    def why_loop(self) -> "str | None":
        """Why nothing but the plain loop is considered, in words; None where more is."""
        if self.disabled:
            return "AMORSIZE_DISABLE is set: the plain loop"
        return 'backend="serial": the plain loop, as asked for' if self.backend == "serial" else None

    @property
    def is_supervised(self) -> bool:
        """Whether the caller has to know at any time which worker has which item."""
        ends_items = self.timeout is not None or self.deadline is not None
        return ends_items or self.retries > 0 or self.on_error != "raise"  # a worker's death has to be one item's

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


_DEFAULTS = Options()
_latest: tuple[dict[str, object], Options] = {}, _DEFAULTS
_everywhere: dict[str, object] = {}
_revocable: dict[int, dict[str, object]] = {}  # by id of each `config` that a block may still take back, oldest first
_within: "ContextVar[dict[str, object] | None]" = ContextVar("amorsize.config", default=None)


class config:  # noqa: N801 - a context manager that reads like a function, as contextlib's own do
    """Set options for all calls: from here on, or inside a `with` block.

    Example:
        >>> import amorsize
        >>> with amorsize.config(n_jobs=2):
        ...     amorsize.pmap(abs, [-1, 2])
        [1, 2]

    A plain `config(n_jobs=2)` holds for the whole process; a `with` block holds for the block, in its own thread and
    async task.

    Args:
        options: as of `pmap`.

    Raises:
        TypeError: for an unknown option, or a value of the wrong type.
        ValueError: for a value out of range.
    """

    # Other threads set theirs at any moment, so each step changes what is its own, and nothing is put back as it was.
    # In the class, for who goes when the interpreter has taken down this module.
    _for_good = _everywhere
    _until_entered = _revocable

    def __init__(self, **options: object) -> None:
        from amorsize.checks import checked

        self._options = checked(options)
        self._until_entered[id(self)] = dict(self._options)

    def __enter__(self) -> "Self":
        self._until_entered.pop(id(self), None)
        self._token = _within.set({**(_within.get() or {}), **self._options})
        return self

    def __exit__(self, *_: object) -> None:
        _within.reset(self._token)

    def __del__(self) -> None:
        """Hold for good: no `with` can take it back any more."""
        own = self._until_entered.get(id(self))
        if own is None:
            return
        for earlier in list(self._until_entered.values()):
            if earlier is own:
                break
            for name in own:
                earlier.pop(name, None)
        self._for_good.update(own)
        del self._until_entered[id(self)]

    @classmethod
    def everywhere(cls) -> "dict[str, object]":
        """Return what holds for the whole process; what comes to hold for good meanwhile is met twice, never missed."""
        later = list(cls._until_entered.values())
        found = dict(cls._for_good)
        for options in later:
            found.update(options)
        return found


def is_configured() -> bool:
    """Whether `config` has set anything that holds here."""
    return bool(_everywhere or _revocable or _within.get())


def while_environment_holds(answer: "Callable[[], T]") -> "Callable[[], T]":
    """Have a question about the environment answered once for as long as no variable changes: to look up three takes
    6 us, to see that none has changed 1."""
    known: "tuple[object, T] | None" = None  # the environment, and the answer in it

    def ask() -> "T":
        nonlocal known
        environment = _variables()
        found = known  # another thread may bind it anew
        if found is not None and found[0] == environment:
            return found[1]
        given = answer()
        if environment == _variables():  # else the answer may be another one's
            known = environment, given
        return given

    return ask


def _variables() -> object:
    """Return a copy of the environment as it is kept, which takes a tenth of what decoding it does."""
    return dict(getattr(os.environ, "_data", os.environ))


def _is_set(text: str | None) -> bool:
    return text is not None and text.strip().lower() not in ("", "0", "false", "no", "off")


@while_environment_holds
def _environment() -> dict[str, object]:
    """Return what the environment sets."""
    found: dict[str, object] = {}
    backend = os.environ.get("AMORSIZE_BACKEND")
    if backend:
        from amorsize.checks import CHECKS

        found["backend"] = _from_environment("AMORSIZE_BACKEND", CHECKS["backend"], backend)
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
    everywhere = config.everywhere() if _revocable else _everywhere
    merged = {**_environment(), **decorator, **everywhere, **(_within.get() or {}), **view, **call}
    if not merged:
        return _DEFAULTS
    for name in ("timeout", "deadline"):
        if merged.get(name) is not None:
            if merged.get("backend") in ("serial", "thread"):
                raise ValueError(
                    f"{name}= ends a worker that takes too long, which only a process can be: it excludes backend="
                    f"{merged['backend']!r}"
                )
            merged["isolate"] = True
    return _options(merged)


def _options(merged: dict[str, object]) -> "Options":
    """Return the options of these values; the same as the last time where the values are, which spares 10 us here and
    finds the plan that was made for them."""
    global _latest
    before, found = _latest
    if len(before) != len(merged) or any(before.get(name, merged) is not value for name, value in merged.items()):
        found = Options(**merged)  # type: ignore[arg-type]  # every value passed its check in `checked`
        _latest = merged, found
    return found


def cache_settings() -> tuple[bool, str | None]:
    """Return whether the environment allows a store on disk (`AMORSIZE_CACHE`), and where it wants it."""
    switch = os.environ.get("AMORSIZE_CACHE")
    return switch is None or _is_set(switch), os.environ.get("AMORSIZE_CACHE_DIR") or None
