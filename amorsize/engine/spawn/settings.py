"""What libraries keep for the whole process or its main thread, and a fresh interpreter would not have: the context of
`decimal`, what NumPy does about errors, the locale.

What is as in any new process costs nothing: nobody loads a library in a worker for that.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    # decimal's context, NumPy's errors, each None where it is that of a new process; the locale
    Settings: TypeAlias = tuple[tuple[Any, ...] | None, dict[str, str] | None, str | None]

NEW_CONTEXT = (28, "ROUND_HALF_EVEN", -999_999, 999_999, 1, 0, ["DivisionByZero", "InvalidOperation", "Overflow"])
NEW_ERRORS = {"divide": "warn", "invalid": "warn", "over": "warn", "under": "ignore"}
OF_THE_PROGRAM = frozenset(("call", "log"))
"""Ways to deal with an error that are an object of the program's: that does not travel."""


def here() -> Settings:
    """Describe this process; 3 us where NumPy and `decimal` are loaded."""
    return _unless(NEW_CONTEXT, _context()), _unless(NEW_ERRORS, _errors()), _locale()


def take_over(settings: Settings) -> None:
    """Make this process like the one described."""
    context, errors, locale = settings
    if (context or NEW_CONTEXT) != (_context() or NEW_CONTEXT):
        _set_context(context or NEW_CONTEXT)
    if (errors or NEW_ERRORS) != (_errors() or NEW_ERRORS):
        import numpy

        numpy.seterr(**(errors or NEW_ERRORS))  # type: ignore[arg-type]  # the names that it has told itself
    if locale is not None and locale != _locale():
        import _locale as c_half

        c_half.setlocale(c_half.LC_ALL, locale)


def _unless(new: Any, found: Any) -> Any:
    return None if found == new else found


def _context() -> tuple[Any, ...] | None:
    """Return the context of this thread; None where nothing can have changed it."""
    decimal: Any = sys.modules.get("decimal")
    if not hasattr(decimal, "getcontext"):
        return None
    found = decimal.getcontext()
    traps = sorted(signal.__name__ for signal, is_on in found.traps.items() if is_on)
    return found.prec, found.rounding, found.Emin, found.Emax, found.capitals, found.clamp, traps


def _set_context(wanted: tuple[Any, ...]) -> None:
    import decimal

    precision, rounding, lowest, highest, capitals, clamp, traps = wanted
    decimal.setcontext(
        decimal.Context(
            prec=precision,
            rounding=rounding,
            Emin=lowest,
            Emax=highest,
            capitals=capitals,
            clamp=clamp,
            traps=[getattr(decimal, name) for name in traps],
        )
    )


def _errors() -> dict[str, str] | None:
    """Return what NumPy does about errors; None where nothing can have changed it, or only the program knows."""
    numpy: Any = sys.modules.get("numpy")
    if not hasattr(numpy, "geterr"):
        return None
    found: dict[str, str] = dict(numpy.geterr())
    return None if OF_THE_PROGRAM & set(found.values()) else found


def _locale() -> str | None:
    """Return the locale of all categories; None where the system has no such thing."""
    try:
        import _locale as c_half
    except ImportError:
        return None
    return c_half.setlocale(c_half.LC_ALL, None)
