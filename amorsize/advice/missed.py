"""What loops have missed because no fresh interpreter was warm.

To launch some does not pay within a short call, and does over many. So they are launched when as much has been missed
as that costs: never much worse than who had known from the start how many calls were to come (ski rental). The only
call of a program does not pay for a next one, whatever it has missed: beside a thread, 0.14 s were 0.2 s.
"""

from __future__ import annotations

from amorsize.advice.plans import plan_if_warm
from amorsize.planning.model import WARM_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.advice.plans import Known, Told

MOST_IN_VAIN = 256
"""Functions of which it is remembered that none waited for them; what is forgotten is tried once more."""

_missed_s = 0.0  # by all functions: any of them can use the same interpreters
_price = 1  # in launches: twice as many after those that no call has used, because none came in time, or none could
_in_vain: set[str] = set()  # digests of functions


def hoped_for(digest: str, known: Known, told: Told, n_items: int, loop_s: float) -> int:
    """Count what a call that stayed in the loop has missed; return how many interpreters to launch now, 0 for none, for
    what calls before it have missed.

    Args:
        digest: of the function.
        known: what its plan follows from.
        told: the same.
        n_items: items of the call.
        loop_s: seconds that the loop has taken.
    """
    global _missed_s, _price
    if loop_s <= WARM_S or digest in _in_vain:
        return 0
    plan = plan_if_warm(known, told, n_items)
    if plan.start_method != "spawn" or plan.predicted_s is None:
        return 0
    profile, costs, *_ = known
    loads_s = profile.first_call_s or 0.0  # they have run nothing yet
    before_s, _missed_s = _missed_s, _missed_s + max(0.0, loop_s - plan.predicted_s - loads_s)
    if before_s < _price * costs.spawn_s:
        return 0
    _missed_s, _price = 0.0, 2 * _price
    return plan.n_jobs


def are_in_vain(digest: str) -> None:
    """Be told that no interpreter waits for this function, although some were launched: to send it takes too long."""
    if len(_in_vain) >= MOST_IN_VAIN:
        _in_vain.clear()
    _in_vain.add(digest)


def are_used() -> None:
    """Be told that a call uses fresh interpreters."""
    global _price
    _price = 1
