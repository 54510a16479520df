"""What a function's next call would look like, for each kind of input that it is known with."""

from __future__ import annotations

from amorsize.planning.words import items
from amorsize.records import Record
from amorsize.report.text import describe_plan, describe_profile, named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amorsize.records import Plan
    from amorsize.report.kept import Kept


class Forecast(Record):
    """The plan that a call with so many items of one kind would begin with."""

    kept: Kept
    n_items: int
    plan: Plan


class Outlook(Record):
    """What is known about a function, and what follows from it here.

    Attributes:
        function: `module:qualname`, as a store calls it.
        forecasts: one for each kind of input known here.
        n_other_code: records of the same name that were measured with other code: it, or what it uses, has changed.
        n_other_machine: records of the same code from other machines.
        warnings: what a call would warn of.
    """

    function: str
    forecasts: tuple[Forecast, ...]
    n_other_code: int
    n_other_machine: int
    warnings: tuple[str, ...] = ()


def describe_outlook(outlook: Outlook, now_s: float) -> list[str]:
    """Tell what is known about a function, and the plan for each kind of input.

    Args:
        outlook: the function's.
        now_s: seconds since 1970.
    """
    lines = named([("function", outlook.function)])
    if not outlook.forecasts:
        lines.append(
            "Nothing is known about it here: the next call times its first items while it does them, and learns."
        )
    if outlook.n_other_code:
        lines.append(
            f"Records of this name with other code: {outlook.n_other_code} (it, or what it uses, was changed)."
        )
    if outlook.n_other_machine:
        lines.append(f"Records from other machines: {outlook.n_other_machine} (they are not used here).")
    for forecast in outlook.forecasts:
        lines += ["", f"INPUT {forecast.kept.input}", *describe_profile(forecast.kept.profile, now_s)]
        lines += ["", f"PLAN FOR {items(forecast.n_items)}", *describe_plan(forecast.plan)]
    return lines
