"""The row `bound`: nothing that acts costs less, with losses, ramps, outages and loads below what units must give."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dgpg.domain import Decision, Policy, random
from dgpg.learning.algorithms import find
from dgpg.learning.train import Trainer
from dgpg.measuring import play
from dgpg.measuring.evaluate import NetworkPolicy
from dgpg.runs import launch
from dgpg_power.baselines import Rule, baselines
from dgpg_power.bound import BoundEnv
from dgpg_power.config import Bounded, Config
from dgpg_power.domain import domain
from dgpg_power.env import PowerEnv
from dgpg_power.instance import build
from dgpg_power.programs.trajectory import Episode, lower_bound

from .made import CPU, TWO_BUSES

CLOSE = 2e-6
"""Share of the cost by which float32 may place a policy below the bound."""


class Random:
    """Any base points and shares, from the noise alone."""

    def __init__(self, config: Config, near: Policy | None, spread: float) -> None:
        self.network, self.near, self.spread = build(config).network, near, spread

    def act(self, decision: Decision, noise: torch.Tensor) -> torch.Tensor:
        low, high = (torch.tensor(x).float() for x in (self.network.unit_min, self.network.unit_max))
        moved = self.spread * (noise[..., 0] - 0.5) * (high - low)
        base = (low + high) / 2 if self.near is None else self.near.act(decision, noise)[..., 0]
        return torch.cat([(base + moved).unsqueeze(-1), noise[..., 1:]], -1)


class Follow:
    """The outputs that the bound comes from: the best dispatch there is with losses, near enough."""

    def __init__(self, config: Config, episodes: int, seed: int) -> None:
        env = PowerEnv(build(config), episodes, CPU, random.derive(seed, "arrivals"))
        env.reset()
        self.output, self.t = BoundEnv(env)._bound().output, -1

    def act(self, decision: Decision, noise: torch.Tensor) -> torch.Tensor:
        self.t += 1
        return torch.stack([self.output[self.t].float(), torch.full_like(noise[..., 0], 0.5)][: noise.shape[-1]], -1)


def costs(config: Config | Bounded, policy: Policy, episodes: int, seed: int) -> np.ndarray:
    return play(domain, config, policy, episodes, seed, CPU).cost


def bound_of(config: Config, episodes: int, seed: int) -> np.ndarray:
    (row,) = (rule for rule in baselines(config) if rule.name == "bound")
    return costs(Bounded(of=config), row, episodes, seed)


def beaten(config: Config, seed: int, episodes: int = 3) -> dict[str, float]:
    """Largest share of the bound by which each policy is below it."""
    rules: dict[str, Policy] = {rule.name: rule for rule in baselines(config) if isinstance(rule, Rule)}
    policies = rules | {"random": Random(config, None, 1.0), "follow": Follow(config, episodes, seed)}
    for spread in (0.01, 0.1):
        policies[f"near dc-opf, {spread}"] = Random(config, rules["dc-opf"], spread)
        policies[f"near follow, {spread}"] = Random(config, Follow(config, episodes, seed), spread)
    least = bound_of(config, episodes, seed)
    scale = np.abs(least)
    return {name: float(((least - costs(config, p, episodes, seed)) / scale).max()) for name, p in policies.items()}


SETTINGS = st.fixed_dictionaries(
    {
        "network": st.sampled_from(["case9", "case30pwl", "case24-tight", "case14"]),
        "horizon": st.integers(1, 5),
        "ramp": st.sampled_from([None, None, 0.05, 0.3]),
        "action": st.sampled_from(["participation", "set-point"]),
        "load": st.fixed_dictionaries({"low": st.sampled_from([0.6, 0.85]), "noise": st.sampled_from([0.0, 0.1])}),
        "mismatch": st.fixed_dictionaries(
            {"outages": st.sampled_from([0.0, 0.5]), "forecast_error": st.sampled_from([0.0, 0.05])}
        ),
    }
)


@settings(max_examples=20)
@given(SETTINGS, st.integers(0, 2**31))
def test_nothing_costs_less_than_the_bound(values: dict[str, Any], seed: int) -> None:
    below = beaten(Config.model_validate(values), seed)
    assert max(below.values()) <= CLOSE, below


def test_nor_where_units_give_more_than_is_asked_for() -> None:
    """A MW more of losses is welcome there: its price is negative."""
    config = Config.model_validate(
        {
            "network": "case9",
            "horizon": 6,
            "load": {"low": 0.02, "high": 0.2, "memory": 0.0},
            "mismatch": {"outages": 0},
        }
    )
    below = beaten(config, 1, 8)
    assert max(below.values()) <= CLOSE, below
    merit = next(rule for rule in baselines(config) if rule.name == "merit-order")
    assert play(domain, config, merit, 8, 1, CPU).measures["imbalance_mw"].max() > 1


@pytest.mark.learning
def test_nor_does_a_policy_that_has_learnt() -> None:
    values = {"algorithm": "dg-pg", "iterations": 150, "seed": 0, "device": "cpu", "train": {"threads": 1}}
    plan = launch.resolve("power", values | {"settings": {"network": "case9", "mismatch": {"forecast_error": 0.0}}})
    trainer = Trainer(plan.run, find("dg-pg"), plan.task)
    for _ in range(150):
        trainer.iterate()
    cost = costs(plan.config, NetworkPolicy(trainer.team, "greedy"), 16, 9)
    least = bound_of(plan.config, 16, 9)
    assert (cost >= least * (1 - CLOSE)).all() and cost.mean() < 1.02 * least.mean()


@pytest.mark.parametrize(
    ("name", "gap"), [("case9", 2e-5), ("case24-tight", 1e-4), ("case39", 1e-5), ("case30pwl", 2e-3)]
)
def test_the_bound_is_nearly_reached(name: str, gap: float) -> None:
    """What the bound leaves out, ramps and what the slope of a step loses, costs next to nothing."""
    config = Config.model_validate({"network": name, "horizon": 12, "mismatch": {"outages": 0.0}})
    least = bound_of(config, 4, 5)
    reached = costs(config, Follow(config, 4, 5), 4, 5)
    dispatched = costs(config, next(rule for rule in baselines(config) if rule.name == "dc-opf"), 4, 5)
    assert reached.mean() <= least.mean() * (1 + gap)
    assert dispatched.mean() > reached.mean()  # which does not ask what its own losses will cost


def test_one_unit_leaves_no_choice_and_the_bound_is_its_cost(tmp_path: Path) -> None:
    text = TWO_BUSES.replace("1 2 0 0.1", "1 2 0.02 0.1").replace("0 50 0 0 0 0 1", "0 500 0 0 0 0 1")
    path = tmp_path / "two.m"
    path.write_text(text.replace("2 0 0 0 0 1 100 1 200 0", "2 0 0 0 0 1 100 0 200 0"))
    config = Config.model_validate({"network": str(path), "horizon": 8})
    assert build(config).num_agents == 1
    only = costs(config, Random(config, None, 1.0), 5, 2)
    np.testing.assert_allclose(bound_of(config, 5, 2), only, rtol=1e-5)


def test_what_was_lost_before_counts_at_the_price_of_the_first_step() -> None:
    """Without losses steps are apart: a MW more before the first costs its price there and nothing in the second."""
    config = Config.model_validate({"network": "case9", "horizon": 1})
    grid = BoundEnv(PowerEnv(build(config), 1, CPU, 0)).plant
    load = torch.tensor(build(config).network.load).expand(2, 1, -1).clone()
    least, most = (x.expand(2, 1, -1) for x in (grid.unit_min, grid.unit_max))
    none = torch.full((2, 1), -1)
    free = lower_bound(grid, Episode(load, least, most, none, torch.zeros(1)), torch.zeros_like(grid.resistance))
    more = lower_bound(grid, Episode(load, least, most, none, torch.ones(1)), torch.zeros_like(grid.resistance))
    output = free.output[0].double()
    slope = grid.curves.linear + 2 * grid.curves.quadratic * output
    assert float(more.cost - free.cost) == pytest.approx(float(slope.mean()), rel=2e-3)


def test_a_saved_state_goes_on_with_its_bound() -> None:
    config = Config.model_validate({"network": "case9", "horizon": 3})
    env = domain.make_env(Bounded(of=config), 2, CPU, 0)
    actions = torch.zeros(2, env.num_agents, 2)
    env.reset()
    env.step(actions)
    state = env.state_dict()
    first = [env.step(actions).reward for _ in range(4)]
    again = domain.make_env(Bounded(of=config), 2, CPU, 0)
    again.load_state_dict(state)
    for one, other in zip(first, [again.step(actions).reward for _ in range(4)], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert isinstance(again, BoundEnv)
