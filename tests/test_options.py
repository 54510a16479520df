"""What may be set, where, and which setting wins."""

from __future__ import annotations

import contextlib
import functools
import os
from typing import Any

import pytest

import amorsize
from amorsize.checks import PEERS, checked
from amorsize.options import Options, resolve, while_environment_holds


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"n_jobs": 0}, ValueError, "n_jobs must be >= 1, negative"),
        ({"n_jobs": 1.5}, TypeError, r"n_jobs must be an int or \"auto\", got 1.5 \(float\)"),
        ({"n_jobs": True}, TypeError, "got True"),
        ({"n_jobs": "many"}, TypeError, "got 'many'"),
        ({"chunksize": "big"}, TypeError, "chunksize must be an int >= 1 or \"auto\", got 'big'"),
        ({"chunksize": 0}, ValueError, "chunksize must be >= 1"),
        ({"backend": "cluster"}, ValueError, "backend must be one of auto, serial, process, thread, got 'cluster'"),
        ({"backend": 3}, TypeError, "backend must be one of"),
        ({"start_method": "forkserver"}, ValueError, "start_method must be one of auto, fork, spawn"),
        ({"isolate": 1}, TypeError, "isolate must be True or False"),
        ({"cache": "no"}, TypeError, "cache must be True or False"),
        ({"njobs": 2}, TypeError, "unknown option 'njobs'; did you mean 'n_jobs'?"),
        ({"colour": 2}, TypeError, "The options are n_jobs, chunksize"),
    ],
)
def test_a_wrong_value_is_told_with_the_value_the_range_and_the_cure(
    given: dict[str, object], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told.replace("?", r"\?") if "did you" in told else told):
        checked(given)


@pytest.mark.parametrize(("peer", "ours"), PEERS.items())
def test_a_peers_spelling_is_answered_with_ours(peer: str, ours: str) -> None:
    with pytest.raises(TypeError, match=f"amorsize calls '{peer}' '{ours}'"):
        checked({peer: 2})


