"""Start the processes that are measured: each with an empty home, isolated from the settings of whoever runs this, in a
process group of its own that is ended as a whole when its time is over.
"""

from __future__ import annotations

import compileall
import os
import signal
import subprocess
import sys
from ast import literal_eval
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.workloads import USERS_OWN, digest, load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from benchmarks.sizes import Size

ROOT = Path(__file__).resolve().parent.parent

AT_ROOT = "import sys; sys.path.insert(0, sys.argv[1]); "
"""How a program finds both packages: `-I` ignores PYTHONPATH, and keeps everything else out that may be set here."""

SERVE = AT_ROOT + "from benchmarks.child import serve; serve(*sys.argv[2:])"

LIMIT_S = 60.0
"""Seconds that one call may take unless told otherwise: nothing here takes as many, so who does hangs."""

OWN_LIMIT_S = 600.0
"""The same for the plain loop over anybody's own function, which may be long for good reasons."""

ENDING_S = 10.0
"""Seconds that a peer may take to end its workers."""


class ContenderFailed(Exception):
    """Tell that a contender gave no answer: it failed, is not installed, or hung and was ended."""


class WrongAnswer(ContenderFailed):
    """Tell that a contender returned something else than the plain loop: its time means nothing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a child says of one call.

    Attributes:
        seconds: that the call took.
        digest: of its results.
        n_results: how many these were.
        predicted_s: seconds that amorsize predicted; None where it predicted none, and for everybody else.
        parts: milliseconds of the call, by what they went into; empty but for `pmap-in-parts`.
    """

    seconds: float
    digest: str
    n_results: int
    predicted_s: float | None
    parts: Mapping[str, float]


def command(program: str, *arguments: str) -> list[str]:
    """Return the command that runs a program in a bare interpreter; arguments follow the root in `sys.argv`."""
    return [sys.executable, "-I", "-c", program, str(ROOT), *arguments]


def environment(home: str) -> dict[str, str]:
    """Return the environment of a measured process, whose store of timings lies in `home`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AMORSIZE_", "PYTHON"))}
    return {**kept, "HOME": home, "AMORSIZE_CACHE_DIR": timings_in(home)}


def timings_in(home: str) -> str:
    """Return where the store of a measured process lies."""
    return os.path.join(home, "timings")


def told_s(program: str, home: str, *arguments: str, limit_s: float = LIMIT_S) -> list[float]:
    """Return the seconds, or other numbers, that a program prints."""
    done = subprocess.run(
        command(program, *arguments),
        env=environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=limit_s,
    )
    return [float(word) for word in done.stdout.split()]


def compile_packages() -> None:
    """Write the byte code of both packages, so that no measured process compiles them.

    Where PYTHONDONTWRITEBYTECODE is set nobody has written it yet, and an edited module's is out of date.
    """
    for package in ("amorsize", "benchmarks"):
        compileall.compile_dir(ROOT / package, quiet=2)


@cache
def expected(workload: str, size: Size) -> str | None:
    """Return the digest of what the plain loop gives, worked out once; None where two loops differ.

    Anybody's own function is not run here but in two fresh processes: its results may tell of the process.
    """
    if USERS_OWN not in workload:
        task = load(workload)
        return digest([task.func(item) for item in task.items(size.n_items, size.number)])
    found = set()
    for _ in range(2):
        with Child("loop", limit_s=OWN_LIMIT_S) as child:
            found.add(child.ask(workload, size).digest)
    return found.pop() if len(found) == 1 else None


class Child:
    """A fresh process that maps workloads with one peer.

    Args:
        peer: its name in `peers`.
        n_jobs: workers; None for what its documentation recommends.
        home: folder of its store; None for an empty one of its own.
        limit_s: seconds after which a call, and whatever it has started, is killed.
        variables: more environment variables.
    """

    def __init__(
        self,
        peer: str,
        n_jobs: int | None = None,
        *,
        home: str | None = None,
        limit_s: float = LIMIT_S,
        **variables: str,
    ) -> None:
        self._peer = peer
        self._limit_s = limit_s
        self._empty_home = TemporaryDirectory(prefix="benchmarks-", ignore_cleanup_errors=True)
        self._is_over_time = False
        self._process = subprocess.Popen(
            command(SERVE, peer, str(n_jobs or 0), os.getcwd()),
            env={**environment(home or self._empty_home.name), **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    @property
    def pid(self) -> int:
        """The child's process id, which is its group's too."""
        return self._process.pid

    def call(self, workload: str, size: Size, chunksize: int | None = None) -> float:
        """Have the workload mapped once, check the answer, and return the seconds that it took in the child.

        Raises:
            WrongAnswer: where the results are not those of the plain loop.
            ContenderFailed: where there is no answer, and why.
        """
        return self.answer(workload, size, chunksize).seconds

    def answer(self, workload: str, size: Size, chunksize: int | None = None) -> Answer:
        """Do as `call` does, and return all that the child says."""
        answer = self.ask(workload, size, chunksize)
        if expected(workload, size) not in (answer.digest, None):
            raise WrongAnswer(f"{self._peer} over {size.n_items} x {workload} differs from the plain loop")
        return answer

    def ask(self, workload: str, size: Size, chunksize: int | None = None) -> Answer:
        """Do as `answer` does, and check nothing."""
        timer = Timer(self._limit_s, self._end_over_time)
        timer.start()
        try:
            self._stdin.write(f"{workload} {size.n_items} {size.number} {chunksize or 0}\n")
            self._stdin.flush()
            said = self._stdout.readline()
        except BrokenPipeError:
            said = ""
        finally:
            timer.cancel()
            timer.join()
        if self._is_over_time:
            raise ContenderFailed(f"not done after {self._limit_s:.3g} s, and ended")
        first, _, rest = said.strip().partition(" ")
        if first == "failed":
            raise ContenderFailed(rest)
        if not rest:
            raise ContenderFailed(f"{self._peer} over {workload} ended without an answer; stderr tells why")
        answered, n_results, predicted, parts = rest.split(maxsplit=3)
        predicted_s: float | None = literal_eval(predicted)
        return Answer(float(first), answered, int(n_results), predicted_s, literal_eval(parts) or {})

    def _end_over_time(self) -> None:
        self._is_over_time = True
        self._kill()

    def _kill(self) -> None:
        """End the child and whatever it has started, by its own process group."""
        if hasattr(os, "killpg"):
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # all of them have ended by themselves
        else:
            self._process.kill()

    def close(self) -> float:
        """Let the child end by itself, and return the seconds until it was gone; then end what it has left behind."""
        timer = Timer(ENDING_S, self._kill)  # its workers hang; `wait(ENDING_S)` would look every 50 ms only
        timer.start()
        began_s = perf_counter()
        try:
            self._stdin.close()
        except BrokenPipeError:
            pass  # it was ended in the middle of a question
        self._process.wait()
        seconds = perf_counter() - began_s
        timer.cancel()
        timer.join()
        self._kill()
        self._process.wait()
        self._stdout.close()
        self._empty_home.cleanup()
        return seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
