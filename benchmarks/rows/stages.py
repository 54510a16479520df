"""Each stage of a call beside its floor: what the system, or one call of a C library, charges for the same."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, Goal, Row, missing, ratios
from benchmarks.launch import AT_ROOT, told_s
from benchmarks.pairing import in_turn
from benchmarks.rows.start import BARE, wall_s

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.pairing import Effort

AT_MOST = Goal(bound=2)

ENCODING = "also looks at every result's type: marshal is exact only for some, and pickle takes the others"
DECODING = "what only pickle gives back exactly, beside marshal"

IMPORT = "import amorsize"
TOLD = AT_ROOT + "from benchmarks.stages import told; told(*sys.argv[2:])"


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage and its floor.

    Attributes:
        name: in `benchmarks.stages.STAGES`.
        measure: what is divided by what, in words.
        why: it is allowed to cost more than twice its floor.
    """

    name: str
    measure: str
    why: str = ""


STAGES = (
    Stage(
        "start",
        "start a worker / bare fork",
        "also opens a pipe, a memory file and a pidfd, and names the other CPUs, where it begins 1-4 ms earlier",
    ),
    Stage(
        "start together",
        "start one of 16 workers / of 16 bare forks",
        "also opens a pipe, a memory file and a pidfd, and flushes the standard streams",
    ),
    Stage(
        "begin",
        "worker's first line / bare child's first line",
        "before it the worker ties its life to the caller's, closes what is its siblings', and resets signals",
    ),
    Stage("take", "size and take a range / bare lseek", "sizing is Python, for 0.3 us: a part in 1,000 of the range"),
    Stage(
        "publish",
        "message, worker's side / bare write to a pipe",
        "also notes the range for the case of its death, encodes, and packs a header: once a range of 0.5 ms",
    ),
    Stage(
        "drain",
        "message, caller's side / bare read of a pipe",
        "also asks for more until there is none, unpacks, decodes and places results: once a range of 0.5 ms",
    ),
    Stage("wake", "message until the caller is awake / bare pipe", "the message is encoded in between"),
    Stage("order", "results put in order / bare extend", "also sorts the ranges, and makes sure that none is missing"),
    *(
        Stage(f"{act}code {kind}", f"{act}code {kind} / bare {bare}", why)
        for act, bare, why in (("en", "dumps", ENCODING), ("de", "loads", DECODING))
        for kind in ("ints", "floats", "strings", "pairs", "objects")
    ),
    Stage(
        "feed",
        "task to a fed worker and back / bare socketpair",
        "also encodes, frames, parses and decodes, and asks for more until there is none, on either side",
    ),
    Stage(
        "leave",
        "worker's last word until its end is seen / bare child",
        "also flushes the standard streams, and has more open for the kernel to close",
    ),
    Stage("end", "end a worker that has left / bare wait", "also closes its pipe, its memory file and its pidfd"),
    Stage(
        "crew",
        "make and give back what all share / bare calls",
        "also opens the counter a second time, by name (only so its offset is serialised), and looks for handlers",
    ),
    Stage(
        "look up",
        "look a function up in the store / read a row of SQLite",
        "also works out the function's key, and looks for what was planted: owners, header, schema, settings",
    ),
    Stage(
        "learn",
        "learn, and write it / write a row of SQLite",
        "also checks the database, and reads what it adds to, and back what it wrote, all of it through diskcache",
    ),
)


def stages(effort: Effort) -> list[Row]:
    """Measure every stage in turn with its floor, each in a fresh process of its own."""
    if sys.platform != "linux":
        return [missing("stages", "", "all", "workers are forked on Linux only, and most stages are theirs")]
    return [_importing(effort), *(_row(stage, measured(stage.name, effort.n_launches)) for stage in STAGES)]


def measured(name: str, n_rounds: int) -> Mapping[str, Sequence[float]]:
    """Return the seconds of a stage and of its floor, round by round."""
    with TemporaryDirectory(prefix="benchmarks-") as home:
        seconds = told_s(TOLD, home, name, str(n_rounds))
    return {"stage": seconds[::2], "floor": seconds[1::2]}


def _importing(effort: Effort) -> Row:
    with TemporaryDirectory(prefix="benchmarks-") as home:
        seconds = in_turn(
            {"stage": partial(wall_s, AT_ROOT + IMPORT, home), "floor": partial(wall_s, BARE, home)}, effort.n_launches
        )
    return _row(Stage("import", "python -I -c 'import amorsize' / 'pass'"), seconds)


def _row(stage: Stage, seconds: Mapping[str, Sequence[float]]) -> Row:
    figure = Figure.of(ratios(seconds["stage"], seconds["floor"]))
    return Row(
        benchmark="stages",
        measure=stage.measure,
        unit="x",
        figure=figure,
        goal=AT_MOST,
        note="" if AT_MOST.holds_for(figure.median) else stage.why,
        seconds=seconds,
    )
