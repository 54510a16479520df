"""What type checkers know of a decorated function; nothing here is ever loaded by a running program."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeAlias, TypedDict, TypeVar, Unpack, overload

from amorsize.record import RunReport
from amorsize.records import Plan

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")


NJobs: TypeAlias = int | Literal["auto"]
Chunksize: TypeAlias = int | Literal["auto"]
Backend: TypeAlias = Literal["auto", "serial", "process", "thread"]
StartMethod: TypeAlias = Literal["auto", "fork"]


class OptionArgs(TypedDict, total=False):
    """The keyword options of every `pmap`."""

    n_jobs: NJobs
    chunksize: Chunksize
    backend: Backend
    start_method: StartMethod
    isolate: bool
    cache: bool


class Maps(Protocol[R]):
    """The ways to run a function over data, with the function and its default options bound."""

    def pmap(self, *iterables: Iterable[Any], **options: Unpack[OptionArgs]) -> list[R]: ...

    def pstarmap(self, iterable: Iterable[Iterable[Any]], **options: Unpack[OptionArgs]) -> list[R]: ...

    def explain(self, *iterables: Iterable[Any], **options: Unpack[OptionArgs]) -> Plan: ...

    def options(self, **options: Unpack[OptionArgs]) -> Maps[R]: ...

    def forget(self) -> int: ...


class Parallelizable(Maps[R], Protocol[P, R]):
    """A decorated function: itself, with the ways to run it over data attached."""

    __name__: str
    __qualname__: str
    last_run: RunReport | None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Parallelizable[P, R]: ...

    @overload
    def __get__(
        self: Parallelizable[Concatenate[Any, Q], S], instance: object, owner: type | None = None
    ) -> Parallelizable[Q, S]: ...
