"""Fresh interpreters as the workers of a feed."""

from __future__ import annotations

from amorsize.engine.spawn import warm

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.engine.held import Held
    from amorsize.engine.spawn.errand import Errand
    from amorsize.engine.spawn.hired import SpawnedWorker


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
        hired = warm.hire(n_workers, self._errand, self._held)
        self._seats += hired
        return hired

    def dismiss(self, seat: SpawnedWorker) -> None:
        seat.close()
        self._seats.remove(seat)

    def release(self, seats: list[SpawnedWorker]) -> None:
        if seats:
            warm.release(seats)
        self._seats = [seat for seat in self._seats if seat not in seats]

    def close(self) -> None:
        while self._seats:
            self.dismiss(self._seats[-1])
