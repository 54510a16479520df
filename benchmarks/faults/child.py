"""What runs in a cell's own process: maps one case with one contender, and writes down what became of it."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import sys
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.faults import contenders, tasks
from benchmarks.faults.cases import CASES, Case, Setting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SAID = "said.json"
"""The file that the outcome is written to; it appears as a whole."""

_STATUS = re.compile(r"SIG[A-Z]{3,}|\bsignal\b|\bexit ?codes?\b", re.IGNORECASE)
_ITEM = re.compile(rf"(?<!line )\b({tasks.EARLY}|{tasks.AT}|{tasks.LATE})\b")  # no line of a traceback
_HELD_S = 1.0


def run(case_name: str, peer_name: str, folder: str) -> None:
    """Do it, and write the outcome into the folder; what is not an outcome, such as being interrupted, goes its way."""
    (case,) = (case for case in CASES if case.name == case_name)
    attempt(case.setting, partial(_mapped, case, peer_name), folder)


def attempt(setting: Setting, act: Callable[[list[object]], object], folder: str) -> None:
    """Call `act` with a list for the results, and write down what it did.

    Its error is an outcome, save KeyboardInterrupt where the fault is one that comes from outside.
    """
    found: list[object] = []
    began_s = perf_counter()
    try:
        is_right = act(found)
    except BaseException as error:  # whatever a contender raises is its cell of the table
        if setting in (Setting.INTERRUPTED_GROUP, Setting.INTERRUPTED_PARENT) and isinstance(error, KeyboardInterrupt):
            raise
        _say(folder, perf_counter() - began_s, **told_by(error, found))
    else:
        _say(folder, perf_counter() - began_s, answer="right" if is_right else "wrong")
    del found  # a generator over them may hold the pool


def _mapped(case: Case, name: str, found: list[object]) -> bool:
    """Map the case and return whether the answer is that of a loop."""
    if case.setting is Setting.ENDLESS_STREAM or (case.setting is Setting.ENDLESS and name == "amorsize"):
        return _is_counting(contenders.stream(name, case.func, case.items()))
    if case.setting is Setting.NESTED:
        inner = partial(tasks.nested, partial(contenders.map_inside, name))
        _gathered(name, inner, range(4), found)
        return found == [[tasks.square(n) for n in range(outer, outer + 10)] for outer in range(4)]
    if case.setting is Setting.HELD_LOCK:
        tasks.hold_lock(_HELD_S)
    _gathered(name, case.func, case.items(), found)
    return all(
        (result() if callable(result) else result) == tasks.square(number) or (callable(result) and number == tasks.AT)
        for number, result in enumerate(found)
    ) and len(found) == len(tasks.numbers())


def _is_counting(results: Iterable[object]) -> bool:
    return all(result == number for number, result in enumerate(results))


def _gathered(name: str, func: Callable[..., object], items: Iterable[object], found: list[object]) -> None:
    peer = contenders.opened(name)
    contenders.gather(name, peer, func, items, found)
    _ = [peer]  # closed by the end of the process, as in most programs


def told_by(error: BaseException, found: list[object]) -> dict[str, object]:
    """Return what an exception tells its reader: its text, notes and causes, and attributes made for programs."""
    text = _whole_text(error)
    first, stop = getattr(error, "first", None), getattr(error, "stop", None)
    kept = getattr(error, "finished", None)
    in_range = first is not None and stop is not None and (first <= tasks.AT < stop or first <= tasks.LATE < stop)
    return {
        "error": type(error).__name__,
        "names_status": bool(_STATUS.search(text)),
        "names_item": bool(_ITEM.search(text)) or in_range,
        "n_chars": len(text),
        "n_kept": len(found) if kept is None else len(kept),
        "text": text[:2000],
    }


def _whole_text(error: BaseException) -> str:
    lines: list[str] = []
    seen: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in seen:
        seen.append(at)
        lines += [str(at), *getattr(at, "__notes__", ())]
        at = at.__cause__
    return "\n".join(lines)


def say_results(folder: str, seconds: float, is_right: bool) -> None:
    """Write down what a script has got, and nothing in a worker, which may have run the script too."""
    if multiprocessing.parent_process() is None:
        _say(folder, seconds, answer="right" if is_right else "wrong")


def _say(folder: str, seconds: float, **told: object) -> None:
    with open(os.path.join(folder, SAID + ".new"), "w", encoding="utf-8") as file:
        json.dump({"seconds": seconds, **told}, file)
    os.replace(os.path.join(folder, SAID + ".new"), os.path.join(folder, SAID))


SCRIPT = """
import sys
from time import perf_counter
sys.path.insert(0, {root!r})
from benchmarks.faults import child, contenders, tasks

tasks.mark("imported")

def triple(number):
    return 3 * number

began_s = perf_counter()
results = contenders.spawned({peer!r})(triple, range(1000))
child.say_results({folder!r}, perf_counter() - began_s, results == [3 * number for number in range(1000)])
"""
"""A script without a guard, as beginners write it: whoever imports `__main__` begins anew."""


if __name__ == "__main__":
    run(*sys.argv[1:])
