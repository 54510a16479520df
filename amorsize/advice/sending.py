"""What sending items and results between processes costs, going by real ones, and what lets them be sent at all."""

from __future__ import annotations

import sys

from amorsize.calibration.sending import is_alike, price_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from amorsize.advice.knowledge import Knowledge

SENT_ON_TRIAL = 64
"""Real results encoded and rebuilt before processes join: of fewer, a message's fixed cost would hide the price."""

TRIAL_BYTES = 1 << 20
"""Of large results as many as fit into this: about 1 ms of work."""

SIZED = frozenset((int, float, str, bytes, bytearray, tuple, list, dict, set, frozenset))
"""Types whose objects tell their own size, without what they hold, and call no code of the user's for it."""


PICKLED_TENSOR = b"_rebuild_tensor"
"""Names, in a pickle, what makes a tensor of torch again."""


def sends_items(start_method: str, n_left: int | None) -> bool:
    """Whether items are pickled on their way to a worker: forked ones have those of sliceable input already."""
    return start_method == "spawn" or n_left is None


def inherit(results: Sequence[object], items: Sequence[object]) -> None:
    """Have workers that are about to be forked know the classes of such results and items, where no name leads to
    them."""
    from amorsize.identity.naming import unnamed

    if kinds := unnamed([*results[-SENT_ON_TRIAL:], *items]):
        from amorsize.engine.inherited import note

        note(kinds)


def unlike(results: Sequence[object], known: Knowledge) -> dict[str, float]:
    """Return the price of sending by bytes alone, where results are of quite another size than those of earlier calls;
    else nothing.

    Two places may call one function, of which one gets a number and the other a million.
    """
    if known.profile.send_s is None or not results or type(results[-1]) not in SIZED:
        return {}
    n_bytes = float(sys.getsizeof(results[-1]))
    if is_alike(n_bytes, known.profile.result_bytes):
        return {}
    return {"result_bytes": n_bytes, "send_s": price_of(n_bytes, known.costs)}


def prices(
    results: Sequence[object], sample: Callable[[], Sequence[object]] | None, known_s: float, *, may_fail: bool = False
) -> tuple[dict[str, float], str | None]:
    """Encode and rebuild some real results, and items; return what that costs as fields of a profile, or why it cannot
    be done.

    Where no item has run yet, an earlier run on this machine has shown it.

    Args:
        results: the latest.
        sample: returns some items; None where they need not be sent.
        known_s: seconds that a result is known to cost at the least.
        may_fail: what an item has raised may be its result.
    """
    if may_fail:
        from amorsize.engine.guard import as_sent

        results = as_sent(results[-SENT_ON_TRIAL:])
    fields, refusal = _prices_of("result", results)
    if refusal is None and results and _has_gradients(results[-1]):
        return {}, "its results belong to a graph of gradients, which stays in the process that computed it"
    if "send_s" in fields:
        fields["send_s"] = max(fields["send_s"], known_s)
    if refusal is None and sample is not None:
        there, refusal = _prices_of("argument", sample())
        fields |= there
    return fields, refusal


def _prices_of(what: str, values: Sequence[object]) -> tuple[dict[str, float], str | None]:
    """Do so with values of one kind.

    Args:
        what: `result` or `argument`.
        values: the latest; as many of the last are tried as tell enough.
    """
    if not values:
        return {}, None
    from amorsize.engine.encoding import trial

    try:
        _, n_bytes = trial(list(values[-1:]))
        tried = list(values[-max(1, min(SENT_ON_TRIAL, TRIAL_BYTES // max(1, n_bytes))) :])
        seconds, n_bytes = trial(tried)
    except Exception as error:  # __reduce__ and __setstate__ may raise anything, and what they raise is the answer
        return {}, f"its {what}s cannot be sent between processes ({type(error).__name__}: {error})"
    fields = {f"{what}_bytes": n_bytes / len(tried)}
    if seconds is not None:
        fields["send_s" if what == "result" else "give_s"] = seconds / len(tried)
    return fields, None


def _has_gradients(result: object) -> bool:
    """Tell whether a result that can be sent holds tensors through which torch can compute gradients of others: it
    pickles them without a word, and what is rebuilt has none."""
    torch: Any = sys.modules.get("torch")  # Any: it is not installed where this is checked
    if torch is None:
        return False
    from io import BytesIO
    from pickle import Pickler

    from amorsize.engine.encoding import REFUSALS, encode

    if PICKLED_TENSOR not in encode([result])[1]:
        return False
    found: list[object] = []

    class Finder(Pickler):
        def persistent_id(self, part: object) -> None:
            if isinstance(part, torch.Tensor) and getattr(part, "grad_fn", None) is not None:
                found.append(part)

    try:
        Finder(BytesIO(), 5, buffer_callback=lambda _: None).dump(result)
    except REFUSALS:  # of a class that no name leads to; given up: what is behind it
        pass
    return bool(found)
