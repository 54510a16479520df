"""Who has long items is written down beside the store: a hint, which nothing that is planted can turn into more."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from amorsize.store.long import LONG_S, MOST_BYTES, forget_long, note_long, read_long

if TYPE_CHECKING:
    from pathlib import Path

CAN_LINK = sys.platform != "win32"


def test_what_was_written_is_read(tmp_path: Path) -> None:
    note_long(str(tmp_path), {"work:slow": 0.25, "work:quick": 1e-6, "work:other": LONG_S})
    assert read_long(str(tmp_path)) == {"work:slow": 0.25, "work:other": LONG_S}
    assert os.stat(tmp_path / "long").st_mode & 0o077 == 0 or not CAN_LINK


def test_it_is_written_again_where_a_time_has_doubled_or_halved(tmp_path: Path) -> None:
    note_long(str(tmp_path), {"work:slow": 0.25, "work:slower": 1.0})
    note_long(str(tmp_path), {"work:slow": 0.3})
    assert read_long(str(tmp_path)) == {"work:slow": 0.25, "work:slower": 1.0}
    note_long(str(tmp_path), {"work:slow": 0.6})
    assert list(read_long(str(tmp_path)).items()) == [("work:slower", 1.0), ("work:slow", 0.6)]
    note_long(str(tmp_path), {"work:slow": 0.0})  # by a clock too coarse to see them
    assert read_long(str(tmp_path)) == {"work:slower": 1.0}


def test_nothing_is_written_for_what_is_not_long(tmp_path: Path) -> None:
    note_long(str(tmp_path), {"work:quick": 1e-6, "work:free": 0.0})
    forget_long(str(tmp_path))
    assert os.listdir(tmp_path) == []


def test_one_is_forgotten_or_all(tmp_path: Path) -> None:
    note_long(str(tmp_path), {"work:slow": 0.25, "work:slower": 1.0})
    forget_long(str(tmp_path), "work:slow")
    assert read_long(str(tmp_path)) == {"work:slower": 1.0}
    forget_long(str(tmp_path))
    assert read_long(str(tmp_path)) == {}


def test_a_name_that_would_make_two_lines_is_not_written(tmp_path: Path) -> None:
    note_long(str(tmp_path), {"work:\n9 other:name": 0.25, "work:slow": 0.25})
    assert read_long(str(tmp_path)) == {"work:slow": 0.25}


def test_there_is_room_for_the_latest(tmp_path: Path) -> None:
    for at in range(3):
        note_long(str(tmp_path), {f"work:slow_{at}_{each}": 0.25 for each in range(MOST_BYTES // 50)})
    assert os.path.getsize(tmp_path / "long") <= MOST_BYTES
    known = read_long(str(tmp_path))
    assert f"work:slow_2_{MOST_BYTES // 50 - 1}" in known
    assert "work:slow_0_0" not in known


@pytest.mark.fault("R15")
@pytest.mark.parametrize("text", [b"", b"\xff\xfe\n", b"slow\n", b"much work:slow\n", b"0.25", b"\0" * 100, b"nan\n\n"])
def test_what_is_no_line_of_ours_is_left_out(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "long").write_bytes(text + b"\n0.5 work:slower\n")
    assert read_long(str(tmp_path))["work:slower"] == 0.5


@pytest.mark.fault("R15")
def test_where_it_cannot_be_read_or_written_nothing_is_raised(tmp_path: Path) -> None:
    (tmp_path / "long").mkdir()
    for directory in (tmp_path, tmp_path / "nowhere"):
        assert read_long(str(directory)) == {}
        note_long(str(directory), {"work:slow": 0.25})
        forget_long(str(directory))


@pytest.mark.fault("R16")
@pytest.mark.skipif(not CAN_LINK, reason="links need a privilege there, and named pipes are no files")
@pytest.mark.timeout(10)
def test_a_link_is_not_followed_and_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("0.25 work:slow\n")
    for plant in (lambda path: path.symlink_to(victim), os.mkfifo):
        directory = tmp_path / "store"
        directory.mkdir(exist_ok=True)
        plant(directory / "long")
        assert read_long(str(directory)) == {}
        note_long(str(directory), {"work:slower": 1.0})
        assert victim.read_text() == "0.25 work:slow\n"
        os.remove(directory / "long")
