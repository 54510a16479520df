"""Know a live handle by its type: something that a second process, or a second thread, must not use at the same time.
So it is with a random generator, and with any iterator: of two copies, both would draw the same.

Libraries are recognised by name, so that none of them is imported. Modules, loggers, standard streams and what
multiprocessing makes to be shared are no handles; what an `lru_cache` or a `threading.local` holds may be one.
"""

from __future__ import annotations

import gc
import sys

from amorsize.identity.code import CODE_TYPE
from amorsize.identity.loads import ModuleType, is_class
from amorsize.identity.values import PLAIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from amorsize.identity.loads import Named

# Package -> names of its types that hold a connection, a descriptor, or threads. A subclass counts too. What is missing
# here is usually found one step deeper, by the socket or file that it holds.
_HANDLES = {
    "_io": "_IOBase",
    "_socket": "socket",
    "_ssl": "_SSLSocket",
    "_csv": "writer",  # does not tell the file that it holds
    "aiohttp": "ClientSession",
    "asyncio": "BaseEventLoop",
    "botocore": "BaseClient",
    "concurrent": "Executor",
    "duckdb": "DuckDBPyConnection",
    "elasticsearch": "Elasticsearch",
    "grpc": "Channel",
    "h5py": "File",
    "http": "HTTPConnection",
    "httpx": "Client AsyncClient",
    "kafka": "KafkaProducer KafkaConsumer",
    "multiprocessing": "Pool",
    "mysql": "MySQLConnectionAbstract MySQLCursorAbstract",
    "MySQLdb": "Connection BaseCursor",
    "oracledb": "Connection Cursor",
    "paramiko": "SSHClient Transport",
    "pika": "Connection BlockingConnection",
    "psycopg": "BaseConnection BaseCursor",
    "psycopg2": "connection cursor",
    "psycopg_pool": "BasePool",
    "pymongo": "MongoClient AsyncMongoClient Database Collection",
    "pymysql": "Connection Cursor",
    "pyodbc": "Connection Cursor",
    "redis": "Redis Connection ConnectionPool AbstractConnection",
    "requests": "Session",
    "select": "epoll poll kqueue devpoll",
    "selectors": "BaseSelector",
    "shelve": "Shelf",
    "sqlalchemy": "Engine Connection Session AsyncEngine AsyncConnection AsyncSession",
    "sqlite3": "Connection Cursor Blob",
    "ssl": "SSLObject",
    "subprocess": "Popen",
    "urllib3": "PoolManager ConnectionPool",
    "uvloop": "Loop",
    "zmq": "Context Socket",
}

# What threads wait on. Libraries guard objects of their own with these, and rightly: they count only where the user's
# own code holds them.
_LOCKS = {
    "_queue": "SimpleQueue",
    "_thread": "lock LockType RLock",
    "queue": "Queue",
    "threading": "_RLock Condition Semaphore Event Barrier",
}

# What draws random numbers from a state of its own. What a library keeps in its objects it may never draw from again.
_GENERATORS = {"numpy": "Generator RandomState", "random": "Random", "torch": "Generator"}

# Whose iterators draw from what they were made of: `itertools.count()` gives each item a number of its own.
_ITERATORS = ("_csv", "builtins", "itertools")

_BUILTIN_METHODS = frozenset({type([].append), type([].__len__)})

# Not looked into: they hold locks or streams of their own and know what to do in a second process.
_OPAQUE = frozenset({"logging", "multiprocessing", "weakref", "_weakref", "_frozen_importlib", "_thread", "threading"})

# What lets nobody see into it by attributes; the garbage collector does.
_KEEPERS = {("functools", "_lru_cache_wrapper"): "cache", ("_thread", "_local"): "local"}

# Results up to which a cache is looked into, 20 us then: one of connections has few, and one of more holds data.
_MAX_CACHED = 32

# What `fileno` returns for a closed socket, and for the standard streams.
_NO_DESCRIPTORS = frozenset({-1, 0, 1, 2})

# What puts a constant on the stack; newer Pythons have three ways. As far as the instruction's name is read here.
_CONSTANT = ("LOAD_COMM", "LOAD_CONS", "LOAD_SMAL")

# Types remembered. One costs 0.1 KB; judging one takes 2 to 10 us.
_MAX_TYPES = 4096

HANDLE, LOCK, GENERATOR = "handle", "lock", "generator"
OPAQUE, ORDINARY, CACHE, LOCAL = "opaque", "ordinary", "cache", "local"

_judged: dict[type, str] = {}


