"""Which items belong together."""

from __future__ import annotations

import array
import collections

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorsize.identity.inputs import input_class


class Broken:
    def __len__(self) -> int:
        raise RuntimeError


class Unhashable(type):
    __hash__ = None  # type: ignore[assignment]


class Odd(metaclass=Unhashable):
    pass


class FakeArray:
    """Has what tells an array from other objects."""

    def __init__(self, dtype: object, nbytes: int) -> None:
        self._dtype, self._nbytes = dtype, nbytes

    @property
    def dtype(self) -> object:
        if self._dtype is None:
            raise RuntimeError
        return self._dtype

    @property
    def nbytes(self) -> int:
        return self._nbytes

    def __len__(self) -> int:
        return 1


HERE = __name__


@pytest.mark.parametrize(
    ("sample", "label"),
    [
        ([1, 2, 3], "int[2^1]"),
        ([0], "int[2^0]"),
        ([-1000, 10], "int[2^9]"),
        ([1 << 63, (1 << 64) - 1], "int[2^63]"),
        ([1 << 5000], "int[2^63]"),
        ([1.5], "float"),
        ([None], "NoneType"),
        ([True], "bool"),
        (["a" * 1000, "b" * 3000], "str[2^11]"),
        ([b"1234"], "bytes[2^2]"),
        ([[1], [1, 2, 3, 4]], "list[2^2]"),
        ([{}], "dict[2^0]"),
        ([range(1 << 20)], "range[2^20]"),
        ([collections.deque([1, 2])], "collections.deque[2^1]"),
        ([array.array("d", [0] * 16)], "array.array[2^4]"),
        ([(1000, "abcd")], "tuple[int,str][2^2]"),
        ([(1, 2000.0)], "tuple[int,float][2^0]"),
        ([(3, 40)], "tuple[int,int][2^5]"),
        ([(1, [2], ("x", "y"))], "tuple[int,list,tuple][2^1]"),
        ([()], "tuple[2^0]"),
        ([tuple(range(100))], "tuple[2^6]"),
        ([1, "a"], "mixed"),
        ([(1, "a"), ("a", 1)], "mixed"),
        ([], "mixed"),
        ([Broken()], f"{HERE}.Broken"),
        ([FakeArray("float64", 4096)], f"{HERE}.FakeArray[float64][2^12]"),
        ([(FakeArray("int8", 8), "abc")], f"tuple[{HERE}.FakeArray[int8],str][2^3]"),
        ([Odd(), Odd()], f"{HERE}.Odd"),
        ([FakeArray(None, 8)], f"{HERE}.FakeArray[2^3]"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_class_of(sample: list[object], label: str) -> None:
    assert input_class(sample).label == label


def test_the_class_of_numpy_arrays_and_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    assert input_class([numpy.zeros((8, 16))]).label == "numpy.ndarray[float64][2^10]"
    assert input_class([numpy.float64(1)]).label == "numpy.float64"


def test_a_name_is_at_most_100_characters_long() -> None:
    kind = type("K" * 200, (), {})
    assert len(input_class([kind()]).type_name) == 100
    assert len(input_class([(kind(), kind())]).type_name) == 100


@given(st.lists(st.text(max_size=50), min_size=1, max_size=3))
def test_a_class_depends_on_the_longest_item_only(texts: list[str]) -> None:
    assert input_class(texts) == input_class([max(texts, key=len)])
