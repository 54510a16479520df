"""Where this process keeps what it learns."""

import os

from amorsize.options import cache_settings, while_environment_holds
from amorsize.store.where import default_directory


def directory() -> str | None:
    """Return where the store lives; None where the environment turns it off."""
    where = _chosen()
    if where is None or os.path.isabs(where):
        return where
    try:
        return os.path.abspath(where)
    except OSError:  # the current directory is gone: there will be nothing in what is relative to it
        return where


@while_environment_holds
def _chosen() -> str | None:
    is_on, chosen = cache_settings()
    where = (chosen or default_directory(os.environ)) if is_on else None
    return where and os.path.normpath(where)
