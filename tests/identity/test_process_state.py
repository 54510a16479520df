"""Which functions use what belongs to the whole process, and which only look as if they did."""

from __future__ import annotations

import random
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy
import pytest

from amorsize.identity.process_state import process_state
from amorsize.identity.reach import walked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def state_of_the_process(func: object, items: Iterable[object] = ()) -> str | None:
    return process_state(*walked(func, items))


def function_of(source: str, **names: object) -> Callable[..., Any]:
    """Return the function `f` of a source text, run as a module of the user's."""
    namespace: dict[str, Any] = {"__name__": "users_module", **names}
    exec(source, namespace)
    found: Callable[..., Any] = namespace["f"]
    return found


USES = [
    ("import random\ndef f(x): random.seed(x)", "random.seed"),
    ("import random as r\ndef f(x): r.setstate(x)", "random.setstate"),
    ("from random import seed\ndef f(x): seed(x)", "random.seed"),
    ("from random import seed as reset\ndef f(x): reset(x)", "random.seed"),
    ("import random\nreset = random.seed\ndef f(x): return [reset(y) for y in x]", "random.seed"),
    ("import numpy as np\ndef f(x): np.random.seed(x)", "numpy.random.seed"),
    ("from numpy import random\ndef f(x): random.seed(x)", "numpy.random.seed"),
    ("import numpy.random as nr\ndef f(x): nr.set_state(x)", "numpy.random.set_state"),
    ("from numpy.random import seed\ndef f(x): seed(x)", "numpy.random.seed"),
    ("import os\ndef f(x):\n with x: os.chdir(x)", "os.chdir"),
    ("import os\ndef f(x): old = os.umask(0o77)", "os.umask"),
    ("import os\ndef f(x): return os.fork()", "os.fork"),
    ("def f(x):\n import duckdb\n return duckdb.sql(x).fetchall()", "duckdb.sql"),
    ("import os\ndef f(x): os.fchdir(x)", "os.fchdir"),
    ("import signal\ndef f(x): signal.alarm(1)", "signal.alarm"),
    ("import signal\ndef f(x): signal.signal(signal.SIGALRM, x)", "signal.signal"),
    ("from signal import SIGALRM, signal\ndef f(x): signal(SIGALRM, x)", "signal.signal"),
    ("import contextlib\ndef f(x):\n with contextlib.redirect_stdout(x): print()", "contextlib.redirect_stdout"),
    ("from contextlib import redirect_stderr\ndef f(x):\n with redirect_stderr(x): pass", "contextlib.redirect_stderr"),
    ("from contextlib import chdir\ndef f(x):\n with chdir(x): pass", "contextlib.chdir"),
    ("import warnings\ndef f(x):\n with warnings.catch_warnings(): pass", "warnings.catch_warnings"),
    ("import unittest.mock\ndef f(x):\n with unittest.mock.patch.object(x, 'a'): pass", "unittest.mock.patch"),
    ("from unittest import mock\ndef f(x):\n with mock.patch('os.getcwd'): pass", "unittest.mock.patch"),
    ("from unittest.mock import patch\ndef f(x):\n with patch.dict(x): pass", "unittest.mock.patch"),
    ("import asyncio\ndef f(x): asyncio.get_event_loop().run_until_complete(x)", "asyncio.get_event_loop"),
    ("import locale\ndef f(x): locale.setlocale(locale.LC_ALL, x)", "locale.setlocale"),
    ("import time\ndef f(x): time.tzset()", "time.tzset"),
    ("def f(x):\n import matplotlib.pyplot as plt\n plt.figure()", "matplotlib.pyplot.figure"),
    ("def f(x):\n from matplotlib import pyplot\n fig, ax = pyplot.subplots()", "matplotlib.pyplot.subplots"),
    ("import sys\ndef f(x): sys.stdout = x", "sys.stdout"),
    ("import sys\ndef f(x): sys.argv = x", "sys.argv"),
    ("import sys\ndef f(x): sys.setrecursionlimit(x)", "sys.setrecursionlimit"),
    ("import socket\ndef f(x): socket.setdefaulttimeout(x)", "socket.setdefaulttimeout"),
    ("import tempfile\ndef f(x):\n x.a = 1\n tempfile.tempdir = x", "tempfile.tempdir"),
    ("def f(x):\n import tempfile\n tempfile.tempdir = x", "tempfile.tempdir"),
    ("import os\ndef f(x): os.environ['A'] = x", "os.environ"),
    ("import os\ndef f(x, y): os.environ[y] = x", "os.environ"),
    ("import os\nNAME = 'A'\ndef f(x): os.environ[NAME] = x", "os.environ"),
    ("import os\ndef f(x): del os.environ['A']", "os.environ"),
    ("import os\ndef f(x): os.environ.update(A=x)", "os.environ"),
    ("from os import environ\ndef f(x): environ['A'] = x", "os.environ"),
    ("def f(x):\n from os import environ\n environ.pop('A')", "os.environ"),
    ("import sys\ndef f(x):\n old, sys.stderr = sys.stderr, x\n sys.stderr = old", "sys.stderr"),
    # imported by the function itself
    ("def f(x):\n import random\n random.seed(x)", "random.seed"),
    ("def f(x):\n import random; random.seed(x)", "random.seed"),
    ("def f(x):\n import numpy as np\n np.random.seed(x)", "numpy.random.seed"),
    ("def f(x):\n import numpy.random\n numpy.random.seed(x)", "numpy.random.seed"),
    ("def f(x):\n import numpy.random as nr\n nr.seed(x)", "numpy.random.seed"),
    ("def f(x):\n from numpy import array, random\n random.seed(x)", "numpy.random.seed"),
    ("def f(x):\n from random import random, seed as reset\n reset(x)", "random.seed"),
    ("def f(x):\n from signal import signal\n signal(2, x)", "signal.signal"),
    ("def f(x):\n import torch\n torch.manual_seed(x)", "torch.manual_seed"),
    ("def f(x):\n global random\n import random\n random.seed(x)", "random.seed"),
    ("def f(x):\n import random\n def g(): random.seed(x)\n return g()", "random.seed"),
    # reached in a roundabout way
    ("import random\ndef g(x): random.seed(x)\ndef f(x): return g(x)", "random.seed"),
    ("import random\ndef f(x): return (lambda: random.seed(x))()", "random.seed"),
    ("import random\ndef make(r):\n def f(x): r.seed(x)\n return f\nf = make(random)", "random.seed"),
    ("import random\nclass C:\n def go(self, x): random.seed(x)\nf = C().go", "random.seed"),
    ("import random\nclass C:\n def __call__(self, x): random.seed(x)\nc = C()\ndef f(x): return c(x)", "random.seed"),
]


