"""What is put around each call of the user's function where the options ask for more than the call.

The engine runs `Guard.run` instead of a bare loop; without such options there is no guard, and items pay nothing.
"""

from __future__ import annotations

import os
import sys
from _blake2 import blake2b
from _thread import _local

from amorsize.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from amorsize.options import Options


class Failed:
    """Stands where the result of an item would be that has failed, while the call goes on; in the caller's own process
    the exception itself does, where results are not told apart from it: to make this takes as long as to fail.

    It pickles with all that `failure.pack` keeps of an exception.
    """

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> tuple[object, ...]:
        from amorsize.engine import failure

        return _arrived, (failure.pack(self.error),)


def _arrived(packed: bytes) -> Failed:
    import marshal

    from amorsize.engine import failure

    return Failed(failure.unpack(marshal.loads(packed)))


def as_sent(results: Sequence[object]) -> list[object]:
    """Return results of the caller's own items as a worker would send them."""
    return [Failed(each) if isinstance(each, Exception) and each.__traceback__ else each for each in results]


def settled(results: list[object], *, skips: bool) -> list[object]:
    """Return the results with exceptions in place of those that failed, or without those."""
    if Failed not in set(map(type, results)):
        return results
    if skips:
        return [result for result in results if type(result) is not Failed]
    return [result.error if type(result) is Failed else result for result in results]


def end_with(error: BaseException, results: Sequence[object], *, goes_on: bool) -> None:
    """Have an error, with which a call ends, tell of its finished results.

    Args:
        error: of an item, which may have them already, or from elsewhere: a signal's handler, say.
        results: of the first items.
        goes_on: an item's exception is its result, among these as well.
    """
    from amorsize.engine.collect import attach
    from amorsize.engine.finished import Finished

    has_them = hasattr(type(error), "finished") or type(error.__dict__.get("finished")) is Finished
    if results and not has_them:
        attach(error, Finished([(0, results)]))
    finished = error.__dict__.get("finished")
    if goes_on and type(finished) is Finished:
        error.__dict__["finished"] = finished.through(lambda results: settled(results, skips=False))


class Guard(Record):
    """What is to be done around each call.

    Attributes:
        goes_on: an exception of an item becomes its result (`Failed`), and the call goes on.
        retries: how many more times an item is called that raises one of `retry_on`.
        retry_on: the types of exceptions that are worth it; Ctrl-C is never among them.
        seed: what every item's random numbers follow from, together with its index; None to leave them alone.
        initializer: called in each process (of threads, in each thread) before its first item; None for nothing.
        initargs: its arguments.
        seeds_numpy: NumPy's numbers follow from the seed as well.
        seeds_torch: torch's, too, which it draws on a CPU.
        prepared: where the initializer has run in this call: by process and thread.
        home: the process in which an exception stands for itself; None for none.
    """

    goes_on: bool = False
    retries: int = 0
    retry_on: tuple[type[BaseException], ...] = ()
    seed: int | None = None
    initializer: Callable[..., object] | None = None
    initargs: tuple[object, ...] = ()
    seeds_numpy: bool = False
    seeds_torch: bool = False
    prepared: set[tuple[int, object]] | None = None
    home: int | None = None

    @classmethod
    def of(cls, options: Options) -> Guard:
        """Return what these options ask for."""
        return cls(
            goes_on=options.on_error != "raise",
            retries=options.retries,
            retry_on=options.retry_on,
            seed=options.seed,
            initializer=options.initializer,
            initargs=options.initargs,
            seeds_numpy=options.seed is not None and "numpy.random" in sys.modules,
            seeds_torch=options.seed is not None and hasattr(sys.modules.get("torch"), "default_generator"),
            prepared=set(),
            home=os.getpid() if options.on_error == "return" else None,
        )

    def run(
        self, func: Callable[..., object], items: Iterable[Any], first: int, results: list[object], *, star: bool
    ) -> None:
        """Call the function with each item, as `Work.run` does.

        Args:
            func: the function.
            items: in order.
            first: index of the first in the caller's whole input.
            results: grow by each result as soon as it is there.
            star: items are tuples of arguments.
        """
        call: Callable[..., object] = (lambda arguments: func(*arguments)) if star else func
        tries = bool(self.retries and self.retry_on) or self.seed is not None
        # Whatever the item raises is its result: that was asked for.
        caught: tuple[type[Exception], ...] = (Exception,) if self.goes_on else ()
        is_home = self.home == os.getpid()
        self.prepare()
        with _Numbers(self.seed, seeds_numpy=self.seeds_numpy, seeds_torch=self.seeds_torch) as numbers:
            for index, item in enumerate(items, first):
                try:
                    result = self._tried(call, item, index, numbers) if tries else call(item)
                except caught as error:
                    result = error if is_home else Failed(error)
                results.append(result)

    def _tried(self, call: Callable[..., object], item: object, index: int, numbers: _Numbers) -> object:
        for _ in range(self.retries if self.retry_on else 0):
            numbers.begin(index)
            try:
                return call(item)
            except KeyboardInterrupt:  # a person's, and meant for the call, whatever is named
                raise
            except self.retry_on:
                continue
        numbers.begin(index)
        return call(item)

    def prepare(self) -> None:
        """Call the initializer where this process and thread have not in this call."""
        if self.initializer is None or self.prepared is None:
            return
        here = os.getpid(), _here.__dict__.setdefault("thread", object())
        if here in self.prepared:
            return
        try:
            self.initializer(*self.initargs)
        except BaseException as error:
            from amorsize.engine.collect import OF_INITIALIZER, add_note

            add_note(error, f"{OF_INITIALIZER}={self.initializer!r}, before any item")
            raise
        self.prepared.add(here)


_here = _local()
"""Names the thread: its ident may be another's after its end."""


class _Numbers:
    """Seeds the global generators before each item, and gives the caller its own back at the end."""

    __slots__ = ("_numpy", "_own", "_random", "_seed", "_torch")

    def __init__(self, seed: int | None, *, seeds_numpy: bool, seeds_torch: bool) -> None:
        self._seed = seed
        self._numpy: Any = None
        self._torch: Any = __import__("torch").default_generator if seeds_torch else None
        if seeds_numpy:  # the caller has it loaded: a fresh interpreter may load it only in the middle of an item
            import numpy.random

            self._numpy = numpy.random
        self._own: list[Any] = []

    def __enter__(self) -> _Numbers:
        if self._seed is not None:
            import random

            self._random = random
            self._numpy = self._numpy or sys.modules.get("numpy.random")
            self._torch = self._torch or getattr(sys.modules.get("torch"), "default_generator", None)
            self._own = [random.getstate(), *[each and each.get_state() for each in (self._numpy, self._torch)]]
        return self

    def begin(self, index: int) -> None:
        """Set the generators to what this item is to find."""
        if self._seed is not None:
            self._random.seed(f"{self._seed}:{index}")  # text is hashed: near seeds give unlike numbers
            number = int.from_bytes(blake2b(f"{self._seed}:{index}".encode(), digest_size=4).digest())
            if self._numpy is not None:
                self._numpy.seed(number)
            if self._torch is not None:
                self._torch.manual_seed(number)

    def __exit__(self, *_: object) -> None:
        if self._seed is not None:
            self._random.setstate(self._own[0])
            if self._numpy is not None:
                self._numpy.set_state(self._own[1])
            if self._torch is not None:
                self._torch.set_state(self._own[2])
