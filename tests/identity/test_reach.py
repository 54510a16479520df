"""Which live handles a function can lay its hands on, and which globals it assigns."""

from __future__ import annotations

import asyncio
import contextvars
import csv
import functools
import io
import itertools
import json
import logging
import math
import multiprocessing
import queue
import random
import select
import shelve
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from amorsize.identity.reach import reach, reach_with, shared_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def library() -> Iterator[ModuleType]:
    sys.modules["lib"] = module = ModuleType("lib")
    module.__file__ = "/somewhere/site-packages/lib.py"
    yield module
    del sys.modules["lib"]


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(":memory:")
    yield made
    made.close()


@pytest.fixture
def plug() -> Iterator[socket.socket]:
    with socket.socket() as made:
        yield made


def function_over(source: str, **names: object) -> Callable[..., Any]:
    """Return the function `f` of a source text whose globals hold these names."""
    namespace: dict[str, Any] = {"__name__": "users_module", **names}
    exec(source, namespace)
    found: FunctionType = namespace["f"]
    return found


def handles_of(held: object) -> tuple[str, ...]:
    return reach(function_over("def f(x): return HELD", HELD=held)).handles


# ---- what is a live handle


def test_a_database_connection_and_its_cursor_are_handles(connection: sqlite3.Connection) -> None:
    assert handles_of(connection) == ("HELD (sqlite3.Connection)",)
    assert handles_of(connection.cursor()) == ("HELD (sqlite3.Cursor)",)


def test_a_socket_is_a_handle_until_it_is_closed(plug: socket.socket) -> None:
    assert handles_of(plug) == ("HELD (socket.socket)",)
    plug.close()
    assert handles_of(plug) == ()


@pytest.mark.parametrize(("mode", "name"), [("r", "TextIOWrapper"), ("rb", "BufferedReader"), ("wb", "BufferedWriter")])
def test_a_file_is_a_handle_until_it_is_closed(mode: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (tmp_path / "file").open(mode) as file:
        assert handles_of(file) == (f"HELD (_io.{name})",)
    assert handles_of(file) == ()


def test_a_temporary_file_is_found_inside_its_wrapper() -> None:
    with tempfile.NamedTemporaryFile() as file:
        assert handles_of(file) == ("HELD.file (_io.BufferedRandom)",)


def test_a_file_is_found_behind_what_writes_to_it(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        assert handles_of(file.write) == ("HELD (_io.TextIOWrapper)",)
        assert handles_of(csv.writer(file)) == ("HELD (_csv.writer)",)
        assert handles_of(csv.DictWriter(file, ["n"])) == ("HELD.writer (_csv.writer)",)


def test_a_shelf_is_a_handle(tmp_path: Path) -> None:
    with shelve.open(str(tmp_path / "shelf")) as shelf:
        assert handles_of(shelf) == ("HELD (shelve.DbfilenameShelf)",)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (threading.Lock, "_thread.lock"),
        (threading.RLock, "_thread.RLock"),
        (threading.Condition, "threading.Condition"),
        (threading.Semaphore, "threading.Semaphore"),
        (threading.Event, "threading.Event"),
        (queue.Queue, "queue.Queue"),
        (queue.SimpleQueue, "_queue.SimpleQueue"),
        (ThreadPoolExecutor, "concurrent.futures.thread.ThreadPoolExecutor"),
    ],
)
def test_what_threads_share_is_a_handle(make: Callable[[], object], name: str) -> None:
    assert handles_of(make()) == (f"HELD ({name})",)


log = threading.Lock()


def test_an_attribute_is_no_global_of_that_name() -> None:
    assert reach(lambda x: math.log(x)).handles == ()
    assert reach(lambda x: [math.log(x), log][0]).handles == ("log (_thread.lock)",)

    def with_class_body() -> object:
        class Holder:
            held = log

        return Holder

    assert reach(with_class_body).handles == ("log (_thread.lock)",)


class Dice(random.Random):
    pass


def test_a_random_generator_is_a_handle() -> None:
    assert handles_of(random.Random(1)) == ("HELD (random.Random)",)
    assert len(handles_of({"dice": Dice(1)})) == 1
    numpy_random = pytest.importorskip("numpy.random")
    assert handles_of(numpy_random.default_rng(1)) == ("HELD (numpy.random._generator.Generator)",)
    assert handles_of(numpy_random.RandomState(1)) == ("HELD (numpy.random.mtrand.RandomState)",)


