"""What the garbage collector is kept from: going through all that a program has, for the few objects of a call.

Loaded before all else that a first call takes, so it imports nothing that is not there.
"""

import gc
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    R = TypeVar("R")


PYTHONS_FROZEN = 1000
"""More objects are frozen by the program, fewer by Python itself: 3.12 begins with 375."""


def age() -> None:
    """Have the collector take all that is there for old, where modules are loaded: a bounded number of times a process.

    Whichever 700 objects bring a collection about, it goes through every list that is new, that of the call's items
    included: 10 ms for 1,000,000 of them, which a plain loop may never spend, and a batch in which it falls looks dear.
    The first call of a process took 1.6 times the loop with so many items that do nothing and takes 1.36, with 300,000
    that return pairs 2.4 and 1.1. What the program itself has frozen stays so, and then there is no other way.
    """
    if gc.isenabled() and gc.get_freeze_count() < PYTHONS_FROZEN:
        try:  # Ctrl-C must not leave all this out of every collection to come
            gc.freeze()
        finally:
            gc.unfreeze()


def uncollected(make: "Callable[[], R]") -> "R":
    """Return what is made, with the garbage collector off meanwhile: for many objects which all stay it would go
    through the user's own, over and over, for nothing: 1 ms of the first look of a process, 4 beside 300,000 objects.

    Where several threads are here at once, it is on again after the last: only who found it on turns it off.
    """
    was_on, n_modules = gc.isenabled(), len(sys.modules)
    try:  # no `with`: Ctrl-C on the way into an `__exit__` would leave it off for ever
        if was_on:
            gc.disable()
        return make()
    finally:
        if was_on:
            gc.enable()
            if len(sys.modules) > n_modules:
                age()
