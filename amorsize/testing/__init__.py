"""Hold a backend, or a program's own tests, to what amorsize promises; needs pytest.

A backend's author subclasses the contract, says which options select the backend, and what cannot occur there:

    from amorsize.testing import IN_ONE_PROCESS, BackendContract

    class TestThreads(BackendContract):
        options = {"backend": "thread"}
        cannot_occur = {what: "threads live in one process" for what in IN_ONE_PROCESS}

Whoever tests a program that uses amorsize asks for the leak check, as a fixture or around a block:

    from amorsize.testing import leaves_nothing_behind, nothing_left_behind  # in conftest.py

    @pytest.mark.usefixtures("nothing_left_behind")
    def test_scores(): ...

    with leaves_nothing_behind():
        score.pmap(paths)
"""

from __future__ import annotations

try:
    import pytest
except ImportError as error:
    raise ImportError("amorsize.testing is a set of pytest tests: pip install pytest") from error

pytest.register_assert_rewrite(
    *[f"{__name__}.{name}" for name in ("around", "deaths", "endings", "failures", "results", "settings", "streams")]
)

from amorsize.testing.base import (
    CONTEXT,
    DEATHS,
    IN_ONE_PROCESS,
    INTERRUPTS,
    OVERLAP,
    PICKLING,
    PROCESSES,
    TIMEOUTS,
    WITHOUT_TIMEOUTS,
)
from amorsize.testing.contract import BackendContract
from amorsize.testing.leaks import Holdings, leaves_nothing_behind, nothing_left_behind

__all__ = [
    "CONTEXT",
    "DEATHS",
    "INTERRUPTS",
    "IN_ONE_PROCESS",
    "OVERLAP",
    "PICKLING",
    "PROCESSES",
    "TIMEOUTS",
    "WITHOUT_TIMEOUTS",
    "BackendContract",
    "Holdings",
    "leaves_nothing_behind",
    "nothing_left_behind",
]
