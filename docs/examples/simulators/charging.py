"""A PettingZoo ParallelEnv of ten agents as a domain: cars that share the cable of a street.

`Street` knows nothing of dgpg. What makes it a domain is `context`, `from_parallel_env` and `make_env`; `Cable` guides.
"""

from typing import ClassVar

import numpy as np
import torch
from gymnasium import spaces
from pettingzoo import ParallelEnv
from pydantic import Field

from dgpg.bridges.simulators import Simulators, Workers, from_parallel_env
from dgpg.domain import Feature, Names, Settings

HOURS, MOST, CABLE = 12, 11.0, 60.0
"""Of a night; kW that a car takes at most; kW that the cable carries without losses worth a thought."""


class Street(ParallelEnv):
    """Each hour every car that is there chooses its power; it leaves at an hour of its own, full or not."""

    metadata: ClassVar = {"name": "street"}

    def __init__(self, cars=10):
        self.possible_agents = [f"car {i}" for i in range(cars)]
        self.sees = spaces.Box(-np.inf, np.inf, (3,), np.float32)
        self.does = spaces.Box(np.zeros(1, np.float32), np.full(1, MOST, np.float32))

    def observation_space(self, agent):
        return self.sees

    def action_space(self, agent):
        return self.does

    def reset(self, seed=None, options=None):
        self.chance, self.agents, self.hour = np.random.default_rng(seed), list(self.possible_agents), 0
        self.need = self.chance.uniform(10, 50, len(self.agents))
        self.leaves = self.chance.integers(6, HOURS + 1, len(self.agents))
        return self.seen(), {agent: {} for agent in self.agents}

    def step(self, actions):
        power = np.array([float(actions[a][0]) if a in actions else 0.0 for a in self.possible_agents])
        power = np.minimum(power.clip(0, MOST), self.need)
        load = self.homes() * self.chance.uniform(0.8, 1.2) + power.sum()  # nobody knows what homes will take
        self.need, self.hour = self.need - power, self.hour + 1
        here = list(self.agents)
        gone = {a: bool(self.hour >= self.leaves[self.possible_agents.index(a)]) for a in here}
        empty = {a: self.need[self.possible_agents.index(a)] if gone[a] else 0.0 for a in here}
        rewards = {a: float(-((load / CABLE) ** 2) / len(here) - 0.2 * empty[a]) for a in here}
        self.need = np.where([gone.get(a, True) for a in self.possible_agents], 0.0, self.need)
        self.agents = [a for a in here if not gone[a]]
        seen = self.seen()
        return {a: seen[a] for a in here}, rewards, gone, dict.fromkeys(here, False), {a: {} for a in here}

    def homes(self):
        return 30 + 15 * np.cos(2 * np.pi * self.hour / HOURS)

    def seen(self):
        left = np.maximum(self.leaves - self.hour, 0)
        rows = np.stack([self.need / 50, left / HOURS, np.full(len(left), self.homes() / CABLE)], -1)
        return dict(zip(self.possible_agents, rows.astype(np.float32), strict=True))


def context(street):
    """What is known when cars decide: what each needs and how long it stays, and what homes usually take."""
    left = np.maximum(street.leaves - street.hour, 1)
    return {"need": street.need, "left": left, "homes": street.homes()}


class Charging:
    """State `[B, N + 1, 1]`: what each car still needs then, kWh, and the load expected of the cable, kW."""

    def state(self, actions, context):
        power = actions[..., 0].clamp(min=0).minimum(context["need"])
        load = context["homes"] + power.sum(-1)
        return torch.cat([context["need"] - power, load.unsqueeze(-1)], -1).unsqueeze(-1)


class Cable(torch.nn.Module):
    """Losses now, and for each car those of what it still needs, spread over the hours that it stays."""

    def potential(self, state, context):
        need, load = state[..., :-1, 0], state[..., -1, 0]
        later = need.square() / context["left"] * 2
        return (load / CABLE).square() + later.sum(-1) / CABLE**2 + 0.02 * (need / context["left"]).sum(-1)


class Config(Settings):
    """A street at night."""

    num_agents: int = Field(10, ge=1, le=100, description="cars, N")
    workers: Workers = Workers()


NAMES = Names(
    agent=(Feature("need", "50 kWh"), Feature("stays", "night"), Feature("homes", "of what the cable carries")),
    action=(Feature("power", "kW"),),
)


class Domain:
    """Cars that charge."""

    api_version, Config = 1, Config

    def make_env(self, config, num_envs, device, seed):
        street = from_parallel_env(lambda: Street(config.num_agents), context, HOURS, "squared loads", NAMES)
        return Simulators(street, num_envs, device, seed, Charging(), config.workers)

    def analytical_model(self, config):
        return Cable()

    def agent_mapping(self, config):
        return Charging()

    def names(self, config):
        return NAMES


domain = Domain()