def test_an_argument_of_the_function_that_is_given_as_an_option_is_told_where_it_goes() -> None:
    def scaled(x: int, scale: int = 2, *, cap: int = 9) -> int:
        return min(x * scale, cap)

    told = r"'{0}' is an argument of scaled, not an option: .* with pmap\(functools.partial\(scaled, {0}=...\), items\)"
    for name in ("x", "scale", "cap"):
        with pytest.raises(TypeError, match=told.format(name)):
            amorsize.pmap(scaled, [1], **{name: 3})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=told.format("cap")):
        amorsize.parallelizable(scaled).options(cap=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError, match="unknown option 'scales'"):
        amorsize.pmap(scaled, [1], scales=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def _fetch(url: int, timeout: float = 10.0, *, retries: int = 3) -> tuple[int, float, int]:
    return url, timeout, retries


class _Client:
    def fetch(self, url: int, timeout: float = 10.0) -> tuple[int, float]:
        return url, timeout


@pytest.fixture
def untold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amorsize.errors._warned", set())


@pytest.mark.usefixtures("untold")
@pytest.mark.parametrize("func", [_fetch, _Client().fetch])
@pytest.mark.parametrize("way", ["pmap", "pimap"])
def test_an_option_that_an_argument_hides_behind_is_told_with_both_ways_to_mean_it(func: Any, way: str) -> None:
    with pytest.warns(
        amorsize.AmorsizeWarning, match=r"timeout= is an option here .* functools.partial\(.*etch, timeout"
    ):
        results = getattr(amorsize, way)(func, [1, 2], timeout=5)
    assert [result[1] for result in results] == [10.0, 10.0]


@pytest.mark.usefixtures("untold")
@pytest.mark.filterwarnings("error")
def test_an_option_is_meant_where_the_argument_is_given_otherwise_or_there_is_none() -> None:
    @amorsize.parallelizable(timeout=6)
    def fetched(url: int, timeout: float = 10.0) -> tuple[int, float]:
        return url, timeout

    assert fetched.pmap([1]) == fetched.options(timeout=5).pmap([1]) == [(1, 10.0)]
    assert amorsize.pmap(_fetch, [1], [2.0], timeout=5) == [(1, 2.0, 3)]
    assert amorsize.pmap(_Client().fetch, [1], [2.0], timeout=5) == [(1, 2.0)]
    assert amorsize.pstarmap(_fetch, [(1, 2.0)], timeout=5) == [(1, 2.0, 3)]
    assert amorsize.pmap(functools.partial(_fetch, timeout=2.0), [1], timeout=5) == [(1, 2.0, 3)]
    assert amorsize.pmap(abs, [-1], timeout=5) == [1]


def test_anything_with_an_index_is_an_int() -> None:
    class Two:
        def __index__(self) -> int:
            return 2

    assert checked({"n_jobs": Two(), "chunksize": Two()}) == {"n_jobs": 2, "chunksize": 2}


@pytest.mark.parametrize(("n_jobs", "asked"), [("auto", None), (3, 3), (-1, 8), (-2, 7), (-20, 1)])
def test_negative_n_jobs_count_from_all_cores_down(n_jobs: Any, asked: int | None) -> None:
    assert Options(n_jobs=n_jobs).jobs_asked(8) == asked


@pytest.mark.parametrize(
    ("options", "quota_cores", "ceiling"),
    [
        (Options(), None, 4),
        (Options(n_jobs=16), None, 16),
        (Options(n_jobs=16), 1.5, 2),
        (Options(), 0.5, 1),
        (Options(n_jobs=16, n_jobs_ceiling=3), None, 3),
    ],
)
def test_quota_and_environment_are_ceilings_and_cores_only_of_auto(
    options: Options, quota_cores: float | None, ceiling: int
) -> None:
    assert options.jobs_ceiling(4, quota_cores) == ceiling


def test_the_call_wins_over_the_view_the_block_the_decorator_and_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AMORSIZE_BACKEND", "serial")
    assert resolve({}, {}, {}).backend == "serial"
    assert resolve({"backend": "process"}, {}, {}).backend == "process"
    with amorsize.config(backend="auto", n_jobs=5):
        assert resolve({"backend": "process"}, {}, {}).backend == "auto"
        assert resolve({}, {"n_jobs": 3}, {}).n_jobs == 3
        assert resolve({}, {"n_jobs": 3}, {"n_jobs": 2}).n_jobs == 2
        with amorsize.config(n_jobs=7):
            assert resolve({}, {}, {}).n_jobs == 7
            assert resolve({}, {}, {}).backend == "auto"
        assert resolve({}, {}, {}).n_jobs == 5
    assert resolve({}, {}, {}).n_jobs == "auto"


def test_a_plain_config_holds_until_the_next() -> None:
    amorsize.config(n_jobs=3)
    try:
        assert resolve({}, {}, {}).n_jobs == 3
    finally:
        amorsize.config(n_jobs="auto")
    assert resolve({}, {}, {}).n_jobs == "auto"


def test_a_block_takes_along_only_what_it_has_set_itself() -> None:
    with contextlib.ExitStack() as own, contextlib.ExitStack() as other:
        ours, theirs = amorsize.config(on_error="skip"), amorsize.config(retries=2)  # as two threads may come in
        amorsize.config(n_jobs=3)
        own.enter_context(ours)
        other.enter_context(theirs)
    try:
        found = resolve({}, {}, {})
        assert (found.on_error, found.retries, found.n_jobs) == ("raise", 0, 3)
    finally:
        amorsize.config(n_jobs="auto")


def test_the_latest_plain_config_holds_whatever_is_kept_of_earlier_ones() -> None:
    kept = amorsize.config(n_jobs=3, retries=2)
    amorsize.config(n_jobs=5)
    try:
        assert (resolve({}, {}, {}).n_jobs, resolve({}, {}, {}).retries) == (5, 2)
        with kept:
            assert resolve({}, {}, {}).n_jobs == 3
        assert (resolve({}, {}, {}).n_jobs, resolve({}, {}, {}).retries) == (5, 0)
    finally:
        amorsize.config(n_jobs="auto")


def test_config_refuses_what_a_call_would_refuse() -> None:
    with pytest.raises(TypeError, match="unknown option"):
        amorsize.config(colour=3)


@pytest.mark.parametrize(
    ("name", "text"), [("AMORSIZE_N_JOBS", "0"), ("AMORSIZE_N_JOBS", "x"), ("AMORSIZE_BACKEND", "x")]
)
def test_a_wrong_environment_variable_is_named(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(ValueError, match=f"environment variable {name}='{text}'"):
        resolve({}, {}, {})


def test_isolate_excludes_the_serial_backend() -> None:
    with pytest.raises(ValueError, match="isolate=True keeps every item out of the caller"):
        Options(isolate=True, backend="serial")


def test_the_same_values_are_the_same_options() -> None:
    initargs = ([1],)
    first = resolve({}, {}, {"n_jobs": 2, "initializer": len, "initargs": initargs})
    assert resolve({}, {"n_jobs": 2}, {"initializer": len, "initargs": initargs}) is first
    other = resolve({}, {}, {"n_jobs": 2, "initializer": len, "initargs": ([1],)})  # equal now: one of them may change
    assert other is not first
    assert resolve({}, {}, {"n_jobs": 2}).initializer is None


def test_an_environment_that_has_changed_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMORSIZE_N_JOBS", "2")
    assert resolve({}, {}, {}).n_jobs_ceiling == 2
    monkeypatch.setenv("AMORSIZE_N_JOBS", "3")
    assert resolve({}, {}, {}).n_jobs_ceiling == 3
    monkeypatch.setattr(os, "environ", {"AMORSIZE_N_JOBS": "4"})
    assert resolve({}, {}, {}).n_jobs_ceiling == 4
    monkeypatch.delitem(os.environ, "AMORSIZE_N_JOBS")
    assert resolve({}, {}, {}).n_jobs_ceiling is None


def test_a_question_about_the_environment_is_asked_again_only_where_a_variable_has_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str | None] = []

    @while_environment_holds
    def color() -> str | None:
        asked.append(os.environ.get("COLOR"))
        if asked[-1] == "wrong":
            raise ValueError(asked[-1])
        return asked[-1]

    monkeypatch.delenv("COLOR", raising=False)
    assert [color(), color()] == [None, None]
    monkeypatch.setenv("COLOR", "red")
    assert [color(), color()] == ["red", "red"]
    monkeypatch.setenv("COLOR", "wrong")
    for _ in range(2):  # what could not be answered is not remembered
        with pytest.raises(ValueError, match="wrong"):
            color()
    monkeypatch.delenv("COLOR")
    assert color() is None
    assert asked == [None, "red", "wrong", "wrong", None]
