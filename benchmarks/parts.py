"""What the seconds of a call of `pmap` go into, taken apart inside the process that makes it.

    PmapInParts, a peer: the same call, whose caller's time is charged to whichever of `PARTS` it is in
        parts        milliseconds of the last call, by part; what is in none of them is REST

Each function that begins a part is replaced, as soon as its module is loaded, by one that notes its begin and its end.
A part within a part counts as the inner one. Nothing is loaded earlier or later for that; each note costs 1 us.
"""

from __future__ import annotations

import builtins
import sys
from _thread import get_ident
from functools import wraps
from time import perf_counter

from benchmarks.peers import Pmap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from benchmarks.peers import Func

LOADING, ITEMS, REST = "loading modules", "items in the caller", "the rest"

PARTS = (
    (ITEMS, "amorsize.inline", "Work.run"),
    (ITEMS, "amorsize.engine.rows", "Rows.run"),
    ("looking up", "amorsize.advice.knowledge", "look_up"),
    ("deciding", "amorsize.advice.adviser", "Adviser.choose"),
    ("starting workers", "amorsize.engine.supervise", "Crew.start"),
    ("starting workers", "amorsize.engine.thread", "Crew.start"),
    ("starting workers", "amorsize.engine.fed.feed", "Feed._staff"),
    ("handing items out", "amorsize.engine.fed.give", "Giver.give_all"),
    ("waiting for workers", "amorsize.engine.supervise", "Crew.drain"),
    ("waiting for workers", "amorsize.engine.thread", "Crew.wait"),
    ("waiting for workers", "amorsize.engine.fed.feed", "wait_for"),
    ("taking results over", "amorsize.engine.supervise", "Crew._receive"),
    ("taking results over", "amorsize.engine.fed.take", "Taker.hear"),
    ("ending workers", "amorsize.engine.supervise", "Crew._ended"),
    ("ending workers", "amorsize.engine.fed.feed", "Feed.close"),
    ("learning", "amorsize.advice.lesson", "report_of"),
)
"""What begins each part: its name, a module, and a function of it."""


class Clock:
    """Charges time to the part that the caller is in."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inside = [REST]
        self._since_s = perf_counter()

    def enter(self, part: str) -> None:
        """Begin a part."""
        self._charge()
        self._inside.append(part)

    def leave(self) -> None:
        """End the part that was begun last, or the call."""
        self._charge()
        if len(self._inside) > 1:
            self._inside.pop()

    @property
    def is_in_items(self) -> bool:
        """Whether the function itself is running, whatever it does."""
        return self._inside[-1] == ITEMS

    def _charge(self) -> None:
        now_s, part = perf_counter(), self._inside[-1]
        self.seconds[part] = self.seconds.get(part, 0.0) + now_s - self._since_s
        self._since_s = now_s


class PmapInParts(Pmap):
    """amorsize, taken apart.

    Attributes:
        parts: milliseconds of the last call, by part; None before the first.
    """

    def __init__(self, n_jobs: int | None = None, **options: Any) -> None:  # Any: as of `pmap`
        self._clock = Clock()  # the first call begins with the first import
        self._caller = get_ident()
        self.parts: dict[str, float] | None = None
        self._missing = list(PARTS)
        self._import = builtins.__import__
        builtins.__import__ = self._loading
        super().__init__(n_jobs, **options)

    def map(self, func: Func, items: Iterable[Any], chunksize: int | None) -> Sequence[object]:
        clock = self._clock if self.parts is None else Clock()
        self._clock = clock
        try:
            return super().map(func, items, chunksize)
        finally:
            clock.leave()
            self.parts = {part: seconds * 1e3 for part, seconds in clock.seconds.items()}

    def close(self) -> None:
        builtins.__import__ = self._import
        super().close()

    def _loading(self, name: str, *args: Any, **kwargs: Any) -> Any:  # Any: as of `__import__`
        """Import something, and replace what begins a part in what is loaded now: before anybody binds it."""
        if name in sys.modules or get_ident() != self._caller or self._clock.is_in_items:
            return self._import(name, *args, **kwargs)
        self._clock.enter(LOADING)
        try:
            return self._import(name, *args, **kwargs)
        finally:
            self._replace_loaded()
            self._clock.leave()

    def _replace_loaded(self) -> None:
        found = [each for each in self._missing if is_loaded(each[1])]
        for part, module, path in found:
            self._missing.remove((part, module, path))
            owner, name = place_of(module, path)
            setattr(owner, name, self._timed(part, getattr(owner, name)))

    def _timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:  # Any: any function
        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if get_ident() != self._caller:
                return function(*args, **kwargs)
            self._clock.enter(part)
            try:
                return function(*args, **kwargs)
            finally:
                self._clock.leave()

        return timed


def is_loaded(module: str) -> bool:
    """Tell whether a module is there, all of it."""
    found = sys.modules.get(module)
    return found is not None and not getattr(found.__spec__, "_initializing", False)


def place_of(module: str, path: str) -> tuple[Any, str]:  # Any: a module or a class
    """Return what holds a function that is named by a path, and its own name there."""
    *classes, name = path.split(".")
    owner: Any = sys.modules[module]
    for each in classes:
        owner = getattr(owner, each)
    return owner, name
