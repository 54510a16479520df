"""Where this process keeps what it learns."""

import os
import sys

from amorsize.options import cache_settings, while_environment_holds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


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
    where = (os.path.expanduser(chosen) if chosen else default_directory(os.environ)) if is_on else None
    return where and os.path.normpath(where)


def default_directory(environ: "Mapping[str, str]", platform: str = sys.platform) -> str:
    """Return what `platformdirs.user_cache_dir("amorsize")` would, without its 16 ms of import on Linux and macOS.

    Where no home can be found it is a directory for temporary files. Nothing is created or looked at.
    """
    if platform != "darwin" and not platform.startswith(("linux", "freebsd", "openbsd", "netbsd")):
        return _asked_of_platformdirs() or temporary_directory(environ)
    root = environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(root):  # a relative one is to be ignored, says the XDG specification
        home = _home(environ)
        if home is None:
            return temporary_directory(environ)
        root = os.path.join(home, *(("Library", "Caches") if platform == "darwin" else (".cache",)))
    return os.path.join(root, "amorsize")


def may_hold_rows(directory: str) -> bool:
    """Tell whether there is a store at all, there or where one goes whose directory is on a network file system.

    Where nothing was ever kept, the first look of a process spares what opening it would load.
    """
    return any(map(os.path.lexists, (directory, temporary_directory(os.environ))))


def seems_closed(directory: str) -> bool:
    """Tell, at a glance of 10 us, whether nothing can be written there; what seems open may be closed all the same."""
    return not os.access(nearest(directory), os.W_OK | os.X_OK)


def nearest(directory: str) -> str:
    """Return the directory, or the nearest one above it that is there, or what stands there in its place."""
    while directory and not os.path.lexists(directory) and directory != os.path.dirname(directory):
        directory = os.path.dirname(directory)
    return directory or os.curdir


def temporary_directory(environ: "Mapping[str, str]") -> str:
    """Return this user's own directory on the local disk, for where the cache directory will not do."""
    root = next((environ[name] for name in ("TMPDIR", "TEMP", "TMP") if environ.get(name)), "/tmp")
    if sys.platform == "win32" or not hasattr(os, "geteuid"):  # a user's own already; in WebAssembly there are none
        return os.path.join(root, "amorsize")
    return os.path.join(root, f"amorsize-{os.geteuid()}")


def _home(environ: "Mapping[str, str]") -> str | None:
    home = environ.get("HOME", "")
    if os.path.isabs(home):
        return home.rstrip("/") or "/"
    if sys.platform == "win32":
        return None
    try:
        import pwd

        home = pwd.getpwuid(os.getuid()).pw_dir
    except (ImportError, KeyError):  # no such database; a user id without an entry, as in containers
        return None
    return home if os.path.isabs(home) else None


def _asked_of_platformdirs() -> str | None:
    try:
        from platformdirs import user_cache_dir

        return user_cache_dir("amorsize")
    except (ImportError, OSError, RuntimeError, ValueError, KeyError):  # no home: each of its ways has its own error
        return None
