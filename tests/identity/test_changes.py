"""What functions change in place that a worker process has a copy of, and what only looks as if it were changed."""

from __future__ import annotations

import ctypes
import mmap
from types import SimpleNamespace
from typing import Any

import pytest

from amorsize.identity import changes
from amorsize.identity.changes import holds_of_one_process, is_of_one_process
from amorsize.identity.reach import reach
from amorsize.identity.uses import uses
from amorsize.records import Changes

PROGRAM = """
import bisect, functools, heapq, io, threading
from heapq import heappush
from collections import Counter, OrderedDict, defaultdict, deque
results, seen, counts, groups, known = [], set(), Counter(), defaultdict(list), {{}}
stats, latest, buffer, order = {{"n": 0}}, deque(), bytearray(), OrderedDict()
text, data = io.StringIO(), io.BytesIO()
class Tally:
    total = 0
    log = []
    def __init__(self): self.items = []; self.items.append(0); self.total += 1
    def add(self, n): self.items.append(n)
    def count(self, n): self.total += n; return n
    def keep(self, n): self.last = n; return n
    def set_up(self, n): self.last = n
    @classmethod
    def note(cls, n): cls.log.append(n); return n
    def __call__(self, n): self.total = self.total + n; return n
tally = Tally()
around = [tally]
{f}
"""


def made(source: str, **names: object) -> Any:
    """Return what is called `f` after a source text was run as a module of the user's; a bare body becomes one."""
    f = source if "f(" in source or "f =" in source else f"def f(n):\n {source}"
    namespace: dict[str, Any] = {"__name__": "users_module", **names}
    exec(PROGRAM.format(f=f), namespace)
    return namespace["f"]


CHANGED = [
    ("results.append(n)", "results"),
    ("results.extend([n]); return n", "results"),
    ("[results.append(m) for m in n]; return n", "results"),
    ("push = results.append; push(n); return n", "results"),
    ("own = results; own.append(n); return n", "results"),
    ("counted = stats['n']; counted += 1; stats['n'] = counted; return n", "stats"),
    ("list(map(results.append, n)); return n", "results"),
    ("if n not in seen: seen.add(n)\n return n", "seen"),
    ("latest.appendleft(n); return n", "latest"),
    ("latest.extendleft(n); return n", "latest"),
    ("buffer.extend(n); return n", "buffer"),
    ("counts.subtract(n); return n", "counts"),
    ("heapq.heappush(results, n); return n", "results"),
    ("heappush(groups[n], n); return n", "groups[...]"),
    ("bisect.insort(results, n); return n", "results"),
    ("text.write(str(n)); return n", "text"),
    ("data.writelines([n]); return n", "data"),
    ("counts.update(n); return n", "counts"),
    ("seen.update(n); return n", "seen"),
    ("counts[n] += 1; return n", "counts"),
    ("counts[n % 3 if n else 1] += 1; return n", None),  # not read: where an instruction may be jumped to
    ("stats['n'] += len(str(n)) + 1; return n", "stats"),
    ("stats['n'] = stats.get('n', 0) + 1; return n", "stats"),
    ("groups[n % 3].append(n); return n", "groups[...]"),
    ("known.setdefault(n, []).append(n); return n", "known[...]"),
    ("tally.total += n; return n", "tally.total"),
    ("tally.total = tally.total + n; return n", "tally.total"),
    ("around[0].total += n; return n", "around[...].total"),
    ("tally.add(n); return n", "tally.items"),
    ("Tally.total += n; return n", "Tally.total"),
    ("f.calls = f.calls + 1; return n", "f.calls"),
    ("def f(n, own=[]): own.append(n); return own", "own"),
    ("def g(own, n): own.append(n); return n\nf = functools.partial(g, results)", "own"),
    ("def g(n, own): own.append(n); return n\nf = functools.partial(g, own=results)", "own"),
    ("def g(n): results.append(n)\ndef f(n): g(n); return n", "results"),
    ("f = tally.count", "self.total"),
    ("f = Tally.note", "cls.log"),
    ("f = tally", "self.total"),
    ("f = functools.lru_cache(tally.count)", "self.total"),
    ("def g():\n n_seen = 0\n def f(n):\n  nonlocal n_seen\n  n_seen += 1\n  return n\n return f\nf = g()", "n_seen"),
    ("def g():\n own = []\n def f(n): own.append(n); return n\n return f\nf = g()", "own"),
    ("def f(n):\n global total\n total += n", "total"),
    # What returns nothing was called for what it stores.
    ("known[n] = n * n", "known"),
    ("order[n] = n", "order"),
    ("known[n] = len(known[n])", "known"),
    ("known[n] = known[n] / known[n + 1]", "known"),
    ("own = known[n]; known[n] = own.title()", "known"),
    ("results[n:n] = [n]", "results"),
    ("f = tally.set_up", "self.last"),
    ("f = lambda n: known.__setitem__(n, n)", None),  # it returns what that does
]

