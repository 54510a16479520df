"""Work on NumPy arrays. All numbers are whole, so that sums are exact in whatever order native threads add them."""

from __future__ import annotations

import numpy

from benchmarks.workloads.task import Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 400
_LEFT = (numpy.arange(SIDE * SIDE, dtype=numpy.float64) % 7).reshape(SIDE, SIDE)
_RIGHT = (numpy.arange(SIDE * SIDE, dtype=numpy.float64) % 5).reshape(SIDE, SIDE)
_SIGNAL = numpy.arange(1 << 20, dtype=numpy.float64) % 1000
_MEGABYTE = numpy.arange(131_072, dtype=numpy.int64)


def numpy_fft_1m(item: int) -> float:
    """Transform a signal of a million points."""
    return float(abs(numpy.fft.fft(_SIGNAL + item)[item % 1000]))


def numpy_matmul(item: int) -> int:
    """Multiply two matrices, which BLAS does with as many threads as there are cores."""
    return int(((_LEFT + item) @ _RIGHT).trace())


def big_array(item: int) -> NDArray[numpy.int64]:
    """Return an array of 1 MB."""
    return _MEGABYTE + item


def _numbers(n_items: int, _: int) -> range:
    return range(n_items)


TASKS = {
    "numpy_fft_1m": Task(numpy_fft_1m, _numbers),
    "numpy_matmul": Task(numpy_matmul, _numbers),
    "big_arrays": Task(big_array, _numbers),
}
