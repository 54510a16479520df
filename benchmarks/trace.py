"""Ten runs of one function while the world around it changes: what was planned, predicted, measured and learned.

A fresh process with an empty store does all of them, in order. The seed chooses the items, which cost differently; what
changes before which run is written in `STEPS`. The plain loop is timed after each run, under the same conditions.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any

import psutil

from amorsize.planning.words import span
from benchmarks.launch import AT_ROOT, LIMIT_S, ContenderFailed, command, environment

if TYPE_CHECKING:
    from collections.abc import Callable

TRACE = AT_ROOT + "from benchmarks.trace import trace; trace(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))"

TASK = (
    "import amorsize, traced_helper\n@amorsize.parallelizable\ndef task(size):\n    return traced_helper.work(size)\n"
)
HELPER = "def work(size):\n    return sum(range({times} * int(size)))\n"

ITEM_S = 0.5e-3
"""Mean seconds of an item: short enough for chunks to matter, long enough for the clock."""

COLUMNS = "{:>3}  {:<36} {:<27} {:>9} {:>9} {:>9} {:>9} {:>7}  {}"
HEAD = COLUMNS.format(
    "run",
    "what has changed",
    "plan",
    "predicted",
    "measured",
    "the loop",
    "loop/pmap",
    "sampled",
    "an item, as believed",
)


def run_trace(seed: int, loop_s: float) -> str:
    """Return the table of a trace whose plain loop lasts about so many seconds.

    Raises:
        subprocess.CalledProcessError: where a run failed or gave a wrong answer.
    """
    with TemporaryDirectory(prefix="benchmarks-") as home:
        done = subprocess.run(
            command(TRACE, home, str(seed), str(loop_s)),
            env=environment(home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=LIMIT_S + 100 * loop_s,
        )
    return done.stdout.rstrip("\n")


def trace(home: str, seed: int, loop_s: float) -> None:
    """Do the runs in this process, and print a line for each; for a process of its own."""
    sys.dont_write_bytecode = True  # an edit within the same second would not be seen
    print(HEAD)
    with ExitStack() as ending:
        world = World(Path(home), Random(seed), loop_s, ending)
        for number, (changed, change) in enumerate(STEPS, start=1):
            note = change(world)
            print(COLUMNS.format(number, note or changed, *world.run()).rstrip(), flush=True)


class World:
    """What a run depends on, and what may change between two.

    Args:
        home: an empty folder.
        random: draws the items.
        loop_s: seconds that the plain loop is to take.
        ending: undoes what would outlast the trace.
    """

    def __init__(self, home: Path, random: Random, loop_s: float, ending: ExitStack) -> None:
        self._home = home
        self._ending = ending
        self._load: subprocess.Popen[bytes] | None = None
        self.cores = psutil.Process().cpu_affinity() if sys.platform == "linux" else []
        self._edit(times=1)
        (home / "traced_task.py").write_text(TASK)
        sys.path.insert(0, str(home))
        self.task: Any = importlib.import_module("traced_task").task
        self._items = self._drawn(random, loop_s)
        self._factor = 1.0

    def _drawn(self, random: Random, loop_s: float) -> list[float]:
        """Draw log-normal sizes; they are floats, whose magnitude tells amorsize nothing."""
        began_s = perf_counter()
        self.task(1_000_000)
        mean = ITEM_S / (perf_counter() - began_s) * 1_000_000
        return [mean * random.lognormvariate(-0.125, 0.5) for _ in range(max(8, round(loop_s / ITEM_S)))]

    def _edit(self, times: int) -> None:
        (self._home / "traced_helper.py").write_text(HELPER.format(times=times))
        if "traced_helper" in sys.modules:
            importlib.reload(sys.modules["traced_helper"])

    def keep(self) -> str | None:
        """Change nothing."""
        return None

    def halve(self) -> str | None:
        """Take half of the cores away."""
        return self._restrict(self.cores[: max(1, len(self.cores) // 2)])

    def restore_and_load(self) -> str | None:
        """Give the cores back, and have something else compute on the last one."""
        note = self._restrict(self.cores)
        if note is None:
            self._load = subprocess.Popen([sys.executable, "-I", "-c", "while True: pass"], stdin=subprocess.DEVNULL)
            self._ending.callback(self._unload)
            psutil.Process(self._load.pid).cpu_affinity(self.cores[-1:])  # type: ignore[no-untyped-call,unused-ignore]  # not typed everywhere
        return note

    def unload_and_lengthen(self) -> str | None:
        """End the load, and let the items cost five times as much."""
        self._unload()
        self._factor = 5.0
        return None

    def edit(self) -> str | None:
        """Edit the helper: it now does twice as much, and the items are what they were."""
        self._factor = 1.0
        self._edit(times=2)
        return None

    def _unload(self) -> None:
        if self._load is not None:
            self._load.kill()
            self._load.wait()
            self._load = None

    def _restrict(self, cores: list[int]) -> str | None:
        if len(self.cores) < 2:
            return "nothing: it takes Linux and two cores"
        psutil.Process().cpu_affinity(cores)  # type: ignore[no-untyped-call,unused-ignore]  # as above
        return None

    def run(self) -> tuple[str, ...]:
        """Run the function and the plain loop, and return what there is to see, column by column."""
        items = [self._factor * item for item in self._items]
        before = self._believed(items)
        began_s = perf_counter()
        results = self.task.pmap(items)
        between_s = perf_counter()
        expected = [self.task(item) for item in items]
        loop_s, pmap_s = perf_counter() - between_s, between_s - began_s
        if results != expected:
            raise ContenderFailed("pmap gave another answer than the plain loop")
        report = self.task.last_run
        sampled = "-" if report.n_sampled is None else str(report.n_sampled)
        plan = f"{report.backend} x {report.n_jobs}, <= {report.chunksize} at once"
        believed = f"{before} -> {self._believed(items)}"
        return (
            plan,
            _told(report.predicted_s),
            _told(pmap_s),
            _told(loop_s),
            f"{loop_s / pmap_s:.2f}",
            sampled,
            believed,
        )

    def _believed(self, items: list[float]) -> str:
        """Return the mean seconds of an item that a plan for them stands on."""
        serial_s = self.task.explain(items).serial_s
        return _told(None if serial_s is None else serial_s / len(items))


def _told(seconds: float | None) -> str:
    return "?" if seconds is None else span(seconds)


STEPS: tuple[tuple[str, Callable[[World], str | None]], ...] = (
    ("nothing is known", World.keep),
    ("nothing", World.keep),
    ("half of the cores is taken away", World.halve),
    ("nothing", World.keep),
    ("cores back; a load on one of them", World.restore_and_load),
    ("nothing", World.keep),
    ("load gone; items 5 x as long", World.unload_and_lengthen),
    ("nothing", World.keep),
    ("items as before; helper edited", World.edit),
    ("nothing", World.keep),
)
