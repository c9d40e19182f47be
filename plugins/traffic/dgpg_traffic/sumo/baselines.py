"""Rules to compare with: as people drive, on the fastest route without traffic, at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dgpg.domain import Baseline, Decision, Information
from dgpg_traffic.sumo.config import Config
from dgpg_traffic.sumo.instance import build


@dataclass(frozen=True)
class Fixed:
    """The same routes every day."""

    name: str
    routes: Tensor
    """`[N]`."""
    information: Information = "same"

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        """Joint action `[B, N]`."""
        return self.routes.to(noise.device).expand(noise.shape)


@dataclass(frozen=True)
class AtRandom:
    """Any route alike."""

    name: str = "random"
    information: Information = "same"

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        """Joint action `[B, N]`."""
        mask = decision.observation.mask
        share = mask.float().cumsum(-1) / mask.sum(-1, keepdim=True).clamp(min=1)
        return (share <= noise.unsqueeze(-1)).sum(-1).clamp(max=mask.shape[-1] - 1)


def baselines(config: Config) -> Sequence[Baseline]:
    """Rules with what a driver knows: `human` its own experience, `aon` the map."""
    instance = build(config)
    human = torch.from_numpy(instance.humans.choice[instance.fleet])
    aon = torch.from_numpy(instance.free_minutes[instance.fleet].argmin(-1))
    return [Fixed("human", human), Fixed("aon", aon), AtRandom()]
