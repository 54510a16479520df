"""Your own multiprocessing.Pool, with amorsize's numbers.

    python examples/with_pool.py

`optimize` calls the function on a few of the items, measures what this machine charges for a Pool, and says how many
workers and which chunk size to use, and whether to use a Pool at all.
"""

from multiprocessing import Pool
from time import perf_counter

from amorsize import optimize


def longest_chain(stop: int) -> tuple[int, int]:
    """Return the number with the longest Collatz chain among the 200 below `stop`, as (steps, number)."""
    return max((chain(number), number) for number in range(max(1, stop - 200), stop))


def chain(number: int) -> int:
    n_steps = 0
    while number != 1:
        number = 3 * number + 1 if number % 2 else number // 2
        n_steps += 1
    return n_steps


def main() -> None:
    stops = range(1_000_200, 1_040_000, 200)
    result = optimize(longest_chain, stops, verbose=True)

    began = perf_counter()
    expected = [longest_chain(stop) for stop in stops]
    loop_s = perf_counter() - began

    began = perf_counter()
    with Pool(result.n_jobs) as pool:
        chains = pool.map(longest_chain, result.data, result.chunksize)
    pool_s = perf_counter() - began

    assert chains == expected
    n_steps, number = max(chains)
    print(f"\n{number:,} takes {n_steps} steps to 1")
    print(f"plain loop {loop_s:.2f} s, Pool {pool_s:.2f} s: gain {loop_s / pool_s:.2f}")
    print(f"predicted: {result.predicted_s or loop_s:.2f} s: gain {result.estimated_speedup:.2f}")


if __name__ == "__main__":
    main()