def judge(kind: type) -> str:
    """Tell what objects of a type are: HANDLE, LOCK, GENERATOR, CACHE, LOCAL, OPAQUE (not to be looked into) or
    ORDINARY."""
    known = _judged.get(kind)
    if known is None:
        if len(_judged) >= _MAX_TYPES:
            _judged.clear()
        known = _judged[kind] = _judge(kind)
    return known


def _judge(kind: type) -> str:
    packages = [(str(base.__module__).partition(".")[0], base.__name__) for base in kind.__mro__]
    if any(name in _HANDLES.get(package, "").split() for package, name in packages):
        return HANDLE
    if any(name in _LOCKS.get(package, "").split() for package, name in packages):
        return LOCK
    if any(name in _GENERATORS.get(package, "").split() for package, name in packages):
        return ORDINARY if ("random", "SystemRandom") in packages else GENERATOR
    if kind.__module__ in _ITERATORS and hasattr(kind, "__next__"):
        return GENERATOR
    for place in packages:
        if place in _KEEPERS:
            return _KEEPERS[place]
    return OPAQUE if any(package in _OPAQUE for package, _ in packages) else ORDINARY


def cached(cache: Any) -> list[object]:  # Any: typeshed's own type for it is private
    """List what an `lru_cache` holds: results, and more that it is made of."""
    if cache.cache_info().currsize > _MAX_CACHED:
        return []
    held = gc.get_referents(cache)  # without a limit its results stand in a dict, else each by itself
    held += [result for part in held if type(part) is dict for result in part.values()]
    return [part for part in held if type(part) not in PLAIN and type(part) is not dict and not is_class(part)]


def of_threads(local: object) -> Named:
    """List what threads hold in a `threading.local`, which is not asked itself: it would call an `__init__` of the
    user's for a thread that it has not met. What that gives to every thread is left out, where it is a constant."""
    tables = [held for held in gc.get_referents(local) if type(held) is dict]  # thread -> its attributes
    found = [table for held in tables for key, table in held.items() if type(key) is not str and type(table) is dict]
    given = constants_given(type(local).__init__)
    return [(name, value) for table in found for name, value in table.items() if not _is(value, given.get(name, given))]


def constants_given(init: object) -> dict[str, object]:
    """Return the attributes to which an `__init__` gives a constant; another value is from elsewhere. Other functions
    give none."""
    code = getattr(init, "__code__", None)
    if not isinstance(code, CODE_TYPE) or code.co_name != "__init__":
        return {}
    import dis

    steps = [(step.opname[:9], step.argval) for step in dis.get_instructions(code)]
    triples = zip(steps, steps[1:], steps[2:], strict=False)
    return {
        str(name): value
        for (loads, value), (of, _), (stores, name) in triples
        if (loads in _CONSTANT, of, stores) == (True, "LOAD_FAST", "STORE_ATT")
    }


def _is(value: object, constant: object) -> bool:
    return value is constant or (type(value) is type(constant) and type(value) in PLAIN and value == constant)


def behind(value: Any) -> object:  # Any: typeshed knows no type for `[].__len__`
    """Return what a built-in method is bound to, such as the file of `file.write`; anything else as it is."""
    held = value.__self__ if type(value) in _BUILTIN_METHODS else None
    return value if held is None or type(held) is ModuleType else held


def is_live(handle: object) -> bool:
    """Tell whether a handle is still in use: not closed, not ended, not a standard stream, not in memory only; nor the
    generator behind the functions of `random`, which each process seeds anew."""
    if handle is getattr(sys.modules.get("random"), "_inst", None):
        return False
    if any(handle is getattr(sys, name) for name in ("stdin", "stdout", "stderr", "__stdout__", "__stderr__")):
        return False
    try:
        return not _is_over(handle)
    except (OSError, ValueError):  # a file that is closed, or has no descriptor: StringIO, BytesIO
        return False
    except Exception:  # a library's own type that means something else by these names: taken for live
        return True


def _is_over(handle: Any) -> bool:  # Any: each library has its own way to tell
    if type(getattr(handle, "returncode", None)) is int:  # a subprocess that has ended
        return True
    for attribute in ("closed", "is_closed"):
        state = getattr(handle, attribute, False)
        if state() if callable(state) else state:
            return True
    return hasattr(handle, "fileno") and handle.fileno() in _NO_DESCRIPTORS


def type_name(value: object) -> str:
    """Return the type of a value as people know it: `socket.socket`, `_thread.lock`."""
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}"
