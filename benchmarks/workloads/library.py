"""Work that Python's own library does in C: hashing, packing, parsing."""

from __future__ import annotations

import ast
import json
import os
import re
import zlib
from hashlib import sha256

from benchmarks.workloads.task import Task

BLOCK = bytes(range(256)) * 256
"""64 KB."""

_LINES = (b"%d: the quick brown fox jumps over %d dogs\n" % (n, n * n % 9973) for n in range(24_000))

TEXT = b"".join(_LINES)[: 1 << 20]
"""1 MB that can be packed about as well as a log file."""

ADDRESS = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")

WORDS = " ".join(f"word{n} {n % 7}.{n % 5} user{n}@host{n % 13}.example.org," for n in range(120))
"""5 KB."""


def sha256_64k(item: int) -> str:
    """Hash 64 KB and the item; frees the GIL meanwhile."""
    hashed = sha256(BLOCK)
    hashed.update(item.to_bytes(8, "little"))
    return hashed.hexdigest()


def zlib_1m(item: int) -> tuple[int, int]:
    """Pack 1 MB; frees the GIL meanwhile."""
    packed = zlib.compress(item.to_bytes(8, "little") + TEXT)
    return len(packed), zlib.crc32(packed)


def json_20k(item: str) -> int:
    """Parse a document of 20 KB and write it again."""
    parsed = json.loads(item)
    return len(json.dumps(parsed["rows"])) + int(parsed["number"])


def regex(item: str) -> str:
    """Find all addresses in 5 KB of text, and return the first of them with their number."""
    found = ADDRESS.findall(item)
    return f"{found[0]} {len(found)}"


def stdlib_ast(path: str) -> int:
    """Parse a module of the standard library and count the nodes of its tree."""
    with open(path, "rb") as file:
        return sum(1 for _ in ast.walk(ast.parse(file.read())))


def _documents(n_items: int, _: int) -> list[str]:
    rows = [
        {"id": n, "name": f"name {n}", "weights": [n / 7, n / 11, n / 13], "is_new": n % 2 == 0} for n in range(200)
    ]
    return [json.dumps({"number": position, "rows": rows}) for position in range(n_items)]


def _texts(n_items: int, _: int) -> list[str]:
    return [f"first{position}@example.com {WORDS}" for position in range(n_items)]


def _modules(n_items: int, _: int) -> list[str]:
    """Return paths of so many modules of the standard library, evenly spread over all of them."""
    found = _all_modules()
    return [found[position * len(found) // n_items] for position in range(n_items)]


def _all_modules() -> list[str]:
    """Return the paths of the standard library's own modules that can be parsed; its tests hold some that cannot."""
    left_out = {"site-packages", "test", "tests", "idlelib", "lib2to3", "__pycache__"}
    found = []
    for folder, folders, names in os.walk(os.path.dirname(os.__file__)):
        folders[:] = sorted(set(folders) - left_out)
        found += [os.path.join(folder, name) for name in sorted(names) if name.endswith(".py")]
    return found


TASKS = {
    "sha256_64k": Task(sha256_64k, lambda n_items, _: range(n_items)),
    "zlib_1m": Task(zlib_1m, lambda n_items, _: range(n_items)),
    "json_20k": Task(json_20k, _documents),
    "regex": Task(regex, _texts),
    "stdlib_ast": Task(stdlib_ast, _modules),
}
