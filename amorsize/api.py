"""What people type. Importing loads nothing but this module, decorating only what checks options or binds a method; the
first call loads what it needs."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, ParamSpec, TypeVar, Unpack, overload

    from amorsize.protocols import OptionArgs, Parallelizable, Stream
    from amorsize.record import RunReport
    from amorsize.records import Plan

    P = ParamSpec("P")
    R = TypeVar("R")


_GENERATES, _COROUTINE, _ASYNC_GENERATES = 0x20, 0x80, 0x200  # flags of code objects, as `inspect` names them
_WALKED = (list, tuple, dict)
_OWN = ("pmap", "pimap", "pstarmap", "options", "explain", "forget")


class Mapper:
    """A function and its default options; its bound methods are what a decorated function carries.

    Args:
        func: what is called once an item.
        decorator: options given to `@parallelizable`.
        view: options given to `.options()`, which outrank `amorsize.config`.
    """

    __slots__ = ("_decorator", "_func", "_view")

    def __init__(
        self, func: "Callable[..., Any]", decorator: "Mapping[str, object]", view: "Mapping[str, object] | None" = None
    ) -> None:
        self._func = func
        self._decorator = decorator
        self._view = view or {}

    def bound_to(self, instance: object) -> "Mapper":
        """Return the mapper of the method of this object."""
        bound: Callable[..., Any] = self._func.__get__(instance)
        return Mapper(bound, self._decorator, self._view)

    def pmap(self, *iterables: "Iterable[Any]", **options: "Unpack[OptionArgs]") -> "list[Any]":
        """Call the function with each item, in parallel where that pays, and return the results in input order.

        Several iterables are zipped, as by the builtin `map`. Each item is called exactly once.

        Example:
            >>> score.pmap([1, 2, 3])
            [1, 4, 9]

        Raises:
            TypeError: for an unknown option or something that is not iterable.
            ValueError: for an option out of range.
            AmorsizeError: what workers meet: `WorkerDied`, `ItemTimeout`, `ItemNotPicklable`, `RemoteError`,
                `BackendUnavailable`.
            BaseException: what the function raises, with a note that names the item and the finished results as
                `error.finished`.
        """
        return self._run(iterables, options, star=False)

    def pimap(
        self, *iterables: "Iterable[Any]", ordered: bool = True, **options: "Unpack[OptionArgs]"
    ) -> "Stream[Any]":
        """Call the function with each item, and return an iterator over the results as they come.

        Nothing is run before the first result is asked for. Items are pulled by the caller alone, never more than
        `buffersize` of them beyond the results that were taken: an endless iterator is welcome, and a slow consumer
        slows the workers. Leaving a `with` block, `close()`, or dropping the iterator ends the call.

        Args:
            iterables: one an argument, zipped as by the builtin `map`.
            ordered: False for results as they are finished, not in input order.
            options: as of `pmap`.

        Example:
            >>> with score.pimap(iter([1, 2, 3])) as results:
            ...     next(results)
            1

        Raises:
            TypeError, ValueError: as `pmap`, at once; what the function or an iterable raises, at its place.
        """
        from amorsize.call import stream

        if not isinstance(ordered, bool):
            raise TypeError(f"ordered must be True or False, got {ordered!r} ({type(ordered).__name__})")
        return stream(self._func, iterables, self.given(options, len(iterables)), ordered=ordered, keep=self._keep)

    def pstarmap(self, iterable: "Iterable[Iterable[Any]]", **options: "Unpack[OptionArgs]") -> "list[Any]":
        """Call the function with each item's elements as arguments; otherwise as `pmap`.

        Example:
            >>> power.pstarmap([(2, 5), (3, 2)])
            [32, 9]

        Raises:
            BaseException: as `pmap`; TypeError for an item that is not iterable, as an exception of the function's.
        """
        return self._run((iterable,), options, star=True)

    def options(self, **options: "Unpack[OptionArgs]") -> "Mapper":
        """Return a view of the function with other defaults.

        Example:
            >>> score.options(n_jobs=2).pmap([1, 2, 3])
            [1, 4, 9]

        Raises:
            TypeError, ValueError: as `pmap`, at once.
        """
        from amorsize.checks import checked

        return Mapper(self._func, self._decorator, {**self._view, **checked(options, self._func)})

    def explain(self, *iterables: "Iterable[Any]", **options: "Unpack[OptionArgs]") -> "Plan":
        """Return the plan that `pmap` would begin with, and why; never calls the function, never consumes an iterator.

        Example:
            >>> score.explain([1, 2, 3]).backend
            'serial'
        """
        from amorsize.advice.forecast import explain

        return explain(self._func, iterables, self.given(options, len(iterables)))

    def forget(self) -> int:
        """Drop everything that is known about this function, in this process and on disk.

        Returns:
            How many records are gone. Where the store cannot let go of them, a warning says why.

        Example:
            >>> n_records = score.forget()
        """
        from amorsize.advice.forget import forget
        from amorsize.identity.function import function_key

        return forget(function_key(self._func).name)

    def _run(
        self, iterables: "tuple[Iterable[Any], ...]", options: "Mapping[str, object]", *, star: bool
    ) -> "list[Any]":
        if "amorsize.short" not in sys.modules and any(map(_is_large, iterables)):
            from amorsize.garbage import age

            age()
        from amorsize.short import run

        n_filled = sys.maxsize if star else len(iterables)
        try:
            return run(self._func, iterables, self.given(options, n_filled), star=star, keep=self._keep)
        except BaseException as error:
            if "amorsize.engine.collect" in sys.modules:  # else no item has run into it: loading might raise another
                from amorsize.engine.collect import shorten

                shorten(error)
            raise

    def given(self, options: "Mapping[str, object]", n_filled: int = 0) -> "tuple[Mapping[str, object], ...]":
        """Return the options of decorator, view and call, all checked, where each item fills so many arguments."""
        if options:
            from amorsize.checks import checked, warn_of_hidden

            options = checked(options, self._func)
            warn_of_hidden(options, self._func, n_filled)
        return self._decorator, self._view, options

    def _keep(self, report: "RunReport") -> None:
        attributes = getattr(getattr(self._func, "__func__", self._func), "__dict__", {})
        if "last_run" in attributes:
            attributes["last_run"] = report


def _is_large(iterable: "Any") -> bool:  # Any: whatever a caller gave
    """Whether the garbage collector may have much to go through in it; to load what ages it takes 0.1 ms."""
    if type(iterable) not in _WALKED:
        return False
    return len(iterable) > 10_000 or type(next(iter(iterable), None)) in _WALKED


def check_function(func: object) -> None:
    """Raise TypeError for what cannot be called once an item, with the cure."""
    if not callable(func):
        raise TypeError(f"amorsize needs a function, got {func!r} ({type(func).__name__})")
    flags = getattr(getattr(getattr(func, "__func__", func), "__code__", None), "co_flags", 0)
    if type(flags) is not int:  # of a proxy, which has every attribute
        return
    name = getattr(func, "__qualname__", repr(func))
    if flags & _COROUTINE:
        raise TypeError(f"{name} is an async def, whose calls only make coroutines: run them with asyncio.gather")
    if flags & (_GENERATES | _ASYNC_GENERATES):
        raise TypeError(
            f"{name} is a generator function, whose calls run nothing yet: return a list instead of yielding"
        )


def _decorate(func: "Any", options: "Mapping[str, object]", caller_globals: "Mapping[str, object]") -> "Any":
    if isinstance(func, type):
        raise TypeError(
            f"@parallelizable goes on a function, got the class {func.__qualname__}: use pmap({func.__name__}, items)"
        )
    if isinstance(func, (staticmethod, classmethod)):
        raise TypeError(f"put @parallelizable below @{type(func).__name__}, next to the function")
    check_function(func)
    if not hasattr(func, "__code__") or not hasattr(func, "__dict__") or hasattr(func, "__self__"):
        raise TypeError(
            f"@parallelizable goes on a function defined with def or lambda, got {func!r}: use pmap(func, items)"
        )
    home = sys.modules.get(func.__module__)
    is_finished = home is not None and getattr(home, func.__name__, None) is func
    is_own = caller_globals is func.__globals__ or caller_globals is getattr(home, "__dict__", None)
    if is_finished and not is_own:  # what another module's decorator made of the caller's function is the caller's
        raise TypeError(
            f"{func.__module__}.{func.__qualname__} belongs to another module, whose other users it would change: "
            f"use pmap({func.__name__}, items)"
        )
    mapper = Mapper(func, options)
    func.__dict__.update({name: getattr(mapper, name) for name in _OWN}, last_run=None)
    place, _, _ = func.__qualname__.rpartition(".")
    if place and not place.endswith("<locals>"):
        from amorsize.methods import made_method

        return made_method(func, sys._getframe(2))
    return func


if TYPE_CHECKING:

    @overload
    def parallelizable(func: Callable[P, R], /) -> Parallelizable[P, R]: ...

    @overload
    def parallelizable(**options: Unpack[OptionArgs]) -> Callable[[Callable[P, R]], Parallelizable[P, R]]: ...


def parallelizable(func: "Any" = None, /, **options: "Any") -> "Any":
    """Give a function the methods `pmap`, `pimap`, `pstarmap`, `options`, `explain` and `forget`, and `last_run`.

    The function stays the same object, and a plain call costs what it cost before. On a method,
    `obj.method.pmap(items)` works too. The decorator is a promise: what the function does shows only in what it
    returns, or outside Python; items are read-only for it.

    Example:
        >>> @parallelizable
        ... def score(x):
        ...     return x * x
        >>> score(3), score.pmap([1, 2, 3])
        (9, [1, 4, 9])

    Raises:
        TypeError: for what is no plain function, for a function of another module, and for an unknown option.
        ValueError: for an option out of range.
    """
    if options:
        from amorsize.checks import checked

        options = checked(options)
    caller_globals = sys._getframe(1).f_globals
    if func is not None:
        return _decorate(func, options, caller_globals)
    return lambda decorated: _decorate(decorated, options, caller_globals)