CHANGED_NOT = [
    "known[n] = n * n; return known[n]",
    "if n in known: return\n known[n] = n; print(n)",
    "if known.get(n) is None: known[n] = n\n print(known[n])",
    "if known[n] is None: known[n] = n\n print(known[n])",
    "try: own = known[n]\n except KeyError: own = known[n] = n\n print(own)",
    "known.update({n: n}); return n",
    "results.append(n); results.pop(); return n",
    "results.append(n); del results[:]; return n",
    "results.clear(); results.append(n); return n",
    "heapq.heappush(results, n); return heapq.heappop(results)",
    "bisect.insort(results, n); results.pop(); return n",
    "own = []; heapq.heappush(own, n); return own",
    "return bisect.bisect(results, n) + len(heapq.nsmallest(n, results))",
    "heappush(n, 3); return n",
    "text.seek(0); text.truncate(); text.write(n); return n",
    "data.write(n); return data.getvalue()",
    "f = lambda n: n.write(3)",
    "own = []; own.append(n); own[0] += 1; return own",
    "results = []; results.append(n); return results",
    "own = results; own = []; own.append(n); return own",
    "own = results + [n]; own.append(n); own[0] += 1; return own",
    "own = Tally(); own.add(n); own.total += 1; return own",
    "return len(results) + counts[n] + tally.total",
    "return results.count(n)",
    "f = tally.keep",
    "def f(n, own=None): own = []; own.append(n); return own",
    "def f(n):\n own = [n]\n def g(m): own.append(m)\n g(n)\n return own",
    "def f(n):\n def g(results): results.append(n)\n g(own := [])\n return own",
    "def f(n): local.n_calls += 1; return n\nlocal = threading.local()",
    "def f(n): yield results.append(n) if n is None else n\nresults = ()",
    "import sys; sys.path.append(n); sys.tracebacklimit += 1; return n",  # to make ready, as a rule
    "def get(n): return results\ndef f(n): get(n); own = get(n); return own",
    "n.append(1); n[0] = n.total = 3; n.total += 1; return n",  # the item, on its way to be the result
]

FILLED = [
    ("n['sum'] = 3", "n"),
    ("n.total = 3", "n"),
    ("n.total += 3", "n"),
    ("n.sort()", "n"),
    ("n.write(3)", None),  # how a document keeps itself
    ("n.parts[0].update(k=3)", "n"),
    ("n.sum = n.pop('sum')", "n"),
    ("if n: return\n n.append(3)", "n"),
    ("(lambda: n.append(3))()", "n"),
    ("parts = n.parts; parts[0] = 3", "n"),
    ("n = dict(n); n['sum'] = 3", None),
    ("n['sum'] = 3; return n", None),
    ("n['sum'] = 3; return len(n) or None", None),
    ("n['sum'] = 3; return n and n['sum'] and None", None),
    ("print(n['sum'], n.total, n.keys())", None),
    ("def f(n): yield n.sort()", None),
    ("async def f(n): n.sort()", None),
    ("f = Tally.set_up", "self"),
    ("def g(own, n): n.sort()\nf = functools.partial(g, 3)", "n"),
    ("f = print", None),
    ("f = Tally", None),
]


@pytest.mark.parametrize(("source", "told"), CHANGED)
def test_what_outlives_the_call_is_named_as_the_user_writes_it(source: str, told: str | None) -> None:
    assert reach(made(source)).changes.named == (() if told is None else (told,))


@pytest.mark.parametrize("source", CHANGED_NOT)
def test_memos_steps_and_what_is_in_use_for_a_while_are_left_in_peace(source: str) -> None:
    changes = reach(made(source)).changes
    assert (changes.named, changes.item) == ((), None)


@pytest.mark.parametrize(("source", "told"), FILLED)
def test_an_item_is_changed_for_others_where_nothing_is_returned(source: str, told: str | None) -> None:
    assert reach(made(source)).changes.item == told


def test_whether_something_is_returned_is_told_at_each_end() -> None:
    silent = ["n.sort()", "if n: return\n n.sort()", "for m in n: m.sort()", "try: n.sort()\n finally: print(n)"]
    silent += ["n.sort(); n and n.clear()", "with n:\n  n.sort(); return"]
    telling = ["if n: return n\n n.sort()", "n.sort(); return 0", "n.sort(); yield"]
    telling += ["n.sort(); return n or None", "if n: return n and None\n n.sort()", "n.sort(); return n if n else None"]
    assert [source for source in silent + telling if reach(made(source)).changes.is_silent] == silent


