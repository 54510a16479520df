"""Results as bytes, and back: short texts as one, other simple types by marshal, all else by pickle with the large
buffers beside it."""

from __future__ import annotations

import marshal
from time import perf_counter

from amorsize.clocks import loaded
from amorsize.garbage import uncollected

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pickle
    from collections.abc import Callable, Iterable
    from typing import Any, TypeAlias

    Dumps: TypeAlias = Callable[[Any, list[memoryview] | None], bytes]

SIMPLE = frozenset((int, float, bool, type(None), str, bytes))
"""Types that marshal gives back exactly as they were, at half of pickle's price and without its import.
Only exactly these: of a subclass, a bytearray or an array marshal makes something else."""

MARSHAL_VERSION = 2
"""The last version without references: remembering every object would double the price."""

MANY = 16
"""Of fewer texts to send them together would save nothing."""

BETWEEN = "\0"
"""Stands between texts that are sent as one: hardly any contains it."""

SHORT = 256
"""Characters of a text up to which it is sent together with others: of longer ones the copies cost more."""

MARSHALLED, JOINED, PICKLED, PICKLED_WITH_BUFFERS = b"M", b"J", b"P", b"B"

TIMED_FROM_BYTES = 64 << 10
"""Encoded results of simple types from this size on are timed: what they cost is new memory, at this machine's price.
Smaller ones fit into what a process has used before."""

TOUCHED_BYTES = 1 << 20
"""What it costs to write new memory is tried with at most so many bytes: 0.7 ms."""

SIDES = 2
"""New memory is written by the worker, who sends, and by the caller, who keeps."""

OUT_OF_BAND_BYTES = 65536
"""Buffers (of NumPy arrays, say) from this size on are written beside the pickle instead of into it: two copies fewer,
for the price of one more write and read, which is that of copying about 20 KB."""


REFUSALS = (Exception, SystemExit, GeneratorExit)
"""What a user's `__reduce__`, `__setstate__` or `__repr__` may raise to say no. KeyboardInterrupt may be a person's."""


class Refused(Exception):
    """Tell that one of some values cannot be pickled: nothing of them was sent.

    Attributes:
        why: what pickling them raised.
    """

    def __init__(self, why: BaseException) -> None:
        super().__init__(why)
        self.why = why


def sendable(values: list[object], dumps: Dumps | None = None) -> tuple[bytes, bytes, list[memoryview]]:
    """Return what `encode` does, for who sends it: what goes wrong with that is no fault of the values.

    Raises:
        Refused: where one of them cannot be pickled.
    """
    try:
        return encode(values, dumps)
    except REFUSALS as why:
        raise Refused(why) from why


def encode(results: list[object], dumps: Dumps | None = None) -> tuple[bytes, bytes, list[memoryview]]:
    """Return the encoding, the payload, and the large buffers that belong beside it.

    Args:
        results: anything.
        dumps: pickles for this receiver; None for `pickled`.

    Raises:
        Exception: whatever pickling one of the results raises.
    """
    kinds = set(map(type, results))
    if kinds == {str}:
        payload = _joined(results)  # type: ignore[arg-type]  # by the test above
        if payload is not None:
            return JOINED, payload, []
    if kinds <= SIMPLE:  # of anything else marshal would walk through all that it holds, as often as it is shared
        return MARSHALLED, marshal.dumps(results, MARSHAL_VERSION), []
    buffers: list[memoryview] = []
    head = (dumps or pickled)(results, buffers)
    return (PICKLED_WITH_BUFFERS if buffers else PICKLED), head, buffers


def _joined(texts: list[str]) -> bytes | None:
    """Return short texts as one, which takes half as long to write as marshal, and a fifth less to read; None where
    that cannot be taken apart again."""
    if len(texts) < MANY or len(texts[0]) > SHORT:
        return None
    text = BETWEEN.join(texts)
    return text.encode("utf-8", "surrogatepass") if text.count(BETWEEN) == len(texts) - 1 else None