@pytest.mark.parametrize(("source", "name"), USES)
def test_it_is_found_by_its_full_name(source: str, name: str) -> None:
    assert state_of_the_process(function_of(source)) == name


@pytest.mark.parametrize(
    "source",
    [
        "import random\nheld = random.Random()\ndef f(x): held.seed(x)",
        "import numpy\nheld = numpy.random.RandomState()\ndef f(x): held.seed(x)",
        "import io\nheld = io.StringIO()\ndef f(x): held.seek(0); held.truncate()",
        "import io\nheld = io.BytesIO(b'a')\ndef f(x): return held.read(1)",
        "import mmap\nheld = mmap.mmap(-1, 10)\ndef f(x): held.seek(x); return held.read(1)",
    ],
)
def test_an_object_that_all_threads_would_move_is_found(source: str) -> None:
    assert str(state_of_the_process(function_of(source))).startswith("held")


def test_it_is_found_through_a_module_of_the_user() -> None:
    helping = ModuleType("helping")
    helping.__dict__.update(np=numpy, seed=random.seed, random=random)
    for source in ("h.np.random.seed(x)", "h.seed(x)", "h.random.seed(x)"):
        assert state_of_the_process(function_of(f"def f(x): {source}", h=helping)) is not None


USES_NOT = [
    "import random\ndef f(x): return random.Random(x).random() + random.random()",
    "import random\ndef f(x, rng): rng.seed(x); return random.random()",
    "import random\ndef f(x, config): return random.Random(config.seed)",
    "from random import seed\ndef f(x): return x.seed",
    "import numpy as np\ndef f(x): return np.random.default_rng(x).normal()",
    "import numpy as np\ndef f(x): return np.random.default_rng(x.seed)",
    "import numpy as np\ndef f(x): return np.random.RandomState(seed=x).seed(x), np.random.standard_normal(3)",
    "import numpy as np\ndef f(seed): return np.random.SeedSequence(seed)",
    "class config: seed = 1\ndef f(x): return config.seed",
    "import random\ndef f(random): random.seed(1)",
    "import random\ndef f(x):\n random = x\n def g(): random.seed()\n return g",
    "def f(x):\n import random\n def g(random): random.seed()\n return g, random.random()",
    "def f(x):\n import random\n random = random.Random(x)\n random.seed(1)",
    "def f(x):\n from random import random\n return random.seed",
    "def f(x):\n from .random import seed\n seed(x)",
    "def f(x):\n from . import random\n random.seed(x)",
    "import os\ndef f(x): return os.getcwd(), os.environ['HOME'], os.environ.get('A'), os.path.join(x)",
    "import os, subprocess\ndef f(x): return subprocess.run(['pwd'], cwd=x, capture_output=True).stdout",
    "import os\ndef f(x):\n d = {os.environ['A']: 1}\n d['A'] = os.environ\n d[os.environ['A']] = 1",
    "import os\ndef f(x):\n e = dict(os.environ)\n e['A'] = x\n e.update(x)\n return os.environ.get('A')",
    "import sys\ndef f(x): x.argv = sys.argv",
    "import sys\ndef f(x): sys.stdout.write(x); print(x, file=sys.stderr); x.stdout = sys.stdout",
    "import asyncio\ndef f(x): return asyncio.run(x), asyncio.new_event_loop()",
    "import asyncio\nasync def f(x): return await asyncio.get_event_loop().run_in_executor(None, x)",
    "import asyncio\nasync def g(x): return asyncio.get_event_loop().time()\ndef f(x): return asyncio.run(g(x))",
    "import signal\ndef f(x): return signal.SIGINT, signal.getsignal(2), x.alarm(1), x.signal()",
    "import scipy_like as signal\ndef f(x): return signal.signal(x)",
    "import contextlib\ndef f(x):\n with contextlib.suppress(OSError): x.chdir()",
    "import warnings\ndef f(x): warnings.warn('a')",
    "import urllib.request as requests\ndef f(x): return requests.patch(x)",
    "import time, locale\ndef f(x): time.sleep(x); return locale.getlocale()",
    "import random\ndef reset(): random.seed(1)\nreset()\ndef f(x): return random.random()",
    "import random\nrandom.seed(1)\ndef f(x): return random.random()",
    "import random\nrng = random.Random(1)\ndef f(x): return rng.random()",
    "import io\nout = io.StringIO()\ndef f(x): return out.getvalue()",
    "import io\nout = io.StringIO()\nout.close()\ndef f(x): return out.read()",
    "import mmap\ndata = mmap.mmap(-1, 10)\ndef f(x): return data[x : x + 1]",
]


