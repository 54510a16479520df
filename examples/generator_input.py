"""Items that come from a generator: nobody knows how many there are, and they are never all in memory.

    python examples/generator_input.py

`pmap` pulls them itself, in blocks of a bounded size, and every one exactly once. `optimize` gives back what it tried:
`result.data` yields every item.
"""

from collections.abc import Iterator
from hashlib import pbkdf2_hmac
from time import perf_counter

from amorsize import optimize, parallelizable

n_pulled = 0


def passwords() -> Iterator[str]:
    """Yield 600 passwords, and count them."""
    global n_pulled
    for number in range(600):
        n_pulled += 1
        yield f"secret-{number}"


@parallelizable
def hashed(password: str) -> str:
    return pbkdf2_hmac("sha256", password.encode(), b"salt", 2500).hex()


def main() -> None:
    began = perf_counter()
    expected = [hashed(password) for password in passwords()]
    loop_s = perf_counter() - began

    n_before = n_pulled
    began = perf_counter()
    hashes = hashed.pmap(passwords())
    pmap_s = perf_counter() - began

    assert hashes == expected
    assert hashed.last_run is not None
    print(f"plain loop {loop_s:.2f} s, pmap {pmap_s:.2f} s: gain {loop_s / pmap_s:.2f}")
    print(f"why: {hashed.last_run.reason}")
    print(f"pmap pulled {n_pulled - n_before} passwords")

    result = optimize(hashed, passwords())
    print(f"optimize() gives back {sum(1 for _ in result.data)} passwords")
    print(f"and says: {result.reason}")


if __name__ == "__main__":
    main()