@pytest.mark.parametrize(
    "held", [itertools.count(), iter([1, 2]), (n for n in range(3)), csv.reader(["a,b"])], ids=lambda held: type(held)
)
def test_what_gives_each_who_asks_something_else_is_a_handle(held: Iterator[object]) -> None:
    name = f"{type(held).__module__}.{type(held).__name__}"
    assert handles_of(held) == (f"HELD ({name})",)
    assert handles_of(held.__next__) == (f"HELD ({name})",)


class Model:
    def __init__(self) -> None:
        self.rng = random.Random(1)
        self.weights = {"a.b": self.rng.random()}

    def score(self, x: float) -> float:
        return x * self.weights["a.b"]

    def noisy(self, x: float) -> float:
        return self.score(x) + self._noise()

    def _noise(self) -> float:
        return self.rng.gauss()


def test_a_random_generator_that_no_code_names_is_nobody_s_handle() -> None:
    assert reach(Model().score).handles == ()
    assert reach(Model().noisy).handles == ("self.rng (random.Random)",)


def test_an_event_loop_is_a_handle_until_it_is_closed() -> None:
    loop = asyncio.new_event_loop()
    try:
        assert len(handles_of(loop)) == 1
    finally:
        loop.close()
    assert handles_of(loop) == ()


def test_a_subprocess_is_a_handle_until_it_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert handles_of(child) == ("HELD (subprocess.Popen)",)
    assert handles_of(child) == ()


def test_an_epoll_object_is_a_handle() -> None:
    if sys.platform != "linux":
        pytest.skip("epoll is Linux's")
    with select.epoll() as poll:
        assert handles_of(poll) == ("HELD (select.epoll)",)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("psycopg2.extensions", "connection"),
        ("pymysql.connections", "Connection"),
        ("pymongo.mongo_client", "MongoClient"),
        ("redis.client", "Redis"),
        ("sqlalchemy.engine.base", "Engine"),
        ("requests.sessions", "Session"),
        ("urllib3.poolmanager", "PoolManager"),
        ("aiohttp.client", "ClientSession"),
    ],
)
def test_a_client_of_a_known_library_is_a_handle_and_so_is_a_user_s_subclass(module: str, name: str) -> None:
    base = type(name, (), {"__module__": module})
    derived = type("Mine", (base,), {"__module__": "users_module"})
    assert handles_of(base()) == (f"HELD ({module}.{name})",)
    assert handles_of(derived()) == ("HELD (users_module.Mine)",)


def test_a_client_that_says_that_it_is_closed_is_none() -> None:
    class Session:
        __module__ = "aiohttp.client"
        closed = True

    assert handles_of(Session()) == ()


class Strict:
    """Like a Mongo database: every attribute is a collection, and collections are neither called nor true."""

    def __getattr__(self, name: str) -> Strict:
        return self

    def __call__(self) -> None:
        raise TypeError

    def __bool__(self) -> bool:
        raise NotImplementedError


def test_a_client_that_cannot_be_asked_counts_as_live() -> None:
    kind = type("Database", (Strict,), {"__module__": "pymongo.database"})
    assert handles_of(kind()) == ("HELD (pymongo.database.Database)",)


# ---- what is none


class Unusable:
    @property
    def __dict__(self) -> dict[str, object]:  # type: ignore[override]  # fails on purpose
        raise RuntimeError


@functools.lru_cache
def cached(x: object) -> object:
    return x


@pytest.mark.parametrize(
    "held",
    [
        logging,
        logging.getLogger("users"),
        sys.stdout,
        sys.__stderr__,
        io.StringIO(),
        io.BytesIO(),
        cached,
        logging.StreamHandler(),
        urllib.request,
        threading.local(),
        random.SystemRandom(),
        random.choice,
        "".join,
        sys.stdout.write,
        len,
        Unusable(),
        [1, "a", None],
        object(),
    ],
    ids=lambda held: type(held).__name__,
)
def test_no_handle_is(held: object) -> None:
    assert handles_of(held) == ()


@pytest.mark.needs_fork  # the other start methods would start a process of multiprocessing's own
def test_what_multiprocessing_makes_to_be_shared_is_no_handle() -> None:
    context = multiprocessing.get_context("fork")
    shared = context.Queue()
    try:
        assert handles_of([context.Lock(), context.Event(), shared]) == ()
    finally:
        shared.close()


@pytest.mark.parametrize("held", [threading.Lock(), random.Random(1)], ids=["lock", "generator"])
def test_a_lock_or_generator_inside_a_library_s_object_is_the_library_s_affair(
    held: object, library: ModuleType
) -> None:
    model: Any = type("Model", (), {"__module__": library.__name__})()
    model.held = held
    assert handles_of(model) == ()


