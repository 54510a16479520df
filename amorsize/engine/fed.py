"""What runs in a fed worker: it gets its items from the caller, over a `Link`, instead of taking them.

wait for a task -> run its items -> send the results -> wait for the next ...
"""

from __future__ import annotations

from amorsize.engine.child import flush_output
from amorsize.engine.desk import Desk
from amorsize.engine.inline import Work
from amorsize.engine.message import BEGUN, TASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.engine.link import Link
    from amorsize.engine.message import Message


def serve(link: Link, work: Work) -> None:
    """Run tasks until the caller closes the line.

    Args:
        link: to the caller; blocking.
        work: what is called, and the items of those tasks that come without any.
    """
    desk = desk_of(link)
    for message in link.receive():
        if message.kind == TASK:
            run_task(desk, work, message)


def desk_of(link: Link) -> Desk:
    """Return a desk that notes its range for nobody: a caller who feeds knows what it has given out."""
    return Desk(link, memoryview(bytearray(16)).cast("q"), 0)


def run_task(desk: Desk, work: Work, task: Message) -> None:
    """Run the items of a task, and send their results or the failure of one."""
    start, stop = task.start, task.start + task.count
    results = desk.open(start, stop)
    if task.seconds:
        desk.outbox.send(BEGUN, start, task.count, 0.0, b"")
    desk.start_timer(counts_waiting=bool(task.seconds))
    try:
        if task.is_empty:
            work.run(start, stop, results)
        else:
            work.with_items(_rebuilt(task, work.offset), start).run(0, task.count, results)
        desk.stop_timer()
        flush_output()  # what the items print is there when their results are; a worker may live on, or be killed
        desk.publish()
    except BaseException as error:  # whatever an item raises, SystemExit included, is the caller's to raise
        desk.stop_timer()
        flush_output()
        desk.report(error, work.offset)


def _rebuilt(task: Message, offset: int) -> list[object]:
    """Return the items that came with a task.

    Raises:
        ItemNotPicklable: where they cannot be rebuilt here.
    """
    try:
        items: list[object] = task.load()
    except Exception as error:  # a user's __setstate__ may raise anything
        from amorsize.engine import failure

        raise failure.not_rebuilt("argument", task, offset, error) from error
    return items
