"""What is mapped: functions that do at one item what real functions do to their workers.

Each call leaves a mark in a file, so that whoever watches can count calls in every process. Light: a worker imports it.
"""

from __future__ import annotations

import os
import signal
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

N_ITEMS = 1_000
AT = 500
"""The item at which it happens."""

EARLY, LATE = 50, 900
FOLDER = "BENCHMARKS_FAULTS_FOLDER"
"""Environment variable that names the folder of marks; also what tells a cell's processes from all others."""

ENDLESS = 100_000_000
_MARKED_AT_ONCE = 100

LOCK = threading.Lock()


class TwoArguments(Exception):
    """Cannot be rebuilt from its arguments, as many an exception of real libraries."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")


def mark(name: str, n_times: int = 1) -> None:
    """Note that something has happened, from any process."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        return
    descriptor = os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, b"." * n_times)
    os.close(descriptor)


def marks(folder: str, name: str) -> int:
    """Return how often it has happened."""
    try:
        return os.stat(os.path.join(folder, name)).st_size
    except FileNotFoundError:
        return 0


def square(number: int) -> int:
    """Return what every function here returns where nothing goes wrong."""
    return number * number


def killed(number: int) -> int:
    """Be killed, as by the kernel that is out of memory."""
    if number == AT:
        os.kill(os.getpid(), signal.SIGKILL)
    return square(number)


def exits(number: int) -> int:
    """Leave without a word, as C libraries do."""
    if number == AT:
        os._exit(7)
    return square(number)


def crashes(number: int) -> int:
    """Crash, as C libraries do."""
    if number == AT:
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGSEGV)
    return square(number)


def killed_late(number: int) -> int:
    """Be killed when most of the work is done."""
    if number == LATE:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.001)
    mark("finished")
    return square(number)


def indexed(pair: tuple[int, object]) -> int:
    """Ignore all of an item but its number."""
    return square(pair[0])


def with_lambda(number: int) -> object:
    """Return what pickle does not know."""
    return (lambda: number) if number == AT else square(number)


def cannot_be_rebuilt(number: int) -> int:
    """Raise an exception that pickle cannot bring back."""
    if number == AT:
        raise TwoArguments(3, "cannot be rebuilt")
    return square(number)


def fails_early(number: int) -> int:
    """Fail where most of the work is still to be done."""
    mark("called")
    if number == EARLY:
        raise ValueError("no good")
    time.sleep(0.01)
    return square(number)


def busy(number: int) -> int:
    """Take long."""
    mark("called")
    time.sleep(0.05)
    return square(number)


def quick(number: int) -> int:
    """Take no time, and leave marks that cost little."""
    if number % _MARKED_AT_ONCE == 0:
        mark("called", _MARKED_AT_ONCE)
    return number


def locked(number: int) -> int:
    """Use a lock of the module."""
    with LOCK:
        return square(number)


def leaves_program(number: int) -> int:
    """Call sys.exit."""
    if number == AT:
        raise SystemExit(3)
    return square(number)


def interrupts(number: int) -> int:
    """Raise what Ctrl-C raises."""
    if number == AT:
        raise KeyboardInterrupt
    return square(number)


def numbers() -> range:
    """Return the items of most cases."""
    return range(N_ITEMS)


def with_lock_inside() -> list[tuple[int, object]]:
    """Return items of which one holds what nothing can pickle."""
    return [(number, threading.Lock() if number == AT else None) for number in range(N_ITEMS)]


def endless() -> Iterator[int]:
    """Yield more items than fit in memory."""
    yield from range(ENDLESS)


def hold_lock(seconds: float) -> None:
    """Have another thread hold the module's lock for so long, beginning before this returns."""
    is_held = threading.Event()

    def hold() -> None:
        with LOCK:
            is_held.set()
            time.sleep(seconds)

    threading.Thread(target=hold, daemon=True).start()
    is_held.wait()


def nested(map_with: Callable[[Callable[[int], int], range], object], number: int) -> object:
    """Map inside of an item."""
    return map_with(square, range(number, number + 10))
