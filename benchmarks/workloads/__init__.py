"""The functions that are mapped, and their items: one module for each family, loaded only where one of it is measured.

Loads nothing heavy: what a measured process has loaded already would be missing from a contender's first call. A family
may load what its functions need (numpy, json): the program that maps them would have done so too.

    name                          where it is
    loop_30us                     in the family that `FAMILIES` names
    pkg.mod:func@pkg.mod:data     anybody's function and data, for `compare`
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from benchmarks.workloads.task import Task

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "spinning": (
        "noop", "noop_float", "noop_str", "noop_tuple", "pairs", "loop_1us", "loop_30us", "loop_1ms", "loop_10ms",
        "coarse", "lognormal", "bimodal", "sorted_up", "sorted_down", "giant_last", "first_call_slow", "generator",
        "marked", "other",
    ),
    "library": ("sha256_64k", "zlib_1m", "json_20k", "regex", "stdlib_ast"),
    "arrays": ("numpy_fft_1m", "numpy_matmul", "big_arrays"),
    "moving": ("big_args", "big_results", "long_strings", "memory_200m"),
    "waiting": ("sleep_5ms", "http_local"),
}  # fmt: skip

USERS_OWN = ":"
"""What tells the name of anybody's own function from one of ours."""

_FAMILY_OF = {name: family for family, names in FAMILIES.items() for name in names}


def load(name: str) -> Task:
    """Return a workload's function and the maker of its items.

    Raises:
        KeyError: for a name that is none of the above.
    """
    if USERS_OWN in name:
        from benchmarks.workloads.own import task_of

        return task_of(name)
    tasks: Mapping[str, Task] = import_module(f"benchmarks.workloads.{_FAMILY_OF[name]}").TASKS
    return tasks[name]


def digest(results: Iterable[object]) -> str:
    """Return a hash of all results in their order; of large ones every few bytes, which shows a mix-up as well."""
    from hashlib import blake2b

    hashed = blake2b(digest_size=16)
    for result in results:
        hashed.update(_bytes_of(result))
    return hashed.hexdigest()


_WHOLE_BYTES, _EVERY = 4_096, 4_093


def _bytes_of(result: object) -> bytes:
    if isinstance(result, bytes):
        return result if len(result) <= _WHOLE_BYTES else result[:64] + result[::_EVERY]
    tobytes = getattr(result, "tobytes", None)
    return repr(result).encode() if tobytes is None else _bytes_of(tobytes())
