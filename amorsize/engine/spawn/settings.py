"""What libraries keep for the whole process or its main thread, and a fresh interpreter would not have: the context of
`decimal`, how NumPy prints and what it does about errors, how torch computes, how long a field of `csv` may be and
which dialects it knows, the prefixes of XML's namespaces, where `logging` writes what, for how long sockets wait, the
locale.

What is as in any new process costs nothing: nobody loads a library in a worker for that.
"""

from __future__ import annotations

import sys

from amorsize import loggers
from amorsize.engine import modes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
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
NEW_DIALECTS = frozenset(("excel", "excel-tab", "unix"))
FIELDS = (
    "delimiter", "doublequote", "escapechar", "lineterminator", "quotechar", "quoting", "skipinitialspace", "strict",
)  # fmt: skip
NEW_PREFIXES = {
    "http://www.w3.org/XML/1998/namespace": "xml",
    "http://www.w3.org/1999/xhtml": "html",
    "http://www.w3.org/1999/02/22-rdf-syntax-ns#": "rdf",
    "http://schemas.xmlsoap.org/wsdl/": "wsdl",
    "http://www.w3.org/2001/XMLSchema": "xs",
    "http://www.w3.org/2001/XMLSchema-instance": "xsi",
    "http://purl.org/dc/elements/1.1/": "dc",
}
OF_THE_PROGRAM = frozenset(("call", "log"))
"""Ways to deal with an error that are an object of the program's: that does not travel."""


def here() -> Settings:
    """Describe this process; 6 us where NumPy and `decimal` are loaded."""
    asked = [(_found(name, getter, ask), new) for name, getter, ask, _, new in _SETTINGS]
    return *[None if found == new else found for found, new in asked], _locale()


def take_over(settings: Settings) -> None:
    """Make this process like the one described."""
    *wanted, locale = settings
    for each, (name, getter, ask, set_it, new) in zip(wanted, _SETTINGS, strict=True):
        each, found = (new if value is None else value for value in (each, _found(name, getter, ask)))
        if each != found:
            __import__(name)
            set_it(sys.modules[name], each)
    if locale is not None and locale != _locale():
        import _locale as c_half

        c_half.setlocale(c_half.LC_ALL, locale)


def _found(name: str, getter: str, ask: Callable[[Any], Any]) -> Any:
    """Return a setting; None where nothing can have changed it: its module is not there, or not all of it."""
    module = sys.modules.get(name)
    return ask(module) if hasattr(module, getter) else None


def _context(decimal: Any) -> tuple[Any, ...]:
    """Return the context of this thread."""
    found = decimal.getcontext()
    traps = sorted(signal.__name__ for signal, is_on in found.traps.items() if is_on)
    return found.prec, found.rounding, found.Emin, found.Emax, found.capitals, found.clamp, traps


def _set_context(decimal: Any, wanted: tuple[Any, ...]) -> None:
    *numbers, traps = wanted
    decimal.setcontext(decimal.Context(*numbers, traps=[getattr(decimal, name) for name in traps]))


def _errors(numpy: Any) -> dict[str, str] | None:
    """Return what NumPy does about errors; None where only the program knows."""
    found: dict[str, str] = dict(numpy.geterr())
    return None if OF_THE_PROGRAM & set(found.values()) else found


def _printing(numpy: Any) -> dict[str, object]:
    """Return how NumPy prints."""
    found = numpy.get_printoptions()
    return {name: found[name] for name in NEW_PRINTING}


def _dialects(csv: Any) -> dict[str, dict[str, object]]:
    """Return the dialects that the program has registered."""
    added = {name: csv.get_dialect(name) for name in csv.list_dialects() if name not in NEW_DIALECTS}
    return {name: {field: getattr(dialect, field) for field in FIELDS} for name, dialect in added.items()}


def _set_dialects(csv: Any, wanted: dict[str, dict[str, object]]) -> None:
    for name in _dialects(csv).keys() - wanted.keys():
        csv.unregister_dialect(name)
    for name, fields in wanted.items():
        csv.register_dialect(name, **fields)


def _set_prefixes(xml: Any, wanted: dict[str, str]) -> None:
    xml._namespace_map.clear()
    xml._namespace_map.update(wanted)


def _locale() -> str | None:
    """Return the locale of all categories; None where the system has no such thing."""
    try:
        import _locale as c_half
    except ImportError:
        return None
    return c_half.setlocale(c_half.LC_ALL, None)


_SETTINGS: tuple[tuple[str, str, Callable[[Any], Any], Callable[[Any, Any], object], Any], ...] = (
    ("decimal", "getcontext", _context, _set_context, NEW_CONTEXT),
    ("numpy", "geterr", _errors, lambda numpy, wanted: numpy.seterr(**wanted), NEW_ERRORS),
    ("numpy", "get_printoptions", _printing, lambda numpy, wanted: numpy.set_printoptions(**wanted), NEW_PRINTING),
    ("torch", modes.LATEST, modes.modes_of, modes.set_modes, modes.NEW_MODES),
    (
        "_csv",
        "field_size_limit",
        lambda csv: csv.field_size_limit(),
        lambda csv, wanted: csv.field_size_limit(wanted),
        NEW_FIELD_CHARS,
    ),
    ("_csv", "list_dialects", _dialects, _set_dialects, {}),
    ("logging", "getLogger", loggers.told, loggers.set_up, {}),
    ("xml.etree.ElementTree", "_namespace_map", lambda xml: dict(xml._namespace_map), _set_prefixes, NEW_PREFIXES),
    (
        "_socket",
        "getdefaulttimeout",
        lambda socket: socket.getdefaulttimeout(),
        lambda socket, wanted: socket.setdefaulttimeout(wanted),
        None,
    ),
)
"""Of each the module, what the module has where it is loaded, what tells it, what sets it, and what it is in a new
process."""
