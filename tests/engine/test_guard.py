"""What is put around each call: retries, exceptions as results, seeds, initializers; and nothing else changes."""

from __future__ import annotations

import gc
import pickle
import random
import sys
import threading
import types
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorsize.advice.sending import prices
from amorsize.engine.guard import Failed, Guard, as_sent, settled
from amorsize.options import Options

if TYPE_CHECKING:
    from collections.abc import Callable


def run(guard: Guard, func: Callable[..., object], items: list[Any], first: int = 0) -> list[object]:
    results: list[object] = []
    guard.run(func, items, first, results, star=False)
    return results


def guard_of(**options: Any) -> Guard:
    return Guard.of(Options(**options))


# ---- retries


class Flaky:
    """Raises an error of a type the first `n_failures` times that it is called with an item."""

    def __init__(self, n_failures: int, kind: type[BaseException] = OSError) -> None:
        self.n_failures = n_failures
        self.kind = kind
        self.calls: list[int] = []

    def __call__(self, x: int) -> int:
        self.calls.append(x)
        if self.calls.count(x) <= self.n_failures:
            raise self.kind(x)
        return 10 * x


@given(st.integers(0, 4), st.integers(1, 4))
def test_an_item_is_called_once_more_than_it_fails_and_no_more_than_allowed(n_failures: int, retries: int) -> None:
    flaky = Flaky(n_failures)
    guard = guard_of(retries=retries, retry_on=(OSError,), on_error="return")
    results = run(guard, flaky, [1, 2])
    assert flaky.calls == sorted([1, 2] * (1 + min(n_failures, retries)))
    assert all((type(result) is OSError) == (n_failures > retries) for result in results)


def test_what_is_not_named_is_not_tried_again() -> None:
    flaky = Flaky(1, ValueError)
    with pytest.raises(ValueError, match="7"):
        run(guard_of(retries=5, retry_on=(OSError,)), flaky, [7])
    assert flaky.calls == [7]


@pytest.mark.parametrize("kind", [ValueError, SystemExit, GeneratorExit])
def test_whoever_wants_every_exception_tried_again_gets_that(kind: type[BaseException]) -> None:
    flaky = Flaky(2, kind)
    assert run(guard_of(retries=2, retry_on=(BaseException,)), flaky, [7]) == [70]


def test_ctrl_c_in_an_item_is_not_tried_again() -> None:
    flaky = Flaky(1, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        run(guard_of(retries=2, retry_on=(BaseException,)), flaky, [7])
    assert flaky.calls == [7]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception_ends_the_call_even_where_errors_are_results(kind: type[BaseException]) -> None:
    results: list[object] = []
    with pytest.raises(kind):
        guard_of(on_error="return").run(Flaky(1, kind), [1], 0, results, star=False)
    assert results == []


def test_without_retries_the_results_before_a_failure_are_there() -> None:
    results: list[object] = []
    with pytest.raises(ZeroDivisionError):
        guard_of(seed=1).run(lambda x: 1 / x, [1, 2, 0, 4], 0, results, star=False)
    assert results == [1, 0.5]


# ---- exceptions as results


def test_a_failed_item_keeps_its_exception_on_its_way() -> None:
    error = ValueError("no", 3)
    error.__cause__ = KeyError("why")
    there = pickle.loads(pickle.dumps(Failed(error)))
    assert type(there) is Failed
    assert (repr(there.error), repr(there.error.__cause__)) == (repr(error), "KeyError('why')")


def test_results_are_settled_as_asked() -> None:
    error = ValueError("no")
    assert settled([1, Failed(error), 3], skips=False) == [1, error, 3]
    assert settled([1, Failed(error), 3], skips=True) == [1, 3]


@pytest.mark.parametrize(
    ("on_error", "is_home", "kind"), [("return", True, KeyError), ("return", False, Failed), ("skip", True, Failed)]
)
def test_in_the_caller_an_exception_stands_for_itself_where_it_is_kept(
    on_error: str, is_home: bool, kind: type
) -> None:
    guard = guard_of(on_error=on_error)
    (result,) = run(guard if is_home else guard.replace(home=0), {}.__getitem__, [1])
    assert type(result) is kind


class TwoArguments(Exception):
    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"{host}:{port}")


def cannot_connect(host: str) -> None:
    raise TwoArguments(host, 80)


def test_the_price_of_what_fails_is_that_of_what_a_worker_sends() -> None:
    results = run(guard_of(on_error="return"), cannot_connect, ["a", "b"])
    assert prices(results, None, 0.0)[1] is not None
    fields, refusal = prices(results, None, 0.0, may_fail=True)
    assert refusal is None
    assert fields["result_bytes"] > len(pickle.dumps(results[0]))
    never_raised = [1, TwoArguments("a", 80)]
    assert as_sent(never_raised) == never_raised


def n_calls(options: dict[str, Any], n_items: int) -> int:
    """Return how many calls of Python functions the items of a builtin make."""
    guard, made = guard_of(**options), []
    gc.disable()  # what is collected meanwhile may have calls of its own
    sys.setprofile(lambda _, event, __: made.append(event))
    try:
        run(guard, abs, [-1] * n_items)
    finally:
        sys.setprofile(None)
        gc.enable()
    return made.count("call")


