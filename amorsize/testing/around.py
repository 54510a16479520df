"""What is around a call: calls inside of it and beside it, the caller's context and surroundings."""

from __future__ import annotations

import sys

assert sys.platform != "win32"  # before the imports: signals, named pipes and limits are those of POSIX

import contextlib
import functools
import io
import os
import threading
import warnings
from typing import TYPE_CHECKING, Any

from amorsize import AmorsizeWarning
from amorsize.testing.base import CONTEXT, HANDLERS, Contract, only_where
from amorsize.testing.items import (
    VARIABLE,
    Odd,
    double,
    inner_sum,
    logged,
    printed,
    surroundings_of,
    variable_of,
    warned,
    warned_once,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest


@contextlib.contextmanager
def recorded(action: Any) -> Iterator[list[warnings.WarningMessage]]:
    """Record what is warned of, and what an action does not hold back."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter(action)
        yield found


def texts(found: list[warnings.WarningMessage]) -> list[str]:
    """Return what items have warned of, without what we do."""
    return [str(each.message) for each in found if each.category is Odd]


class Around(Contract):
    """The part of the contract that is about what is around a call."""

    def test_a_call_inside_a_call_works(self) -> None:
        expected = [n * (n - 1) for n in range(6)]
        assert self.pmap(functools.partial(inner_sum, {}), range(6)) == expected
        assert list(self.pimap(functools.partial(inner_sum, {}), iter(range(6)))) == expected

    def test_a_call_inside_a_call_may_ask_for_the_same_backend(self) -> None:
        options = {name: value for name, value in self.given.items() if name != "isolate"}
        found = self.pmap(functools.partial(inner_sum, options), range(6))
        assert found == [n * (n - 1) for n in range(6)]

    def test_what_items_print_into_memory_is_in_the_caller_s(self) -> None:
        items, text, data = range(40), io.StringIO(), io.TextIOWrapper(io.BytesIO(), encoding="utf-16")
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(data):
            for _ in range(2):
                assert self.pmap(printed, items, chunksize=3) == list(items)
            assert list(self.pimap(printed, iter(items))) == list(items)
        assert sorted(text.getvalue().splitlines()) == sorted(3 * [f"out \u00e9{n}" for n in items])
        data.seek(0)
        assert sorted(data.read().splitlines()) == sorted(3 * [f"error \u00e9{n}" for n in items])

    def test_what_items_warn_of_is_recorded_in_the_caller(self) -> None:
        items = range(40)
        for _ in range(2):
            with recorded("always") as found:
                assert self.pmap(warned, items, chunksize=3) == list(items)
                assert list(self.pimap(warned, iter(items))) == list(items)
            assert sorted(texts(found)) == sorted(2 * [f"odd {n}" for n in items])
            assert {(each.category, each.filename) for each in found if each.category is Odd} == {
                (Odd, warned.__code__.co_filename)
            }

    def test_what_is_to_be_shown_once_is_recorded_once(self) -> None:
        for _ in range(2):
            with recorded("default") as found:
                assert self.pmap(warned_once, range(40), chunksize=3) == list(range(40))
                assert list(self.pimap(warned_once, iter(range(40)))) == list(range(40))
            assert texts(found) == ["odd"]

    def test_what_items_warn_of_is_shown_as_the_caller_says(self, monkeypatch: pytest.MonkeyPatch) -> None:
        shown: list[str] = []
        with recorded("always"):
            monkeypatch.setattr(warnings, "showwarning", lambda message, *_: shown.append(str(message)))
            self.pmap(warned, range(40), chunksize=3)
        assert sorted(shown) == sorted(f"odd {n}" for n in range(40))

    @only_where(HANDLERS)
    def test_what_items_log_is_in_the_caller_s_records(self, caplog: pytest.LogCaptureFixture) -> None:
        assert self.pmap(logged, range(40), chunksize=3) == list(range(40))
        assert list(self.pimap(logged, iter(range(40)))) == list(range(40))
        assert sorted(caplog.messages) == sorted(2 * [f"odd {n}" for n in range(40)])

    def test_two_threads_call_at_once(self) -> None:
        together = threading.Barrier(2)
        found: dict[int, list[Any]] = {}

        def call(n_items: int) -> None:
            together.wait()
            found[n_items] = [self.pmap(double, range(n_items)), list(self.pimap(double, iter(range(n_items))))]

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AmorsizeWarning)  # where workers are forked, there may be none
            threads = [threading.Thread(target=call, args=(n_items,)) for n_items in (50, 70)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert found == {n_items: [[2 * n for n in range(n_items)]] * 2 for n_items in (50, 70)}

    @only_where(CONTEXT)
    def test_items_see_the_caller_s_context_variables(self) -> None:
        token = VARIABLE.set("set by the caller")
        try:
            assert set(self.pmap(variable_of, range(20), chunksize=1)) == {"set by the caller"}
            assert set(self.pimap(variable_of, iter(range(20)))) == {"set by the caller"}
        finally:
            VARIABLE.reset(token)

    def test_items_see_the_caller_s_directory_and_environment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for value in ("one", "two"):
            (tmp_path / value).mkdir()
            monkeypatch.chdir(tmp_path / value)
            monkeypatch.setenv("CONTRACT_SETTING", value)
            expected = {(os.path.realpath(tmp_path / value), value)}
            assert set(self.pmap(surroundings_of, ["CONTRACT_SETTING"] * 20, chunksize=1)) == expected
            assert set(self.pimap(surroundings_of, iter(["CONTRACT_SETTING"] * 20))) == expected