# ---- where it looks


def test_of_a_library_s_wrapper_the_function_counts_and_little_of_its_bookkeeping(
    plug: socket.socket, library: ModuleType
) -> None:
    wrapper: Any = type("Dispatcher", (), {"__module__": library.__name__})()
    wrapper.kept = {"a": plug}
    assert handles_of(wrapper) == ("HELD.kept['a'] (socket.socket)",)
    wrapper.kept = {"a": {"b": [plug]}}
    assert handles_of(wrapper) == ("HELD.kept['a']['b'][0] (socket.socket)",)
    wrapper.py_func = abs
    assert handles_of(wrapper) == ()
    wrapper.py_func = function_over("def f(x): return plug.send(x)", plug=plug)
    assert handles_of(wrapper) == ("plug (socket.socket)",)


@pytest.mark.parametrize("maxsize", [8, None])
@pytest.mark.parametrize("argument", [(), ("host",), ("host", 80)])
def test_a_cached_connection_is_a_handle(
    plug: socket.socket, maxsize: int | None, argument: tuple[object, ...]
) -> None:
    wires = [plug]
    cache = functools.lru_cache(maxsize)(lambda *_: wires.pop())
    function = function_over("def f(x): return connect().send(x)", connect=cache)
    assert reach(function).handles == ("wires[0] (socket.socket)",)
    cache(*argument)
    assert reach(function).handles == ("connect() (socket.socket)",)
    cache.cache_clear()
    assert reach(function).handles == ()


def test_a_cache_of_many_results_holds_data_and_is_not_looked_into(plug: socket.socket) -> None:
    cache = functools.cache(function_over("def f(x): return x"))
    for n in range(40):
        cache(n)
    cache(plug)
    assert reach(function_over("def f(x): return cache(x)", cache=cache)).handles == ()


class Local(threading.local):
    met: list[int] = []  # noqa: RUF012  # shared on purpose

    def __init__(self) -> None:
        self.met.append(threading.get_ident())


@pytest.mark.parametrize("kind", [threading.local, Local])
def test_a_handle_of_this_thread_alone_is_told_from_those_that_threads_share(
    kind: type[threading.local], plug: socket.socket
) -> None:
    local = kind()
    function = function_over("def f(x): return LOCAL.client.send(x)", LOCAL=local)
    assert reach(function) == reach(print)
    local.client = Client(plug)
    local.lock = threading.Lock()
    assert reach(function).thread_handles == ("LOCAL.client._sock (socket.socket)",)
    assert reach(function).handles == ()
    plug.close()
    assert reach(function).thread_handles == ()


def test_a_context_variable_counts_where_it_has_a_value() -> None:
    level: contextvars.ContextVar[int] = contextvars.ContextVar("level", default=0)
    function = function_over("def f(x): return LEVEL.get()", LEVEL=level)
    assert reach(function).context == ()
    context = contextvars.copy_context()
    context.run(level.set, 1)
    assert context.run(reach, function).context == ("LEVEL",)
    assert reach(function).context == ()


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def f(x): return hash(x) % 16", {}),
        ("def f(x): return list(map(hash, x))", {}),
        ("def f(x): return G(x)", {"G": function_over("def f(x): return {hash(word) for word in x}")}),
    ],
)
def test_a_function_that_asks_for_a_hash_is_known_for_it(source: str, names: dict[str, object]) -> None:
    assert reach(function_over(source, **names)).hashes
    assert reach(hash).hashes


class Pair:
    def __init__(self, parts: tuple[str, str]) -> None:
        self.parts = parts

    def __hash__(self) -> int:
        return hash(self.parts)


def test_a_hash_that_only_sorts_things_into_sets_is_none() -> None:
    assert not reach(function_over("def f(x): return len({Pair(x)})", Pair=Pair)).hashes
    assert not reach(function_over("def f(x): return x.hash() + image.hash(x)", image=sys)).hashes
    assert not reach(function_over("def f(x): return hash(x)", hash=len)).hashes


def test_a_thread_that_a_local_has_not_met_is_not_introduced_to_it() -> None:
    local = Local()
    function = function_over("def f(x): return LOCAL.client.send(x)", LOCAL=local)
    Local.met.clear()
    looking = threading.Thread(target=reach, args=(function,))
    looking.start()
    looking.join()
    assert Local.met == []


