"""Drive a runner, do to it what the plans say, and end it where it hangs."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amorsize.store.base import StoreError
from amorsize.store.disk import DiskStore
from benchmarks.soak import processes
from benchmarks.soak.plans import Fault, Plan, plan_of

if TYPE_CHECKING:
    from typing import BinaryIO

_LIMIT_S = (
    30.0  # a run takes milliseconds, with timeouts half a second; on a full machine it may take ten times as long
)
_STACKS_S = 1.0
_RUNNER = "from benchmarks.soak.runner import serve; serve(*sys.argv[2:])"
_PROGRAM = "from benchmarks.soak.victims import run_on; run_on(*sys.argv[2:])"
_WRITER = "from benchmarks.soak.victims import write_on; write_on(*sys.argv[2:])"


@dataclass(slots=True, kw_only=True)
class Tally:
    """What has been seen.

    Attributes:
        runs: by what was done meanwhile.
        struck: how often somebody was there to be signalled, by the same.
        errors: of runs that ended with an error that says what happened, by its class.
        complaints: whatever was wrong, in words.
        checks: what the runner holds, every few runs.
    """

    runs: dict[str, int] = field(default_factory=dict)
    struck: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)  # Any: JSON's

    def count(self, counts: dict[str, int], name: str) -> None:
        """Add one."""
        counts[name] = counts.get(name, 0) + 1


class Watchdog:
    """A runner and what is done to it.

    Args:
        home: an empty folder for store, temp files and words on stderr.
        seed: of all runs.
        tally: what is seen goes there.
    """

    def __init__(self, home: str, seed: int, tally: Tally) -> None:
        self._home, self._seed, self._tally = home, seed, tally
        self._stderr = Path(home, "stderr")
        self._n_chars_said = 0
        self._began_s = 0.0
        self._begin()

    def _begin(self) -> None:
        """Start a runner."""
        with open(self._stderr, "ab") as stderr:
            self._process = processes.start(self._home, _RUNNER, str(self._seed), stderr=stderr.fileno())
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin: BinaryIO = self._process.stdin  # type: ignore[assignment]  # what Popen makes of pipes
        self._stdout: BinaryIO = self._process.stdout  # type: ignore[assignment]  # as above
        self._unread = b""

    @property
    def pid(self) -> int:
        """The runner's process id."""
        return self._process.pid

    def run(self, number: int) -> None:
        """Have one run done, strike, and note what became of it."""
        plan = plan_of(self._seed, number)
        self._tally.count(self._tally.runs, plan.fault)
        if plan.fault is Fault.PROGRAM:
            self._strike_program(plan)
        elif plan.fault is Fault.WRITER:
            self._strike_writer(plan)
        self._ask(str(number))
        said = self._answer(self._strikes(plan), f"run {number}")
        if said is None:
            return
        if said["complaint"] is not None:
            self._complain(plan, said["complaint"])
        elif said["error"] is not None:
            self._tally.count(self._tally.errors, said["error"])
        self._listen(plan)

    def check(self, number: int) -> None:
        """Look at what the runner holds."""
        self._ask("check")
        found = self._answer([], f"check after run {number}")
        if found is None:
            return
        self._tally.checks.append(found)
        self._tally.complaints += [f"left behind up to run {number}: {each}" for each in found["left"]]

    def close(self) -> None:
        """Let the runner end, and everything else with it."""
        self._close_pipe(self._stdin)
        try:
            self._process.wait(processes.GONE_S + _STACKS_S)
        except subprocess.TimeoutExpired:
            self._tally.complaints.append("the runner does not end")
        left = processes.gone(self._home)
        self._tally.complaints += [f"survives the end: {each}" for each in left]
        self._end()

    # Words.

    def _complain(self, plan: Plan, what: str) -> None:
        how = ", ".join(f"{name}={value!r}" for name, value in plan.options.items())
        call = "pimap" if plan.is_stream else "pmap"
        self._tally.complaints.append(
            f"run {plan.number} ({call}, {plan.kind} at {plan.at}, {plan.n_items} from a {plan.source}, {how}; "
            f"{plan.fault}): {what}"
        )

    def _listen(self, plan: Plan) -> None:
        """Complain where a run made words on stderr: nothing here is to be said there.

        Save that a file was closed by the end of its object: where Ctrl-C comes between opening it and `with`.
        """
        text = self._stderr.read_text(encoding="utf-8", errors="replace")[self._n_chars_said :]
        self._n_chars_said += len(text)
        is_closed_by_itself = plan.fault is Fault.INTERRUPT and "ResourceWarning" in text
        if text and not is_closed_by_itself:
            self._complain(plan, f"words on stderr: {text[-1500:]}")

    def _ask(self, line: str) -> None:
        self._began_s = time.perf_counter()
        try:
            self._stdin.write(f"{line}\n".encode())
            self._stdin.flush()
        except BrokenPipeError:
            return  # it has ended, which the wait for its answer tells

    def _answer(self, strikes: list[_Strike], what: str) -> dict[str, Any] | None:  # Any: JSON's
        """Return what the runner says, striking meanwhile; None where it hung or ended, and a new one was started."""
        until_s = self._began_s + _LIMIT_S
        to_come, strikes = strikes, []
        while (now_s := time.perf_counter()) < until_s:
            due = [strike for strike in strikes if self._began_s + strike.at_s <= now_s]
            for strike in due:
                strikes.remove(strike)
                strike.act()
            next_s = min([self._began_s + strike.at_s for strike in strikes] + [until_s])
            line = self._line(max(0.0, next_s - time.perf_counter()))
            word, _, rest = (line or "").partition(" ")
            if word == "began":
                self._began_s, strikes = time.perf_counter(), to_come
            elif word in ("ended", "checked"):
                self._calm(strikes)
                found: dict[str, Any] = json.loads(rest[rest.index("{") :])
                return found
            elif line == "" and self._process.poll() is not None:
                self._tally.complaints.append(f"{what}: the caller ended, status {self._process.returncode}")
                self._begin_again()
                return None
        self._tally.complaints.append(f"{what}: HANG, seed {self._seed}\n{self._stacks()}")
        self._begin_again()
        return None

    def _line(self, seconds: float) -> str | None:
        """Return the next line within so many seconds; empty at the end, None where there is none yet."""
        until_s = time.perf_counter() + seconds
        while b"\n" not in self._unread:
            readable, _, _ = select.select([self._stdout], [], [], max(0.0, until_s - time.perf_counter()))
            if not readable:
                return None
            more = os.read(self._stdout.fileno(), 65536)
            if not more:
                self._process.wait()
                return ""
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def _stacks(self) -> str:
        processes.signalled(self._process.pid, signal.SIGUSR1)
        time.sleep(_STACKS_S)  # nothing tells that faulthandler is done
        workers = ", ".join(map(str, processes.children(self._process.pid)))
        return f"children: {workers}\n" + self._stderr.read_text(errors="replace")[-5000:]

    def _begin_again(self) -> None:
        self._end()
        self._n_chars_said = len(self._stderr.read_text(encoding="utf-8", errors="replace"))
        self._begin()

    def _end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._close_pipe(self._stdin)
        self._stdout.close()
        processes.end_all(self._home)

    @staticmethod
    def _close_pipe(pipe: BinaryIO) -> None:
        try:
            pipe.close()
        except BrokenPipeError:
            return  # what was still to be written has no reader any more

    # Strikes.

    def _strikes(self, plan: Plan) -> list[_Strike]:
        if plan.fault is Fault.INTERRUPT:
            return [_Strike(at_s, lambda: self._signal_caller(plan)) for at_s in plan.delays_s]
        if plan.fault is Fault.KILL:
            return [_Strike(at_s, lambda: self._signal_worker(plan, signal.SIGKILL)) for at_s in plan.delays_s]
        if plan.fault is Fault.STALL:
            (at_s,) = plan.delays_s
            return [
                _Strike(at_s, lambda: self._signal_worker(plan, signal.SIGSTOP)),
                _Strike(at_s + plan.stall_s, self._wake, is_due_always=True),
            ]
        return []

    def _calm(self, strikes: list[_Strike]) -> None:
        """Do what has to be done though the run is over."""
        for strike in strikes:
            if strike.is_due_always:
                strike.act()

    def _signal_caller(self, plan: Plan) -> None:
        if processes.signalled(self._process.pid, signal.SIGINT):
            self._tally.count(self._tally.struck, plan.fault)

    def _signal_worker(self, plan: Plan, number: int) -> None:
        workers = processes.children(self._process.pid)
        if workers and processes.signalled(workers[int(plan.choice * len(workers))], number):
            self._tally.count(self._tally.struck, plan.fault)

    def _wake(self) -> None:
        for worker in processes.children(self._process.pid):
            processes.signalled(worker, signal.SIGCONT)

    def _strike_program(self, plan: Plan) -> None:
        """Kill a program in its runs; nothing of it may survive."""
        with processes.start(self._home, _PROGRAM, str(self._seed + plan.number), stderr=subprocess.DEVNULL) as program:
            time.sleep(plan.delays_s[0])
            program.kill()
        self._tally.count(self._tally.struck, plan.fault)
        for survivor in processes.gone(self._home, _PROGRAM):
            self._complain(plan, f"survives the program: {survivor}")

    def _strike_writer(self, plan: Plan) -> None:
        """Kill a process that writes the store; what it was told is written has to be there."""
        directory, key = processes.store_of(self._home), f"soak:{plan.number}"
        with processes.start(self._home, _WRITER, directory, key, stderr=subprocess.DEVNULL) as writer:
            time.sleep(plan.delays_s[0])
            writer.kill()
            assert writer.stdout is not None
            told = writer.stdout.read().decode().rpartition("\n")[0].splitlines()
        self._tally.count(self._tally.struck, plan.fault)
        store = DiskStore(directory)
        found = store.read([key]).get(key, {"n": 0})["n"]
        promised = int(told[-1]) if told else 0
        if not isinstance(found, int) or not promised <= found <= promised + 1:
            self._complain(plan, f"{promised} updates were said to be written, {found} are there")
        try:
            store.entries()
        except StoreError as error:
            self._complain(plan, f"the store is spoilt: {error}")
        store.close()


@dataclass(slots=True)
class _Strike:
    """Something to be done.

    Attributes:
        at_s: seconds after the run began.
        act: what.
        is_due_always: whether it is to be done even where the run is over before.
    """

    at_s: float
    act: Any  # Any: mypy takes a callable attribute for a method
    is_due_always: bool = False
