"""The stages of a call, each beside the least that it could be made of: what runs in the process that measures them.

Every stage is a context: it makes what both sides need, hands out what measures the stage and what measures its floor,
and leaves nothing behind. `rows.stages` says in words which is compared with what. Linux only.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks.pairing import in_turn
from benchmarks.stages.coding import MADE, decoding, encoding
from benchmarks.stages.knowing import call, learning, looking_up
from benchmarks.stages.life import Life, crew, living, together
from benchmarks.stages.ranges import feed, messages, order, take

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from benchmarks.stages.clock import Sides

STAGES: Mapping[str, Callable[[], AbstractContextManager[Sides]]] = {
    **{part: partial(living, part) for part in Life._fields},
    "start together": together,
    "crew": crew,
    "take": take,
    "publish": partial(messages, 0),
    "drain": partial(messages, 1),
    "order": order,
    "feed": feed,
    **{f"encode {kind}": partial(encoding, kind) for kind in MADE},
    **{f"decode {kind}": partial(decoding, kind) for kind in MADE},
    "call": call,
    "look up": looking_up,
    "learn": learning,
}


def told(name: str, n_rounds: str) -> None:
    """Print the seconds of a stage and of its floor, round by round."""
    with STAGES[name]() as (stage, floor):
        seconds = in_turn({"stage": stage, "floor": floor}, int(n_rounds))
    for pair in zip(seconds["stage"], seconds["floor"], strict=True):
        print(*pair)
