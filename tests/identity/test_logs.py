"""Which loggers a function writes with to where only this process knows."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from amorsize.identity.reach import reach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """Yield a logger of which nobody else hears."""
    logger = logging.getLogger("amorsize.test.logs")
    logger.propagate = False
    yield logger
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


def function_over(source: str, **names: object) -> Callable[..., Any]:
    """Return the function `f` of a source text whose globals hold these names."""
    namespace: dict[str, Any] = {"__name__": "users_module", **names}
    exec(source, namespace)
    found: Callable[..., Any] = namespace["f"]
    return found


def test_a_logger_counts_where_somebody_hears_what_the_code_writes(
    log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "handlers", [])  # pytest puts some there
    informs = function_over("def f(x): LOG.info('%s', x)", LOG=log)
    complains = function_over("def f(x): LOG.warning('%s', x)", LOG=log)
    assert (reach(informs).loggers, reach(complains).loggers) == ((), ())
    log.addHandler(logging.NullHandler())
    assert reach(complains).loggers == ()
    log.addHandler(logging.Handler())
    assert (reach(informs).loggers, reach(complains).loggers) == ((), ("LOG",))
    log.setLevel(logging.INFO)
    assert reach(informs).loggers == ("LOG",)
    assert reach(function_over("def f(x): return LOG.name", LOG=log)).loggers == ()


def test_a_logger_counts_wherever_the_code_finds_it(log: logging.Logger) -> None:
    log.addHandler(logging.Handler())
    adapter = logging.LoggerAdapter(log, {})
    assert reach(function_over("def f(x): LOG.error(x)", LOG=adapter)).loggers == ("LOG",)
    holder = "class A:\n def __init__(self, log): self.log = log\n def run(self): self.log.error('')\n"
    held = function_over(f"{holder}def f(x): return OBJECT.run()\nOBJECT = A(LOG)", LOG=log)
    assert reach(held).loggers == ("OBJECT.log",)
    log.propagate = True
    child = log.getChild("child")
    assert reach(function_over("def f(x): LOG.error(x)", LOG=child)).loggers == ("LOG",)


def test_the_module_logging_is_its_root(monkeypatch: pytest.MonkeyPatch) -> None:
    asks = "import logging\ndef f(x): logging.warning(x)"
    monkeypatch.setattr(logging.root, "handlers", [])
    assert reach(function_over(asks)).loggers == ()
    monkeypatch.setattr(logging.root, "handlers", [logging.Handler()])
    assert reach(function_over(asks)).loggers == ("logging",)