def test_it_looks_through_helpers_and_modules_of_the_user(plug: socket.socket) -> None:
    helping = ModuleType("helping")
    helping.__dict__["PLUG"] = plug
    assert reach(function_over("def g(x): return h.PLUG\ndef f(x): return g(x)", h=helping)).handles == (
        "h.PLUG (socket.socket)",
    )


def test_it_looks_into_cells_and_defaults(plug: socket.socket) -> None:
    def closing(x: object) -> object:
        return plug, x

    def defaulting(x: object, wire: object = plug, *, lock: object = threading.Lock()) -> object:
        return x, wire, lock

    assert reach(closing).handles == ("plug (socket.socket)",)
    assert reach(defaulting).handles == ("wire (socket.socket)", "lock (_thread.lock)")


class Client:
    def __init__(self, wire: socket.socket) -> None:
        self._sock = wire


class Service:
    shared: object = None

    def __init__(self, client: object) -> None:
        self.client = client

    def ask(self, x: object) -> object:
        return self.pass_on(x)

    def pass_on(self, x: object) -> object:
        return self.shared, x

    def __call__(self, x: object) -> object:
        return x


class Slotted:
    __slots__ = ("unset", "wire")

    def __init__(self, wire: object) -> None:
        self.wire = wire

    def ask(self, x: object) -> object:
        return x


def test_it_looks_into_the_object_of_a_bound_method(plug: socket.socket) -> None:
    assert reach(Service(Client(plug)).ask).handles == ("self.client._sock (socket.socket)",)
    assert reach(Slotted(plug).ask).handles == ("self.wire (socket.socket)",)


def test_it_looks_at_class_attributes_that_a_method_s_methods_name(
    plug: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Service, "shared", plug)
    assert reach(Service(None).ask).handles == ("Service.shared (socket.socket)",)


def test_it_looks_into_callable_objects_and_partials(plug: socket.socket) -> None:
    assert reach(Service(Client(plug))).handles == ("client._sock (socket.socket)",)
    assert reach(functools.partial(print, plug)).handles == ("args[0] (socket.socket)",)
    assert reach(functools.partial(dict, file=Client(plug))).handles == ("keywords['file']._sock (socket.socket)",)


def test_it_looks_behind_wrappers(plug: socket.socket) -> None:
    def asks(x: object) -> object:
        return plug, x

    assert reach(functools.lru_cache(asks)).handles == ("plug (socket.socket)",)
    assert reach(functools.wraps(asks)(lambda x: x)).handles == ("plug (socket.socket)",)


def test_it_looks_into_containers(plug: socket.socket) -> None:
    assert handles_of({"a": [1, (plug,)]}) == ("HELD['a'][1][0] (socket.socket)",)
    assert handles_of({plug}) == ("HELD[0] (socket.socket)",)


@pytest.mark.parametrize("kind", [dict, list, tuple, set, frozenset])
def test_it_looks_into_a_container_whose_own_methods_fail(kind: type, plug: socket.socket) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("closed for iteration")

    closed = type("Closed", (kind,), {"items": fail, "__iter__": fail, "__len__": fail})
    held = closed([("a", plug)] if kind is dict else [plug])
    assert handles_of(held) == (f"HELD[{'a' if kind is dict else 0!r}] (socket.socket)",)


def test_it_names_a_handle_once(plug: socket.socket) -> None:
    assert reach(function_over("def g(): return P\ndef f(x): return P, Q, g()", P=plug, Q=plug)).handles == (
        "P (socket.socket)",
    )


def test_a_huge_or_endless_structure_comes_to_an_end() -> None:
    endless: dict[str, object] = {}
    endless["self"] = endless
    node: Any = Client.__new__(Client)
    node._sock = node
    assert handles_of([endless, node, list(range(10**6)), [object() for _ in range(10**4)]]) == ()


def test_code_of_the_root_s_own_package_is_looked_at_where_it_is_installed(plug: socket.socket) -> None:
    source = "def g(x): return PLUG\ndef f(x): return g(x)"
    assert reach(function_over(source, PLUG=plug, __file__="/somewhere/site-packages/users_module.py")).handles == (
        "PLUG (socket.socket)",
    )


def test_a_handle_opened_since_the_last_look_is_seen(tmp_path: Path) -> None:
    function = function_over("def f(x): return HELD", HELD=None)
    assert reach(function).handles == ()
    with (tmp_path / "file").open("w") as function.__globals__["HELD"]:
        assert len(reach(function).handles) == 1


# ---- what items hold


