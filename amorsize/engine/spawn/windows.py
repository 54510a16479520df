"""A child process of ours on Windows, with the methods of `engine.process.Process`."""

from __future__ import annotations

from amorsize import footprint

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess

    from amorsize.engine.process import Status


class WindowsProcess:
    """A child process.

    Attributes:
        pid: its process id.
        pidfd: None: its end shows in the end of its line.
        cpu_s: None: not known.
    """

    __slots__ = ("_process", "cpu_s", "pid", "pidfd")

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid
        self.pidfd: int | None = None
        self.cpu_s: float | None = None

    def highest_bytes(self) -> int | None:
        """Return the most memory that it has held so far; None where it has ended."""
        found = footprint.of(self.pid)
        return found and found[1]

    def descriptors(self) -> list[int]:
        """Return nothing: handles are not inherited."""
        return []

    def kill(self) -> None:
        """End it at once; harmless where it has ended already."""
        self._process.kill()

    def end(self) -> Status:
        """Wait for its end, a second at most, and return (exit code, None); kill it after that."""
        import subprocess

        try:
            return self._process.wait(1), None
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait(), None

    def has_ended(self) -> bool:
        """Tell, without waiting, whether it has ended."""
        return self._process.poll() is not None

    def close(self) -> None:
        """End it if it still lives, and give its handles back; a second time, do nothing."""
        self.kill()
        self.end()
        if self._process.stdin is not None:
            self._process.stdin.close()
