"""Every way to run a program: a script without a guard, `-c`, standard input, a session; and every kind of function."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.fault("R12")

PROCESSES = 'n_jobs=2, backend="process"'

PROGRAM = """
import os
from amorsize import parallelizable, pmap

print("top")  # once: nobody runs the program a second time

@parallelizable
def slow(item):
    return item + 0 * sum(range(50_000))

print(slow.pmap(range(100)) == list(range(100)), slow.pmap(range(100), OPTIONS) == list(range(100)))
print(len(set(pmap(lambda _: (os.getpid(), sum(range(50_000)))[0], range(100), isolate=True))) > 1)
"""

EXPECTED = "top\nTrue True\nTrue\n"


@pytest.fixture
def program() -> str:
    return PROGRAM.replace("OPTIONS", PROCESSES)


@pytest.mark.needs_fork
def test_a_script_without_a_guard_runs_once(program: str, fresh_python: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(program)
    assert fresh_python("script.py") == EXPECTED


@pytest.mark.needs_fork
def test_a_program_of_the_command_line_runs_once(program: str, fresh_python: Callable[..., str]) -> None:
    assert fresh_python("-c", program) == EXPECTED


@pytest.mark.needs_fork
def test_a_package_runs_once(program: str, fresh_python: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__main__.py").write_text(program)
    assert fresh_python("-m", "package") == EXPECTED


@pytest.fixture
def python_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs an interpreter with this text on its standard input."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parent.parent), prepend=os.pathsep)
    monkeypatch.setenv("PYTHON_HISTORY", str(tmp_path / "history"))

    def run(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(command, input=text, cwd=tmp_path, capture_output=True, text=True, timeout=50, check=True)

    return run


@pytest.mark.needs_fork
def test_a_program_on_standard_input_runs_once(program: str, python_reading: Callable[..., Any]) -> None:
    assert python_reading(program, "-").stdout == EXPECTED


@pytest.mark.needs_fork
def test_a_session_runs_what_is_defined_now(python_reading: Callable[..., Any]) -> None:
    session = """
from amorsize import parallelizable
@parallelizable
def work(x):
    return x + 1

print(work.pmap(range(50), OPTIONS)[:3])
@parallelizable
def work(x):
    return x + 2

print(work.pmap(range(50), OPTIONS)[:3])
""".replace("OPTIONS", PROCESSES)
    assert python_reading(session, "-i", "-q").stdout == "[1, 2, 3]\n[2, 3, 4]\n"


IN_A_BROWSER = """
import _socket, _thread, os, sys, time
sys.platform = "emscripten"  # Pyodide, JupyterLite: of what it lacks, what anything here has to do with
for module, names in (
    (_socket, "socketpair"), (_thread, "get_native_id"), (time, "thread_time"),
    (os, "geteuid memfd_create pidfd_open posix_spawn sched_getaffinity sched_getscheduler"),
):
    for name in names.split():
        vars(module).pop(name, None)
sys.modules["resource"] = sys.modules["psutil"] = None

from amorsize import AmorsizeWarning, BackendUnavailable, optimize, parallelizable, pmap, shutdown
from amorsize.cli import main

def work(item):
    return item + 0 * sum(range(30_000))

def try_all(**options):
    f = parallelizable(work).options(n_jobs=4, **options)
    print(*(run(range(60)) == list(range(60)) for run in (f.pmap, lambda items: list(f.pimap(iter(items))))), end=" ")
    print(f.explain(range(60)).backend)

try_all()
assert optimize(work, range(60)).n_jobs == 1
assert pmap(time.sleep, [0.001] * 60, n_jobs=16) == [None] * 60  # threads were worth it
for options in ({"on_error": "return"}, {"seed": 1}, {"backend": "thread"}, {"start_method": "spawn"}):
    try_all(**options)
print(work.explain(range(60), backend="thread").reason)
try:
    work.pmap(range(9), timeout=5)
except BackendUnavailable as error:
    print(error)
assert main(["doctor"]) == main(["cache", "list"]) == work.forget() * 0 == 0
shutdown()
"""


def test_in_a_browser_every_call_is_the_loop(fresh_python: Callable[..., str]) -> None:
    told = fresh_python("-W", "error", "-W", "ignore::amorsize.AmorsizeWarning", "-c", IN_A_BROWSER).splitlines()
    assert told[:5] == ["True True serial"] * 5
    assert told[5] == "emscripten has no threads to start"
    assert told[6].startswith("timeout=5 keeps items out of this process, but emscripten")


FUNCTIONS = {
    "a lambda": "lambda x: x + 1",
    "a closure": "(lambda n: lambda x: x + n)(1)",
    "a partial": "__import__('functools').partial(__import__('operator').add, 1)",
    "a bound method": "Adder(1).add",
    "a class method": "Adder.increment",
    "a static method": "Adder.plus_one",
    "a callable object": "Adder(1)",
    "a builtin": "(1).__add__",
    "a cached function": "__import__('functools').lru_cache(Adder(1))",
    "a class": "Number",
    "a method of a builtin type": "Adder.table.__getitem__",
    "a single dispatch": "__import__('functools').singledispatch(lambda x: x + 1)",
}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param("", id="auto"),
        pytest.param(PROCESSES, id="process", marks=pytest.mark.needs_fork),
        pytest.param("isolate=True", id="isolate", marks=pytest.mark.needs_fork),
    ],
)
def test_every_kind_of_function_is_mapped(options: str, fresh_python: Callable[..., str]) -> None:
    source = f"""
from amorsize import pmap

class Adder:
    table = list(range(1, 200))
    def __init__(self, n):
        self.n = n
    def __call__(self, x):
        return x + self.n
    def add(self, x):
        return x + self.n
    @classmethod
    def increment(cls, x):
        return x + 1
    @staticmethod
    def plus_one(x):
        return x + 1

class Number:
    def __init__(self, x):
        self.successor = x + 1
    def __eq__(self, other):
        return self.successor == other

for name, func in {{{", ".join(f"{name!r}: {code}" for name, code in FUNCTIONS.items())}}}.items():
    found = pmap(func, range(100), {options})
    if found != list(range(1, 101)):
        print(name, found)
"""
    assert fresh_python("-c", source) == ""


@pytest.mark.needs_fork
def test_a_function_redefined_under_the_same_name_runs_as_it_is_now(fresh_python: Callable[..., str]) -> None:
    source = """
from amorsize import parallelizable
for constant in (1, 2):
    @parallelizable
    def work(x, constant=constant):
        return x + constant + 0 * sum(range(100_000))
    print(work.pmap(range(300)) == [x + constant for x in range(300)], work.last_run.n_sampled > 0)
"""
    assert fresh_python("-c", source) == "True True\nTrue True\n"
