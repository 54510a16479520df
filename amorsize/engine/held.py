"""Hold the program's signal handlers back while an exception out of nowhere would lose something.

A handler may raise (Ctrl-C does) between any two steps of Python code: between opening a descriptor and noting it, or
between taking a result out of a pipe and keeping it. Inside `with held:` signals are noted, and their handlers have
their turn at its end. Blocking the signals instead does not help: another native thread (every BLAS pool has some)
takes them, and the handler still runs in the middle of the main thread. It also costs twice as much (2.2 us, not 1.2).
"""

from __future__ import annotations

import sys
from _thread import get_ident
from itertools import compress, repeat

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from types import FrameType

    Came = list[tuple[int, FrameType | None]]  # signals, and where they came
else:
    import _signal as signal  # the C half is loaded anyway; `signal` itself costs 3.3 ms


SIGNALS = tuple(signal.valid_signals())

SERVER = "uwsgi"
"""A module that only a server in C around this Python has. It ends its workers by SIGINT, which it handles itself: that
`default_int_handler` does is what Python believes, and to put that back would have them never end."""


def is_main_thread() -> bool:
    """Tell whether this is the main thread of the main interpreter, which alone can change handlers, and may fork.

    `threading` takes any thread for it that has loaded it first, and the only one of a sub-interpreter; so the function
    itself is asked, which looks at that before all else.
    """
    try:
        signal.signal(signal.SIGINT, None)
    except TypeError:  # None is no handler, and nothing was changed
        return True
    except ValueError:
        return False
    return True


def _handled() -> list[int]:
    """Return the signals that Python code of the program handles here; none where nobody can change that."""
    if not is_main_thread():
        return []
    found: list[int] = list(compress(SIGNALS, map(callable, map(signal.getsignal, SIGNALS))))  # 1 us; in Python code 4
    if SERVER in sys.modules and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        found.remove(signal.SIGINT)
    return found


def _answer(came: Came) -> None:
    """Give the handler of each signal its turn, whatever those before it raise."""
    for position, (number, frame) in enumerate(came, start=1):
        handler = signal.getsignal(number)
        if callable(handler):
            try:
                handler(number, frame)
            except BaseException:  # Ctrl-C, say, must not swallow a SIGTERM that came with it
                _answer(came[position:])
                raise
        elif handler == signal.SIG_DFL:  # set since handlers were looked for: a stream may be an old one
            signal.raise_signal(number)


def _end(raised: tuple[BaseException, ...], respond: Callable[[Came], object], came: Came) -> None:
    """Raise what handlers have raised meanwhile, and answer what came; what is raised last has the others as its
    context, as where a handler runs while an exception is on its way."""
    if not raised:
        respond(came)
        return
    try:
        raise raised[0]
    finally:
        _end(raised[1:], respond, came)


class Held:
    """A context in which signal handlers wait; inside itself, and in another thread than it was made in, it changes
    nothing: handlers run in the main thread alone, and only there can be changed.

    Args:
        answer: what is called with the signals that came; else their handlers have their turn.
    """

    __slots__ = ("_before", "_came", "_depth", "_numbers", "_raised", "_respond", "_thread")

    def __init__(self, answer: Callable[[Came], object] = _answer) -> None:
        self._respond = answer
        self._numbers = _handled()
        self._thread = get_ident()
        self._before: list[tuple[int, object]] = []
        self._came: Came = []
        self._raised: tuple[BaseException, ...] = ()
        self._depth = 0

    def __enter__(self) -> None:
        """Never raise: what a handler raises on the way in is raised on the way out."""
        if self._depth:
            self._depth += 1
            return
        numbers = self._numbers if get_ident() == self._thread else []
        while len(self._before) < len(numbers):
            try:
                rest = numbers[len(self._before) :]
                # In one step of the interpreter, so that no handler has its turn between the change and its note.
                self._before.extend(zip(rest, map(signal.signal, rest, repeat(self._note)), strict=True))
            except BaseException as error:  # of a handler that had its turn just before: kept for the end
                self._raised = (*self._raised, error)
        # At the end of the interpreter no signal has a handler any more, and none could be put back.
        self._before = [(number, handler) for number, handler in self._before if handler is not None]
        self._depth = 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth:
            return
        while self._before:
            try:
                signal.signal(*self._before[-1])  # type: ignore[arg-type]  # what `signal` itself returned
                self._before.pop()
            except BaseException as early:  # as above; to set a handler twice does no harm
                self._raised = (*self._raised, early)
        raised, self._raised = self._raised, ()
        came, self._came = self._came, []
        _end(raised, self._respond, came)

    def give_back(self, number: int) -> None:
        """Let a signal have its handler at once, in a child that was forked while it was held back."""
        for held_number, handler in self._before:
            if held_number == number:
                signal.signal(number, handler)  # type: ignore[arg-type]  # what `signal` itself returned

    @property
    def awaited(self) -> bool:
        """Whether a handler waits for its turn: what takes long and can be interrupted ends early then."""
        return bool(self._came or self._raised)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came.append((number, frame))
