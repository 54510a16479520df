"""A row: the text that stands for one key's facts, and the limits that it has to keep.

    [1,"<checksum>",{"count":12,"item_s":0.0031}]
     |       |                 `- plain, flat JSON in ASCII
     |       `- blake2b over the key and the JSON: a damaged row, or one moved to another key, is no row
     `- version of this layout

Whatever fails a check is a miss, never an exception: a store is a file that anybody may have written.
Light: `_json` and `_blake2` are the C halves of json and hashlib, whose Python halves cost 6 and 2.5 ms to import.
"""

from __future__ import annotations

from _blake2 import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias, TypeGuard

    from amorsize.records import Facts

    Merge: TypeAlias = Callable[[Facts | None], Facts]

VERSION = 1
MOST_ROW_CHARS = 16 * 1024  # a profile is 0.5 to 2 KB; more is not ours, and would only cost time to refuse later
MOST_KEY_CHARS = 200
_MOST_TEXT_CHARS = 300
_MOST_LIST = 64
_MOST_NUMBER = 1e15  # bytes and seconds of any machine fit, and so do their squares in a float
_HEAD = f'[{VERSION},"'
_DIGEST_CHARS = 32
_BODY = len(_HEAD) + _DIGEST_CHARS + len('",')


class _Strict:
    """What the C scanner asks of a JSON decoder; NaN and Infinity become floats, which the limits then refuse."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    array_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def _scanner() -> Callable[[str, int], tuple[object, int]]:
    try:
        from _json import make_scanner
    except ImportError:  # not CPython
        from json import JSONDecoder

        return JSONDecoder().raw_decode
    return make_scanner(_Strict())  # type: ignore[arg-type]  # the stub asks for a scanner: anything like one will do


_scan = _scanner()


def is_key(key: object) -> bool:
    """Tell whether this can be a key: 1 to 200 printable characters."""
    return type(key) is str and 0 < len(key) <= MOST_KEY_CHARS and key.isprintable()


def encode(key: str, facts: Facts) -> str | None:
    """Return the row's text; None where key or facts are outside of the limits, so that they cannot be kept."""
    if not is_key(key) or not _is_facts(facts):
        return None
    from json import dumps  # writing comes after the results are ready, and brings diskcache (with json) along

    body = dumps(facts, separators=(",", ":"))
    text = f'{_HEAD}{_checksum(key, body)}",{body}]'
    return text if len(text) <= MOST_ROW_CHARS else None


def decode(key: str, text: object) -> Facts | None:
    """Return the facts of a row; None where anything about it is not as `encode` makes it."""
    if type(text) is not str or not _BODY < len(text) <= MOST_ROW_CHARS:
        return None
    body = text[_BODY:-1]
    try:
        if text != f'{_HEAD}{_checksum(key, body)}",{body}]':
            return None
        facts, end = _scan(body, 0)
    except (ValueError, StopIteration, RecursionError):  # not ASCII or not JSON; cut short; 8000 brackets deep
        return None
    return facts if end == len(body) and _is_facts(facts) else None


def merged(key: str, merge: Merge, facts: Facts | None) -> Facts | None:
    """Return what a store keeps after `merge`: the new facts, or the old ones where the new cannot be kept."""
    text = encode(key, merge(facts))
    return facts if text is None else decode(key, text)


def _checksum(key: str, body: str) -> str:
    return blake2b(f"{key}\n".encode() + body.encode("ascii"), digest_size=_DIGEST_CHARS // 2).hexdigest()


def _is_facts(facts: object) -> TypeGuard[Facts]:
    if type(facts) is not dict:
        return False
    for name, value in facts.items():
        if type(name) is not str or len(name) > _MOST_TEXT_CHARS:
            return False
        if type(value) is not list:
            if not _is_scalar(value):
                return False
        elif len(value) > _MOST_LIST or not all(map(_is_scalar, value)):
            return False
    return True


def _is_scalar(value: object) -> bool:
    if type(value) is float or type(value) is int:  # exactly: True is an int, and would come back as one
        return -_MOST_NUMBER <= value <= _MOST_NUMBER  # false for NaN
    return value is None or (type(value) is str and len(value) <= _MOST_TEXT_CHARS)
