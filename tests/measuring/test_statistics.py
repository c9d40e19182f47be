"""Intervals and paired differences: what they resolve, and when they say nothing."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from dgpg.measuring.statistics import Costs, block_of, difference, interval, rough

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


def test_draws_are_those_of_scipy() -> None:
    """Whose bootstrap is the same, and whose import a page of runs does not wait for."""
    other, chance = COSTS + CHANCE.normal(0.1, 0.3, 32), {"n_resamples": 2000, "method": "percentile"}
    for few in (2, 9, 32):
        costs, others = COSTS[:few], other[:few]
        theirs = bootstrap((costs,), np.mean, rng=np.random.default_rng(0), **chance).confidence_interval
        assert interval(costs) == pytest.approx(tuple(theirs), rel=1e-12)
        paired = bootstrap(
            (costs, others), lambda a, b, axis: 100 * (a.mean(axis) / b.mean(axis) - 1), paired=True,
            rng=np.random.default_rng(0), **chance,
        ).confidence_interval  # fmt: skip
        assert difference(costs, others, "other").percent_ci95 == pytest.approx(tuple(paired), rel=1e-9)


def test_blocks_are_the_cube_root_of_what_there_is() -> None:
    assert [block_of(n) for n in (1, 2, 8, 9, 27, 28, 64)] == [1, 2, 2, 3, 3, 4, 4]


def test_neighbours_that_are_alike_widen_an_interval() -> None:
    """An autoregression of 0.8 has three times the deviation of its mean that independent draws of its spread have."""
    covered, plain, many = 0, 0, 200
    chance = np.random.default_rng(0)
    for _ in range(many):
        x = np.zeros(400)
        for t in range(1, 400):
            x[t] = 0.8 * x[t - 1] + chance.normal()
        ends, others = interval(x[100:] + 5, 20), interval(x[100:] + 5)
        assert ends is not None and others is not None
        covered += ends[0] <= 5 <= ends[1]
        plain += others[0] <= 5 <= others[1]
    assert plain / many < 0.6 < 0.8 < covered / many


def test_blocks_of_all_there_is_say_that_nothing_varies() -> None:
    found = interval(COSTS, len(COSTS))
    assert found is not None and found[0] == pytest.approx(found[1])


def test_a_difference_is_drawn_in_the_same_blocks() -> None:
    """Costs that rise and fall together with those they are held against: the ratio does not vary, however drawn."""
    found = difference(1.1 * COSTS, COSTS, "policy", 4)
    assert found.percent_ci95 == pytest.approx((10.0, 10.0)) and found.distinguishable
