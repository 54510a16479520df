"""Hire fresh interpreters as fed workers, and keep them warm between calls.

    launch --> SETUP --> tasks, results --> release: idle ones rest, warm --> SETUP of the next call; where nothing has
                 |                                                  |         changed, AGAIN with its first task ...
                 +--> REFUSED --> answer: the same, sent otherwise   +--> nothing heard for IDLE_S: ends itself

A call that needs more than are warm launches the rest all at once and waits for none: what it sends waits in the line.
"""

from __future__ import annotations

import os

from amorsize import footprint
from amorsize.engine.held import Held
from amorsize.engine.spawn import launch, surroundings
from amorsize.engine.spawn.errand import Errand, Packed, travels_as_code
from amorsize.engine.spawn.hired import SpawnedWorker, disown, files_now, place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MOST_RESTING = 2 * (os.cpu_count() or 1)
"""Workers that rest at most; the oldest make room. They hold about 10 MB each."""


_resting: list[SpawnedWorker] = []

_is_watched = False


class SpawnedCrew:
    """Hires fresh interpreters for one call; those that are idle at its end stay warm for the next.

    Args:
        errand: what they run.
        held: holds signal handlers back.
    """

    def __init__(self, errand: Errand, held: Held) -> None:
        self._errand = errand
        self._held = held
        self._seats: list[SpawnedWorker] = []

    def hire(self, n_workers: int) -> list[SpawnedWorker]:
        hired = hire(n_workers, self._errand, self._held)
        self._seats += hired
        return hired

    def dismiss(self, seat: SpawnedWorker) -> None:
        seat.close()
        self._seats.remove(seat)

    def release(self, seats: list[SpawnedWorker]) -> None:
        if seats:
            release(seats)
        self._seats = [seat for seat in self._seats if seat not in seats]

    def close(self) -> None:
        while self._seats:
            self.dismiss(self._seats[-1])


def hire(n_workers: int, errand: Errand, held: Held, *, to_rest: bool = False) -> list[SpawnedWorker]:
    """Return workers that have been told what to run, at most so many: resting ones first, then new ones.

    Args:
        n_workers: so many.
        errand: what to run.
        held: what holds signals back.
        to_rest: no call may ever follow: new ones end themselves where nothing more is heard, be it half of a function.

    Raises:
        OSError: where there is none, and no room to launch one.
        BackendUnavailable: where the function cannot be sent.
    """
    hired: list[SpawnedWorker] = []
    try:
        n_missing = n_workers - len(_resting)
        ahead = "cloudpickle" if n_missing > 0 and travels_as_code(errand) else ""
        shortage = _launch(n_missing, hired, held, ahead)  # they start while the function is pickled
        with held:  # what a signal's handler raises is no reason why a function cannot be sent
            packed, files, now = Packed(errand), files_now(), place()
            around = surroundings.here()
        _take_resting(n_workers, hired, held, lambda worker: worker.suits(packed, files, now, around))
        shortage = shortage or _launch(n_workers - len(hired), hired, held, ahead)
        if not hired and shortage is not None:
            raise shortage
        for worker in hired:
            if to_rest and not worker.link.n_setups:
                worker.link.rest()
            worker.hire(packed, around, files)
    except BaseException:
        _end(hired)
        raise
    return hired


def prepare(n_workers: int, errand: Errand) -> int:
    """Hire workers for an errand that is still to come, and let them rest; return how many do. Who takes a large
    function in more slowly than it is sent gets more of it with each look at who is ready.

    Raises:
        OSError: as `hire`.
        BackendUnavailable: as `hire`.
    """
    hired = hire(n_workers, errand, Held(), to_rest=True)
    release(hired)
    return len([worker for worker in hired if worker in _resting])


def _launch(n_workers: int, hired: list[SpawnedWorker], held: Held, ahead: str) -> OSError | None:
    """Launch so many workers, or as many as there is room for; return what was in the way of the others."""
    for _ in range(n_workers):
        try:
            with held:
                hired.append(SpawnedWorker(*launch.start(ahead)))
                _watch()
        except OSError as error:
            if error.errno is None:  # a signal handler's
                raise
            return error
    return None


def _watch() -> None:
    """Have the workers end with this process, and be its own: a child that the program forks has none."""
    global _is_watched
    if not _is_watched:
        import atexit

        atexit.register(shutdown)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_disown)
        _is_watched = True


def _disown() -> None:
    """Know nothing, in a forked child, of workers that are its parent's."""
    _resting.clear()
    disown()


def _take_resting(
    n_workers: int, hired: list[SpawnedWorker], held: Held, suits: Callable[[SpawnedWorker], bool]
) -> None:
    """Hire those resting workers that suit until there are enough; end those that have become useless."""
    useless: list[SpawnedWorker] = []
    with held:
        for worker in list(_resting):
            fits = len(hired) < n_workers and suits(worker)
            if (fits or worker.is_useless) and _takes(worker):
                (hired if fits else useless).append(worker)
        _dismiss(useless)


def _takes(worker: SpawnedWorker) -> bool:
    """Take a worker out of its rest; False where another thread was faster."""
    try:
        _resting.remove(worker)
    except ValueError:
        return False
    return True


def release(workers: Iterable[SpawnedWorker]) -> None:
    """End a call: workers that have answered all they were asked rest, the others are ended; a second time, do nothing.

    Resting workers that are of no use any more, or too many, are ended, too.
    """
    with Held():
        hired = [worker for worker in workers if worker not in _resting]
        resting = [worker for worker in hired if worker.rest()]
        _resting.extend(resting)
        _end([worker for worker in hired if worker not in resting])
        surplus = len(_resting) - MOST_RESTING
        ended = [worker for k, worker in enumerate(_resting) if k < surplus or worker.is_useless]
        _resting[:] = [worker for worker in _resting if worker not in ended]
        _dismiss(ended)


def n_resting(name: str | None = None, *, has_run: bool = False) -> int:
    """Return how many workers wait for the next call, and begin at once.

    Args:
        name: of a function that they have to know; None for any.
        has_run: whether they must have run it.
    """
    for worker in [worker for worker in list(_resting) if not worker.is_ready]:
        with Held():
            if _takes(worker):  # nobody else hears it then
                worker.look()
                _resting.append(worker)
    ready = [worker for worker in list(_resting) if worker.is_ready and not worker.is_useless]
    return sum([name is None or name in (worker.has_run if has_run else worker.knows) for worker in ready])


def held_bytes(name: str) -> int:
    """Return the memory of those that rest and have run a function: who runs it once more needs that no second time."""
    found = [footprint.of(worker.process.pid) for worker in [*_resting] if name in worker.has_run]
    return sum([held for held, _ in filter(None, found)])


def are_there() -> bool:
    """Tell whether any rest, be it that they are still starting."""
    return bool(_resting)


def shutdown() -> None:
    """End the workers that rest."""
    with Held():
        workers, _resting[:] = list(_resting), ()
        _dismiss(workers)


def _dismiss(workers: list[SpawnedWorker]) -> None:
    """Let resting workers end themselves, all at once, and wait for that; not for those that may still be starting."""
    for worker in workers:
        (worker.leave if worker.is_ready else worker.kill)()
    for worker in workers:
        worker.process.end()
        worker.close()


def _end(workers: list[SpawnedWorker]) -> None:
    """End workers at once, whatever they do."""
    for worker in workers:
        worker.kill()
    for worker in workers:
        worker.close()
