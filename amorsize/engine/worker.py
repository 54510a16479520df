"""What runs in a forked worker of a crew, between its birth and `os._exit`.

take a range -> run its items -> publish the results -> take the next ...
"""

from __future__ import annotations

import sys
from time import perf_counter

from amorsize.engine import logged, warned
from amorsize.engine.message import DONE

assert sys.platform == "linux"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.engine.counter import Counter
    from amorsize.engine.desk import Desk
    from amorsize.engine.job import Range
    from amorsize.inline import Work


def serve(work: Work, counter: Counter, sizes: Range, desk: Desk) -> None:
    """Take and run ranges until none is left or an item fails, and say which."""
    warned.take_over(warned.are_kept(), desk.tell)
    logged.take_over(desk.tell)
    desk.start_timer()
    try:
        _take_and_run(work, counter, sizes, desk)
    except BaseException as error:  # whatever an item raises, SystemExit included, is the caller's to raise
        desk.disown(error)
        desk.stop_timer()
        counter.take(work.n_items)
        desk.print()
        desk.report(error)
    desk.stop_timer()
    desk.print()
    desk.outbox.send(DONE, 0, 0, 0.0, b"")


def _take_and_run(work: Work, counter: Counter, sizes: Range, desk: Desk) -> None:
    n_items, position = work.n_items, 0
    while True:
        wanted = sizes.wanted(n_items - position)
        start = counter.take(wanted)
        if start >= n_items:
            return
        position = stop = min(start + wanted, n_items)
        began = perf_counter()
        work.run(start, stop, desk.open(start, stop))
        desk.print()  # what items print is there when their results are: this worker may be killed for another's item
        desk.publish()
        sizes.saw(stop - start, perf_counter() - began)
