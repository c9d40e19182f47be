"""What is checked: a domain with one configuration, and the episodes and situations that checks look at."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from gymnasium import spaces
from pydantic import BaseModel
from torch import Tensor

from dgpg.checks.nested import copied
from dgpg.domain import (
    AgentMapping,
    AnalyticalModel,
    Decision,
    Domain,
    Environment,
    JointMapping,
    Simplex,
    Step,
    SupportsSmall,
    merge,
    random,
    registry,
)
from dgpg.errors import ConfigError, DataError
from dgpg.learning.actions import kind_of
from dgpg.runs import building, machine

LONGEST = 64
"""Steps of an episode beyond which it is not played to its end: a domain's `small` should be shorter."""


@dataclass(frozen=True)
class Moment:
    """One step of a recorded episode: what the environment returned, and copies from the time it did."""

    decision: Decision
    decision_then: Decision
    actions: Tensor
    actions_then: Tensor
    step: Step
    step_then: Step


@dataclass(frozen=True)
class Situation:
    """A moment of decision that an environment can be put back to, again and again."""

    env: Environment
    saved: dict[str, Any]
    decision: Decision
    t: int
    """Steps since the start."""

    def restore(self) -> None:
        """Put the environment back."""
        self.env.load_state_dict(copy.deepcopy(self.saved))

    def step(self, actions: Tensor) -> Step:
        """What this joint action brings about here."""
        self.restore()
        return copied(self.env.step(actions.clone()))


@dataclass(frozen=True)
class Sample:
    """What a random joint action brought about."""

    situation: Situation
    actions: Tensor
    step: Step

    @property
    def state(self) -> Tensor:
        """x that it produced, `[B, G, m]`."""
        return self.step.state


