"""Objects of classes that no name leads to travel between a caller and the workers that it has forked."""

from __future__ import annotations

import gc
import sys
from collections import namedtuple
from typing import TYPE_CHECKING, Any

import pytest

from amorsize import ItemNotPicklable, parallelizable, pmap
from amorsize.engine import encoding
from amorsize.identity.naming import unnamed

if sys.platform != "linux":
    pytest.skip("only there workers are forked", allow_module_level=True)

from amorsize.engine import inherited

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs_fork

PROCESS: dict[str, Any] = {"backend": "process", "n_jobs": 2}
N_ITEMS = 60


def spin() -> None:
    for _ in range(20_000):
        pass


def rows() -> Iterator[Any]:
    """Yield rows as pandas does: of a class that is made anew each time, and named after a module that lacks it."""
    kind: Any = namedtuple("kind", ("index", "value"))  # Any: it is made at run time
    kind.__name__ = kind.__qualname__ = "Row"
    kind.__module__ = "collections"
    return map(kind._make, ((index, 10 * index) for index in range(N_ITEMS)))


def value_of(row: Any) -> int:
    spin()
    return int(row.index + row.value)


VALUES = [11 * index for index in range(N_ITEMS)]


@pytest.mark.usefixtures("gaining")
def test_rows_of_a_class_that_no_name_leads_to_are_given_to_forked_workers() -> None:
    share = parallelizable(value_of)
    assert share.pmap(rows()) == VALUES
    assert share.last_run is not None
    assert share.last_run.backend == "process"


@pytest.mark.parametrize("options", [PROCESS, {**PROCESS, "isolate": True}], ids=["asked for", "isolated"])
def test_so_they_are_where_no_item_was_tried_before(options: dict[str, Any]) -> None:
    assert pmap(value_of, rows(), **options) == VALUES


@pytest.mark.usefixtures("gaining")
def test_results_come_back_as_objects_of_the_very_same_class() -> None:
    class Point:
        def __init__(self, x: int) -> None:
            self.x = x

    def point(x: int) -> Point:
        spin()
        return Point(x)

    share = parallelizable(point)
    found = share.pmap(range(N_ITEMS))
    assert share.last_run is not None
    assert share.last_run.backend == "process"
    assert [result.x for result in found] == list(range(N_ITEMS))
    assert {type(result) for result in found} == {Point}


def test_items_are_of_the_class_that_the_function_knows() -> None:
    class Point:
        pass

    def is_point(item: object) -> bool:
        return isinstance(item, Point)

    assert pmap(is_point, iter([Point() for _ in range(20)]), **PROCESS) == [True] * 20


def test_a_class_that_only_the_worker_has_is_refused_with_its_item() -> None:
    def made(x: int) -> object:
        return type("Made", (), {})() if x == 7 else x

    with pytest.raises(ItemNotPicklable) as raised:
        pmap(made, range(20), **PROCESS, isolate=True)
    assert raised.value.index == 7
    assert raised.value.type_name.endswith("Made")


def test_a_class_has_its_number_for_as_long_as_it_lives() -> None:
    class Local:
        pass

    gc.collect()
    before = len(inherited._classes)
    inherited.note([Local])
    inherited.note([Local])
    assert len(inherited._classes) == before + 1
    assert type(encoding.unpickled(encoding.pickled([Local()], None))[0]) is Local
    number = inherited._number_of(Local)
    assert number is not None
    del Local
    gc.collect()
    assert len(inherited._classes) == before
    with pytest.raises(LookupError, match="has been deleted"):
        inherited.class_of(number)


def test_large_buffers_stay_beside_the_pickle() -> None:
    numpy = pytest.importorskip("numpy")

    class Frame:
        def __init__(self) -> None:
            self.held = numpy.zeros(1 << 20)

    inherited.note([Frame])
    head, payload, buffers = encoding.encode([Frame()])
    assert head == encoding.PICKLED_WITH_BUFFERS
    assert len(payload) < 10_000
    assert [buffer.nbytes for buffer in buffers] == [8 << 20]
    [found] = encoding.decode(head, payload, [bytearray(buffer) for buffer in buffers])
    assert found.held.shape == (1 << 20,)


def test_classes_that_a_name_leads_to_need_no_number() -> None:
    class Local:
        pass

    assert unnamed([1, "x", {}, ValueError(), value_of, (1, pytest.Class), None]) == []
    assert unnamed([1, Local(), (2, Local()), [Local]]) == [Local]
