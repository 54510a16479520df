"""Whether to look into the store before the first item of a fresh process, where there are few.

Like all that is loaded before a first item, it does without `__future__`: see `record`.
"""

import sys

from amorsize.store.long import LONG_S, read_long
from amorsize.store.where import directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


_read: "dict[str, dict[str, float]]" = {}  # by directory: what was read there, once in a process


def are_long(func: "Callable[..., object]", n_items: int) -> bool:
    """Tell whether items of this function are known to be so long that no other core should wait for the first one.

    Never calls it. The first time in a process takes 0.1 ms, and 0.4 to load what it takes.
    """
    if sys.platform == "win32" and "platformdirs" not in sys.modules:  # 16 ms, to find out where
        return False
    where = directory()
    if where is None:
        return False
    if where not in _read:
        _read[where] = read_long(where)
    if not _read[where]:
        return False
    from amorsize.advice.worth import look_pays
    from amorsize.identity.naming import function_name

    try:
        item_s = _read[where].get(function_name(func), 0.0)
    except Exception:  # a class that fails when it is looked at; given up: a hint
        return False
    return item_s >= LONG_S and look_pays(n_items * item_s)
