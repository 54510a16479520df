"""The leak check that is public: what it finds, what it forgives; and what importing `amorsize.testing` takes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

import amorsize
import amorsize.testing
from amorsize.testing import leaves_nothing_behind
from amorsize.testing.items import double

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_block_that_leaves_nothing_is_left_alone(tmp_path: Path) -> None:
    with leaves_nothing_behind(tmp_path), (tmp_path / "gone").open("w"):
        (tmp_path / "gone").unlink()


def test_a_descriptor_left_open_is_named() -> None:
    opened: list[int] = []
    with pytest.raises(AssertionError, match=r"left behind: descriptors: \d+ -> /dev/null"), leaves_nothing_behind():
        opened.append(os.open(os.devnull, os.O_RDONLY))
    os.close(opened[0])


def test_a_process_left_running_is_named() -> None:
    started: list[subprocess.Popen[bytes]] = []
    with pytest.raises(AssertionError, match="children: "), leaves_nothing_behind():
        started.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
    started[0].communicate()


def test_a_thread_left_running_is_named() -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="left")
    with pytest.raises(AssertionError, match=r"threads: <Thread\(left"), leaves_nothing_behind():
        thread.start()
    end.set()
    thread.join()


def test_a_temp_file_left_lying_is_named_where_its_directory_was(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="temp files: left"), leaves_nothing_behind(tmp_path):
        (tmp_path / "left").touch()


def test_a_signal_handler_left_in_place_is_named() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(AssertionError, match="signal handlers: "), leaves_nothing_behind():
        signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGTERM, before)


def test_workers_that_wait_for_the_next_call_are_ended_and_are_no_leak() -> None:
    with leaves_nothing_behind():
        assert amorsize.pmap(double, range(5), n_jobs=2, backend="process", start_method="spawn") == [0, 2, 4, 6, 8]


def test_a_block_that_raises_raises_what_it_raised() -> None:
    with pytest.raises(KeyError), leaves_nothing_behind():
        raise KeyError


@pytest.mark.usefixtures("nothing_left_behind")
def test_every_public_name_is_there() -> None:
    names = amorsize.testing.__all__
    assert all(hasattr(amorsize.testing, name) for name in names)
    assert set(names) <= set(dir(amorsize.testing))
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        amorsize.testing.nonsense  # noqa: B018 - the attribute access is what is tested


def test_amorsize_needs_no_pytest_and_amorsize_testing_says_that_it_does(fresh_python: Callable[..., str]) -> None:
    source = """
import sys
sys.modules["pytest"] = None
import amorsize, amorsize.testing.items
assert amorsize.pmap(amorsize.testing.items.double, [1]) == [2]
try:
    from amorsize.testing import BackendContract
except ImportError as error:
    print(error)
"""
    assert fresh_python("-c", source) == "amorsize.testing is a set of pytest tests and fixtures: pip install pytest\n"
