"""What sending costs is learned from what was taken over, a step at a time."""

from __future__ import annotations

import pytest

from amorsize.calibration.costs import Costs
from amorsize.calibration.profile import Profile
from amorsize.calibration.sending import FADING, STEP, UNLIKE, believed_sending, is_alike, price_of

COSTS = Costs()
NUMBER_S = price_of(None, COSTS)


def believed(known_s: float | None, *runs: tuple[int, int, float]) -> float | None:
    return believed_sending(Profile.empty().replace(send_s=known_s), COSTS, runs)


def test_nothing_is_believed_where_nothing_is_known_or_told() -> None:
    assert believed(None) is None
    assert believed(None, (0, 0, 1.0), (10, 1, 1.0)) is None


def test_results_count_by_what_they_took_beyond_their_messages() -> None:
    assert believed(2e-6, (10_000, 100, 0.01 + 100 * COSTS.drain_s)) == pytest.approx(2e-6)


def test_a_message_that_costs_less_than_usual_makes_no_result_cost_less_than_nothing() -> None:
    assert believed(2e-6, (10_000, 100_000, 1e-3)) == pytest.approx(2e-6 / STEP)


@pytest.mark.parametrize("stall_s", [0.01, 1.0, 100.0])
def test_one_stall_changes_what_is_believed_by_one_step(stall_s: float) -> None:
    dear_s = believed(NUMBER_S, (10_000, 1, stall_s + 1.0))
    assert dear_s == pytest.approx(NUMBER_S * STEP)
    assert believed(dear_s, (10_000, 1, 10_000 * NUMBER_S / 2)) == pytest.approx(NUMBER_S, rel=0.01)


def test_what_is_believed_beyond_the_bytes_fades_and_nothing_else() -> None:
    assert believed(NUMBER_S + 1e-6) == pytest.approx(NUMBER_S + FADING * 1e-6)
    assert believed(NUMBER_S / 2) == NUMBER_S / 2


@pytest.mark.parametrize(
    ("n_bytes", "known_bytes", "alike"),
    [(28, 5, True), (28, None, True), (1e6, 5, False), (28, 1e6, False), (1e6, 1e6 / UNLIKE, True), (149, 105, True)],
)
def test_results_of_about_one_size_are_alike(n_bytes: float, known_bytes: float | None, *, alike: bool) -> None:
    assert is_alike(n_bytes, known_bytes) is alike
