"""Run a cell: start its process in a session of its own, do to it what comes from outside, look at what is left.

Every process of a cell is known by an environment variable that names the cell's folder: workers inherit it, whatever
session or group they go to. All of them are ended before the next cell.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks.faults import child, tasks
from benchmarks.faults.cases import Case, Setting
from benchmarks.faults.cells import Cell
from benchmarks.faults.contenders import CONTENDERS
from benchmarks.launch import AT_ROOT, ROOT, command, environment

if TYPE_CHECKING:
    from collections.abc import Callable

FULL_S, QUICK_S = 12.0, 3.0
"""Seconds that a cell is given: nothing here takes as many, so who does hangs."""

_ENDLESS_S = 5.0
_MOST_MB = 3_000.0  # of a machine that others use too
_BUSY_CALLS = 10  # items begun, after which all workers are known to be busy
_LOOK_S = 0.02
_GRACE_S = 1.0  # that workers may take to notice the end of their caller
_PROGRAM = AT_ROOT + "from benchmarks.faults.child import run; run(*sys.argv[2:])"
_FROM_OUTSIDE = {Setting.INTERRUPTED_GROUP, Setting.INTERRUPTED_PARENT, Setting.KILLED_PARENT}


def cell_of(case: Case, peer: str, limit_s: float) -> Cell:
    """Try one contender under one fault; takes up to `limit_s` and two seconds more."""
    package = CONTENDERS[peer]
    if package is not None and importlib.util.find_spec(package) is None:
        return Cell(case=case.name, peer=peer, why_not="not installed")
    with TemporaryDirectory(prefix="benchmarks-", ignore_cleanup_errors=True) as folder:
        trial = _Trial(case, peer, folder, limit_s)
        try:
            return trial.run()
        finally:
            trial.end()


@dataclass(slots=True)
class _Trial:
    """One process under watch."""

    case: Case
    peer: str
    folder: str
    limit_s: float
    process: subprocess.Popen[bytes] = field(init=False)
    began_s: float = field(init=False)
    growth: _Growth = field(init=False)

    def run(self) -> Cell:
        if self.case.setting in (Setting.ENDLESS, Setting.ENDLESS_STREAM):
            self.limit_s = min(self.limit_s, _ENDLESS_S)
        with open(os.path.join(self.folder, "stderr"), "wb") as stderr:
            self.process = subprocess.Popen(
                self._command(),
                env={**environment(self.folder), tasks.FOLDER: self.folder},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
        self.began_s = time.perf_counter()
        self.growth = _Growth(self.process.pid)
        if self.case.setting in _FROM_OUTSIDE:
            return self._struck()
        self._wait(lambda: self._has_said)
        seconds = self._seconds_told()
        has_ended = self._wait(lambda: False)
        return self._cell(seconds=seconds, has_ended=has_ended)

    def _command(self) -> list[str]:
        if self.case.setting is not Setting.NO_GUARD:
            return command(_PROGRAM, self.case.name, self.peer, self.folder)
        script = Path(self.folder, "script.py")
        script.write_text(child.SCRIPT.format(root=str(ROOT), peer=self.peer, folder=self.folder))
        return [sys.executable, "-I", str(script)]

    def _struck(self) -> Cell:
        """Send the signal once workers are busy, and time what follows."""
        self._wait(lambda: tasks.marks(self.folder, "called") >= _BUSY_CALLS)
        n_before = tasks.marks(self.folder, "called")
        setting, pid = self.case.setting, self.process.pid
        self.began_s = struck_s = time.perf_counter()
        if setting is Setting.INTERRUPTED_GROUP:
            os.killpg(pid, signal.SIGINT)
        else:
            os.kill(pid, signal.SIGKILL if setting is Setting.KILLED_PARENT else signal.SIGINT)
        has_ended = self._wait(lambda: False)
        seconds = time.perf_counter() - struck_s if has_ended else None
        grace_s = self.limit_s if setting is Setting.KILLED_PARENT else _GRACE_S
        return self._cell(seconds=seconds, has_ended=has_ended, grace_s=grace_s, n_before=n_before)

    def _wait(self, is_enough: Callable[[], bool]) -> bool:
        """Wait until it is enough, the process has ended, or its time is over; return whether it has ended."""
        while not is_enough():
            if self.process.poll() is not None:
                return True
            if time.perf_counter() - self.began_s > self.limit_s or self.growth.look() > _MOST_MB:
                return False
            time.sleep(_LOOK_S)
        return False

    @property
    def _has_said(self) -> bool:
        return os.path.exists(os.path.join(self.folder, child.SAID))

    def _told(self) -> dict[str, Any]:  # Any: JSON's
        if not self._has_said:
            return {}
        with open(os.path.join(self.folder, child.SAID), encoding="utf-8") as file:
            told: dict[str, Any] = json.load(file)
        return told

    def _seconds_told(self) -> float | None:
        """Return the seconds until an answer, or until the process ended without one."""
        if self._has_said:
            return float(self._told()["seconds"])
        return time.perf_counter() - self.began_s if self.process.poll() is not None else None

    def _cell(
        self, *, seconds: float | None, has_ended: bool, grace_s: float = _GRACE_S, n_before: int | None = None
    ) -> Cell:
        told = self._told()
        told.pop("seconds", None)
        given_s = time.perf_counter() - self.began_s
        n_orphans, orphans_s = self._orphans(grace_s) if has_ended else (0, 0.0)
        stderr = Path(self.folder, "stderr").read_text(encoding="utf-8", errors="replace")
        if not told and seconds is not None and self.case.setting not in _FROM_OUTSIDE:
            told["error"] = _last_error(stderr)
        n_called = tasks.marks(self.folder, "called") or None
        return Cell(
            case=self.case.name,
            peer=self.peer,
            seconds=seconds,
            limit_s=round(given_s, 1) if seconds is None else self.limit_s,
            n_called=n_called,
            n_finished=tasks.marks(self.folder, "finished") or None,
            n_after=0 if n_before is None else (n_called or 0) - n_before,
            has_ended=has_ended,
            n_orphans=n_orphans,
            orphans_s=orphans_s,
            growth_mb=self.growth.most_mb,
            n_imports=tasks.marks(self.folder, "imported"),
            n_lines=len(stderr.splitlines()),
            n_tracebacks=stderr.count("Traceback (most recent call last)"),
            **told,
        )

    def _orphans(self, grace_s: float) -> tuple[int, float]:
        """Return how many of the cell's processes survive it, and after which time."""
        began_s = time.perf_counter()
        while True:
            n_alive, passed_s = len(self._processes()), time.perf_counter() - began_s
            if not n_alive or passed_s > grace_s:
                return n_alive, passed_s
            time.sleep(_LOOK_S)

    def _processes(self) -> list[psutil.Process]:
        """Return the cell's processes that run."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(tasks.FOLDER) == self.folder:
                    found.append(process)
            except (psutil.Error, OSError):
                continue  # not ours to look into, or gone meanwhile
        return found

    def end(self) -> None:
        """End everything that the cell has started, until nothing of it is left."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        while left := self._processes():  # of a storm, some have been started since the last look
            for process in left:
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue
            psutil.wait_procs(left, timeout=_GRACE_S)


def _last_error(stderr: str) -> str | None:
    """Return the class of the exception that ended a program, as its traceback tells."""
    last = stderr.splitlines()[-1] if "Traceback (most recent call last)" in stderr else ""
    name = last.partition(":")[0].rpartition(".")[2]
    return name if name.isidentifier() else None


class _Growth:
    """The memory of a process, beyond what it had when it was first looked at."""

    def __init__(self, pid: int) -> None:
        self.most_mb = 0.0
        self._first_mb: float | None = None
        try:
            self._process: psutil.Process | None = psutil.Process(pid)
        except psutil.NoSuchProcess:
            self._process = None

    def look(self) -> float:
        """Return the growth now, in MB."""
        if self._process is None:
            return 0.0
        try:
            now_mb = self._process.memory_info().rss / 2**20
        except psutil.Error:
            return self.most_mb
        if self._first_mb is None:
            self._first_mb = now_mb
        self.most_mb = max(self.most_mb, now_mb - self._first_mb)
        return self.most_mb
