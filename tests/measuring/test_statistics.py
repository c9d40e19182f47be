"""Intervals and paired differences: what they resolve, and when they say nothing."""

import numpy as np
import pytest

from dgpg.measuring.statistics import Costs, difference, interval, rough

CHANCE = np.random.default_rng(5)
COSTS: Costs = CHANCE.normal(10.0, 2.0, 32)


def test_a_difference_that_the_intervals_hide_is_found_on_the_same_episodes() -> None:
    more = COSTS * 1.003 + CHANCE.normal(0.0, 0.01, 32)
    found = difference(more, COSTS, "policy")
    assert found.percent == pytest.approx(0.3, abs=0.05) and found.distinguishable
    ends, own, other = found.percent_ci95, interval(more), interval(COSTS)
    assert ends is not None and own is not None and other is not None
    assert ends[0] <= 0.3 <= ends[1] and ends[1] - ends[0] < 0.15
    assert own[0] < other[1]  # the intervals of the two means overlap


def test_noise_around_nothing_is_not_distinguishable() -> None:
    noise = CHANCE.normal(0.0, 1.0, 32)
    found = difference(COSTS + noise - noise.mean(), COSTS, "policy")
    assert found.distinguishable is False and found.ci95 is not None and found.ci95[0] < 0 < found.ci95[1]


def test_what_does_not_vary_has_no_interval() -> None:
    same = np.full(5, 3.0)
    assert interval(same) is None and interval(COSTS[:1]) is None
    assert interval(same * (1 + 1e-8 * CHANCE.random(5))) is None  # rounding
    assert interval(np.array([1.0, np.inf, 2.0])) is None
    exact = difference(same + 0.3, same, "policy")
    assert (exact.ci95, exact.percent_ci95, exact.distinguishable) == (None, None, True)
    assert exact.percent == pytest.approx(10.0)
    assert difference(same, same, "policy").distinguishable is False
    assert difference(COSTS[:1] + 1, COSTS[:1], "policy").distinguishable is None


def test_costs_that_change_sign_have_no_percent() -> None:
    around = COSTS - 10
    found = difference(around + 1, around, "policy")
    assert (found.percent, found.percent_ci95) == (None, None) and found.cost == pytest.approx(1.0)
    profit = difference(-COSTS + 1, -COSTS, "policy")
    assert profit.percent is not None and profit.percent > 0  # it costs more, whatever the sign


def test_few_episodes_are_called_rough() -> None:
    assert rough(32) == [] and "rough" in rough(3)[0] and "no interval" in rough(1)[0]
