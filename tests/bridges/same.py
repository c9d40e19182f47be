"""Two plays of the same actions: of a bridge, and of the domain's own batched environment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from dgpg.bridges.actions import any_where_idle, from_logits, from_unit
from dgpg.domain import Observation, Simplex, Step, load_domain

CASES = {
    "cloud": ("cloud", {"num_agents": 3, "candidates": 3, "horizon": 5}),
    "power": ("power", {"network": "case9", "horizon": 4}),
    "traffic": ("traffic", {"network": "braess", "agents_per_pair": 2, "horizon": 4}),
    "grid": ("traffic", {"network": "grid", "horizon": 2}),  # has routes that are not there
}
TOYS = ("toy", "toy_box", "toy_simplex")
"""They end early, by chance, each environment for itself, and let agents rest."""


def domain_of(case: str, toys: dict[str, ModuleType]) -> tuple[Any, Any]:
    """Its domain and configuration."""
    if case in CASES:
        name, settings = CASES[case]
        domain = load_domain(name)
        return domain, domain.Config(**settings)
    return toys[case].Domain(), toys[case].Config()


@dataclass(frozen=True)
class Moment:
    """What happened in a step of the domain's own environment, and what was done."""

    given: np.ndarray
    """Of libraries that know numbers around zero alone."""
    own: np.ndarray
    """In the environment's terms."""
    before: Observation
    step: Step


def play(domain: Any, config: Any, num_envs: int, seed: int, steps: int) -> Iterator[Moment]:
    """Allowed actions at random, taken by the domain's own environment."""
    chance = np.random.default_rng(seed)
    env = domain.make_env(config, num_envs, torch.device("cpu"), seed)
    decision = env.reset()
    for _ in range(steps):
        mask = any_where_idle(decision.observation.mask).numpy()
        given, own = acts(env.action_space, mask, chance)
        step = env.step(torch.as_tensor(own))
        yield Moment(given, own, decision.observation, step)
        decision = step.decision


def acts(space: spaces.Space[Any], mask: np.ndarray, chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Joint actions `[B, ...]` as given and as meant."""
    if isinstance(space, spaces.MultiDiscrete):
        chosen = (chance.random(mask.shape) * mask).argmax(-1)
        return chosen, chosen
    shape = (len(mask), *(space.shape or ()))
    if isinstance(space, Simplex):
        logits = chance.uniform(-10, 10, shape).astype(np.float32)
        shares = from_logits(logits, space) * mask
        return logits, (shares / shares.sum(-1, keepdims=True)).astype(np.float32)
    unit = chance.uniform(-1, 1, shape).astype(np.float32)
    return unit, from_unit(unit, space)


def seen(observation: Observation) -> dict[str, np.ndarray]:
    """Fields that hold numbers."""
    fields = {name: getattr(observation, name).numpy() for name in ("agent", "choices", "mask", "central")}
    return {name: x for name, x in fields.items() if x.size}


def same(found: dict[str, np.ndarray], observation: Observation, b: int | slice = slice(None)) -> bool:
    """Whether an observation is that of environment b, bit for bit."""
    wanted = seen(observation)
    return found.keys() == wanted.keys() and all(np.array_equal(found[name], wanted[name][b]) for name in wanted)
