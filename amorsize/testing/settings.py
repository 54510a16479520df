"""Options: initializer, seed, progress."""

from __future__ import annotations

import sys

assert sys.platform != "win32"  # before the imports: signals, named pipes and limits are those of POSIX

import functools
import random
from typing import TYPE_CHECKING, Any

import pytest

import amorsize
from amorsize.testing.base import SEEDS, WITHOUT_SEEDS, Contract, both_kinds, only_where
from amorsize.testing.items import Calls, double, initialize, noted, number_of, refuse_to_start, token_of

if TYPE_CHECKING:
    from collections.abc import Callable


class Settings(Contract):
    """The part of the contract that is about options."""

    @both_kinds
    def test_an_initializer_runs_once_for_every_worker_before_its_first_item(
        self, kind: Callable[..., Any], calls: Calls
    ) -> None:
        func = functools.partial(token_of, calls)
        found = self.pmap(func, kind(range(100)), initializer=initialize, initargs=(calls, "a"), chunksize=1)
        assert found == ["a"] * 100
        workers = [(process, thread) for process, thread, item in calls.lines() if item == "initialized a"]
        assert len(workers) == len(set(workers))
        seen = set()
        for process, thread, item in calls.lines():
            if item == "initialized a":
                seen.add((process, thread))
            assert (process, thread) in seen

    def test_every_call_s_workers_are_initialized_as_it_says(self, calls: Calls) -> None:
        func = functools.partial(token_of, calls)
        for token in ("a", "b", "b", "c"):
            found = self.pmap(func, range(40), initializer=initialize, initargs=(calls, token), chunksize=1)
            assert found == [token] * 40
            found = list(self.pimap(func, iter(range(40)), initializer=initialize, initargs=(calls, token)))
            assert found == [token] * 40

    @pytest.mark.parametrize("kind", [OSError, SystemExit])
    def test_an_initializer_that_fails_ends_the_call_before_any_item(
        self, kind: type[BaseException], calls: Calls
    ) -> None:
        func = functools.partial(noted, calls)
        with pytest.raises(kind, match="the initializer has failed"):
            self.pmap(func, range(40), initializer=refuse_to_start, initargs=(kind,))
        with pytest.raises(kind, match="the initializer has failed"):
            list(self.pimap(func, iter(range(40)), initializer=refuse_to_start, initargs=(kind,)))
        assert calls.items() == []

    @only_where(SEEDS)
    def test_a_seed_gives_the_same_numbers_however_the_items_are_run(self) -> None:
        number_of(0)  # which loads NumPy, where there is one
        expected = amorsize.pmap(number_of, range(40), seed=11, backend="serial")
        assert len(set(expected)) == 40
        assert self.pmap(number_of, range(40), seed=11) == expected
        assert self.pmap(number_of, range(40), seed=11, n_jobs=3, chunksize=1) == expected
        assert self.pmap(number_of, iter(range(40)), seed=11, chunksize=7) == expected
        assert list(self.pimap(number_of, iter(range(40)), seed=11)) == expected
        assert not set(self.pmap(number_of, range(40), seed=12)) & set(expected)

    @only_where(SEEDS)
    def test_a_seed_leaves_the_caller_s_generators_alone(self) -> None:
        numpy = pytest.importorskip("numpy")
        random.seed(5)
        numpy.random.seed(5)
        expected = random.random(), numpy.random.random()
        random.seed(5)
        numpy.random.seed(5)
        self.pmap(number_of, range(40), seed=11)
        list(self.pimap(number_of, iter(range(40)), seed=11))
        assert (random.random(), numpy.random.random()) == expected

    @only_where(SEEDS)
    def test_a_stream_with_a_seed_leaves_the_caller_s_generators_alone_between_results(self) -> None:
        random.seed(5)
        expected = [random.random() for _ in range(5)]
        random.seed(5)
        with self.pimap(number_of, iter(range(40)), seed=11) as results:
            assert [random.random() for _, _ in zip(range(5), results, strict=False)] == expected

    @only_where(WITHOUT_SEEDS)
    def test_a_seed_is_refused_where_all_items_share_their_random_numbers(self) -> None:
        with pytest.raises(ValueError, match="seed"):
            self.pmap(number_of, range(5), seed=11)

    def test_progress_is_told_up_to_the_last_item(self) -> None:
        told: list[tuple[int, int | None]] = []
        self.pmap(double, range(200), progress=lambda n_done, n_items: told.append((n_done, n_items)), chunksize=3)
        assert told[-1] == (200, 200)
        assert all(n_items == 200 for _, n_items in told)
        counts = [n_done for n_done, _ in told]
        assert counts == sorted(counts)

    @pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "as finished"])
    def test_progress_of_a_stream_is_told_up_to_the_last_item(self, ordered: bool) -> None:
        told: list[tuple[int, int | None]] = []

        def tell(n_done: int, n_items: int | None) -> None:
            told.append((n_done, n_items))

        assert len(list(self.pimap(double, iter(range(200)), ordered=ordered, progress=tell))) == 200
        assert told[-1] == (200, None)
        counts = [n_done for n_done, _ in told]
        assert counts == sorted(counts)
