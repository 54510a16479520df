"""What runs in a fed worker: it gets its items from the caller, over a `Link`, instead of taking them.

wait for a task -> run its items -> send the results -> wait for the next ...
"""

from __future__ import annotations

from amorsize.engine import logged, warned
from amorsize.engine.desk import Desk
from amorsize.engine.encoding import Refused
from amorsize.engine.message import BEGUN, READY, REFUSED, TASK, UNREAD
from amorsize.inline import Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.engine.fed.link import Link
    from amorsize.engine.message import Message


def serve(link: Link, work: Work) -> None:
    """Run tasks until the caller closes the line.

    Args:
        link: to the caller; blocking.
        work: what is called, and the items of those tasks that come without any.
    """
    desk = desk_of(link)
    warned.take_over(warned.are_kept(), desk.tell)
    logged.take_over(desk.tell)
    try:
        if work.guard is not None:
            work.guard.prepare()
    except BaseException as error:  # of an initializer, SystemExit included: the caller is to raise it
        from amorsize.engine import failure

        link.send(REFUSED, payload=failure.pack(error))
        return
    link.send(READY)
    for message in link.receive():
        if message.kind == TASK:
            run_task(desk, work, message)


def desk_of(link: Link) -> Desk:
    """Return a desk that notes its range for nobody: a caller who feeds knows what it has given out."""
    return Desk(link, memoryview(bytearray(16)).cast("q"), 0)


def run_task(desk: Desk, work: Work, task: Message) -> None:
    """Run the items of a task, and send their results or the failure of one.

    Where that ends the call, the tasks that wait for this worker are not begun but forgotten, as by the caller: their
    items are above the one that failed.
    """
    if desk.failed_at is not None and task.start > desk.failed_at:
        return
    start, stop = task.start, task.start + task.count
    results = desk.open(start, stop)
    if task.seconds:
        desk.outbox.send(BEGUN, start, task.count, 0.0, b"")
    try:
        items = None if task.is_empty else task.load()
    except BaseException as error:  # a user's __setstate__ may raise anything, and is no reason to end a worker
        from amorsize.engine import failure

        unread = failure.not_rebuilt("argument", task, error)
        desk.outbox.send(UNREAD, start, task.count, 0.0, failure.pack(unread))
        return
    own, first = (work, start) if items is None else (work.with_items(items, start), 0)
    desk.start_timer(counts_waiting=bool(task.seconds))
    try:
        own.run(first, first + task.count, results)
        desk.stop_timer()
        if desk.position < stop:
            raise RuntimeError("the input became shorter while it was mapped")
        desk.print()  # what the items print is there when their results are; a worker may live on, or be killed
        _publish(desk, work)
    except BaseException as error:  # whatever an item raises, SystemExit included, is the caller's to raise
        desk.disown(error)
        desk.stop_timer()
        desk.print()
        if not work.goes_on:
            desk.failed_at = desk.position
        desk.report(error)


def _publish(desk: Desk, work: Work) -> None:
    """Send the results of a task; where the call goes on, one that cannot be pickled is a failure of its item alone."""
    try:
        desk.publish()
    except Refused:
        if not work.goes_on:
            raise
        from amorsize.engine import failure
        from amorsize.engine.guard import Failed

        for position, result in enumerate(desk.results):
            why = failure.refusal(result)
            if why is not None:
                error = failure.not_picklable("result", [result], desk.start + position, why)[1]
                desk.results[position] = Failed(error)
        desk.publish()
