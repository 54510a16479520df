"""What libraries keep for the whole process or its main thread, and a fresh interpreter would not have: the context of
`decimal`, how NumPy prints and what it does about errors, how long a field of `csv` may be, for how long sockets wait,
the locale.

What is as in any new process costs nothing: nobody loads a library in a worker for that.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    # by `_SETTINGS`, each None where it is that of a new process; then the locale
    Settings: TypeAlias = tuple[Any, ...]

NEW_CONTEXT = (28, "ROUND_HALF_EVEN", -999_999, 999_999, 1, 0, ["DivisionByZero", "InvalidOperation", "Overflow"])
NEW_ERRORS = {"divide": "warn", "invalid": "warn", "over": "warn", "under": "ignore"}
NEW_PRINTING = {
    "edgeitems": 3, "floatmode": "maxprec", "infstr": "inf", "legacy": False, "linewidth": 75, "nanstr": "nan",
    "precision": 8, "sign": "-", "suppress": False, "threshold": 1000,
}  # fmt: skip
"""Without what is code of the program's, which does not travel."""

NEW_FIELD_CHARS = 131_072
OF_THE_PROGRAM = frozenset(("call", "log"))
"""Ways to deal with an error that are an object of the program's: that does not travel."""


def here() -> Settings:
    """Describe this process; 6 us where NumPy and `decimal` are loaded."""
    return *[None if (found := ask()) == new else found for ask, _, new in _SETTINGS], _locale()


def take_over(settings: Settings) -> None:
    """Make this process like the one described."""
    *wanted, locale = settings
    for each, (ask, set_it, new) in zip(wanted, _SETTINGS, strict=True):
        each, found = (new if value is None else value for value in (each, ask()))
        if each != found:
            set_it(each)
    if locale is not None and locale != _locale():
        import _locale as c_half

        c_half.setlocale(c_half.LC_ALL, locale)


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


def _set_errors(wanted: Any) -> None:
    import numpy

    numpy.seterr(**wanted)


def _printing() -> dict[str, object] | None:
    """Return how NumPy prints; None where nothing can have changed it."""
    numpy: Any = sys.modules.get("numpy")
    if not hasattr(numpy, "get_printoptions"):
        return None
    found = numpy.get_printoptions()
    return {name: found[name] for name in NEW_PRINTING}


def _set_printing(wanted: Any) -> None:
    import numpy

    numpy.set_printoptions(**wanted)


def _field_chars() -> int | None:
    """Return how long a field may be; None where nothing can have changed it."""
    csv: Any = sys.modules.get("_csv")
    limit: int | None = csv.field_size_limit() if hasattr(csv, "field_size_limit") else None
    return limit


def _set_field_chars(wanted: int) -> None:
    import _csv

    _csv.field_size_limit(wanted)


def _timeout_s() -> float | None:
    """Return for how long new sockets wait; None for ever."""
    socket: Any = sys.modules.get("_socket")
    timeout_s: float | None = socket.getdefaulttimeout() if hasattr(socket, "getdefaulttimeout") else None
    return timeout_s


def _set_timeout_s(wanted: float | None) -> None:
    import _socket

    _socket.setdefaulttimeout(wanted)


def _locale() -> str | None:
    """Return the locale of all categories; None where the system has no such thing."""
    try:
        import _locale as c_half
    except ImportError:
        return None
    return c_half.setlocale(c_half.LC_ALL, None)


_SETTINGS: tuple[tuple[Any, Any, Any], ...] = (
    (_context, _set_context, NEW_CONTEXT),
    (_errors, _set_errors, NEW_ERRORS),
    (_printing, _set_printing, NEW_PRINTING),
    (_field_chars, _set_field_chars, NEW_FIELD_CHARS),
    (_timeout_s, _set_timeout_s, None),
)
"""What tells each, what sets it, and what it is in a new process."""
