"""Rules to compare with: what drivers and operators do, and equilibrium and optimum with full information."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dgpg.domain import Baseline, Decision, Information, Role
from dgpg.files import PerDevice
from dgpg_traffic.assignment.assign import SYSTEM_OPTIMUM, USER_EQUILIBRIUM, Objective
from dgpg_traffic.config import Config
from dgpg_traffic.instance import Instance, build
from dgpg_traffic.roads import Roads
from dgpg_traffic.settling import settled

SENSITIVITY = 10.0
"""Of the logit rule: a route a tenth slower than another has a share smaller by e."""


@dataclass(frozen=True)
class Shortest:
    """All vehicles on the route that is the shortest without traffic."""

    roads: PerDevice[Roads]
    name: str = "shortest"
    information: Information = "same"

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        """Splits `[B, N, K]`."""
        roads = self.roads.like(noise)
        return _on_least(_times(roads, roads.links.free_time)).expand_as(noise)


@dataclass(frozen=True)
class Logit:
    """Discrete choice on the route times of the period before, exp(-10 time / least time)."""

    roads: PerDevice[Roads]
    name: str = "logit"
    information: Information = "same"

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        """Splits `[B, N, K]`."""
        time = _times(self.roads.like(noise), decision.context["last_time"])
        return (-SENSITIVITY * time / time.amin(-1, keepdim=True).clamp(min=1e-9)).softmax(-1)


@dataclass(frozen=True)
class FixedSplits:
    """The splits of the system optimum of the usual day, by the period."""

    splits: Tensor
    """`[T, N, K]`."""
    name: str = "fixed-optimum"
    information: Information = "same"

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        """Splits `[B, N, K]`."""
        return self.splits.to(noise)[decision.context["period"]]


@dataclass(frozen=True)
class Assigned:
    """Equilibrium or optimum of each period, knowing all demand, who waits, and incidents."""

    roads: PerDevice[Roads]
    objective: Objective
    information: Information = "more"
    role: Role = "oracle"

    @property
    def name(self) -> str:
        """`user-equilibrium` or `system-optimum`."""
        return self.objective.name

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        """Splits `[B, N, K]`."""
        known = decision.context
        roads = self.roads.like(noise)
        return settled(roads, self.objective, known["demand"], known["waiting"], known["oracle_capacity"])


def usual_day(instance: Instance) -> Tensor:
    """System optimum of each period of the usual day, with what each leaves for the next, `[T, N, K]`."""
    roads = instance.roads(torch.device("cpu"), torch.float64)
    capacity = roads.links.capacity.unsqueeze(0)
    waiting, found = capacity.new_zeros(1, roads.loading.num_legs), []
    base = torch.from_numpy(instance.by_agent(instance.network.demand.copy())).unsqueeze(0)
    for level in instance.profile:
        splits = settled(roads, SYSTEM_OPTIMUM, level * base, waiting, capacity)
        waiting = roads.load(splits, level * base, waiting, capacity).waiting
        found.append(splits[0])
    return torch.stack(found)


def _times(roads: Roads, link: Tensor) -> Tensor:
    """Route times `[..., N, K]` of link times `[..., L]`, infinite in empty slots."""
    return roads.incidence.cost(link).masked_fill(~roads.incidence.exists, torch.inf)


def _on_least(time: Tensor) -> Tensor:
    """Everything on the first of the routes that take least, `[..., N, K]`."""
    return torch.nn.functional.one_hot(time.argmin(-1), time.shape[-1]).to(time)


def baselines(config: Config) -> Sequence[Baseline]:
    """Rules with what an agent sees, and both states with full information."""
    instance = build(config)
    roads = PerDevice(instance.roads)
    # Fixed splits are made for the days that the policy was made for: both meet others alike.
    fixed = usual_day(build(config.trained)) if config.trained else usual_day(instance)
    # Those days may be cut into other periods: the middle of a period says which it falls into.
    fixed = fixed[(2 * torch.arange(config.horizon) + 1) * len(fixed) // (2 * config.horizon)]
    rules: list[Baseline] = [Shortest(roads), Logit(roads), FixedSplits(fixed)]
    return [*rules, *(Assigned(roads, objective) for objective in (USER_EQUILIBRIUM, SYSTEM_OPTIMUM))]
