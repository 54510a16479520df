"""Work that waits: it needs hands, not cores.

    python examples/io_bound.py

A function that waits for an answer keeps no core busy. amorsize runs at most as many processes as there are cores, so
it gains about their number, while dozens of threads could wait at the same time. Choosing threads by itself comes in a
later version of amorsize; until then the standard library's threads are the better tool here.
"""

from concurrent.futures import ThreadPoolExecutor
from time import perf_counter, sleep

from amorsize import optimize, parallelizable

N_THREADS = 16


@parallelizable
def ask(question: int) -> int:
    """Wait for an answer for 6 ms, as for a server nearby."""
    sleep(0.006)
    return question * question


def main() -> None:
    questions = range(160)
    began = perf_counter()
    expected = [ask(question) for question in questions]
    loop_s = perf_counter() - began

    began = perf_counter()
    answers = ask.pmap(questions)
    pmap_s = perf_counter() - began

    began = perf_counter()
    with ThreadPoolExecutor(N_THREADS) as threads:
        by_threads = list(threads.map(ask, questions))
    threads_s = perf_counter() - began

    assert answers == by_threads == expected
    assert ask.last_run is not None
    print(f"plain loop {loop_s:.2f} s, pmap {pmap_s:.2f} s: gain {loop_s / pmap_s:.2f}")
    print(f"why: {ask.last_run.reason}")
    print(f"{N_THREADS} threads {threads_s:.2f} s: gain {loop_s / threads_s:.2f}")
    for warning in optimize(ask, questions).warnings:
        print(f"optimize() says: {warning}")


if __name__ == "__main__":
    main()
