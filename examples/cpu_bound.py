"""Work that keeps a core busy: the case that processes are made for.

    python examples/cpu_bound.py

Draws the Mandelbrot set, a row an item. The rows in the middle take many times as long as those at the edges: whoever
is free takes the next ones, so nobody waits for an unlucky share.
"""

from time import perf_counter

from amorsize import parallelizable

WIDTH, HEIGHT, MOST_STEPS = 320, 240, 150


@parallelizable
def row(y: int) -> list[int]:
    """Return for each point of a row after how many steps it escapes."""
    steps = []
    for x in range(WIDTH):
        c = complex(3 * x / WIDTH - 2.2, 2.4 * y / HEIGHT - 1.2)
        z, n_steps = 0j, 0
        while n_steps < MOST_STEPS and abs(z) < 2:
            z, n_steps = z * z + c, n_steps + 1
        steps.append(n_steps)
    return steps


def main() -> None:
    began = perf_counter()
    expected = [row(y) for y in range(HEIGHT)]
    loop_s = perf_counter() - began

    began = perf_counter()
    picture = row.pmap(range(HEIGHT))
    pmap_s = perf_counter() - began

    assert picture == expected
    for line in picture[:: HEIGHT // 20]:
        print("".join(" .:-=+*#%@"[min(9, n_steps * 10 // MOST_STEPS)] for n_steps in line[:: WIDTH // 64]))
    assert row.last_run is not None
    print(f"\nplain loop {loop_s:.2f} s, pmap {pmap_s:.2f} s: gain {loop_s / pmap_s:.2f}")
    print(f"why: {row.last_run.reason}")


if __name__ == "__main__":
    main()
