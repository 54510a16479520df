"""Every kind of change, and whether it makes a function another one: one table of what is expected.

A row is a program of real files and two versions of one place in it, marked by `?`: the key of `f` in `work.py` has to
differ (MISS) or to be equal (HIT). A line `--- name` begins the file of another module.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

import pytest

from amorsize.identity.function import function_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MISS, HIT = "miss", "hit"

BATTERY = [
    # ---- one file, one change
    ("a constant", MISS, "def f(x): return x + ?", "1", "2"),
    ("the type of a constant", MISS, "def f(x): return x + 1?", "", ".0"),
    ("a truth value for a number", MISS, "def f(x): return ?", "1", "True"),
    ("the sign of zero", MISS, "def f(x): return ?0.0", "", "-"),
    ("a text", MISS, "def f(x): return x + '?'", "a", "b"),
    ("text for bytes", MISS, "def f(x): return ?'a'", "", "b"),
    ("an element of a constant tuple", MISS, "def f(x): return x in (1, ?)", "2", "3"),
    ("an element of a constant set", MISS, "def f(x): return x in {1, ?}", "2", "3"),
    ("an operator", MISS, "def f(x): return x ? 1", "+", "-"),
    ("an attribute", MISS, "def f(x): return x.?", "real", "imag"),
    ("a builtin", MISS, "def f(x): return ?(x)", "min", "max"),
    ("a builtin that is hidden by a global", MISS, "def f(x): return min(x)?", "", "\nmin = max"),
    ("an argument that became keyword-only", MISS, "def f(x, ?y=1): return y", "", "*, "),
    ("a default", MISS, "def f(x, n=?): return x", "1", "2"),
    ("a keyword default", MISS, "def f(x, *, n=?): return x", "1", "2"),
    ("a default function", MISS, "def g(): return ?\ndef f(x, n=g): return n()", "1", "2"),
    ("a nested function", MISS, "def f(x):\n def g(): return ?\n return g()", "1", "2"),
    ("a nested lambda", MISS, "def f(x): return (lambda: ?)()", "1", "2"),
    ("a comprehension", MISS, "def f(x): return [i + ? for i in x]", "1", "2"),
    ("a generator expression", MISS, "def f(x): return sum(?i for i in x)", "", "-"),
    ("a handled exception", MISS, "def f(x):\n try: return x()\n except ?: return 1", "KeyError", "IndexError"),
    ("the reach of a try", MISS, "def f(x):\n ?\n  x()\n except KeyError: pass", "try:\n  x()", "x()\n try:"),
    ("a local class", MISS, "def f(x):\n class C:\n  a = ?\n return C", "1", "2"),
    ("a global number", MISS, "K = ?\ndef f(x): return x + K", "1", "2"),
    ("a global text", MISS, "K = '?'\ndef f(x): return x + K", "a", "b"),
    ("a global flag", MISS, "K = ?\ndef f(x): return K", "True", "False"),
    ("a global that became None", MISS, "K = ?\ndef f(x): return K", "1", "None"),
    ("a global tuple", MISS, "K = (1, ?)\ndef f(x): return K", "2", "3"),
    ("a global list", MISS, "K = [1, ?]\ndef f(x): return K", "2", "3"),
    ("a global dict", MISS, "K = {'a': ?}\ndef f(x): return K", "1", "2"),
    ("a global set", MISS, "K = {1, ?}\ndef f(x): return K", "2", "3"),
    ("a list inside a dict", MISS, "K = {'a': [?]}\ndef f(x): return K", "1", "2"),
    ("a pattern", MISS, "import re\nK = re.compile('?')\ndef f(x): return K.match(x)", "a", "b"),
    (
        "a member of an enum",
        MISS,
        "from enum import Enum\nclass E(Enum):\n a = 1\n b = 2\nK = E.?\ndef f(x): return K",
        "a",
        "b",
    ),
    ("a huge integer", MISS, "K = 1 << ?\ndef f(x): return K", "2000", "2001"),
    ("a huge text", MISS, "K = 'a' * ?\ndef f(x): return K", "2000", "2001"),
    ("a global of another type", MISS, "K = ?()\ndef f(x): return K", "object", "bytearray"),
    ("a helper", MISS, "def g(x): return ?\ndef f(x): return g(x)", "1", "2"),
    ("a helper's helper", MISS, "def h(x): return ?\ndef g(x): return h(x)\ndef f(x): return g(x)", "1", "2"),
    ("a helper's global", MISS, "K = ?\ndef g(x): return K\ndef f(x): return g(x)", "1", "2"),
    ("a helper in a cycle", MISS, "def g(x): return f(x) + ?\ndef f(x): return g(x)", "1", "2"),
    (
        "a helper that became a library's",
        MISS,
        "?\ndef f(x): return g(x)",
        "def g(x): return x",
        "from os.path import basename as g",
    ),
    ("a C function", MISS, "from math import ? as g\ndef f(x): return g(x)", "sin", "cos"),
    ("a module", MISS, "import ? as m\ndef f(x): return m.exp(x)", "math", "cmath"),
    ("a function in a table", MISS, "def g(): return ?\nT = {'g': g}\ndef f(x): return T[x]()", "1", "2"),
    (
        "a cached helper",
        MISS,
        "import functools\n@functools.lru_cache\ndef g(x): return ?\ndef f(x): return g(x)",
        "1",
        "2",
    ),
    (
        "a helper in a partial",
        MISS,
        "import functools\ndef g(x): return ?\nh = functools.partial(g)\ndef f(x): return h(x)",
        "1",
        "2",
    ),
    (
        "a decorated function",
        MISS,
        "import functools\ndef d(g):\n @functools.wraps(g)\n def w(x): return g(x)\n return w\n@d\ndef f(x): return ?",
        "1",
        "2",
    ),
    (
        "a decorator",
        MISS,
        "import functools\ndef d(g):\n @functools.wraps(g)\n def w(x): return ?g(x)\n return w\n@d\ndef f(x): return 1",
        "",
        "-",
    ),
    ("what only __wrapped__ leads to", MISS, "def g(x): return ?\ndef f(x): return x\nf.__wrapped__ = g", "1", "2"),
    ("a method called on a new object", MISS, "class C:\n def m(self): return ?\ndef f(x): return C().m()", "1", "2"),
    (
        "a method that a method calls",
        MISS,
        "class C:\n def m(self): return self.n()\n def n(self): return ?\ndef f(x): return C().m()",
        "1",
        "2",
    ),
    ("a constructor", MISS, "class C:\n def __init__(self): self.a = ?\ndef f(x): return C()", "1", "2"),
    ("an operator of a class", MISS, "class C:\n def __add__(self, o): return ?\ndef f(x): return C() + x", "1", "2"),
    (
        "an inherited method",
        MISS,
        "class B:\n def m(self): return ?\nclass C(B): pass\ndef f(x): return C().m()",
        "1",
        "2",
    ),
    ("a class attribute", MISS, "class C:\n a = ?\n def m(self): return self.a\ndef f(x): return C().m()", "1", "2"),
    ("a property", MISS, "class C:\n @property\n def p(self): return ?\ndef f(x): return C().p", "1", "2"),
    ("a static method", MISS, "class C:\n @staticmethod\n def s(): return ?\ndef f(x): return C.s()", "1", "2"),
    ("a class method", MISS, "class C:\n @classmethod\n def s(cls): return ?\ndef f(x): return C.s()", "1", "2"),
    (
        "a method that a decorated method calls",
        MISS,
        "from amorsize import parallelizable\nclass C:\n @parallelizable\n def m(self): return self.n()\n"
        " def n(self): return ?\ndef f(x): return C().m()",
        "1",
        "2",
    ),
    (
        "a cached property",
        MISS,
        "import functools\nclass C:\n @functools.cached_property\n def p(self): return ?\ndef f(x): return C().p",
        "1",
        "2",
    ),
    (
        "a method of a global object",
        MISS,
        "class C:\n def m(self): return ?\nO = C()\ndef f(x): return O.m()",
        "1",
        "2",
    ),
    ("a callable class", MISS, "class C:\n def __call__(self, x): return ?\nf = C()", "1", "2"),
    (
        "an attribute of a callable object",
        MISS,
        "class C:\n def __init__(self, a): self.a = a\n def __call__(self, x): return self.a\nf = C(?)",
        "1",
        "2",
    ),
    (
        "a slot of a callable object",
        MISS,
        "class C:\n __slots__ = 'a'\n def __call__(self, x): return self.a\nf = C()\nf.a = ?",
        "1",
        "2",
    ),
    ("a bound method", MISS, "class C:\n def m(self, x): return ?\nf = C().m", "1", "2"),
    (
        "the type of a bound method's object",
        MISS,
        "class B:\n def m(self, x): return self.n()\nclass C(B):\n def n(self): return ?\nf = C().m",
        "1",
        "2",
    ),
    ("a class that is called", MISS, "class f:\n def __init__(self, x): self.x = ?x", "", "-"),
    ("a lambda", MISS, "f = lambda x: x + ?", "1", "2"),
    ("one of two lambdas on one line", MISS, "? = lambda x: 1, lambda x: 2", "f, g", "g, f"),
    ("an async function", MISS, "?def f(x): return x", "", "async "),
    ("a generator function", MISS, "def f(x): ? x", "return", "yield"),
    ("a comment", HIT, "def f(x): ?return x + 1", "", " # why\n    # more\n    "),
    ("ten lines further down", HIT, "?def f(x): return x + 1", "", "\n\n\n\n\n\n\n\n\n\n"),
    ("another docstring", HIT, "def f(x):\n '?'\n return x", "a", "b"),
    ("a docstring where there was none", HIT, "def f(x):\n ?x()", "", "'said'\n "),
    ("a docstring of a nested function", HIT, "def f(x):\n def g():\n  '?'\n return g", "a", "b"),
    (
        "a local class that moved",
        HIT,
        "?'\n  def m(self): self.a, self.b, self.c = 1, 2, 3\n return C",
        "def f(x):\n class C:\n  'a",
        "\n\n\ndef f(x):\n class C:\n  'b",
    ),
    (
        "a moved helper",
        HIT,
        "def ?",
        "g(x): return 1\ndef f(x): return g(x)",
        "f(x): return g(x)\n\n\n\ndef g(x): return 1",
    ),
    ("another name of the function", HIT, "def ?", "f(x): return x", "other(x): return x\nf = other"),
    ("another unused function", HIT, "def ?f(x): return x", "", "g(x): return 1\ndef "),
    ("an attribute of the function", HIT, "def f(x): return x?", "", "\nf.note = 1"),
    ("an annotation", HIT, "def f(x?: return x", ")", ": int) -> int"),
    (
        "a method that is not called",
        HIT,
        "class C:\n def m(self): return 1\n def n(self): return ?\ndef f(x): return C().m()",
        "1",
        "2",
    ),
    ("a recursive function", HIT, "?def f(x): return f(x)", "", "\n"),
    ("a counter that the function counts", HIT, "N = ?\ndef f(x):\n global N\n N += 1", "1", "9"),
    (
        "a counter that a helper counts",
        HIT,
        "N = ?\ndef g():\n global N\n N += 1\ndef f(x):\n g()\n return N",
        "1",
        "9",
    ),
    (
        "a client that is made when first needed",
        HIT,
        "C = ?\ndef f(x):\n global C\n C = C or object()\n return C",
        "None",
        "object()",
    ),
    ("a memo that the function fills", HIT, "M = {?}\ndef f(x):\n M[x] = 1", "", "1: 1"),
    ("a list that the function fills", HIT, "M = [?]\ndef f(x): M.append(x)", "", "1"),
    ("a default that the function fills", HIT, "def f(x, seen={?}):\n seen[x] = 1", "", "1: 1"),
    (
        "a counter in a callable object",
        HIT,
        "class C:\n n = 0\n def __call__(self, x): self.n += 1\nf = C()?",
        "",
        "\nf(1)",
    ),
    ("the order of a dict", HIT, "K = {?}\ndef f(x): return K", "1: 1, 2: 2", "2: 2, 1: 1"),
    ("an element of a big container", HIT, "K = [?] * 1000\ndef f(x): return K", "1", "2"),
    # ---- constants and code
    ("a constant two functions deep", MISS, "def f(x):\n def g():\n  return lambda: ?\n return g()()", "1", "2"),
    ("a number in a set in a tuple", MISS, "def f(x): return x in ((1, 2), {3, ?})", "4", "5"),
    ("a part of a formatted text", MISS, "def f(x): return f'?{x}'", "a", "b"),
    ("the format of a formatted text", MISS, "def f(x): return f'{x:?}'", ">9", "<9"),
    ("the end of a slice", MISS, "def f(x): return x[1:?]", "2", "3"),
    ("a pattern that is matched", MISS, "def f(x):\n match x:\n  case ?: return 1\n return 2", "3", "4"),
    ("a condition of a comprehension", MISS, "def f(x): return {i: 1 for i in x if i > ?}", "1", "2"),
    ("a comprehension in a comprehension", MISS, "def f(x): return [[j + ? for j in i] for i in x]", "1", "2"),
    ("the order of two calls", MISS, "def f(x): return ?", "(abs(x), int(x))", "(int(x), abs(x))"),
    ("the side of a comparison", MISS, "def f(x): return x ? 1", "<", ">"),
    ("and for or", MISS, "def f(x): return x ? 1", "and", "or"),
    (
        "what is caught in a nested function",
        MISS,
        "def f(x):\n def g():\n  try: x()\n  ?: pass\n g()",
        "except KeyError",
        "finally",
    ),
    ("any number of arguments", MISS, "def f(?x): return x", "", "*"),
    ("the name of a free variable", MISS, "def o(?):\n return lambda x: ?\nf = o(1)", "a", "b"),
    ("the name of a helper", MISS, "def ?(x): return 1\ndef f(x): return ?(x)", "g", "h"),
    ("which exception is raised", MISS, "def f(x): raise ?", "KeyError", "ValueError"),
    (
        "a nonlocal that is counted",
        MISS,
        "def f(x):\n n = 0\n def g():\n  nonlocal n\n  n += ?\n g()\n return n",
        "1",
        "2",
    ),
    # ---- defaults and cells
    ("a keyword default function", MISS, "def g(): return ?\ndef f(x, *, n=g): return n()", "1", "2"),
    ("an element of a default list", MISS, "def f(x, n=[1, ?]): return n", "2", "3"),
    ("a default partial", MISS, "from functools import partial\ndef f(x, n=partial(pow, ?)): return n(x)", "1", "2"),
    ("a number in a cell", MISS, "def o(n): return lambda x: x + n\nf = o(?)", "1", "2"),
    ("a dict in a cell", MISS, "def o(n): return lambda x: n[x]\nf = o({1: ?})", "1", "2"),
    ("a function in a cell", MISS, "def o(g): return lambda x: g(x)\nf = o(lambda x: ?)", "1", "2"),
    (
        "a cell of a function in a cell",
        MISS,
        "def o(n): return lambda x: n\ndef p(g): return lambda x: g(x)\nf = p(o(?))",
        "1",
        "2",
    ),
    (
        "the type of an object in a cell",
        MISS,
        "class A: pass\nclass B: pass\ndef o(n): return lambda x: n\nf = o(?())",
        "A",
        "B",
    ),
    ("an item of a huge list in a cell", HIT, "def o(n): return lambda x: n\nf = o([?] * 100_000)", "1", "2"),
    (
        "another object of its type in a cell",
        HIT,
        "def o(n): return lambda x: n\nf = o(?)",
        "object()",
        "type('', (), {}) and object()",
    ),
    (
        "a list that holds itself in a cell",
        HIT,
        "n = []\nn.append(n)?\ndef o(n): return lambda x: n\nf = o(n)",
        "",
        "  # why",
    ),
    # ---- helpers in other modules
    (
        "a helper two modules away",
        MISS,
        "import a\ndef f(x): return a.g(x)\n--- a\nimport b\ndef g(x): return b.h(x)\n--- b\ndef h(x): return ?",
        "1",
        "2",
    ),
    (
        "a helper two modules away, imported by name",
        MISS,
        "from a import g\ndef f(x): return g(x)\n--- a\nfrom b import h as i\ndef g(x): return i(x)\n--- b\n"
        "def h(x): return ?",
        "1",
        "2",
    ),
    (
        "a number two modules away",
        MISS,
        "import a\ndef f(x): return a.g(x)\n--- a\nimport b\ndef g(x): return b.K\n--- b\nK = ?",
        "1",
        "2",
    ),
    (
        "a helper in a package",
        MISS,
        "import p.a\ndef f(x): return p.a.g(x)\n--- p/__init__\n--- p/a\ndef g(x): return ?",
        "1",
        "2",
    ),
    (
        "a helper of a helper in a package",
        MISS,
        "from p import a\ndef f(x): return a.g(x)\n--- p/__init__\n--- p/a\nfrom . import b\n"
        "def g(x): return b.h(x)\n--- p/b\ndef h(x): return ?",
        "1",
        "2",
    ),
    (
        "a class two modules away",
        MISS,
        "import a\ndef f(x): return a.C().m()\n--- a\nfrom b import B\nclass C(B): pass\n--- b\nclass B:\n"
        " def m(self): return ?",
        "1",
        "2",
    ),
    (
        "a helper that is imported inside",
        MISS,
        "def f(x):\n import a\n return a.g(x)\n--- a\ndef g(x): return ?",
        "1",
        "2",
    ),
    (
        "a helper that is imported by name inside",
        MISS,
        "def f(x):\n from a import g\n return g(x)\n--- a\ndef g(x): return ?",
        "1",
        "2",
    ),
    (
        "a helper of a helper that is imported inside",
        MISS,
        "def f(x):\n import a\n return a.g(x)\n--- a\nfrom b import h\ndef g(x): return h(x)\n--- b\n"
        "def h(x): return ?",
        "1",
        "2",
    ),
    (
        "a helper that a helper imports inside",
        MISS,
        "def g(x):\n import a\n return a.h(x)\ndef f(x): return g(x)\n--- a\ndef h(x): return ?",
        "1",
        "2",
    ),
    (
        "a module of a package that is imported inside",
        MISS,
        "def f(x):\n from p import a\n return a.g(x)\n--- p/__init__\n--- p/a\ndef g(x): return ?",
        "1",
        "2",
    ),
    (
        "another function of a helper's module",
        HIT,
        "import a\ndef f(x): return a.g(x)\n--- a\ndef g(x): return 1\ndef h(x): return ?",
        "1",
        "2",
    ),
    (
        "a comment in a helper's module",
        HIT,
        "import a\ndef f(x): return a.g(x)\n--- a\n?def g(x): return 1",
        "",
        "# why\n\n",
    ),
    (
        "a comment in a module that is imported inside",
        HIT,
        "def f(x):\n import a\n return a.g(x)\n--- a\n?def g(x): return 1",
        "",
        "# why\n\n",
    ),
    (
        "a docstring two modules away",
        HIT,
        "import a\ndef f(x): return a.g(x)\n--- a\nimport b\ndef g(x): return b.h(x)\n--- b\ndef h(x):\n '?'\n"
        " return 1",
        "a",
        "b",
    ),
    (
        "a helper's module of another name",
        HIT,
        "import ? as h\ndef f(x): return h.g(x)\n--- ?\ndef g(x): return 1",
        "a",
        "b",
    ),
    # ---- decorators, wrappers, partials
    (
        "an argument of a decorator",
        MISS,
        "def d(n):\n def e(g):\n  return lambda x: g(x) * n\n return e\n@d(?)\ndef f(x): return x",
        "2",
        "3",
    ),
    (
        "a function under a decorator without wraps",
        MISS,
        "def d(g): return lambda x: g(x)\n@d\ndef f(x): return ?",
        "1",
        "2",
    ),
    (
        "the order of two decorators",
        MISS,
        "def d(g): return lambda x: g(x) + 1\ndef e(g): return lambda x: g(x) * 2\n?\ndef f(x): return x",
        "@d\n@e",
        "@e\n@d",
    ),
    (
        "a function under a class that decorates",
        MISS,
        "class D:\n def __init__(self, fn): self.fn = fn\n def __call__(self, x): return self.fn(x)\n@D\n"
        "def f(x): return ?",
        "1",
        "2",
    ),
    (
        "a helper under a class that decorates",
        MISS,
        "class D:\n def __init__(self, fn): self.fn = fn\n def __call__(self, x): return self.fn(x)\n@D\n"
        "def g(x): return ?\ndef f(x): return g(x)",
        "1",
        "2",
    ),
    (
        "a class that decorates",
        MISS,
        "class D:\n def __init__(self, fn): self.fn = fn\n def __call__(self, x): return ?self.fn(x)\n@D\n"
        "def f(x): return 1",
        "",
        "-",
    ),
    ("a partial's argument", MISS, "from functools import partial\nf = partial(pow, ?)", "1", "2"),
    (
        "a partial's keyword",
        MISS,
        "from functools import partial\ndef g(x, n): return x\nf = partial(g, n=?)",
        "1",
        "2",
    ),
    (
        "a partial of a partial",
        MISS,
        "from functools import partial\ndef g(a, b, x): return x\nf = partial(partial(g, ?), 2)",
        "1",
        "3",
    ),
    (
        "a helper's partial's argument",
        MISS,
        "from functools import partial\ng = partial(pow, ?)\ndef f(x): return g(x)",
        "1",
        "2",
    ),
    (
        "a function that a partial is given",
        MISS,
        "from functools import partial\ndef g(x): return ?\nf = partial(map, g)",
        "1",
        "2",
    ),
    (
        "a partial method",
        MISS,
        "from functools import partialmethod\nclass C:\n def m(self, n): return n\n p = partialmethod(m, ?)\n"
        "def f(x): return C().p()",
        "1",
        "2",
    ),
    (
        "a case of a single dispatch",
        MISS,
        "from functools import singledispatch\n@singledispatch\ndef g(x): return 1\n@g.register\n"
        "def _(x: int): return ?\ndef f(x): return g(x)",
        "2",
        "3",
    ),
    (
        "what an item getter gets",
        MISS,
        "from operator import itemgetter\nK = itemgetter(?)\ndef f(x): return K(x)",
        "1",
        "2",
    ),
    (
        "a method that a method caller calls",
        MISS,
        "from operator import methodcaller\nf = methodcaller('?')",
        "upper",
        "lower",
    ),
    # ---- classes and objects
    ("what __new__ does", MISS, "class C:\n def __new__(cls): return ?\ndef f(x): return C()", "1", "2"),
    (
        "a decorated special method",
        MISS,
        "import functools\nclass C:\n @functools.lru_cache\n def __len__(self): return ?\ndef f(x): return len(C())",
        "1",
        "2",
    ),
    (
        "a special method that is another function",
        MISS,
        "def g(self): return ?\nclass C:\n __len__ = g\ndef f(x): return len(C())",
        "1",
        "2",
    ),
    (
        "a metaclass",
        MISS,
        "class M(type):\n def __call__(cls): return ?\nclass C(metaclass=M): pass\ndef f(x): return C()",
        "1",
        "2",
    ),
    (
        "what super leads to",
        MISS,
        "class B:\n def m(self): return ?\nclass C(B):\n def m(self): return super().m()\ndef f(x): return C().m()",
        "1",
        "2",
    ),
    (
        "a descriptor of the user's",
        MISS,
        "class D:\n def __get__(self, o, t): return ?\nclass C:\n a = D()\ndef f(x): return C().a",
        "1",
        "2",
    ),
    (
        "what a property sets",
        MISS,
        "class C:\n @property\n def p(self): return 0\n @p.setter\n def p(self, v): self.q = v + ?\ndef f(x):\n"
        " C().p = x",
        "1",
        "2",
    ),
    (
        "a slot that a method reads",
        MISS,
        "class C:\n __slots__ = ('a',)\n def __init__(self): self.a = ?\n def m(self): return self.a\n"
        "def f(x): return C().m()",
        "1",
        "2",
    ),
    (
        "a default of a dataclass",
        MISS,
        "from dataclasses import dataclass\n@dataclass\nclass C:\n a: int = ?\ndef f(x): return C().a",
        "1",
        "2",
    ),
    (
        "a function in an attribute of a callable object",
        MISS,
        "class C:\n def __init__(self, g): self.g = g\n def __call__(self, x): return self.g(x)\nf = C(lambda x: ?)",
        "1",
        "2",
    ),
    (
        "a class in a cell",
        MISS,
        "def o(C): return lambda x: C().m()\nclass A:\n def m(self): return ?\nf = o(A)",
        "1",
        "2",
    ),
    (
        "an attribute of a bound method's object",
        HIT,
        "class C:\n def __init__(self, a): self.a = a\n def m(self, x): return self.a\nf = C(?).m",
        "1",
        "2",
    ),
    (
        "a docstring of a property",
        HIT,
        "class C:\n @property\n def p(self):\n  '?'\n  return 1\ndef f(x): return C().p",
        "a",
        "b",
    ),
    ("a docstring of a class", HIT, "class C:\n '?'\n def m(self): return 1\ndef f(x): return C().m()", "a", "b"),
    (
        "a redefined method",
        MISS,
        "class C:\n def m(self): return 1\nC.m = lambda self: ?\ndef f(x): return C().m()",
        "1",
        "2",
    ),
    # ---- globals of each kind
    ("a global fraction", MISS, "K = ?\ndef f(x): return x + K", "0.5", "0.25"),
    ("a global complex number", MISS, "K = ?\ndef f(x): return x + K", "1j", "2j"),
    ("global bytes", MISS, "K = b'?'\ndef f(x): return x + K", "a", "b"),
    ("a global byte array", MISS, "K = bytearray(b'?')\ndef f(x): return x in K", "a", "b"),
    ("a global frozen set", MISS, "K = frozenset({1, ?})\ndef f(x): return x in K", "2", "3"),
    ("a global range", MISS, "K = range(?)\ndef f(x): return x in K", "10", "1000"),
    ("a global decimal", MISS, "from decimal import Decimal\nK = Decimal('?')\ndef f(x): return x + K", "1", "2"),
    ("a global duration", MISS, "from datetime import timedelta\nK = timedelta(?)\ndef f(x): return x + K", "1", "2"),
    (
        "a global path",
        MISS,
        "from pathlib import PurePosixPath\nK = PurePosixPath('?')\ndef f(x): return K / x",
        "a",
        "b",
    ),
    (
        "a global named tuple",
        MISS,
        "from collections import namedtuple\nT = namedtuple('T', 'a')\nK = T(?)\ndef f(x): return K.a",
        "1",
        "2",
    ),
    ("a number of a class of the user's", MISS, "class R(float): pass\nK = R(?)\ndef f(x): return x * K", "1", "2"),
    ("a text of a class of the user's", MISS, "class T(str): pass\nK = T('?')\ndef f(x): return x + K", "a", "b"),
    ("bytes of a class of the user's", MISS, "class B(bytes): pass\nK = B(b'?')\ndef f(x): return x + K", "a", "b"),
    ("a global class", MISS, "class A: pass\nclass B: pass\nK = ?\ndef f(x): return K()", "A", "B"),
    ("a global lambda", MISS, "K = lambda: ?\ndef f(x): return K()", "1", "2"),
    ("a global in a dict in a list", MISS, "K = [{'a': ?}]\ndef f(x): return K", "1", "2"),
    ("the number of a big list's items", HIT, "K = [0] * ?\ndef f(x): return K", "1000", "2000"),
    ("a global lock", HIT, "import threading\nK = threading.Lock()?\ndef f(x): return K", "", "\nK.acquire()"),
    (
        "a global logger's level",
        HIT,
        "import logging\nK = logging.getLogger('work')?\ndef f(x): return K.info(x)",
        "",
        "\nK.setLevel(10)",
    ),
    ("a global that it does not read", HIT, "K = ?\ndef f(x): return x", "1", "2"),
    ("a global of a local variable's name", HIT, "K = ?\ndef f(x):\n K = x\n return K", "1", "2"),
    (
        "a client that is made when a helper needs it",
        HIT,
        "C = ?\ndef g(): return C\ndef f(x):\n global C\n C = C or object()\n return g()",
        "None",
        "object()",
    ),
    (
        "a module that is a global once it was imported",
        HIT,
        "def g(x): return json.dumps(x)\ndef f(x):\n global json\n import json\n return g(x)\n?",
        "",
        "f(1)",
    ),
    # ---- C functions and NumPy
    ("a method of a C type", MISS, "K = str.?\ndef f(x): return K(x)", "upper", "lower"),
    ("a C function that is a default", MISS, "import math\ndef f(x, g=math.?): return g(x)", "sin", "cos"),
    ("a NumPy ufunc", MISS, "import numpy\nf = numpy.?", "add", "subtract"),
    ("a NumPy ufunc in a global", MISS, "from numpy import ? as g\ndef f(x): return g(x)", "sin", "cos"),
    ("a method of a NumPy ufunc", MISS, "import numpy\nf = numpy.?.reduce", "add", "multiply"),
    ("a NumPy function", MISS, "import numpy\nf = numpy.?", "sort", "argsort"),
    ("a function that NumPy vectorizes", MISS, "import numpy\n@numpy.vectorize\ndef f(x): return ?", "1", "2"),
    ("a NumPy scalar", MISS, "import numpy\nK = numpy.float32(?)\ndef f(x): return x + K", "1", "2"),
    ("a NumPy data type", MISS, "import numpy\nK = numpy.dtype('?')\ndef f(x): return x.astype(K)", "f4", "f8"),
    # ---- redefinition, recursion, cycles
    ("a function that is defined twice", MISS, "def f(x): return 1\n?", "", "def f(x): return 2"),
    ("a helper that is defined twice", MISS, "def g(x): return 1\ndef f(x): return g(x)\n?", "", "def g(x): return 2"),
    ("a number in a recursion", MISS, "def f(x): return f(x - ?) if x else 0", "1", "2"),
    (
        "a helper in a cycle of three",
        MISS,
        "def h(x): return f(x) + ?\ndef g(x): return h(x)\ndef f(x): return g(x)",
        "1",
        "2",
    ),
    (
        "a cycle of two modules",
        MISS,
        "import a\ndef g(x): return ?\ndef f(x): return a.h(x)\n--- a\nimport work\ndef h(x): return work.g(x)",
        "1",
        "2",
    ),
    ("a moved cycle", HIT, "def g(x): return f(x)\n?def f(x): return g(x)", "", "\n\n# moved\n"),
    (
        "what follows something that cannot be looked at",
        MISS,
        "class M(type):\n __hash__ = None\n def __eq__(s, o): raise RuntimeError\nA = M('A', (), {})()\nK = ?\n"
        "def f(x): return A, K",
        "1",
        "2",
    ),
    (
        "a function beside an object whose class fails at everything",
        MISS,
        "class M(type):\n def __getattribute__(s, n): raise RuntimeError\nA = M('A', (), {})()\ndef f(x): return A, ?",
        "1",
        "2",
    ),
    (
        "a function beside something that cannot be looked at",
        MISS,
        "class M(type):\n __hash__ = None\n def __eq__(s, o): raise RuntimeError\nA = M('A', (), {})()\n"
        "def f(x): return A, ?",
        "1",
        "2",
    ),
    # ---- what is no change
    ("how a number is written", HIT, "def f(x): return x + ?", "1000", "0x3e8"),
    ("a number that is worked out beforehand", HIT, "def f(x): return x + ?", "3600", "60 * 60"),
    ("how a text is quoted", HIT, "def f(x): return x + ?", "'a'", '"a"'),
    ("brackets that say nothing", HIT, "def f(x): return ?", "x + 1", "((x) + (1))"),
    ("the name of a local variable", HIT, "def f(x):\n ? = x + 1\n return ?", "y", "z"),
    ("the name of a nested function", HIT, "def f(x):\n def ?(): return 1\n return ?()", "g", "h"),
    ("an import that it does not use", HIT, "?def f(x): return x", "", "import math\n"),
    (
        "the order of definitions",
        HIT,
        "?",
        "def g(x): return 1\nclass C: pass\ndef f(x): return g(x), C",
        "def f(x): return g(x), C\nclass C: pass\ndef g(x): return 1",
    ),
    (
        "the order of an enum's unused member",
        HIT,
        "def f(x): return x\n?",
        "",
        "from enum import Enum\nclass E(Enum): a = 1",
    ),
    ("a type that is only annotated", HIT, "?def f(x): return x", "", "from typing import Any as T\nT = T\n"),
    (
        "a memo of functools that was used",
        HIT,
        "import functools\n@functools.lru_cache\ndef g(x): return 1\ndef f(x): return g(x)\n?",
        "",
        "f(1)",
    ),
    ("a function that was called", HIT, "def f(x): return x\n?", "", "f(1)"),
    (
        "a function that imported inside and was called",
        HIT,
        "def f(x):\n import json, a\n from p import b\n return json, a.g(x), b.h(x)\n?\n--- a\n"
        "def g(x): return 1\n--- p/__init__\n--- p/b\ndef h(x): return 1",
        "",
        "f(1)",
    ),
    (
        "a method that keeps what it made",
        HIT,
        "class C:\n c = None\n def m(self, x):\n  self.c = self.c or object()\n  return self.c\no = C()\nf = o.m\n?",
        "",
        "f(1)",
    ),
    (
        "a class that keeps what it made",
        HIT,
        "class C:\n c = None\n @classmethod\n def m(cls, x):\n  cls.c = cls.c or object()\n  return cls.c\nf = C.m\n?",
        "",
        "f(1)",
    ),
]

PROGRAMS = [source.replace("?", one) for _, _, source, one, _ in BATTERY]


def write(program: str, folder: Path) -> None:
    """Write the files of a program into a folder."""
    for part in f"--- work\n{program}".split("--- ")[1:]:
        name, _, text = part.partition("\n")
        file = folder / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture
def key_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Return a function that loads a program in this process and returns the key of its `f`."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    folders = map(str, range(9))

    def forget() -> None:
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
                del sys.modules[name]

    def load(program: str) -> str:
        folder = tmp_path / next(folders)
        write(program, folder)
        monkeypatch.syspath_prepend(folder)
        forget()
        return function_key(importlib.import_module("work").f).digest

    yield load
    forget()


@pytest.mark.parametrize(("what", "expected", "source", "one", "other"), BATTERY, ids=[row[0] for row in BATTERY])
def test_the_key_changes_where_it_should_and_nowhere_else(
    what: str, expected: str, source: str, one: str, other: str, key_of: Callable[[str], str]
) -> None:
    if "numpy" in source:
        pytest.importorskip("numpy")
    first, second = [key_of(source.replace("?", version)) for version in (one, other)]
    assert (HIT if first == second else MISS) == expected, what


def test_the_table_says_everything_once() -> None:
    assert len({what for what, *_ in BATTERY}) == len({tuple(row[2:]) for row in BATTERY}) == len(BATTERY)


PRINT_KEYS = """
import importlib, os, sys
from amorsize.identity.function import function_key
for folder in sorted(os.listdir()):
    sys.path.insert(0, os.path.abspath(folder))
    before = set(sys.modules)
    print(folder, function_key(importlib.import_module("work").f).digest)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(os.getcwd()):
            del sys.modules[name]
    del sys.path[0]
"""


def test_every_process_and_hash_seed_finds_the_same_keys(
    fresh_python: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numpy")
    for at, program in enumerate(PROGRAMS):
        write(program, tmp_path / f"{at:03}")
    found = set()
    for seed in ("0", "1"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # each process compiles the constants in its own order
        found.add(fresh_python("-c", PRINT_KEYS))
    assert len(found) == 1
    assert len(found.pop().splitlines()) == len(PROGRAMS)
