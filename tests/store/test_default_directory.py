"""Where the store lives by default: where platformdirs says."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import platformdirs
import pytest
from platformdirs.macos import MacOS
from platformdirs.unix import Unix

from amorsize.store.where import default_directory, directory, temporary_directory

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="HOME and XDG are for POSIX")


def test_it_is_the_one_of_platformdirs_here() -> None:
    assert default_directory(os.environ) == platformdirs.user_cache_dir("amorsize")


@POSIX
@pytest.mark.parametrize("platform", ["linux", "darwin"])
@pytest.mark.parametrize("my_home", ["/home/me", "/home/me/", None])
@pytest.mark.parametrize("xdg", ["/cache", "/cache/", "", None])
def test_it_is_the_one_of_platformdirs_under_every_environment(
    monkeypatch: pytest.MonkeyPatch, platform: str, my_home: str | None, xdg: str | None
) -> None:
    for name, value in (("HOME", my_home), ("XDG_CACHE_HOME", xdg)):
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value)
    theirs = {"linux": Unix, "darwin": MacOS}[platform]("amorsize").user_cache_dir
    assert Path(default_directory(os.environ, platform)) == Path(theirs)


@POSIX
def test_a_relative_cache_home_is_ignored() -> None:
    assert default_directory({"XDG_CACHE_HOME": "cache", "HOME": "/home/me"}, "linux") == "/home/me/.cache/amorsize"


@POSIX
@pytest.mark.parametrize("my_home", ["", "relative"])
def test_a_home_that_is_no_path_is_looked_up(my_home: str) -> None:
    assert default_directory({"HOME": my_home}, "linux") == default_directory({}, "linux")


@POSIX
def test_without_any_home_it_is_a_temporary_directory_of_this_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: int) -> None:
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", nobody)
    own = Path(temporary_directory({})).name
    assert default_directory({"TMPDIR": "/scratch"}, "linux") == f"/scratch/{own}"
    assert default_directory({}, "linux") == f"/tmp/{own}"


def test_other_platforms_are_asked_of_platformdirs() -> None:
    assert default_directory({}, "win32") == platformdirs.user_cache_dir("amorsize")


@POSIX
def test_one_that_was_chosen_below_the_home_may_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("AMORSIZE_CACHE_DIR", "~/kept")
    assert directory() == "/home/me/kept"
