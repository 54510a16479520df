"""Every error and warning that amorsize itself raises.

AmorsizeError
├── WorkerDied          a worker process ended in the middle of its work
├── ItemTimeout         an item, or the whole call, took longer than allowed        (also a TimeoutError)
├── ItemNotPicklable    an argument or result cannot travel between processes      (also a TypeError)
├── RemoteError         a worker's exception that cannot be rebuilt here
└── BackendUnavailable  workers that were asked for and cannot be had here

AmorsizeWarning         once per cause: amorsize did something else than what one might expect

Wrong arguments raise the built-in TypeError or ValueError. An exception of the user's own function comes back as
itself, with a note that names the item.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class AmorsizeError(Exception):
    """Anything that amorsize raises on its own account; survives pickling with all its attributes.

    Example:
        >>> try:
        ...     pmap(int, ["1", "two"])
        ... except AmorsizeError:
        ...     print("trouble of amorsize's own")
        ... except ValueError:
        ...     print("what the function raised, as itself")
        what the function raised, as itself
    """

    def __reduce__(self) -> tuple[object, ...]:
        return made_anew, (type(self), self.args, self.__dict__, {})


def made_anew(
    kind: type[BaseException], arguments: tuple[object, ...], attributes: dict[str, object], fields: dict[str, object]
) -> BaseException:
    """Return an exception as it was, without a call of its `__init__`.

    Args:
        kind: its type.
        arguments: its `args`.
        attributes: its `__dict__`.
        fields: what its classes keep beside that.
    """
    made = with_args(kind.__new__(kind, *arguments), arguments)
    made.__dict__.update(attributes)
    for name, value in fields.items():
        BaseException.__setattr__(made, name, value)
    return made


def with_args(error: BaseException, arguments: tuple[object, ...]) -> BaseException:
    """Return an exception with its own `args`, where what has made it anew has given it others."""
    BaseException.args.__set__(error, arguments)  # type: ignore[attr-defined]  # a descriptor
    return error


class WorkerDied(AmorsizeError):
    """Tell that a worker process ended in the middle of its work.

    Attributes:
        first: index of the first item that the worker may have died in; None where it had taken none.
        stop: index after the last such item.
        exitcode: its exit status; None where a signal ended it, or where somebody else had reaped it.
        signal: number of the signal that ended it; None where none did.
        finished: results that were finished, by index.

    Example:
        >>> import os
        >>> try:
        ...     pmap(os._exit, [3], isolate=True)
        ... except WorkerDied as died:
        ...     print(f"item {died.first} ended its worker with exit code {died.exitcode}")
        item 0 ended its worker with exit code 3
    """

    def __init__(
        self,
        message: str,
        *,
        first: int | None = None,
        stop: int | None = None,
        exitcode: int | None = None,
        signal: int | None = None,
    ) -> None:
        super().__init__(message)
        self.first = first
        self.stop = stop
        self.exitcode = exitcode
        self.signal = signal
        self.finished: Mapping[int, object] = {}


class ItemTimeout(AmorsizeError, TimeoutError):
    """Tell that an item took longer than `timeout=` allows, or the whole call longer than `deadline=`.

    Attributes:
        index: the item; of a whole call, the lowest that was not finished.
        timeout_s: seconds that it was given; None where the whole call was out of time.

    Example:
        >>> import time
        >>> try:
        ...     pmap(time.sleep, [60], timeout=0.01)
        ... except ItemTimeout as error:
        ...     print(f"item {error.index} took longer than {error.timeout_s} s")
        item 0 took longer than 0.01 s
    """

    def __init__(self, message: str, *, index: int, timeout_s: float | None) -> None:
        super().__init__(message)
        self.index = index
        self.timeout_s = timeout_s


class ItemNotPicklable(AmorsizeError, TypeError):
    """Tell that an argument or result cannot travel between processes.

    Attributes:
        index: which item.
        type_name: the type that cannot be pickled.
        path: where it sits inside the argument or result, such as `result.lock`.

    Example:
        >>> import threading
        >>> try:
        ...     pmap(lambda _: threading.Lock(), [1], isolate=True)
        ... except ItemNotPicklable as error:
        ...     print(f"item {error.index}: {error.type_name} at {error.path}")
        item 0: _thread.lock at result
    """

    def __init__(self, message: str, *, index: int, type_name: str, path: str) -> None:
        super().__init__(message)
        self.index = index
        self.type_name = type_name
        self.path = path


class RemoteError(AmorsizeError):
    """Stand in for a worker's exception that cannot be rebuilt in this process.

    Attributes:
        type_name: the exception's type in the worker.
        text: its repr.
        traceback_text: the worker's traceback.

    Example:
        >>> import threading
        >>> def connect(port):
        ...     error = OSError(f"port {port} is closed")
        ...     error.lock = threading.Lock()
        ...     raise error
        >>> try:
        ...     pmap(connect, [80], isolate=True)
        ... except RemoteError as error:
        ...     print(error.text)
        OSError('port 80 is closed')
    """

    def __init__(self, message: str, *, type_name: str, text: str, traceback_text: str) -> None:
        super().__init__(message)
        self.type_name = type_name
        self.text = text
        self.traceback_text = traceback_text


class BackendUnavailable(AmorsizeError):
    """Tell that what was asked for cannot be had here, workers or the bar of `progress=True`, and why.

    Example:
        >>> issubclass(BackendUnavailable, AmorsizeError)
        True
    """


class AmorsizeWarning(UserWarning):
    """Tell, once per cause, that amorsize did something else than what one might expect.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore", AmorsizeWarning)
        ...     pmap(abs, [-1])
        [1]
    """


_warned: set[str] = set()


def warn_once(text: str, beside: BaseException | None = None) -> None:
    """Warn, once a process, at the line that called into amorsize; where a filter makes an error of that, it does not
    take the place of one that is on its way."""
    if text in _warned:
        return
    import sys
    import warnings

    _warned.add(text)
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("amorsize."):
        frame, level = frame.f_back, level + 1
    try:
        warnings.warn(text, AmorsizeWarning, stacklevel=level)
    except AmorsizeWarning:
        if beside is None:
            raise