def test_a_code_with_more_names_and_constants_than_an_instruction_has_room_for_is_read() -> None:
    many = "; ".join(f"a{k} = n.a{k} + {k}.5" for k in range(300))
    assert reach(made(f"{many}; stats['n'] += 1.25; results.append(n)")).changes == Changes(
        named=("stats", "results"), is_silent=True
    )


def test_of_a_large_program_only_what_is_near_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Any] = []

    def noted(code: Any) -> Any:
        read.append(code)
        return uses(code)

    monkeypatch.setattr(changes, "uses", noted)
    parts = "\n".join(f"def g{k}(n): " + "; ".join([f"stats['{k}'] += n"] * 20) for k in range(400))
    named = reach(made(f"{parts}\ndef f(n):\n results.append(n)\n return {'+'.join(f'g{k}(n)' for k in range(400))}"))
    assert named.changes.named == ("results", "stats")
    assert 1 < len(read) < 100


def test_memory_of_several_processes_is_not_meant() -> None:
    numpy = pytest.importorskip("numpy")
    shared = numpy.frombuffer(mmap.mmap(-1, 80))
    number = ctypes.c_int(0)
    table = numpy.frombuffer(mmap.mmap(-1, 80)).reshape(5, 2)
    own = numpy.zeros(10)
    for rows, told in ((own, "rows"), (own[2:], "rows"), (shared, None), (shared[2:], None), (memoryview(own), None)):
        assert reach(made("rows[n] = 3", rows=rows)).changes.named == (() if told is None else (told,))
        assert is_of_one_process(rows) is (told is not None)
    assert reach(made("number.value += 1; return n", number=number)).changes.named == ()
    for source in ("row = rows[n]; row[:] = 3", "rows[n][0] = 3", "rows[n] += 3"):
        assert reach(made(source, rows=table)).changes.named == ()
    for rows in ({"out": table}, [table], [number, {}]):
        assert reach(made("rows[n][0] = 3", rows=rows)).changes.named == ()
        assert reach(made("rows.append(n) if n else rows.update(n)", rows=[table])).changes.named == ("rows",)
        assert not holds_of_one_process(rows)
    assert holds_of_one_process({"out": own})
    assert not holds_of_one_process((table, 3))
    values: list[Any] = [number, {}, "text", SimpleNamespace(n=1)]
    assert [is_of_one_process(value) for value in values] == [False, True, True, True]


def test_a_class_that_fails_when_it_is_looked_at_keeps_its_changes_to_itself() -> None:
    class Failing(type):
        @property
        def __mro__(cls) -> Any:
            raise RuntimeError("not now")

    class Held(metaclass=Failing):
        n = 0

    assert reach(made("held.n += 1; return n", held=Held())).changes == Changes()


ASSIGNED = [
    ("global last; last = n; return n", {"last"}),
    ("global best; best = n if best is None or n > best else best; return n", {"best"}),
    ("global best\n if best is None or n > best: best = n * 2\n return n", {"best"}),
    ("global best\n if best is None: best = 0\n best += n", {"best"}),
    ("global first\n if first is None: first = n\n return n", {"first"}),
    ("global first\n if first is not None: print(n)\n first = n * 2; return n", {"first"}),
    (
        "def inner():\n  global inner_one, n_calls; inner_one = 1; n_calls += 1\n return inner()",
        {"inner_one", "n_calls"},
    ),
    ("def g():\n global total; total = 1\ndef f(n):\n return g()", {"total"}),
    ("def f(n):\n def g():\n  nonlocal n; n = 1\n y = n; n.a = y", set()),
    ("global model\n if model is None: model = load()\n return model(n)", set()),
    ("global model\n if not model:\n  with lock:\n   if not model: model = load()\n return model(n)", set()),
    ("global model\n if model is not None: return model(n)\n model = load()\n return model(n)", set()),
    ("global model\n if model: return model\n for n in files:\n  model = load(n)\n return model", set()),
    ("global is_warm\n if not is_warm: warm_up(); is_warm = True\n return n", set()),
    ("global is_cold\n if is_cold: warm_up(); is_cold = False\n return n", set()),
    ("def get():\n global model\n if model is None: model = load()\n return model\ndef f(n):\n return get()(n)", set()),
]


@pytest.mark.parametrize(("source", "told"), ASSIGNED)
def test_globals_that_are_assigned_are_named_but_for_those_made_where_they_are_missing(
    source: str, told: set[str]
) -> None:
    assert reach(made(source)).changes.assigned == tuple(sorted(told))
