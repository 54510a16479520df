"""R18: whoever is killed whenever, a call is right or raises a typed error, never hangs, and leaves nothing behind.

A program of its own runs calls of every kind. Its own timer, with delays from a seed, kills a random one of its workers
again and again. When that happens is up to the machine; what may come of it is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.fault("R18"), pytest.mark.needs_fork]

PROGRAM = """
import os, random, resource, signal, sys
from collections import Counter
from pathlib import Path
import amorsize
from amorsize import WorkerDied, pimap, pmap
from amorsize.testing.leaks import leaves_nothing_behind

SEED, N_RUNS, START_METHODS = ARGUMENTS
N_ITEMS = 40
rng = random.Random(SEED)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
calls = Path("calls")

def work(item):
    fd = os.open("calls", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, b"%d\\n" % item)
    os.close(fd)
    return item + 0 * sum(range(10_000))

def strike(*_):
    global n_strikes
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    if children:
        os.kill(int(rng.choice(children)), rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT]))
        n_strikes += 1

def may_concern(died, index):
    return died.first is None or died.first <= index < died.stop

def is_right(found, on_error):
    if on_error == "skip":
        return found == sorted(set(found)) and set(found) <= set(range(N_ITEMS))
    return len(found) == N_ITEMS and all(
        result == index or (on_error == "return" and isinstance(result, WorkerDied) and may_concern(result, index))
        for index, result in enumerate(found)
    )

def run_once():
    how, kind = rng.choice([(pmap, list), (pmap, iter), (lambda *a, **o: list(pimap(*a, **o)), iter)])
    options = dict(
        start_method=rng.choice(START_METHODS), n_jobs=rng.choice([1, 2, 3]), retries=rng.choice([0, 0, 2]),
        on_error=rng.choice(["raise", "raise", "return", "skip"]), chunksize=rng.choice([1, 3, "auto"]), cache=False,
    )
    options |= rng.choice([{"isolate": True}, {"backend": "process"}])
    calls.write_text("")
    signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-4, 0.03), rng.uniform(2e-3, 0.03))
    try:
        found = how(work, kind(range(N_ITEMS)), **options)
    except WorkerDied as died:
        assert options["on_error"] == "raise", options
        assert all(died.finished[index] == index for index in died.finished), options
        outcome = "died"
    else:
        assert is_right(found, options["on_error"]), (options, found)
        outcome = "right" if found == list(range(N_ITEMS)) else "incomplete"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    called = Counter(calls.read_text().split())
    assert max(called.values(), default=0) <= 1 + options["retries"], (options, called)
    return outcome

n_strikes, outcomes = 0, Counter()
signal.signal(signal.SIGALRM, strike)
pmap(work, range(N_ITEMS), isolate=True, start_method=START_METHODS[-1])  # what is opened once and for all is open now
with leaves_nothing_behind():
    for _ in range(N_RUNS):
        outcomes[run_once()] += 1
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        assert pmap(abs, range(-9, 0), isolate=True, n_jobs=2, start_method=START_METHODS[0]) == [*range(9, 0, -1)]
        signal.signal(signal.SIGALRM, strike)
    amorsize.shutdown()
    signal.setitimer(signal.ITIMER_REAL, 0)
print(n_strikes, *[outcomes[name] for name in ("right", "died", "incomplete")])
"""


@pytest.mark.parametrize(
    ("seed", "n_runs", "start_methods"),
    [
        pytest.param(1, 25, ["fork"], id="25 forks"),
        pytest.param(2, 200, ["fork"], id="200 forks", marks=pytest.mark.slow),
        pytest.param(3, 20, ["fork", "spawn"], id="20 of both", marks=pytest.mark.slow),
        pytest.param(4, 20, ["spawn"], id="20 spawned", marks=pytest.mark.slow),
    ],
)
def test_whoever_is_killed_a_call_is_right_or_says_so_and_leaves_nothing_behind(
    seed: int, n_runs: int, start_methods: list[str], fresh_python: Callable[..., str]
) -> None:
    source = PROGRAM.replace("ARGUMENTS", repr((seed, n_runs, start_methods)))
    n_strikes, n_right, n_died, n_incomplete = map(int, fresh_python("-c", source).split())
    assert n_right + n_died + n_incomplete == n_runs
    assert n_strikes > 0
    assert 0 < n_right < n_runs
