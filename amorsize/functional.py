"""The same for any callable, decorated or not: `pmap(func, items)` and its kin."""

from amorsize.api import Mapper, check_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeVar, Unpack

    from amorsize.optimizer import OptimizationResult
    from amorsize.protocols import OptionArgs, Stream

    R = TypeVar("R")
    X = TypeVar("X")


def _mapper(func: "Callable[..., Any]") -> "Mapper":
    """Return the mapper that a decorated function carries, or a new one."""
    check_function(func)
    own = getattr(getattr(func, "pmap", None), "__self__", None)
    return own if isinstance(own, Mapper) else Mapper(func, {})


def pmap(func: "Callable[..., R]", *iterables: "Iterable[Any]", **options: "Unpack[OptionArgs]") -> "list[R]":
    """Call any callable with each item, in parallel where that pays, and return the results in input order.

    For lambdas, partials, bound methods, builtins, callable objects and other libraries' functions; for a decorated one
    it is the same as `func.pmap`. Several iterables are zipped, as by the builtin `map`.

    Example:
        >>> pmap(abs, [-1, 2])
        [1, 2]

    Raises:
        TypeError: for something that cannot be called or iterated, and for an unknown option.
        ValueError: for an option out of range.
        AmorsizeError: what workers meet: `WorkerDied`, `ItemTimeout`, `ItemNotPicklable`, `RemoteError`,
            `BackendUnavailable`.
        BaseException: what the function raises, with a note that names the item and the finished results as
            `error.finished`.
    """
    return _mapper(func).pmap(*iterables, **options)


def pimap(
    func: "Callable[..., R]", *iterables: "Iterable[Any]", ordered: bool = True, **options: "Unpack[OptionArgs]"
) -> "Stream[R]":
    """Call any callable with each item, and return an iterator over the results as they come; as `func.pimap`.

    Example:
        >>> list(pimap(abs, iter([-1, 2])))
        [1, 2]
    """
    return _mapper(func).pimap(*iterables, ordered=ordered, **options)


def pstarmap(
    func: "Callable[..., R]", iterable: "Iterable[Iterable[Any]]", **options: "Unpack[OptionArgs]"
) -> "list[R]":
    """Call any callable with each item's elements as arguments; otherwise as `pmap`.

    Example:
        >>> pstarmap(pow, [(2, 5), (3, 2)])
        [32, 9]
    """
    return _mapper(func).pstarmap(iterable, **options)


def optimize(
    func: "Callable[[X], Any]", data: "Iterable[X]", *, sample_size: int = 5, verbose: bool = False
) -> "OptimizationResult[X]":
    """Try a function on a few items and say how to run it with `multiprocessing.Pool`.

    A dry run: the sampled items are called once here, and again by whoever runs the result.

    Args:
        func: what a Pool would call.
        data: what a Pool would map it over; an iterator is given back whole, as `result.data`.
        sample_size: items to try, >= 1.
        verbose: print what was found.

    Example:
        >>> optimize(abs, range(1000)).n_jobs
        1

    Raises:
        TypeError: for something that cannot be called or iterated.
        ValueError: for a sample size below 1.
        BaseException: what the function raises for a sampled item.
    """
    from amorsize.optimizer import optimize as run

    check_function(func)
    return run(func, data, sample_size=sample_size, verbose=verbose)


def shutdown() -> None:
    """End the worker processes and threads that wait for the next call; it starts new ones then.

    They also end by themselves: after 30 seconds without a call, and with this process; threads before it forks, too.

    Example:
        >>> shutdown()
    """
    from amorsize.clocks import loaded

    for engine in ("bare", "spawn.warm"):
        module = loaded(f"amorsize.engine.{engine}")
        if module is not None:  # else it has started nothing
            module.shutdown()
