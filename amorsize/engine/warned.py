"""What items warn of, and how that is shown in the caller: kept by `warnings.catch_warnings(record=True)`, pytest's
`warns` and `recwarn`, given to a `showwarning` of the program's, or written to stderr.

    worker: filters --> Noting --> warned.take --------------- with their range --------> warned.show  :caller
                          |             \\--- at once, where nobody keeps them ----------/
                          \\--> stderr: of a filter that shows all there are, where nobody keeps them

A filter that shows a warning once does so in each process. Its warnings come with the module that was warned, in which
the caller notes whether it has shown them.
"""

from __future__ import annotations

import os
import sys

from amorsize.engine import encoding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    # what was warned of, the category, file and line; and of those that are shown once the module that was warned
    Noted: TypeAlias = tuple[Warning, type[Warning], str, int, str | None]

REGISTRY = "__warningregistry__"
"""Where modules have noted what was shown of them."""

ITS_MODULES = "warnings", "_py_warnings"
"""Where Python has what shows warnings; since 3.14, in the latter."""

NOTHING = (None, b"")

_noted: list[Noted] = []
_registries: dict[str, dict[Any, Any]] = {}  # of modules that only workers have loaded


def are_kept() -> bool:
    """Tell whether something else is done with this process's warnings than to write them to stderr."""
    warnings: Any = sys.modules.get("warnings")
    if not _can_be_noted(warnings):
        return False
    is_own = getattr(warnings._showwarnmsg_impl, "__module__", None) in ITS_MODULES
    return warnings.showwarning is not warnings._showwarning_orig or not is_own


def _can_be_noted(warnings: Any) -> bool:
    """Tell whether `warnings` is loaded, and shows what it shows by what it has had since Python 3.6; no interface says
    so."""
    return hasattr(warnings, "_showwarnmsg_impl") and hasattr(warnings, "_showwarning_orig")


def take_over(kept: bool, tell: Callable[[], None]) -> None:
    """Have this worker note what its items warn of.

    Args:
        kept: the caller keeps it.
        tell: sends at once what was noted, or nothing where that cannot be done now.
    """
    _noted.clear()
    warnings: Any = sys.modules.get("warnings")
    if _can_be_noted(warnings):
        warnings.showwarning = warnings._showwarning_orig
        warnings._showwarnmsg_impl = _Noting(warnings, kept, tell)


def forget() -> None:
    """Forget what was noted."""
    _noted.clear()


class _Noting:
    """Stands for what shows a warning that no filter has held back, unless an item sets something of its own."""

    def __init__(self, warnings: Any, kept: bool, tell: Callable[[], None]) -> None:
        shown = warnings._showwarnmsg_impl
        self._show: Callable[[Any], None] = shown._show if isinstance(shown, _Noting) else shown
        self._warnings, self._filters = warnings, warnings.filters
        self._kept, self._tell = kept, tell
        self._pid = os.getpid()

    def __call__(self, warned: Any) -> None:
        module = self._module_of(warned)
        if os.getpid() != self._pid or not (self._kept or module):  # or: in a child that an item has forked
            self._show(warned)
            return
        _noted.append((warned.message, warned.category, warned.filename, warned.lineno, module))
        if not self._kept:
            self._tell()

    def _module_of(self, warned: Any) -> str | None:
        """Return the module that was warned, where it has noted that; None where a filter of the item's own decides."""
        frame = sys._getframe(1) if self._warnings.filters is self._filters else None
        while frame is not None and (frame.f_lineno != warned.lineno or frame.f_code.co_filename != warned.filename):
            frame = frame.f_back
        names = {} if frame is None else frame.f_globals
        is_noted = (str(warned.message), warned.category, warned.lineno) in names.get(REGISTRY, ())
        return names.get("__name__") if is_noted else None


def take() -> tuple[str | None, bytes]:
    """Return that something is lost, or None; and what items have warned of since it was last asked, pickled."""
    if not _noted:
        return NOTHING
    return packed_each(_noted, _described)


def _described(noted: Noted) -> str:
    message, category, *_ = noted
    return f"warned of ({category.__name__}: {message})"


def packed_each(noted: list[Any], described: Callable[[Any], str]) -> tuple[str | None, bytes]:
    """Return what was noted, pickled, and forget it; what cannot be sent, of which the first is told, is left out."""
    taken = noted[:]
    del noted[: len(taken)]
    try:
        return None, encoding.pickled(taken, None)
    except encoding.REFUSALS:
        found = [(_unsendable(each, described), each) for each in taken]
    sent = [each for lost, each in found if lost is None]
    return next(lost for lost, _ in found if lost is not None), encoding.pickled(sent, None)


def _unsendable(noted: object, described: Callable[[Any], str]) -> str | None:
    try:
        encoding.pickled(noted, None)
    except encoding.REFUSALS as error:
        return f"a worker could not send what an item {described(noted)}: {error}"
    return None


def show(payload: bytes) -> str | None:
    """Show in this process what items have warned of in a worker; return that something is lost, or None."""
    return with_each(payload, _show, _described)


def _show(noted: Noted) -> None:
    import warnings

    message, category, filename, lineno, module = noted
    if module is None:
        warnings.showwarning(message, category, filename, lineno)
    else:
        warnings.warn_explicit(message, category, filename, lineno, module, _registry(module))


def with_each(payload: bytes, act: Callable[[Any], None], described: Callable[[Any], str]) -> str | None:
    """Act on each part of what `packed_each` has pickled in a worker; return that something is lost, or None."""
    lost = None
    try:
        taken: list[Any] = encoding.unpickled(payload)
    except encoding.REFUSALS as error:
        return f"what items warned of, or logged, could not be rebuilt: {error}"
    for noted in taken:
        try:
            act(noted)
        except Exception as error:  # of a `showwarning` or handler of the program's; given up: this one alone
            lost = lost or f"what an item {described(noted)} could not be shown: {error}"
    return lost


def _registry(module: str) -> dict[Any, Any]:
    names = _registries if (loaded := sys.modules.get(module)) is None else loaded.__dict__
    found: dict[Any, Any] = names.setdefault(REGISTRY if loaded else module, {})
    return found
