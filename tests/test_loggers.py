"""How `logging` is set up: described here, set up alike in a fresh interpreter, and what is logged there."""

from __future__ import annotations

import io
import logging
import marshal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from amorsize import loggers, pmap
from amorsize.loggers import is_told, set_up, told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOG = logging.getLogger("amorsize.test.loggers")


@pytest.fixture
def _restored() -> Iterator[None]:
    level = logging.root.level
    yield
    begin()
    set_up(logging, {})
    logging.root.setLevel(level)


def begin() -> None:
    """Have `logging` be as in a new process, without pytest's handlers, which come when a test begins."""
    loggers.close_files()
    for logger in (logging.root, LOG):
        logger.handlers[:] = []
    logging.root.setLevel(logging.WARNING)
    LOG.propagate = True
    logging.disable(logging.NOTSET)


pytestmark = pytest.mark.usefixtures("_restored")


def ours() -> dict[str, Any]:
    """Return what is told of the root and of this module's logger, as it travels."""
    return {
        name: facts for name, facts in marshal.loads(marshal.dumps(told(logging))).items() if name in ("", LOG.name)
    }


def test_nothing_is_told_of_what_is_as_in_a_new_process() -> None:
    begin()
    LOG.addHandler(logging.NullHandler())
    assert ours() == {}


def test_what_is_told_sets_up_the_same(tmp_path: Path) -> None:
    begin()
    file = tmp_path / "log"
    logging.basicConfig(filename=file, level=logging.DEBUG, format="{name}: {message}", style="{", encoding="utf-8")
    handler = logging.StreamHandler(sys.__stderr__)
    handler.setLevel(logging.ERROR)
    LOG.addHandler(handler)
    LOG.propagate = False
    logging.disable(5)
    described = ours()
    assert list(described) == ["", LOG.name]
    begin()
    assert ours() == {}
    set_up(logging, described)
    assert ours() == described
    logging.root.debug("caf\u00e9")
    loggers.close_files()
    logging.root.debug("again")  # which opens it anew
    assert file.read_text(encoding="utf-8") == "root: caf\u00e9\nroot: again\n"
    set_up(logging, {})
    assert (ours(), LOG.handlers, logging.root.handlers) == ({}, [], [])


def filtered(thing: Any) -> Any:
    thing.addFilter(lambda _: True)
    return thing


def formatted(formatter: logging.Formatter) -> logging.Handler:
    handler = logging.StreamHandler(sys.__stderr__)
    handler.setFormatter(formatter)
    return handler


class OwnFormatter(logging.Formatter):
    """The program's own."""


@pytest.mark.parametrize(
    "handler",
    [
        logging.Handler(),
        logging.StreamHandler(io.StringIO()),
        filtered(logging.StreamHandler(sys.__stderr__)),
        formatted(OwnFormatter()),
    ],
)
def test_a_logger_with_what_cannot_be_described_is_left_as_it_is(handler: logging.Handler) -> None:
    begin()
    LOG.addHandler(handler)
    try:
        assert not is_told(logging, LOG)
        assert ours() == {}
        set_up(logging, {})
        assert LOG.handlers == [handler]
    finally:
        LOG.removeHandler(handler)


def test_a_file_that_is_not_appended_to_is_not_described(tmp_path: Path) -> None:
    begin()
    LOG.addHandler(logging.FileHandler(tmp_path / "log", mode="w"))
    assert not is_told(logging, LOG)


def log(n: int) -> int:
    LOG.info("item %d", n)
    return n


def test_what_is_logged_in_fresh_interpreters_is_where_it_belongs(tmp_path: Path) -> None:
    begin()
    logging.basicConfig(filename=tmp_path / "log", level=logging.INFO, format="%(levelname)s %(message)s")
    for level, n_calls in ((logging.INFO, 1), (logging.WARNING, 1), (logging.INFO, 2)):
        logging.root.setLevel(level)
        assert pmap(log, range(20), backend="process", start_method="spawn", n_jobs=2) == list(range(20))
        assert sorted((tmp_path / "log").read_text().splitlines()) == sorted(
            n_calls * [f"INFO item {n}" for n in range(20)]
        )
