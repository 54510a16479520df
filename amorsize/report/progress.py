"""Tell how far a call has come: to a bar, or to a function of the user's."""

from __future__ import annotations

from time import perf_counter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

EVERY_S = 0.1
"""Seconds between two tellings: a bar that moves ten times a second looks smooth, and drawing one takes 0.1 ms."""


class Progress:
    """Tells of items done, at most ten times a second, and of the last one in any case.

    Args:
        tell: called with the items done and those in all, None where nobody knows; True for a bar of tqdm's.

    Raises:
        BackendUnavailable: for True, where tqdm is not installed.
    """

    every_s = EVERY_S

    def __init__(self, tell: bool | Callable[[int, int | None], object]) -> None:
        self._tell = _Bar() if isinstance(tell, bool) else tell
        self._told_s = -EVERY_S
        self._last: tuple[int, int | None] | None = None
        self._is_told = True

    def __call__(self, n_done: int, n_items: int | None) -> None:
        """Note that so many items are done, of how many."""
        if (n_done, n_items) == self._last:
            return
        self._last, self._is_told = (n_done, n_items), False
        if perf_counter() - self._told_s >= EVERY_S:
            self._tell_now()

    def _tell_now(self) -> None:
        if self._last is not None and not self._is_told:
            self._is_told = True
            self._tell(*self._last)
            self._told_s = perf_counter()

    def close(self) -> None:
        """Tell of the last items; a second time, do nothing."""
        try:
            self._tell_now()
        finally:
            self.leave()

    def leave(self) -> None:
        """Tell nothing more, for something else is told of: a failure."""
        self._is_told = True
        if isinstance(self._tell, _Bar):
            self._tell.close()


class _Bar:
    """A bar of tqdm's, without the thread that watches over it: a fork beside a thread is not safe."""

    def __init__(self) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            from amorsize.errors import BackendUnavailable

            raise BackendUnavailable("progress=True draws with tqdm: pip install tqdm") from error
        self._tqdm: Any = type("Bar", (tqdm,), {"monitor_interval": 0})  # its own: other bars are the program's
        self._bar: Any = None

    def __call__(self, n_done: int, n_items: int | None) -> None:
        if self._bar is None:
            self._bar = self._tqdm(total=n_items, unit="item")
        self._bar.update(n_done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
