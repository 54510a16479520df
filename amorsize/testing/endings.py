"""Ctrl-C: programs that are really interrupted."""

from __future__ import annotations

import sys

assert sys.platform != "win32"  # before the imports: signals, named pipes and limits are those of POSIX

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import pytest

import amorsize
from amorsize.testing.base import INTERRUPTS, Contract, only_where
from amorsize.testing.items import WAIT_S

PROGRAM = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
import amorsize
from amorsize.testing.faults import waits_for_ever

def announce():
    os.write(1, b"running\\n")

if __name__ == "__main__":
    {call}
"""

CALLS = {
    "pmap": "amorsize.pmap(waits_for_ever, [announce] * 20, **{options!r})",
    "pimap": "list(amorsize.pimap(waits_for_ever, iter([announce] * 20), **{options!r}))",
}


def is_alone(group: int) -> bool:
    """Tell whether nobody of a process group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


class Endings(Contract):
    """The part of the contract that is about programs that are interrupted."""

    @only_where(INTERRUPTS)
    @pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
    @pytest.mark.parametrize("to_group", [True, False], ids=["to all", "to the caller"])
    def test_ctrl_c_ends_a_program_with_one_traceback_and_all_its_workers(
        self, call: str, to_group: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "program.py").write_text(PROGRAM.format(call=call.format(options=self.given)))
        monkeypatch.setenv("PYTHONPATH", str(Path(amorsize.__file__).parent.parent), prepend=os.pathsep)
        with subprocess.Popen(
            [sys.executable, "-W", "ignore", "program.py"],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as program:
            try:
                assert program.stdout is not None
                assert program.stdout.readline() == "running\n"
                (os.killpg if to_group else os.kill)(program.pid, signal.SIGINT)
                _, told = program.communicate(timeout=WAIT_S)  # which waits for everybody who could still write
                assert is_alone(program.pid)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(program.pid, signal.SIGKILL)
        assert told.count("Traceback") == 1, told
        assert told.rstrip().splitlines()[-1].startswith("KeyboardInterrupt") or "amorsize:" in told
        assert program.returncode in (-signal.SIGINT, 128 + signal.SIGINT, 1)
