from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.pairing import in_turn

if TYPE_CHECKING:
    from collections.abc import Callable


def test_contenders_run_in_turn_and_the_order_is_turned_round() -> None:
    ran: list[str] = []

    def contender(name: str) -> Callable[[], float]:
        def run() -> float:
            ran.append(name)
            return 1.0

        return run

    in_turn({"a": contender("a"), "b": contender("b")}, n_rounds=3)
    assert "".join(ran) == "abbaabba"


def test_the_first_round_is_not_counted() -> None:
    times = iter([100.0, 1.0, 2.0])
    assert in_turn({"only": lambda: next(times)}, n_rounds=2) == {"only": [1.0, 2.0]}
