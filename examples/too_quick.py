"""Work that is over before a process could start: a plain loop is the fastest way, and amorsize stays in it.

    python examples/too_quick.py

The same call with a Pool shows what it would have cost to insist.
"""

from multiprocessing import Pool
from time import perf_counter

from amorsize import parallelizable

TIMES = 20


@parallelizable
def celsius(fahrenheit: float) -> float:
    return (fahrenheit - 32) / 1.8


def main() -> None:
    temperatures = [degree / 10 for degree in range(2000)]
    expected: list[float] = []
    loop_s = pmap_s = float("inf")
    for _ in range(TIMES):  # the best of some: a millisecond is easily disturbed
        began = perf_counter()
        expected = [celsius(degree) for degree in temperatures]
        loop_s = min(loop_s, perf_counter() - began)

        began = perf_counter()
        converted = celsius.pmap(temperatures)
        pmap_s = min(pmap_s, perf_counter() - began)
        assert converted == expected
    assert celsius.last_run is not None

    began = perf_counter()
    with Pool() as pool:
        assert pool.map(celsius, temperatures) == expected
    pool_s = perf_counter() - began

    print(f"plain loop {loop_s * 1e3:.2f} ms, pmap {pmap_s * 1e3:.2f} ms: gain {loop_s / pmap_s:.2f}")
    print(f"why: {celsius.last_run.reason}")
    print(f"Pool.map {pool_s * 1e3:.2f} ms: gain {loop_s / pool_s:.2f}")


if __name__ == "__main__":
    main()
