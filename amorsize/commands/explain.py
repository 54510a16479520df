"""Find a function by its name and look ahead to its next call, for `amorsize explain`; the function is never called."""

from __future__ import annotations

import sys
import warnings
from contextlib import redirect_stdout
from importlib import import_module
from types import FunctionType, MethodType

from amorsize.advice.adviser import Adviser
from amorsize.advice.knowledge import Knowledge
from amorsize.errors import AmorsizeWarning, BackendUnavailable
from amorsize.identity.function import function_key
from amorsize.identity.machine import machine
from amorsize.identity.origin import library
from amorsize.inline import Timings
from amorsize.options import resolve
from amorsize.records import InputClass
from amorsize.report.outlook import Forecast, Outlook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from amorsize.options import Given
    from amorsize.records import FunctionKey, Plan
    from amorsize.report.kept import Kept


class NotFound(Exception):
    """There is no such function, or no plan for it, in words."""


def look_ahead(module: str, name: str, n_items: int | None, kept: Sequence[Kept]) -> Outlook:
    """Return what is known about a function, and how its next call would begin.

    Args:
        module: imported from the current directory or the path, as by `python -m`; what it prints goes to stderr.
        name: of the function in it, such as `func` or `Class.method`.
        n_items: plan for so many; None for as many as in the last run.
        kept: all that the store keeps of functions.

    Raises:
        NotFound: where the module cannot be imported, holds no such function, or its options exclude each other here.
    """
    func = _find(module, name)
    key, here = function_key(func), machine().digest
    same_code = [each for each in kept if each.function_digest == key.digest]
    known = [each for each in same_code if each.machine_digest == here]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", AmorsizeWarning)
        forecasts = tuple([_forecast(func, key, each, n_items) for each in known])
    return Outlook(
        function=key.name,
        forecasts=forecasts,
        n_other_code=sum(each.function == key.name and each.function_digest != key.digest for each in kept),
        n_other_machine=len(same_code) - len(known),
        warnings=tuple([str(warning.message) for warning in caught]),
    )


def _find(module: str, name: str) -> Callable[..., object]:
    if not sys.flags.safe_path and "" not in sys.path:
        sys.path.insert(0, "")
    try:
        with redirect_stdout(sys.stderr):
            found: object = import_module(module)
    except (Exception, SystemExit) as error:  # the module is the user's: what it raises is what its user has to know
        told = f"cannot import {module}: {type(error).__name__}: {error}"
        raise NotFound(f"{told}{_spot(error)}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise NotFound(f"{module} holds no {name}")
        holder, found = found, getattr(found, part)
        if isinstance(holder, type) and isinstance(found, FunctionType):
            found = _as_of_an_object(holder, part, found)
    if not callable(found):
        raise NotFound(f"{module}:{name} is no function but a {type(found).__name__}")
    return found


def _as_of_an_object(kind: type, name: str, function: FunctionType) -> object:
    """Return a method as objects of a class have it: by that it is known. None of the class's own code is run."""
    held = next((base.__dict__[name] for base in kind.__mro__ if name in base.__dict__), None)
    try:
        return function if isinstance(held, staticmethod) else MethodType(function, object.__new__(kind))
    except TypeError:  # an abstract class, or one that C code makes
        return function


def _spot(error: BaseException) -> str:
    """Return file and line of the user's code that an import ended at; nothing where it never got there."""
    spots: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        if library(trace.tb_frame.f_globals) is None:
            spots.append(f" ({trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno})")
        trace = trace.tb_next
    return spots[-1] if spots else ""


def _forecast(func: Callable[..., object], key: FunctionKey, kept: Kept, n_items: int | None) -> Forecast:
    # A class made of the label alone has the same label, by which knowledge is looked up.
    known = Knowledge(key, InputClass(type_name=kept.input), machine(), cache=True)
    if n_items is None:
        runs = kept.profile.runs
        n_items = runs[-1].n_items if runs else max(1, round(kept.profile.item.weight))
    return Forecast(kept=kept, n_items=n_items, plan=_plan(func, known, n_items))


def _plan(func: Callable[..., object], known: Knowledge, n_items: int) -> Plan:
    try:
        options = resolve(*_given(func))
    except ValueError as error:
        raise NotFound(str(error)) from error
    try:
        return Adviser(func, options, known).choose(n_items, Timings(), (), tuple, is_forecast=True)
    except BackendUnavailable as error:
        raise NotFound(str(error)) from error


def _given(func: Callable[..., object]) -> tuple[Given, Given, Given]:
    """Return the options that a decorated function carries."""
    given = getattr(getattr(getattr(func, "pmap", None), "__self__", None), "given", None)
    return ({}, {}, {}) if given is None else given({})
