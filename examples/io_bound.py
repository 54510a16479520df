"""Work that waits: it needs hands, not cores.

    python examples/io_bound.py

A function that waits for an answer keeps no core busy. amorsize sees that from its first items and runs as many threads
as the waiting is worth, here some dozens, on any number of cores. The standard library's threads gain as much once
somebody has found out how many to start.
"""

from time import perf_counter, sleep

from amorsize import parallelizable


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
    first_s = perf_counter() - began

    began = perf_counter()
    again = ask.pmap(questions)
    second_s = perf_counter() - began

    assert answers == again == expected
    assert ask.last_run is not None
    print(f"plain loop {loop_s:.2f} s, first pmap {first_s:.3f} s: gain {loop_s / first_s:.1f}")
    print(f"second pmap {second_s:.3f} s: gain {loop_s / second_s:.1f}")
    print(f"why: {ask.last_run.reason}")
    print("what was rejected:")
    for other in ask.explain(questions).alternatives:
        predicted = "unknown" if other.predicted_s is None else f"{1e3 * other.predicted_s:.0f} ms"
        print(f"  {other.backend} x {other.n_jobs}: {predicted}, {other.why_not}")


if __name__ == "__main__":
    main()
