"""What a bare thread (`_thread`) owes to `threading`, where that is loaded: it is not loaded here.

Workers are bare threads because `threading.Thread.start` waits until each new thread has begun, which makes a run of
128 of them 1.3 times as long, and because `threading` costs a fresh process 2 ms.
"""

from __future__ import annotations

import sys
from _thread import get_ident


def let_watch() -> None:
    """Let who measures or follows all threads of a program (coverage, say) follow this one, as `threading` would."""
    threading = sys.modules.get("threading")
    if threading is not None:
        for set_it, wanted in ((sys.settrace, threading.gettrace()), (sys.setprofile, threading.getprofile())):
            if wanted is not None:
                set_it(wanted)


def forget_oneself() -> None:
    """Take this thread off `threading`'s list, where an item that asked for the current thread (logging does) has put
    it: before Python 3.13 it would stay there for ever and be taken for alive."""
    threading = sys.modules.get("threading")
    if threading is not None and sys.version_info < (3, 13):
        threading._active.pop(get_ident(), None)