def plain(value: object, buffers: list[memoryview] | None = None) -> bytes:
    """Pickle a value; its large buffers are added to the list, where there is one."""
    pickled: bytes = _pickle().dumps(value, 5, buffer_callback=None if buffers is None else beside(buffers))
    return pickled


def unpickled(payload: bytes | bytearray, buffers: Iterable[bytearray] = ()) -> Any:
    """Return what was pickled."""
    return _pickle().loads(payload, buffers=buffers)


def _pickle() -> Any:  # Any: typed as a part of pickle only
    """Return pickle's C half, where there is one: it loads sooner."""
    try:
        import _pickle as half
    except ImportError:
        import pickle as half  # type: ignore[no-redef]
    return half


def _with_inherited(value: object, buffers: list[memoryview] | None = None) -> bytes:
    """Pickle a value for a process that has been forked, or for the one that has forked this."""
    try:
        return plain(value, buffers)
    except REFUSALS:  # of a class that is found by no name, perhaps
        inherited = loaded("amorsize.engine.inherited")
        if inherited is None:
            raise
    if buffers:
        buffers.clear()
    found: bytes = inherited.dumps(value, buffers)
    return found


pickled: Dumps = _with_inherited
"""How this process pickles where nothing else is said: a fresh interpreter has what its caller cannot look up."""


def travels_as(dumps: Dumps) -> None:
    """Have this process pickle otherwise from now on."""
    global pickled
    pickled = dumps


def beside(buffers: list[memoryview]) -> Callable[[pickle.PickleBuffer], bool]:
    """Return what tells pickle which buffers stay in it; the others are added to the list."""

    def keep_in_band(buffer: pickle.PickleBuffer) -> bool:
        try:
            view = buffer.raw()
        except BufferError:  # not contiguous: pickle copies it
            return True
        if view.nbytes < OUT_OF_BAND_BYTES:
            return True
        buffers.append(view)
        return False

    return keep_in_band


def decode(encoding: bytes, payload: bytes | bytearray, buffers: list[bytearray]) -> Any:  # Any: as `Message.load`
    """Return the results that `encode` was given.

    Without the garbage collector: making a million objects that all stay would set it off a thousand times for nothing
    (0.026 -> 0.012 us an int).
    """
    if encoding == JOINED:
        return payload.decode("utf-8", "surrogatepass").split(BETWEEN)
    return uncollected(lambda: marshal.loads(payload) if encoding == MARSHALLED else unpickled(payload, buffers))


def trial(results: list[object]) -> tuple[float | None, int]:
    """Encode and rebuild some results, and copy their bytes into memory that is as new as that of results which stay.

    Returns:
        Seconds that it took; None for small ones of simple types, whose price is known and too small to be timed; and
        encoded bytes.

    Raises:
        Exception: whatever pickling or rebuilding one of them raises.
    """
    encoding, payload, buffers = encode(results)  # imports pickle where that is needed, which must not be timed
    n_bytes = len(payload) + sum(buffer.nbytes for buffer in buffers)
    if encoding in (MARSHALLED, JOINED) and n_bytes < TIMED_FROM_BYTES:
        return None, n_bytes
    began = perf_counter()
    encoding, payload, buffers = encode(results)
    decode(encoding, payload, [bytearray(buffer) for buffer in buffers])
    coded_s = perf_counter() - began
    return coded_s + (SIDES * _new_memory_s(n_bytes) if n_bytes >= TIMED_FROM_BYTES else 0.0), n_bytes


def _new_memory_s(n_bytes: int) -> float:
    """Return the seconds that it takes to write so much memory that no process has used yet."""
    import mmap

    part = bytes(min(n_bytes, TOUCHED_BYTES))
    with mmap.mmap(-1, len(part)) as pages:
        began = perf_counter()
        pages.write(part)
        return (perf_counter() - began) * n_bytes / len(part)
