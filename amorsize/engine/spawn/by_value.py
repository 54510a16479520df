"""Send what a fresh interpreter cannot look up as its code: what lives in `__main__`, lambdas, closures.

Plain pickle first: it names functions and classes, and is the faster by far. Where it refuses, or names `__main__`,
cloudpickle takes over. A class that was sent once is named from then on, by cloudpickle's own number: the worker keeps
what it has made of it, and sends instances back that are the caller's own class again. (Sent back as code, cloudpickle
would set the worker's copies of all methods on the caller's class.)
"""

from __future__ import annotations

import io

from amorsize.clocks import loaded
from amorsize.engine.encoding import beside, plain

MAIN = "__main__"


class Luggage:
    """How one side of a line pickles.

    Args:
        modules: names of those whose functions and classes are sent as code, besides `__main__`.
        told: numbers of the classes that the other side has.
        is_worker: whether the other side is the caller, who has every class that came from it.
        in_main: whether functions of `__main__` are to live in the other side's.
    """

    __slots__ = ("_in_main", "_is_worker", "_made_here", "_marks", "_modules", "told")

    def __init__(
        self,
        modules: tuple[str, ...] = (),
        told: set[str] | None = None,
        *,
        is_worker: bool = False,
        in_main: bool = False,
    ) -> None:
        self._modules = modules
        self._in_main = in_main
        self._marks = [name.encode() for name in (MAIN, *modules)]
        self._is_worker = is_worker
        self._made_here: set[str] = set()
        self.told = set() if told is None else set(told)

    def dumps(self, value: object, buffers: list[memoryview] | None = None) -> bytes:
        """Pickle a value, as `encoding.plain` does.

        Raises:
            Exception: whatever pickling raises.
        """
        if not self._is_mine(value):
            try:
                head = plain(value, buffers)
            except Exception:  # a lambda, a local class, or something that cloudpickle will refuse as well, and say so
                head = MAIN.encode()
            if not any(mark in head for mark in self._marks):
                return head
        if buffers is not None:
            buffers.clear()
        return self._by_value(value, buffers)

    def _is_mine(self, value: object) -> bool:
        """Tell whether plain pickle need not be tried: these are items whose class has to travel, or has come as code.
        It would import the module that the class is named after."""
        if type(value) is not list or not value:
            return False
        pickler = loaded("amorsize.engine.spawn.pickler")
        has_come = pickler is not None and type(value[0]) in pickler.kept
        return has_come or type(value[0]).__module__ in (MAIN, *self._modules)

    def _by_value(self, value: object, buffers: list[memoryview] | None) -> bytes:
        from amorsize.engine.spawn.pickler import Pickler

        file = io.BytesIO()
        callback = None if buffers is None else beside(buffers)
        pickler = Pickler(file, callback, self._is_told, keep=not self._is_worker, in_main=self._in_main)
        try:
            pickler.dump_with(self._modules, value)
        finally:  # also where it failed, and the caller was told nothing
            self._made_here |= pickler.sent
        self.told |= pickler.sent
        return file.getvalue()

    def _is_told(self, number: str) -> bool:
        """Tell whether the other side has a class already."""
        return number not in self._made_here if self._is_worker else number in self.told
