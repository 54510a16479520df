"""Feed hired interpreters the simplest way: every item is a task of its own, given to the workers in turn."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any

from amorsize.engine import failure
from amorsize.engine.guard import Guard
from amorsize.engine.held import Held
from amorsize.engine.message import READY, REFUSED, RESULTS, TASK
from amorsize.engine.spawn import warm
from amorsize.engine.spawn.errand import Errand
from amorsize.identity.likeness import likeness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from amorsize.engine.message import Message
    from amorsize.engine.spawn.hired import SpawnedWorker

WAKE_S = 0.1


def feed(func: Callable[..., Any], items: Iterable[object], n_workers: int = 2, **errand: Any) -> list[Any]:
    """Return the results, in order; `errand` goes to `hire`."""
    tasks = list(enumerate(items))
    workers = hire(func, n_workers, **errand)
    try:
        for index, item in tasks:
            workers[index % len(workers)].link.send_values(TASK, index, [item])
        results: dict[int, Any] = {}
        while len(results) < len(tasks):
            for worker, message in heard(workers):
                take(worker, message, results)
    finally:
        warm.release(workers)
    return [results[index] for index, _ in tasks]


def hire(
    func: Callable[..., Any],
    n_workers: int = 2,
    initializer: Callable[..., object] | None = None,
    initargs: tuple[object, ...] = (),
    **errand: Any,
) -> list[SpawnedWorker]:
    """Hire workers for a function, which call an initializer first, where there is one."""
    if initializer is not None:
        errand["guard"] = Guard(initializer=initializer, initargs=initargs, prepared=set())
    return warm.hire(n_workers, Errand(func=func, **{"identify": likeness, **errand}), Held())


def heard(workers: list[SpawnedWorker]) -> list[tuple[SpawnedWorker, Message]]:
    """Wait until some worker says something, and return it; raise EOFError where one says nothing any more."""
    sockets = {worker.link.end.fileno(): worker for worker in workers}
    sending = [fd for fd, worker in sockets.items() if worker.link.is_sending]
    readable: list[int] = []
    writable: list[int] = []
    while not (readable or writable):  # a signal just before the wait has its handler called only after it
        readable, writable, _ = select.select(sockets, sending, [], WAKE_S)
    for fd in writable:
        sockets[fd].link.flush()
    found = [(sockets[fd], message) for fd in readable for message in sockets[fd].link.receive()]
    if not found and any(worker.link.at_end for worker in workers):
        raise EOFError("a worker has ended")
    return found


def take(worker: SpawnedWorker, message: Message, results: dict[int, Any]) -> None:
    """Take in a message; raise what it tells of."""
    if message.kind == REFUSED:
        worker.answer(message)
    elif message.kind == RESULTS:
        results.update(enumerate(message.load(), message.start))
    elif message.kind != READY:
        raise failure.unpack(message.load())