@pytest.mark.parametrize("source", USES_NOT)
def test_nothing_is_found_where_nothing_is_shared(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy_like", ModuleType("scipy_like"))
    assert state_of_the_process(function_of(source)) is None


def test_a_module_of_the_user_s_own_by_such_a_name_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "random", ModuleType("random"))
    for source in ("import random\ndef f(x): random.seed(x)", "def f(x):\n import random\n random.seed(x)"):
        assert state_of_the_process(function_of(source)) is None


@pytest.mark.parametrize("callable_", [len, print, int, "a".join, None, 3], ids=repr)
def test_nothing_makes_it_raise(callable_: object) -> None:
    assert state_of_the_process(callable_) is None


def test_the_very_function_is_found_where_it_is_called_itself() -> None:
    assert state_of_the_process(function_of("from random import seed\nf = lambda x: seed(x)")) == "random.seed"


def test_a_name_beyond_the_first_256_of_a_code_is_found() -> None:
    many = "; ".join(f"x.a{n}" for n in range(300))
    assert state_of_the_process(function_of(f"import random\ndef f(x): {many}; random.seed(x)")) == "random.seed"


COMPOSED = """
import random
class Inner:
    def compute(self, x): random.seed(x)
class Outer:
    def __init__(self): self.inner = Inner()
    def run(self, x): return self.inner.compute(x)
OUTER = Outer()
"""


@pytest.mark.parametrize("call", ["OUTER.run(x)", "Outer().run(x)", "OUTER.inner.compute(x)"])
def test_it_is_found_in_a_method_of_what_an_object_holds(call: str) -> None:
    assert state_of_the_process(function_of(f"{COMPOSED}def f(x): return {call}")) == "random.seed"


def test_it_is_found_in_a_method_of_the_items_that_is_called() -> None:
    called, not_called = function_of(f"{COMPOSED}def f(x): return x.run(1)"), function_of("def f(x): return x.other")
    outer = called.__globals__["OUTER"]
    assert state_of_the_process(called, [outer]) == state_of_the_process(called, [(1, outer)]) == "random.seed"
    assert state_of_the_process(not_called, [outer]) is None
    assert state_of_the_process(called, [1, "a", (2, None)]) is None
