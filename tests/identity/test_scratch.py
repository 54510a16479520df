"""Which code keeps something where all threads share it, and which only looks as if it did."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any

import pytest

from amorsize import parallelizable
from amorsize.identity import scratch as module
from amorsize.identity.reach import walked

if TYPE_CHECKING:
    from collections.abc import Callable


def scratch(func: object) -> str | None:
    return module.scratch(*walked(func, ()))


def made(source: str, **names: object) -> Any:
    """Return what is called `f` after a source text was run as a module of the user's."""
    namespace: dict[str, Any] = {"__name__": "users_module", **names}
    exec(source, namespace)
    return namespace["f"]


CLIENT = """
class Client:
    count = 0
    reply = cache = None
    def __init__(self): self.made = 1; self.made += 1
    def connect(self): self.link = open; return self.link
    def fetch(self, n): {body}
    def ask(self, n): self.reply = n; return self.reply
    def made_once(self, n):
        if not hasattr(self, "link"): self.link = n
        return self.link
    @property
    def last(self): self.seen = 1; return self.seen
    def lazy(self, n):
        if self.cache is None: self.cache = n
        return self.cache
client = Client()
{f}
"""

KEEPS = [
    ("self.reply = n; return self.reply", "f = client.fetch", "self.reply"),
    ("self.reply = n; return [self.reply for _ in 'ab']", "f = client.fetch", "self.reply"),
    ("self.a = self.b = n; return self.b", "f = client.fetch", "self.b"),
    ("return self.ask(n)", "f = client.fetch", "self.reply"),
    ("return self.last", "f = client.fetch", "self.seen"),
    ("", "def f(n): return client.ask(n)", "client.reply"),
    ("", "def f(n, own=client): return own.ask(n)", "own.reply"),
    ("", "def g(n): return client.ask(n)\ndef f(n): return g(n)", "client.reply"),
    ("", "last = 0\ndef f(n):\n global last\n last = n\n return last", "last"),
    ("", "def g():\n last = 0\n def f(n):\n  nonlocal last\n  last = n\n  return last\n return f\nf = g()", "last"),
    ("", "import functools\nf = functools.partial(Client.ask, client)", "args[0].reply"),
]

KEEPS_NOT = [
    ("self.count += 1; return n", "f = client.fetch"),
    ("self.reply = n", "f = client.fetch"),  # what comes of it is lost, and was no result
    ("self.cache = self.cache or n; return self.cache", "f = client.fetch"),
    ("", "f = client.lazy"),
    ("", "f = client.made_once"),
    ("n.reply = 1; return n.reply", "f = client.fetch"),  # an item's own
    ("other = Client(); other.reply = n; return other.reply", "f = client.fetch"),
    ("self = Client(); return n", "f = client.fetch"),
    ("return n", "f = client.fetch"),  # `ask` is not called
    ("return self.made", "f = client.fetch"),  # by `__init__`
    ("", "def f(n): return Client().made"),
    ("", "count = 0\ndef f(n):\n global count\n count += 1\n return n"),
    ("", "def f(n):\n last = n\n return last"),
    ("", "def f(n):\n def g(m):\n  nonlocal n\n  n = m\n  return n\n return g(1)"),
]


@pytest.mark.parametrize(("body", "f", "told"), KEEPS)
def test_what_is_stored_and_then_loaded_is_named(body: str, f: str, told: str) -> None:
    assert scratch(made(CLIENT.format(body=body or "return n", f=f))) == told


@pytest.mark.parametrize(("body", "f"), KEEPS_NOT)
def test_other_code_is_left_in_peace(body: str, f: str) -> None:
    assert scratch(made(CLIENT.format(body=body or "return n", f=f))) is None


def test_who_has_a_lock_knows_about_threads() -> None:
    class Client:
        def __init__(self, lock: object) -> None:
            self.lock = lock

        def fetch(self, n: int) -> int:
            self.reply = n
            return self.reply

    assert scratch(Client(None).fetch) == "self.reply"
    assert scratch(Client(threading.Lock()).fetch) is None


def test_a_decorated_method_and_one_behind_another_decorator_are_looked_into() -> None:
    def plain(func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(func)
        def call(*args: object) -> object:
            return func(*args)

        return call

    class Client:
        @parallelizable
        def fetch(self, n: int) -> int:
            self.reply = n
            return self.reply

        @plain
        def ask(self, n: int) -> int:
            self.answer = n
            return self.answer

    client = Client()
    assert scratch(client.fetch) == "args[0].reply"
    assert scratch(lambda n: client.ask(n)) == "client.answer"
