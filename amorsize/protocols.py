"""What type checkers know of a decorated function; nothing here is ever loaded by a running program."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import (
    Any,
    Literal,
    ParamSpec,
    Protocol,
    Self,
    TypeAlias,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

from amorsize.record import RunReport
from amorsize.records import Plan

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")
T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


NJobs: TypeAlias = int | Literal["auto"]
Chunksize: TypeAlias = int | Literal["auto"]
Backend: TypeAlias = Literal["auto", "serial", "process", "thread"]
StartMethod: TypeAlias = Literal["auto", "fork", "spawn"]
OnError: TypeAlias = Literal["raise", "return", "skip"]


class OptionArgs(TypedDict, total=False):
    """The keyword options of every `pmap`, as `Options` explains them; `timeout` and `deadline` are seconds."""

    n_jobs: NJobs
    chunksize: Chunksize
    backend: Backend
    start_method: StartMethod
    isolate: bool
    buffersize: int | Literal["auto"]
    progress: bool | Callable[[int, int | None], object]
    timeout: float | None
    deadline: float | None
    on_error: OnError
    retries: int
    retry_on: type[BaseException] | tuple[type[BaseException], ...]
    initializer: Callable[..., object] | None
    initargs: tuple[Any, ...]
    seed: int | None
    cache: bool


class Stream(Protocol[R_co]):
    """The results of `pimap`: an iterator that can be closed, and a context manager that does so."""

    def __iter__(self) -> Iterator[R_co]: ...

    def __next__(self) -> R_co: ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


class Maps(Protocol[R]):
    """The ways to run a function over data, with the function and its default options bound."""

    def pmap(self, *iterables: Iterable[Any], **options: Unpack[OptionArgs]) -> list[R]: ...

    def pimap(self, *iterables: Iterable[Any], ordered: bool = True, **options: Unpack[OptionArgs]) -> Stream[R]: ...

    def pstarmap(self, iterable: Iterable[Iterable[Any]], **options: Unpack[OptionArgs]) -> list[R]: ...

    def explain(self, *iterables: Iterable[Any], **options: Unpack[OptionArgs]) -> Plan: ...

    def options(self, **options: Unpack[OptionArgs]) -> Maps[R]: ...

    def forget(self) -> int: ...


class _Takes(Protocol[T_contra, Q, R_co]):
    """A function by its first parameter, which tells methods, classmethods and staticmethods apart."""

    def __call__(self, first: T_contra, /, *args: Q.args, **kwargs: Q.kwargs) -> R_co: ...


class Parallelizable(Maps[R], Protocol[P, R]):
    """A decorated function: itself, with the ways to run it over data attached."""

    __name__: str
    __qualname__: str
    last_run: RunReport | None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

    @overload  # a classmethod: its first parameter is the class
    def __get__(self: _Takes[type[T], Q, S], instance: T | None, owner: type[T]) -> Parallelizable[Q, S]: ...

    @overload  # of the class
    def __get__(self, instance: None, owner: type | None = None) -> Parallelizable[P, R]: ...

    @overload  # a method: its first parameter is the object
    def __get__(self: _Takes[T, Q, S], instance: T, owner: type | None = None) -> Parallelizable[Q, S]: ...

    @overload  # a staticmethod
    def __get__(self, instance: object, owner: type | None = None) -> Parallelizable[P, R]: ...
