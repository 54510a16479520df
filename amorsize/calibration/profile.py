"""What is known about one function, for one class of items, on one machine: statistics, never decisions.

    batches of this call -> Profile.of -.
                                         +-> prior.learn(seen) -> to_facts -> store -> from_facts -> the next prior
    what was known before -------------'

Profiles add up: `merge` is associative, so that processes may learn at the same time. What is old counts less, and what
new evidence refutes is demoted to a prior worth two samples.
"""

from __future__ import annotations

from math import exp, log, sqrt

from amorsize.calibration.facts import LATEST_S, MAX_ITEMS, MAX_SECONDS, SHORTEST_S, believable, is_number
from amorsize.calibration.moments import Moments
from amorsize.calibration.runs import FAR_OFF, MAX_RUNS, TELLING_S, Run, refute
from amorsize.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Self

    from amorsize.records import Facts

HALF_LIFE_S = 30 * 86_400.0
"""Seconds in which what was seen loses half of its weight. Shorter forgets functions that run once a month; longer lets
last year's library version outvote today's."""

FIRST_CALL_RATIO = 4.0
"""A first call this many times as long as any item after it is taken for a warm-up: an import, a cache, a compiler. Too
low drops honest long items from the mean; too high lets one warm-up of 0.2 s pass for the cost of every item."""

PRIOR_SAMPLES = 2.0
"""What a demoted profile is worth, in samples: enough for a first guess, outvoted by the first batches of a run."""

MAX_STRETCH = 4.0
"""The longest item to come is expected to be at most this many times the longest one seen: a tail extrapolated further
than the samples reach would let three noisy items forbid every parallel run."""

MAX_SPREAD = 3.0
"""Standard deviation over mean that a prior may claim when it is tested: more, and nothing could ever refute it."""

_HIGHEST = {  # of what is not always known, in the order of declaration; none is below 0
    "first_call_s": MAX_SECONDS,
    "cpu_share": 2.0**16,
    "gil_free_share": 1.0,
    "front": 2.0**16,
    "crowding": 2.0**16,
    "argument_bytes": 2.0**60,
    "result_bytes": 2.0**60,
    "send_s": MAX_SECONDS,
    "give_s": MAX_SECONDS,
    "worker_bytes": 2.0**60,
    "stream_items": float(MAX_ITEMS),
}


