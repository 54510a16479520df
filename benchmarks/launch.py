"""Start the processes that are measured: each with an empty home, isolated from the settings of whoever runs this."""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.sizes import Size
from benchmarks.workloads import FUNCTIONS, digest, items_of

if TYPE_CHECKING:
    from typing import Self

ROOT = Path(__file__).resolve().parent.parent

AT_ROOT = "import sys; sys.path.insert(0, sys.argv[1]); "
"""How a program finds both packages: `-I` ignores PYTHONPATH, and keeps everything else out that may be set here."""

SERVE = AT_ROOT + "from benchmarks.child import serve; serve(sys.argv[2])"


class WrongAnswer(Exception):
    """Tell that a contender returned something else than the plain loop: its time means nothing."""


def command(program: str, *arguments: str) -> list[str]:
    """Return the command that runs a program in a bare interpreter; arguments follow the root in `sys.argv`."""
    return [sys.executable, "-I", "-c", program, str(ROOT), *arguments]


def environment(home: str) -> dict[str, str]:
    """Return the environment of a measured process, whose store of timings lies in `home`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AMORSIZE_", "PYTHON"))}
    return {**kept, "HOME": home, "AMORSIZE_CACHE_DIR": os.path.join(home, "timings")}


def compile_packages() -> None:
    """Write the byte code of both packages, so that no measured process compiles them.

    Where PYTHONDONTWRITEBYTECODE is set nobody has written it yet, and an edited module's is out of date.
    """
    for package in ("amorsize", "benchmarks"):
        compileall.compile_dir(ROOT / package, quiet=2)


@cache
def expected(workload: str, size: Size) -> str:
    """Return the digest of what the plain loop gives, worked out once."""
    func = FUNCTIONS[workload]
    return digest([func(item) for item in items_of(size.n_items, size.n_steps)])


class Child:
    """A fresh process that maps workloads with one peer.

    Args:
        peer: its name in `peers`.
        home: folder of its store; None for an empty one of its own.
        variables: more environment variables.
    """

    def __init__(self, peer: str, home: str | None = None, **variables: str) -> None:
        self._peer = peer
        self._empty_home = TemporaryDirectory(prefix="benchmarks-")
        self._process = subprocess.Popen(
            command(SERVE, peer),
            env={**environment(home or self._empty_home.name), **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    def call(self, workload: str, size: Size) -> float:
        """Have the workload mapped once, check the answer, and return the seconds that it took in the child.

        Raises:
            WrongAnswer: where the results are not those of the plain loop.
            ChildProcessError: where the child ended without an answer; why is on stderr.
        """
        self._stdin.write(f"{workload} {size.n_items} {size.n_steps}\n")
        self._stdin.flush()
        answer = self._stdout.readline().split()
        if len(answer) != 2:
            raise ChildProcessError(f"{self._peer} over {workload} ended without an answer; stderr tells why")
        if answer[1] != expected(workload, size):
            raise WrongAnswer(f"{self._peer} over {size.n_items} x {workload} differs from the plain loop")
        return float(answer[0])

    def close(self) -> float:
        """Let the child end by itself, and return the seconds until it was gone."""
        began_s = perf_counter()
        self._stdin.close()
        self._process.wait()
        seconds = perf_counter() - began_s
        self._stdout.close()
        self._empty_home.cleanup()
        return seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def cold_call(peer: str, workload: str, size: Size, home: str | None = None) -> float:
    """Return the seconds of the first call in a fresh process, imports and start of the peer included."""
    with Child(peer, home) as child:
        return child.call(workload, size)
