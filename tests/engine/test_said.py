"""What items print into streams that lie in memory; that it arrives is in the contract (`amorsize.testing.around`)."""

from __future__ import annotations

import contextlib
import io
import marshal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from amorsize import pmap
from amorsize.engine import said
from amorsize.engine.desk import Desk
from amorsize.engine.message import PRINTED, RESULTS
from amorsize.engine.said import Said, hear, in_memory, packed, take_over

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _streams() -> Iterator[None]:
    before = sys.stdout, sys.stderr
    yield
    sys.stdout, sys.stderr = before


def detached() -> io.TextIOWrapper:
    stream = io.TextIOWrapper(io.BytesIO())
    stream.detach()
    return stream


def closed(stream: Any) -> Any:
    stream.close()
    return stream


@pytest.mark.parametrize(
    "stream", [None, 3, detached(), closed(io.StringIO()), closed(io.TextIOWrapper(io.BytesIO())), sys.__stdout__]
)
def test_nothing_is_said_into_what_is_no_memory(stream: Any) -> None:
    sys.stdout = sys.stderr = stream
    assert in_memory() == []
    assert Said().take() == []


def test_only_what_is_new_is_said() -> None:
    sys.stdout, sys.stderr = io.StringIO(), io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    sys.stdout.write("before")
    sys.stderr.write("b\u00e9fore")
    said = Said()
    assert said.take() == []
    sys.stdout.write("new")
    sys.stderr.write("n\u00e9w")
    assert said.take() == [("stdout", "new"), ("stderr", "n\u00e9w")]
    assert sys.stdout.getvalue() == "beforenew"


def test_a_stream_that_was_closed_or_replaced_meanwhile_says_nothing() -> None:
    sys.stdout = io.StringIO()
    said = Said()
    sys.stdout.write("lost")
    sys.stdout.close()
    assert said.take() == []


def test_it_is_told_where_nothing_can_be_added(tmp_path: Path) -> None:
    told = marshal.loads(packed(None, [("stdout", "text")]))
    sys.stdout = None  # as under pythonw
    assert "could not be added to sys.stdout" in str(hear(told))
    with (tmp_path / "reading").open("w") as writable, open(writable.name) as sys.stdout:
        assert "not writable" in str(hear(told))
    sys.stdout = io.StringIO()
    assert hear(told) is None
    assert hear(marshal.loads(packed("a full disk", []))) == "a full disk"


class Tee(io.StringIO):
    """Shows what it takes somewhere else, too."""

    def __init__(self, shown: list[str]) -> None:
        super().__init__()
        self.shown = shown

    def write(self, text: str) -> int:
        self.shown.append(text)
        return super().write(text)


def test_what_a_worker_has_shown_is_not_shown_again() -> None:
    shown: list[str] = []
    sys.stdout = Tee(shown)
    hear(marshal.loads(packed(None, [("stdout", "text")])))
    assert (sys.stdout.getvalue(), shown) == ("text", [])


def test_a_fresh_interpreter_gets_its_own_streams_back() -> None:
    own = sys.stdout
    for _ in range(2):
        take_over(["stdout"])
        assert in_memory() == ["stdout"]
        assert sys.stdout.tell() == 0  # what the call before has said is gone
        sys.stdout.write("said")
    take_over([])
    assert sys.stdout is own
    assert not said._own


class Line:
    """An outbox that is interrupted in the middle of what it sends, by the timer."""

    def __init__(self) -> None:
        self.desk = Desk(self, memoryview(bytearray(16)).cast("q"), 0)
        self.sent: list[bytes] = []

    def send_results(self, start: int, results: list[object], seconds: float) -> None:
        self.sent.append(RESULTS)

    def send(self, kind: bytes, start: int, count: int, seconds: float, payload: bytes) -> None:
        self.desk.publish_on_timer(0, None)
        self.sent.append(kind)


def test_no_result_is_sent_in_the_middle_of_what_items_say() -> None:
    sys.stdout = io.StringIO()
    line = Line()
    line.desk.open(0, 2).append("a result")
    sys.stdout.write("said")
    line.desk.print()
    assert line.sent == [PRINTED]


def say(n: int) -> int:
    sys.stdout.write(f"{n}\n")
    if n == 5:
        raise ValueError(n)
    return n


@pytest.mark.parametrize("start_method", [pytest.param("fork", marks=pytest.mark.needs_fork), "spawn"])
def test_what_a_failing_item_has_printed_is_there(start_method: Any) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as text, pytest.raises(ValueError, match="5"):
        pmap(say, range(6), backend="process", n_jobs=2, start_method=start_method, isolate=True)
    assert sorted(text.getvalue().split()) == list("012345")
