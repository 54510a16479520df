"""The threads of a call as their crew sees them: each one, and how many there are left."""

from __future__ import annotations

import sys
from _thread import RLock, allocate_lock


class Lock(RLock):  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]  # it is not final, as its stub says
    """A lock that no signal handler's exception leaves shut; for `with`.

    Since Python 3.14 a handler may have its turn between the end of an `__enter__` in C and the block that it begins.
    When a function in Python returns, none has.
    """

    __slots__ = ()

    if sys.version_info >= (3, 14):

        def __enter__(self) -> bool:
            taken: list[bool] = []
            try:
                taken.extend(map(self.acquire, (True,)))  # taken, and noted, in one step
            except BaseException:  # of a handler: nothing is given up
                if taken:
                    self.release()
                raise
            return True


class Hand:
    """One thread, as its crew sees it.

    Attributes:
        start: index of the first item of its range.
        stop: index after the last one.
        results: the finished results from `start` on.
        is_over: whether it has left.
    """

    __slots__ = ("is_over", "results", "start", "stop")

    def __init__(self) -> None:
        self.take(0, 0)
        self.is_over = False

    def take(self, start: int, stop: int) -> None:
        """Begin a range."""
        self.start, self.stop = start, stop
        self.results: list[object] = []

    def is_below(self, index: int) -> bool:
        """Tell whether it is in an item below this one."""
        position = self.start + len(self.results)
        return not self.is_over and position < self.stop and position < index


class Roll:
    """How many threads of a call have not left; the last one to leave wakes the caller.

    It knows nothing else of the call: threads refer to it for a moment longer than that.
    """

    __slots__ = ("_lock", "has_ended", "n_alive")

    def __init__(self) -> None:
        self._lock, self.has_ended = Lock(), allocate_lock()
        self.has_ended.acquire()
        self.n_alive = 0

    def enter(self) -> None:
        """Count one who is about to be started."""
        with self._lock:
            self.n_alive += 1

    def leave(self) -> None:
        """Count one less."""
        with self._lock:
            self.n_alive -= 1
            if not self.n_alive:
                self.has_ended.release()