@pytest.mark.parametrize("options", [{"on_error": "return"}, {"on_error": "skip"}, {"initializer": int}])
def test_an_item_that_is_neither_seeded_nor_tried_again_costs_no_call_but_its_own(options: dict[str, Any]) -> None:
    assert n_calls(options, 100) == n_calls(options, 1)


def test_an_exception_that_an_item_returns_is_a_result_like_any_other() -> None:
    error = ValueError("returned")
    guard = guard_of(on_error="skip")
    assert settled(run(guard, lambda _: error, [1]), skips=True) == [error]


# ---- seeds


def draw(_: object) -> float:
    return random.random()


@given(st.integers(), st.lists(st.integers(1, 5), max_size=6))
def test_an_item_draws_the_same_numbers_however_items_are_cut(seed: int, sizes: list[int]) -> None:
    guard, n_items = guard_of(seed=seed), sum(sizes)
    whole = run(guard, draw, [0] * n_items)
    parts: list[object] = []
    for size in sizes:
        parts += run(guard, draw, [0] * size, first=len(parts))
    assert parts == whole
    assert len(set(whole)) == n_items


def test_the_callers_own_numbers_go_on_as_if_nothing_had_been() -> None:
    np = pytest.importorskip("numpy")
    random.seed(5)
    np.random.seed(5)
    alone = random.random(), np.random.random()
    random.seed(5)
    np.random.seed(5)
    run(guard_of(seed=1), draw, [1, 2, 3])
    assert (random.random(), np.random.random()) == alone


def test_the_callers_own_numbers_are_given_back_after_a_failure() -> None:
    random.seed(5)
    alone = random.random()
    random.seed(5)
    with pytest.raises(OSError, match="1"):
        run(guard_of(seed=1), Flaky(1), [1])
    assert random.random() == alone


def test_numpys_numbers_follow_from_the_seed_too() -> None:
    np = pytest.importorskip("numpy")
    guard = guard_of(seed=3)
    assert run(guard, lambda _: np.random.random(), [0] * 3) == run(guard, lambda _: np.random.random(), [0] * 3)


def test_torchs_numbers_follow_from_the_seed_too_and_the_callers_own_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Generator(random.Random):
        """What `torch.default_generator` offers."""

        def manual_seed(self, seed: int) -> None:
            self.seed(seed)

        def get_state(self) -> tuple[Any, ...]:
            return self.getstate()

        def set_state(self, state: tuple[Any, ...]) -> None:
            self.setstate(state)

    torch = types.ModuleType("torch")
    monkeypatch.setitem(sys.modules, "torch", torch)
    generator = torch.__dict__["default_generator"] = Generator(5)
    alone = Generator(5).random()
    guard = guard_of(seed=3)
    assert guard.seeds_torch
    whole = run(guard, lambda _: generator.random(), [0] * 3)
    assert whole == run(guard, lambda _: generator.random(), [0] * 3)
    assert len(set(whole)) == 3
    assert generator.random() == alone


def test_an_item_that_is_tried_again_finds_the_same_numbers() -> None:
    """So that a network that fails for a moment does not change what comes out."""
    calls: list[float] = []

    def fails_first(x: int) -> float:
        calls.append(random.random())
        if len(calls) < 3:
            raise OSError("for a moment")
        return calls[-1]

    undisturbed = run(guard_of(seed=1), draw, [0])
    assert run(guard_of(seed=1, retries=2, retry_on=(OSError,)), fails_first, [0]) == undisturbed
    assert calls == undisturbed * 3


# ---- initializers


def test_an_initializer_runs_once_before_the_first_item() -> None:
    seen: list[object] = []
    guard = guard_of(initializer=seen.append, initargs=("ready",))
    for first in (0, 2):
        run(guard, seen.append, [first, first + 1], first)
    assert seen == ["ready", 0, 1, 2, 3]


def test_each_call_has_its_initializer_run_with_its_own_arguments() -> None:
    seen: list[object] = []
    for argument in (1, 2):
        run(guard_of(initializer=seen.append, initargs=(argument,)), lambda x: x, [0])
    assert seen == [1, 2]


def test_each_thread_has_its_initializer_run_also_where_it_takes_over_the_ident_of_one_that_ended() -> None:
    seen: list[int] = []
    guard = guard_of(initializer=lambda: seen.append(threading.get_ident()))
    for _ in range(5):
        thread = threading.Thread(target=run, args=(guard, str, [1, 2]))
        thread.start()
        thread.join()
    assert len(seen) == 5


def test_what_an_initializer_raises_is_blamed_on_it() -> None:
    seen: list[object] = []

    def fails() -> None:
        raise LookupError("no such table")

    with pytest.raises(LookupError, match="no such table") as caught:
        run(guard_of(initializer=fails, on_error="return"), seen.append, [1])
    assert "before any item" in caught.value.__notes__[0]
    assert seen == []
