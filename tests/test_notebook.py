"""A notebook, run by a real kernel: it has threads of its own, so workers are fresh interpreters."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if sys.platform == "win32":
    pytest.skip("a kernel of Windows is interrupted in another way", allow_module_level=True)

import asyncio

import nbformat.v4
from nbclient import NotebookClient

if TYPE_CHECKING:
    from collections.abc import Iterator

v4: Any = nbformat.v4  # Any: it ships no types
ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.slow


class Notebook:
    """Cells that run one after the other in one kernel."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def run(self, source: str, *, may_raise: bool = False) -> str:
        """Run one more cell; return what it printed, or the name of what it raised."""
        cells = self._client.nb.cells
        cells.append(v4.new_code_cell(source))
        if may_raise:
            cells[-1].metadata["tags"] = ["raises-exception"]
        self._client.execute_cell(cells[-1], len(cells) - 1)
        outputs = cells[-1].outputs
        errors = [output.ename for output in outputs if output.output_type == "error"]
        return "".join(errors or [output.text for output in outputs if output.output_type == "stream"])


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Notebook]:
    """A fresh notebook; its kernel and all that it started are gone when the test ends."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    client: Any = NotebookClient(v4.new_notebook(), timeout=50, kernel_name="python3")
    with client.setup_kernel(cwd=str(tmp_path)):
        yield Notebook(client)
    loop = asyncio.get_event_loop_policy().get_event_loop()
    if not loop.is_running():
        loop.close()


DEFINE = """
import os
from amorsize import parallelizable, pmap

@parallelizable(backend="process", n_jobs=2)
def tripled(n):
    return 3 * n, os.getpid()

found = tripled.pmap(range(20))
print([value for value, _ in found] == [3 * n for n in range(20)], os.getpid() in {pid for _, pid in found})
"""


@pytest.mark.fault("R12")
def test_a_function_of_a_cell_runs_in_workers_and_after_an_edit_the_new_code_runs(notebook: Notebook) -> None:
    assert notebook.run(DEFINE) == "True False\n"
    assert notebook.run(DEFINE.replace("3 * n, os", "3 * n + 1, os").replace("[3 * n for", "[3 * n + 1 for")) == (
        "True False\n"
    )
    assert "fresh interpreters" in notebook.run("print(tripled.last_run.reason)")


@pytest.mark.fault("R8")
def test_a_cell_can_be_interrupted_and_the_next_one_runs(notebook: Notebook) -> None:
    notebook.run(DEFINE)
    interrupt = """
import signal, threading, time

def wait(n):
    if n == 3:
        os.kill(kernel, signal.SIGINT)  # what the button does
        time.sleep(600)
    return n

kernel = os.getpid()
pmap(wait, range(100), isolate=True, n_jobs=2)
"""
    assert notebook.run(interrupt, may_raise=True) == "KeyboardInterrupt"
    assert notebook.run("print(pmap(abs, [-1, -2], isolate=True))") == "[1, 2]\n"


def test_progress_is_shown_in_the_cell(notebook: Notebook) -> None:
    told = notebook.run("""
from amorsize import pmap
told = []
pmap(abs, range(1000), isolate=True, progress=lambda done, total: told.append((done, total)))
print(told[-1])
""")
    assert told == "(1000, 1000)\n"
    bar = notebook.run("pmap(abs, range(1000), isolate=True, progress=True);")
    assert "1000/1000" in bar