class Profile(Record):
    """The statistics of a function. `None` is "not known".

    Attributes:
        item: moments of an item's seconds alone: while nothing else of ours computes.
        log_item: moments of the logarithm of each batch's seconds per item; every batch counts once.
        longest_s: seconds of the longest item seen; of a batch the mean, which is the least that it can have been.
        updated_s: when it was last added to, in seconds since 1970; 0 for never.
        runs: the last real runs, oldest first.
        first_call_s: seconds that the first call in a process took longer than those which followed.
        cpu_share: CPU seconds over wall seconds: 0.01 waits, 1 computes, 2 keeps two cores busy.
        gil_free_share: share of its time, 0 to 1, in which the function lets other threads run.
        front: mean seconds of a call's first items over those of all: small for input sorted by size.
        crowding: by which share of its seconds alone an item takes longer for each further process that computes.
        argument_bytes: mean bytes of a pickled argument.
        result_bytes: mean bytes of an encoded result.
        send_s: measured seconds per result to encode it and to decode it again.
        give_s: measured seconds per argument to encode it and to decode it again.
        worker_bytes: memory that one more worker takes.
        stream_items: how many items an iterator is believed to give, of those whose length nobody knows before.
    """

    item: Moments = Moments()
    log_item: Moments = Moments()
    longest_s: float = 0.0
    updated_s: float = 0.0
    runs: tuple[Run, ...] = ()
    first_call_s: float | None = None
    cpu_share: float | None = None
    gil_free_share: float | None = None
    front: float | None = None
    crowding: float | None = None
    argument_bytes: float | None = None
    result_bytes: float | None = None
    send_s: float | None = None
    give_s: float | None = None
    worker_bytes: float | None = None
    stream_items: float | None = None

    def check(self) -> None:
        if not (is_number(self.longest_s, 0, MAX_SECONDS) and 0 <= self.item.mean <= MAX_SECONDS):
            raise ValueError(f"an item lasts 0 to {MAX_SECONDS:g} s, got {self.item.mean!r} and {self.longest_s!r}")
        if not is_number(self.updated_s, 0, LATEST_S):
            raise ValueError(f"updated_s must be seconds since 1970, got {self.updated_s!r}")
        for name, highest in _HIGHEST.items():
            value = getattr(self, name)
            if value is not None and not is_number(value, 0, highest):
                raise ValueError(f"{name} must lie between 0 and {highest:g}, got {value!r}")

    @classmethod
    def empty(cls) -> Profile:
        """Return what is known of a function that never ran; merging it changes nothing."""
        return _EMPTY

    @classmethod
    def of(cls, batches: Iterable[tuple[int, float]], now_s: float, *, starts_cold: bool = True) -> Profile:
        """Return what these batches show.

        Args:
            batches: items and seconds of each, in the order in which they ran, while nothing else of ours computed.
            now_s: seconds since 1970.
            starts_cold: whether the first item was the function's first call in this process: only that one may be a
                warm-up.
        """
        timed = [(n_items, seconds / n_items) for n_items, seconds in batches if n_items > 0]
        first_call_s = _warm_up_s(timed) if starts_cold else None
        if first_call_s is not None:
            del timed[0]
        if not timed:
            return _EMPTY
        return cls(
            item=Moments.of(timed),
            log_item=Moments.of([(1, log(item_s + SHORTEST_S)) for _, item_s in timed]),
            longest_s=max([item_s for _, item_s in timed]),
            updated_s=believable(now_s),
            first_call_s=first_call_s,
        )

    @property
    def is_known(self) -> bool:
        """Whether an item was ever timed."""
        return self.item.weight > 0

    @property
    def item_s(self) -> float | None:
        """Seconds an item is expected to take; None where none was timed."""
        return self.item.mean if self.is_known else None

    @property
    def total_s(self) -> float:
        """Seconds of all items that were timed, those of long ago by what they still weigh."""
        return self.item.weight * self.item.mean

    @property
    def sd_s(self) -> float:
        """Standard deviation of an item's seconds.

        One more sample, as far off as the mean is long, is pretended: while samples are few their spread is not known
        to be small, and the pretence fades as they grow.
        """
        item = self.item
        return sqrt((item.m2 + item.mean * item.mean) / max(item.samples, 1.0))

    def bound_s(self, z: float) -> float:
        """Return the mean seconds of an item plus z standard errors (z < 0: less), at least 0."""
        item = self.item
        if not item.weight:
            return 0.0
        return max(0.0, item.mean + z * self.sd_s / sqrt(item.weight))

    def longest_of_s(self, n_items: int) -> float:
        """Return the seconds to expect of the longest of `n_items` items, if they are log-normal."""
        spread = self.log_item.variance
        if not spread or n_items < 2:
            return self.longest_s
        log_s = self.log_item.mean + sqrt(2 * spread * log(n_items))
        return min(max(self.longest_s, exp(min(log_s, log(MAX_SECONDS)))), MAX_STRETCH * self.longest_s)

    def refutes(self, prior: Profile) -> bool:
        """Tell whether what was just seen cannot be of the function that `prior` describes."""
        seen, known = self.item, prior.item
        expected_s = max(seen.mean, known.mean) * seen.weight
        if seen.samples < 2 or not known.weight or expected_s < TELLING_S:
            return False
        noise_s = 2 * min(prior.sd_s, MAX_SPREAD * known.mean) / sqrt(seen.weight)
        far_off = seen.mean * FAR_OFF <= known.mean or known.mean * FAR_OFF <= seen.mean
        return far_off and abs(seen.mean - known.mean) > noise_s

    def merge(self, other: Profile) -> Profile:
        """Return both together; `other` is the newer one, and wins where only one value can be kept."""
        if other is _EMPTY or self is _EMPTY:
            return self if other is _EMPTY else other
        now_s = max(self.updated_s, other.updated_s)
        old, new = self._share_left(now_s), other._share_left(now_s)
        kept: dict[str, Any] = {}  # Any: mypy would test its values against every field
        for name in _HIGHEST:
            value = getattr(other, name)
            kept[name] = getattr(self, name) if value is None else value
        return Profile(
            item=self.item.scaled(old).merge(other.item.scaled(new)),
            log_item=self.log_item.scaled(old).merge(other.log_item.scaled(new)),
            longest_s=max(self.longest_s, other.longest_s),
            updated_s=now_s,
            runs=(self.runs + other.runs)[-MAX_RUNS:],
            **kept,
        )

    def learn(self, seen: Profile) -> Profile:
        """Return this prior together with what was just seen, which outvotes it where the two contradict each other."""
        if seen.refutes(self) or (seen.runs and refute(self.runs + seen.runs)):
            return self.demoted().merge(seen)
        return self.merge(seen)

    def without_items(self) -> Self:
        """Return what it shows besides how long items are."""
        return self.replace(item=Moments(), log_item=Moments(), longest_s=0.0)

    def aged(self, now_s: float) -> Self:
        """Return it with half the weight for every 30 days since it was last added to."""
        share = self._share_left(now_s)
        if share == 1.0:
            return self
        return self.replace(item=self.item.scaled(share), log_item=self.log_item.scaled(share), updated_s=now_s)

    def _share_left(self, now_s: float) -> float:
        """Return which share of its weight age has left."""
        elapsed_s = now_s - self.updated_s
        return 1.0 if elapsed_s <= 0 or not self.is_known else 0.5 ** (elapsed_s / HALF_LIFE_S)

    def demoted(self) -> Self:
        """Return it as a prior worth two samples: a first guess that the next batches outvote."""
        return self.replace(
            item=self.item.limited(PRIOR_SAMPLES),
            log_item=self.log_item.limited(PRIOR_SAMPLES),
            longest_s=self.item.mean,
        )

    def as_prior(self, now_s: float) -> Self:
        """Return it as a first guess for another machine, whose runs it does not remember."""
        return self.replace(updated_s=min(self.updated_s, now_s), runs=()).demoted()

    def ran(self, run: Run) -> Self:
        """Return it with one more run remembered."""
        return self.replace(runs=(*self.runs, run)[-MAX_RUNS:])

    def to_facts(self) -> Facts:
        """Return it as plain JSON values; `from_facts` turns them back."""
        return {
            "item": [*self.item.numbers],
            "log_item": [*self.log_item.numbers],
            "longest_s": self.longest_s,
            "updated_s": self.updated_s,
            "runs": [value for run in self.runs for _, value in run.items()],
            **{name: getattr(self, name) for name in _HIGHEST},
        }

    @classmethod
    def from_facts(cls, facts: object) -> Profile | None:
        """Return the profile that these facts tell; None for anything else, however it was damaged or planted."""
        try:
            return _from_facts(facts)
        except (KeyError, TypeError, ValueError):
            return None  # a store may hold anything: what does not read as a profile is a miss


def _warm_up_s(timed: list[tuple[int, float]]) -> float | None:
    """Return by how many seconds the first call exceeded the mean of the others; None where it was one of them."""
    if len(timed) < 2 or timed[0][0] != 1:
        return None
    first_s, rest = timed[0][1], timed[1:]
    if first_s <= FIRST_CALL_RATIO * max([item_s for _, item_s in rest]):
        return None
    return first_s - Moments.of(rest).mean


def _from_facts(facts: Any) -> Profile:  # Any: whatever the store held
    values = facts["runs"]
    width = len(Run._fields)
    if len(values) % width or len(values) > MAX_RUNS * width:
        raise ValueError(f"{len(values)} values are no list of runs")
    rows = [values[at : at + width] for at in range(0, len(values), width)]
    return Profile(
        item=Moments.from_numbers(facts["item"]),
        log_item=Moments.from_numbers(facts["log_item"]),
        longest_s=facts["longest_s"],
        updated_s=facts["updated_s"],
        runs=tuple([Run(**dict(zip(Run._fields, row, strict=True))) for row in rows]),
        **{name: facts.get(name) for name in _HIGHEST},  # an earlier version knew fewer
    )


_EMPTY = Profile()
