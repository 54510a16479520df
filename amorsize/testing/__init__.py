"""Hold a backend, or a program's own tests, to what amorsize promises; needs pytest.

A backend's author subclasses the contract, says which options select the backend, and what cannot occur there:

    from amorsize.testing import IN_ONE_PROCESS, SEEDS, BackendContract

    class TestThreads(BackendContract):
        options = {"backend": "thread"}
        cannot_occur = {
            **dict.fromkeys(IN_ONE_PROCESS, "threads live in the caller's process"),
            SEEDS: "threads share the global generators",
        }

Whoever tests a program that uses amorsize asks for the leak check, as a fixture or around a block:

    from amorsize.testing import leaves_nothing_behind, nothing_left_behind  # in conftest.py

    @pytest.mark.usefixtures("nothing_left_behind")
    def test_scores(): ...

    with leaves_nothing_behind():
        score.pmap(paths)
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.testing.leaks import Holdings, leaves_nothing_behind, nothing_left_behind

    if sys.platform == "win32":  # the contract's faults are signals, named pipes and limits of POSIX
        from typing import Any

        BackendContract: Any
        CONTEXT: Any
        DEATHS: Any
        HANDLERS: Any
        IN_ONE_PROCESS: Any
        INTERRUPTS: Any
        OVERLAP: Any
        PICKLING: Any
        PROCESSES: Any
        SEEDS: Any
        TIMEOUTS: Any
        WITHOUT_SEEDS: Any
        WITHOUT_TIMEOUTS: Any
    else:
        from amorsize.testing.base import (
            CONTEXT,
            DEATHS,
            HANDLERS,
            IN_ONE_PROCESS,
            INTERRUPTS,
            OVERLAP,
            PICKLING,
            PROCESSES,
            SEEDS,
            TIMEOUTS,
            WITHOUT_SEEDS,
            WITHOUT_TIMEOUTS,
        )
        from amorsize.testing.contract import BackendContract

__all__ = [
    "CONTEXT",
    "DEATHS",
    "HANDLERS",
    "INTERRUPTS",
    "IN_ONE_PROCESS",
    "OVERLAP",
    "PICKLING",
    "PROCESSES",
    "SEEDS",
    "TIMEOUTS",
    "WITHOUT_SEEDS",
    "WITHOUT_TIMEOUTS",
    "BackendContract",
    "Holdings",
    "leaves_nothing_behind",
    "nothing_left_behind",
]

ASSERTING = ("around", "deaths", "endings", "failures", "leaks", "results", "settings", "streams")
"""Modules whose asserts pytest explains when they fail, where it is told before they are loaded."""


def __getattr__(name: str) -> object:
    """Load a public name when it is first used: workers import what they call from here, and need no pytest for it."""
    if name not in __all__:
        raise AttributeError(f"module 'amorsize.testing' has no attribute {name!r}")
    try:
        import pytest
    except ImportError as error:
        raise ImportError("amorsize.testing is a set of pytest tests and fixtures: pip install pytest") from error
    loaded = [f"{__name__}.{module}" for module in ASSERTING]
    pytest.register_assert_rewrite(*[module for module in loaded if module not in sys.modules])
    from amorsize.testing import leaks

    public: dict[str, object] = dict(vars(leaks))
    if name not in public and sys.platform != "win32":
        from amorsize.testing import base, contract

        public |= {**vars(base), "BackendContract": contract.BackendContract}
    globals().update({each: public[each] for each in __all__ if each in public})
    return public[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
