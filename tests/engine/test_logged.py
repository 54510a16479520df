"""What items of forked workers log, where that is for the caller's handlers."""

from __future__ import annotations

import io
import logging
import logging.handlers
import marshal
import queue
import unittest
from typing import TYPE_CHECKING, Any

import pytest

from amorsize import AmorsizeWarning, pmap
from amorsize.engine import logged
from amorsize.engine.said import hear, packed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.needs_fork

LOGGER = logging.getLogger("tests.engine.test_logged")


class Listing(logging.Handler):
    """What a program may have made itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record.getMessage())


@pytest.fixture(autouse=True)
def _logger() -> Iterator[None]:
    LOGGER.setLevel("INFO")
    yield
    LOGGER.handlers.clear()


def tell(item: int) -> int:
    LOGGER.info("item %d", item)
    LOGGER.debug("never")
    if item == 3:
        try:
            raise KeyError(item)
        except KeyError:
            LOGGER.exception("trouble")
    return item


def tell_unsendable(item: int) -> int:
    LOGGER.info("stays", extra={"held": lambda: item})
    return item


def refuse(item: int) -> int:
    LOGGER.info("last words")
    raise ValueError(item)


def run(kind: Any = list, func: Any = tell) -> None:
    assert list(pmap(func, kind(range(6)), backend="process", start_method="fork", n_jobs=2, isolate=True)) == [
        *range(6)
    ]


EXPECTED = sorted([*[f"item {n}" for n in range(6)], "trouble"])


@pytest.mark.parametrize("kind", [list, iter])
def test_what_items_log_is_in_the_caller_s_records(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    run(kind)
    assert sorted(caplog.messages) == EXPECTED
    assert "KeyError: 3" in caplog.text
    assert {record.name for record in caplog.records} == {LOGGER.name}


def test_every_handler_that_keeps_records_gets_each_once(tmp_path: Path) -> None:
    records: queue.SimpleQueue[Any] = queue.SimpleQueue()
    listing, memory, text = Listing(), logging.handlers.MemoryHandler(1000, logging.CRITICAL), io.StringIO()
    file = logging.FileHandler(tmp_path / "log")
    for handler in (listing, memory, file, logging.StreamHandler(text), logging.handlers.QueueHandler(records)):
        LOGGER.addHandler(handler)
    run()
    file.close()
    assert sorted(listing.found) == EXPECTED
    assert sorted(record.getMessage() for record in memory.buffer) == EXPECTED
    assert records.qsize() == len(EXPECTED)
    for found in (text.getvalue(), (tmp_path / "log").read_text()):
        assert sorted(line for line in found.splitlines() if line.startswith(("item", "trouble"))) == EXPECTED


def test_unittest_s_assertion_sees_what_items_log() -> None:
    with unittest.TestCase().assertLogs(LOGGER, "INFO") as seen:
        run()
    assert len(seen.output) == len(EXPECTED)


def test_what_a_failing_item_has_logged_is_there(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="0"):
        run(func=refuse)
    assert caplog.messages[0] == "last words"


def test_what_cannot_be_sent_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.warns(AmorsizeWarning, match=r"could not send what an item logged with .*\(stays\)"):
        run(func=tell_unsendable)
    assert caplog.messages == []


def test_it_is_told_where_nothing_can_be_handled() -> None:
    LOGGER.addHandler(Listing())
    before = LOGGER.handlers[:]
    logged.take_over(lambda: None)
    try:
        LOGGER.info("odd")
        lost, payload = logged.take()
    finally:
        LOGGER.handlers.clear()
    assert (lost, before[0].__dict__["found"]) == (None, [])
    assert "test_logged' (odd) could not be shown: list index" in str(
        hear(marshal.loads(packed(None, [], b"", payload)))
    )
    assert "could not be rebuilt" in str(hear(marshal.loads(packed(None, [], b"", b"no pickle"))))
