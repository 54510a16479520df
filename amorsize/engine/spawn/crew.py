"""Fresh interpreters as the workers of a feed."""

from __future__ import annotations

from amorsize.engine.spawn import warm

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.engine.fed.link import Link
    from amorsize.engine.held import Held
    from amorsize.engine.message import Message
    from amorsize.engine.process import Status
    from amorsize.engine.spawn.errand import Errand
    from amorsize.engine.spawn.hired import SpawnedWorker


class SpawnedSeat:
    """A spawned worker, as the feed knows it."""

    __slots__ = ("worker",)

    def __init__(self, worker: SpawnedWorker) -> None:
        self.worker = worker

    @property
    def link(self) -> Link:
        return self.worker.link

    @property
    def pidfd(self) -> int | None:
        return self.worker.process.pidfd

    @property
    def cpu_s(self) -> float | None:
        return self.worker.process.cpu_s

    def has_ended(self) -> bool:
        return self.worker.process.has_ended() or self.worker.is_leaving

    def end(self) -> Status:
        return self.worker.process.end()

    def answer(self, refused: Message) -> None:
        self.worker.answer(refused)


class SpawnedCrew:
    """Hires fresh interpreters for one call; those that are idle at its end stay warm for the next.

    Args:
        errand: what they run.
        held: holds signal handlers back.
    """

    def __init__(self, errand: Errand, held: Held) -> None:
        self._errand = errand
        self._held = held
        self._seats: list[SpawnedSeat] = []

    def hire(self, n_workers: int) -> list[SpawnedSeat]:
        hired = [SpawnedSeat(worker) for worker in warm.hire(n_workers, self._errand, self._held)]
        self._seats += hired
        return hired

    def dismiss(self, seat: SpawnedSeat) -> None:
        seat.worker.close()
        self._seats.remove(seat)

    def release(self, seats: list[SpawnedSeat]) -> None:
        if seats:
            warm.release([seat.worker for seat in seats])
        self._seats = [seat for seat in self._seats if seat not in seats]

    def close(self) -> None:
        while self._seats:
            self.dismiss(self._seats[-1])
