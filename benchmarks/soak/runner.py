"""The process that does run after run: it is told a number on stdin, and says what became of it on stdout.

stdin   number       stdout   began number
        check                 ended number {"complaint": ..., "error": ..., "backend": ...}
                              checked {"left": [...], "rss_kb": ..., "n_descriptors": ..., "reference_s": ...}
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import signal
import sys
import tempfile
import warnings
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import amorsize
from amorsize import AmorsizeWarning
from amorsize.testing import Holdings
from benchmarks.soak.judge import complaint
from benchmarks.soak.kinds import func_of, items_of
from benchmarks.soak.plans import Kind, Plan, plan_of

_REFERENCE_ITEMS = 300


def serve(seed: str) -> None:
    """Do what stdin says until it ends."""
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", AmorsizeWarning)
    warnings.simplefilter("default", ResourceWarning)
    _be_deaf()
    answers = os.dup(1)
    os.dup2(2, 1)
    _reference_s()
    amorsize.shutdown()
    before = Holdings.now(Path(tempfile.gettempdir()))
    for line in sys.stdin:
        if line == "check\n":
            _tell(answers, f"checked {json.dumps(_checked(before))}")
        else:
            _run(int(seed), int(line), answers)
    amorsize.shutdown()


def _tell(answers: int, line: str) -> None:
    os.write(answers, f"{line}\n".encode())


def _run(seed: int, number: int, answers: int) -> None:
    """Do one run. Ctrl-C may come at any moment from `began` on; what comes too late is nobody's."""
    plan = plan_of(seed, number)
    found: list[Any] = []
    error: BaseException | None = None
    began_s = perf_counter()
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            _tell(answers, f"began {number}")
            _mapped(plan, found)
        except BaseException as raised:  # it is judged
            error = raised
        _be_deaf()
    except KeyboardInterrupt as late:  # after the run, and there is one in a run at most
        error = error or late
        _be_deaf()
    seconds = perf_counter() - began_s
    _tell(answers, f"ended {number} {json.dumps(_outcome(plan, found, error, seconds))}")


def _be_deaf() -> None:
    """Ignore Ctrl-C from here on. One that has come already is raised, here at the latest."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _outcome(plan: Plan, found: list[Any], error: BaseException | None, seconds: float) -> dict[str, object]:
    said: dict[str, object] = {
        "complaint": complaint(plan, found, error),
        "error": None if error is None else type(error).__name__,
        "seconds": seconds,
        "options": {name: str(value) for name, value in plan.options.items()},
    }
    _release(error)
    return said


def _release(error: BaseException | None) -> None:
    """Drop the frames of an exception, which hold what a call held."""
    if error is not None:
        error.__traceback__ = None


def _mapped(plan: Plan, found: list[Any]) -> None:
    """Put the results into `found`."""
    options: dict[str, Any] = dict(plan.options)  # Any: each option has its type
    marker = os.path.join(os.environ["HOME"], f"marker-{plan.number}-{os.getpid()}-{perf_counter()}")
    func, items = func_of(plan, marker), items_of(plan)
    if not plan.is_stream:
        found += amorsize.pmap(func, items, **options)
        return
    with amorsize.pimap(func, items, ordered=plan.is_ordered, **options) as stream:
        found.extend(islice(stream, plan.taken))


def _checked(before: Holdings) -> dict[str, object]:
    """Return what is left of the runs, with the workers that stay warm ended."""
    amorsize.shutdown()
    gc.collect()
    with open("/proc/self/statm") if os.path.exists("/proc/self/statm") else open(os.devnull) as statm:
        pages = statm.read().split()
    return {
        "left": Holdings.now(Path(tempfile.gettempdir())).beyond(before),
        "rss_kb": int(pages[1]) * os.sysconf("SC_PAGE_SIZE") // 1024 if pages else 0,
        "n_descriptors": len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0,
        "reference_s": _reference_s(),
    }


def _reference_s() -> float:
    """Return the seconds of a run that is always the same."""
    plan = Plan(
        number=0, kind=Kind.INTS, n_items=_REFERENCE_ITEMS, at=0, source="range", is_stream=False, is_ordered=True,
        taken=None, options={}, fault=plan_of(0, 0).fault, delays_s=(), stall_s=0.0, choice=0.0,
    )  # fmt: skip
    began_s = perf_counter()
    amorsize.pmap(func_of(plan, ""), items_of(plan), n_jobs=2, backend="process", isolate=True, start_method="fork")
    return perf_counter() - began_s