def test_a_handle_that_two_items_hold_is_shared(plug: socket.socket) -> None:
    assert shared_by([plug, plug]) == "item (socket.socket)"
    assert shared_by([(1, plug), (2, plug)]) == "item[1] (socket.socket)"
    assert shared_by([1, {"client": Client(plug)}, Client(plug)]) == "item._sock (socket.socket)"
    assert shared_by([functools.partial(print, plug), lambda: plug]) == "plug (socket.socket)"
    lock = threading.Lock()
    assert shared_by([(lock, 1), (lock, 2)]) == "item[0] (_thread.lock)"


class Task:
    """Its class names a handle, but who has such an item may not call that."""

    wire: object = None

    def __init__(self, n: int) -> None:
        self.n = n if self.wire is None else -n


def test_items_that_share_no_live_handle_are_free(
    plug: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Task, "wire", plug)
    files = [(tmp_path / name).open("w") for name in "ab"]
    free: list[list[object]] = [
        [],
        [plug],
        [1, "a", None],
        [(plug, 1), (1, 2)],
        [(file, 1) for file in files],
        [(sys.stdout, 1), (sys.stdout, 2)],
        [(io.StringIO(), logging.getLogger("users"))] * 2,
        [(print, sys, json.loads, tmp_path)] * 2,
        [Task(1), Task(2)],
        [[[]] * 10**5] * 2,
        [(Unusable(), object())] * 2,
    ]
    assert [shared_by(items) for items in free] == [None] * len(free)
    for file in files:
        file.close()
    assert shared_by(files[:1] * 2) is None


COMPOSED = """
class Inner:
    def compute(self, x): return PLUG.send(x)
class Outer:
    def __init__(self): self.inner = Inner()
    def run(self, x): return self.inner.compute(x)
    def close(self): return LOCK
OUTER = Outer()
"""


@pytest.mark.parametrize("call", ["OUTER.run(x)", "Outer().run(x)", "OUTER.inner.compute(x)"])
def test_it_looks_into_the_methods_of_what_an_object_holds(call: str, plug: socket.socket) -> None:
    function = function_over(f"{COMPOSED}def f(x): return {call}", PLUG=plug, LOCK=threading.Lock())
    assert reach(function).handles == ("PLUG (socket.socket)",)
    assert reach(function.__globals__["OUTER"].run).handles == ("PLUG (socket.socket)",)


def test_it_looks_into_the_methods_of_items_that_are_called(plug: socket.socket) -> None:
    function = function_over(f"{COMPOSED}def f(x): return x.run(1)", PLUG=plug, LOCK=threading.Lock())
    outer = function.__globals__["OUTER"]
    assert reach(function).handles == ()
    assert reach_with(function, [outer]).handles == ("PLUG (socket.socket)",)
    assert reach_with(function, [(1, outer)]).handles == ("PLUG (socket.socket)",)
    assert reach_with(function, [1, "a", (None, Unusable())]).handles == ()
    assert reach_with(function_over("def f(x): return x.other", PLUG=plug), [outer]).handles == ()


def test_what_the_caller_has_put_into_a_local_is_told_from_what_the_function_makes() -> None:
    local = threading.local()
    local.tenant = local.client = 1
    takes = function_over("def f(x): return getattr(LOCAL, 'tenant', None)", LOCAL=local)
    assert reach(takes).brought == ("LOCAL.tenant", "LOCAL.client")
    makes = function_over("def f(x):\n if not hasattr(LOCAL, 'client'): LOCAL.client = 1\n return x", LOCAL=local)
    assert reach(makes).brought == ("LOCAL.tenant",)
    sets = function_over("def f(x): setattr(LOCAL, x, 1)", LOCAL=local)
    assert reach(sets).brought == ()
    made = Made()
    uses = function_over("def f(x): return LOCAL.client", LOCAL=made)
    assert reach(uses).brought == ()
    made.user, made.depth = Unusable(), 2
    assert reach(uses).brought == ("LOCAL.user", "LOCAL.depth")
    counts = function_over("def f(x): LOCAL.depth += 1; return LOCAL.user", LOCAL=made)
    assert reach(counts).brought == ("LOCAL.user",)


class Made(threading.local):
    def __init__(self) -> None:
        self.user: object = None
        self.depth = 1000
        self.client = Unusable()


@pytest.mark.parametrize("callable_", [len, print, int, "a".join, None, 3, Unusable()], ids=repr)
def test_nothing_makes_it_raise(callable_: object) -> None:
    assert reach(callable_).handles == ()