@dataclass(frozen=True, eq=False)
class Subject:
    """A domain, its validated configuration, and where and with which seed to run it."""

    domain: Domain
    config: Any
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What `config` was validated from."""
    name: str | None = None
    """Entry point, None for a domain given as an object."""
    model_name: str | None = None
    """Analytical model, the domain's own if None."""
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    num_envs: int = 3

    @cached_property
    def folder(self) -> Path:
        """Where the plugin's code is."""
        return Path(inspect.getfile(type(self.domain))).parent

    @cached_property
    def model(self) -> AnalyticalModel:
        """The analytical model on the device."""
        return self.make_model()

    @cached_property
    def mapping(self) -> AgentMapping | JointMapping:
        """The agent mapping on the device."""
        return self.make_mapping()

    def make_model(self) -> AnalyticalModel:
        """A fresh analytical model."""
        if self.model_name is None:
            return building.on_device(self.domain.analytical_model(self.config), self.device)
        return building.on_device(registry.load_model(self.model_name, self.config), self.device)

    def make_mapping(self) -> AgentMapping | JointMapping:
        """A fresh agent mapping."""
        return building.on_device(self.domain.agent_mapping(self.config), self.device)

    def make_env(self, seed: int | None = None, num_envs: int | None = None) -> Environment:
        """A fresh environment, with the subject's seed and batch unless told otherwise."""
        seed = self.seed if seed is None else seed
        return self.domain.make_env(self.config, num_envs or self.num_envs, self.device, seed)

    def play(self, env: Environment, steps: int) -> list[Moment]:
        """Reset and take random allowed actions, the same whenever the masks are."""
        chance, decision, moments = random.generator(self.seed), env.reset(), []
        for _ in range(steps):
            actions = allowed(env, decision, chance)
            decision_then, given = copied(decision), actions.clone()
            step = env.step(given)
            moments.append(Moment(decision, decision_then, given, actions, step, copied(step)))
            decision = step.decision
        return moments

    def replay(self, env: Environment, joint_actions: list[Tensor]) -> tuple[Decision, list[Step]]:
        """Reset and take given actions."""
        first = copied(env.reset())
        return first, [copied(env.step(actions.clone())) for actions in joint_actions]

    @cached_property
    def env(self) -> Environment:
        """The environment that `episode` was played in."""
        return self.make_env()

    @cached_property
    def episode(self) -> list[Moment]:
        """An episode (at most LONGEST steps) and two steps of the next."""
        return self.play(self.env, min(self.env.horizon, LONGEST) + 2)

    @cached_property
    def situations(self) -> list[Situation]:
        """The first, the middle and the last moment of decision of an episode."""
        env = self.make_env()
        last = min(env.horizon, LONGEST) - 1
        wanted, found = {0, (last + 1) // 2, last}, []
        chance, decision = random.generator(self.seed), env.reset()
        for t in range(last + 1):
            if t in wanted:
                found.append(Situation(env, copy.deepcopy(env.state_dict()), copied(decision), t))
            decision = env.step(allowed(env, decision, chance)).decision
        return found

    @cached_property
    def samples(self) -> list[Sample]:
        """States of three random joint actions in each situation."""
        chance = random.generator(self.seed + 1)
        pairs = [(s, allowed(s.env, s.decision, chance)) for s in self.situations for _ in range(3)]
        return [Sample(s, actions, s.step(actions)) for s, actions in pairs]


def allowed(env: Environment, decision: Decision, chance: torch.Generator) -> Tensor:
    """A random joint action that a decision of `env` allows, in its units: `[B, N]`, or `[B, N, A]` if continuous."""
    return kind_of(env.action_space).anything(decision.observation, chance)


def continuous(env: Environment) -> bool:
    """Whether actions are numbers, within bounds or shares of a unit; else they are choices."""
    return isinstance(env.action_space, spaces.Box | Simplex)


def splits(env: Environment) -> bool:
    """Whether each agent splits one unit over choices."""
    return isinstance(env.action_space, Simplex)


def ends(env: Environment) -> tuple[Tensor, Tensor]:
    """The least and the greatest entry of each agent: 0 and K - 1, `[N]`, or the bounds of a Box, `[N, A]`.

    Of splits, everything on the last choice and everything on the first, `[N, K]`.
    """
    space: Any = env.action_space
    if splits(env):
        first = torch.zeros(space.shape, device=env.device)
        first[:, 0] = 1.0
        return first.flip(-1), first
    pair = (space.low, space.high) if continuous(env) else (0 * space.nvec, space.nvec - 1)
    low, high = (torch.as_tensor(end).to(env.device) for end in pair)
    return low, high


def subject(
    domain: Domain | str,
    settings: Mapping[str, Any] | None = None,
    model: str | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> Subject:
    """What to check.

    Args:
        domain: entry point's name, or the domain object.
        settings: on top of the domain's `small`, where it has one.
        model: `DOMAIN.MODEL` or `MODEL`, instead of the domain's own.
        seed: of everything random.
        device: cpu or cuda.

    Raises:
        PluginError: no such domain or model, or it does not fit the contract.
        ConfigError: a setting is wrong, or what is set cannot be built.
        DataError: a file that is set cannot be read.
    """
    name = domain if isinstance(domain, str) else None
    plugin = registry.load_domain(domain) if isinstance(domain, str) else domain
    small = plugin.small if isinstance(plugin, SupportsSmall) else {}
    values = merge(small, settings or {})
    config: BaseModel = building.domain_config(plugin, values)
    if name is not None and model is not None:
        _, model = building.load_model(name, plugin, config, model)
    if not 0 <= seed < 2**48:
        raise ConfigError(f"seed = {seed}: expected a number from 0 to 2^48 - 1")
    where = machine.device_of(device)
    if settings:
        _build(plugin, config, where)
    return Subject(plugin, config, values, name, model, seed, where)


def _build(plugin: Domain, config: BaseModel, device: torch.device) -> None:
    """Refuse settings of the user's that cannot be built: no check could say more. All else is for checks to tell."""
    try:
        plugin.make_env(config, 1, device, 0)
    except (ConfigError, DataError):
        raise
    except Exception:  # a fault of the plugin, which the checks name
        return
