"""A decorated function travels as a function: fresh methods where it arrives, and nothing that was learned or run."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from amorsize import parallelizable, pmap

if TYPE_CHECKING:
    from collections.abc import Callable


@parallelizable(n_jobs=2)
def triple(x: int) -> int:
    return 3 * x


def by_value(func: Any) -> Any:  # Any: cloudpickle ships no types
    """Return a function that was sent as its code, as to a process that does not have its module."""
    cloudpickle: Any = pytest.importorskip("cloudpickle")
    return pickle.loads(cloudpickle.dumps(func))


def local(factor: int) -> Any:
    @parallelizable(n_jobs=2)
    def scale(x: int) -> int:
        return factor * x

    return scale


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_decorated_function_is_pickled_by_its_name(protocol: int) -> None:
    assert pickle.loads(pickle.dumps(triple, protocol)) is triple


def test_a_function_sent_by_value_arrives_with_methods_of_its_own() -> None:
    sent = local(7)
    arrived = by_value(sent)
    assert arrived is not sent
    assert arrived(2) == 14
    assert arrived.pmap([1, 2]) == [7, 14]
    assert arrived.pmap.__self__ is not sent.pmap.__self__


def test_the_methods_of_a_function_sent_by_value_belong_to_it() -> None:
    arrived = by_value(local(7))
    arrived.pmap([1])
    assert arrived.last_run is not None
    assert arrived.last_run.n_items == 1


def test_the_decorators_options_travel() -> None:
    (decorator, _, _) = by_value(local(7)).pmap.__self__.given({})
    assert decorator == {"n_jobs": 2}


def test_no_report_travels() -> None:
    sent = local(7)
    sent.pmap([1, 2, 3])
    assert sent.last_run is not None
    assert by_value(sent).last_run is None


@pytest.mark.needs_fork
def test_no_report_travels_after_a_run_with_workers() -> None:
    sent = local(7)
    sent.pmap(range(100), isolate=True)
    assert sent.last_run.backend == "process"
    arrived = by_value(sent)
    assert arrived.last_run is None
    assert arrived.pmap(range(3)) == [0, 7, 14]


def test_a_view_travels_with_its_options() -> None:
    view = pickle.loads(pickle.dumps(triple.options(chunksize=5)))
    assert view.pmap([1, 2]) == [3, 6]
    assert view.given({})[1] == {"chunksize": 5}


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_function_is_the_function(duplicate: Callable[[object], object]) -> None:
    assert duplicate(triple) is triple


@pytest.mark.needs_fork
def test_multiprocessing_takes_a_decorated_function() -> None:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.map(triple, [1, 2]) == [3, 6]
        pool.close()
        pool.join()


@pytest.mark.needs_fork
def test_a_decorated_function_may_be_an_item_and_a_result() -> None:
    (back,) = pmap(lambda func: func, [triple], isolate=True)
    assert back is triple
