"""Records are frozen values with named fields, which compare, copy and travel."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorsize.record import Record, RecordType, RunReport
from amorsize.records import Capacity, FunctionKey, InputClass, Plan


class Point(Record):
    """A record with a default and a condition."""

    x: int
    y: int = 0

    def check(self) -> None:
        if self.y < 0:
            raise ValueError(f"y must be >= 0, got {self.y!r}")


class Labelled(Point):
    """A record that adds a field to another."""

    label: str = "here"


def a_report(**changes: Any) -> RunReport:  # Any: the fields of RunReport
    return RunReport(
        **{
            "function": "mod:f",
            "n_items": 4,
            "n_sampled": 0,
            "backend": "process",
            "n_jobs": 2,
            "chunksize": 1,
            "measured_s": 2.0,
            "reason": "why not",
            **changes,
        }
    )


def test_a_field_that_is_left_out_has_its_default() -> None:
    assert Point(x=1) == Point(x=1, y=0)
    assert Labelled(x=1).label == "here"


@pytest.mark.parametrize(
    "annotated", [{"__annotations__": {"count": "int"}}, {"__annotate_func__": lambda _format: {"count": int}}]
)
def test_fields_are_found_as_text_and_as_python_3_14_keeps_them(annotated: dict[str, Any]) -> None:
    lazy: Any = RecordType("Lazy", (Record,), {"count": 3, **annotated})
    assert (lazy().count, lazy(count=4).count) == (3, 4)


@pytest.mark.parametrize("fields", [{}, {"y": 1}, {"x": 1, "z": 2}, {"x": 1, "y": 2, "z": 3}])
def test_a_missing_or_unknown_field_is_named(fields: dict[str, int]) -> None:
    wrong = "z" if "z" in fields else "x"
    with pytest.raises(TypeError, match=f"Point has the fields x, y; missing or unknown: {wrong}"):
        Point(**fields)


def test_a_record_is_checked_where_it_is_made_and_where_it_is_replaced() -> None:
    with pytest.raises(ValueError, match="got -1"):
        Point(x=1, y=-1)
    with pytest.raises(ValueError, match="got -2"):
        Point(x=1).replace(y=-2)
    with pytest.raises(ValueError, match="n_cores must be >= 1, got 0"):
        Capacity(n_cores=0)


def test_a_field_cannot_be_assigned_deleted_or_invented() -> None:
    point = Point(x=1)
    with pytest.raises(AttributeError, match=r"use replace\(x=...\)"):
        point.x = 2  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(AttributeError, match="frozen"):
        delattr(point, "x")
    with pytest.raises(AttributeError):
        point.z = 3
    assert not hasattr(point, "__dict__")


@given(st.integers(), st.integers(min_value=0))
def test_records_compare_and_hash_by_value(x: int, y: int) -> None:
    assert Point(x=x, y=y) == Point(y=y, x=x)
    assert hash(Point(x=x, y=y)) == hash(Point(x=x, y=y))
    assert Point(x=x, y=y) != Point(x=x + 1, y=y)


def test_records_of_different_types_differ() -> None:
    assert Point(x=1) != Labelled(x=1)
    assert Point(x=1) != (1, 0)
    assert FunctionKey(digest="a", name="b") != "a"


def test_replace_leaves_the_original_alone() -> None:
    point = Point(x=1)
    assert point.replace(y=5) == Point(x=1, y=5)
    assert point == Point(x=1)


def test_a_repr_can_be_read_back() -> None:
    point = Labelled(x=1, label="it's")
    assert eval(repr(point)) == point


@pytest.mark.parametrize("travel", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
@pytest.mark.parametrize(
    "record",
    [
        Labelled(x=1, y=2, label="z"),
        InputClass(type_name="str", log2_size=3),
        Plan(backend="serial", n_jobs=1, chunksize=1, reason="small"),
    ],
)
def test_a_record_travels_as_it_is(travel: Any, record: Record) -> None:
    assert travel(record) == record


def test_a_report_stays_where_its_run_was() -> None:
    assert pickle.loads(pickle.dumps({"f": a_report()})) == {"f": None}


def test_a_report_tells_the_speedup_where_items_were_timed() -> None:
    assert a_report(serial_s=3.0).speedup == 1.5
    assert a_report().speedup is None
    assert a_report(serial_s=0.0, measured_s=0.0).speedup is None


def test_the_class_of_all_sizes_has_no_parent() -> None:
    sized = InputClass(type_name="str", log2_size=10)
    assert (sized.label, sized.parent) == ("str[2^10]", InputClass(type_name="str"))
    assert (InputClass(type_name="int").label, InputClass(type_name="int").parent) == ("int", None)


@pytest.mark.parametrize(("quota_cores", "n_effective"), [(None, 4.0), (2.5, 2.5), (8.0, 4.0)])
def test_a_quota_bounds_the_cores(quota_cores: float | None, n_effective: float) -> None:
    assert Capacity(n_cores=4, quota_cores=quota_cores).n_effective == n_effective


def test_a_plan_is_parallel_unless_it_is_the_loop() -> None:
    loop = Plan(backend="serial", n_jobs=1, chunksize=1, reason="small")
    assert not loop.is_parallel
    assert loop.replace(backend="process").is_parallel
