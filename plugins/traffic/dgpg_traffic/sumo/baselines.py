"""Rules to compare with: as people drive, on the fastest route without traffic, the best response, at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dgpg.domain import Baseline, Decision, Information
from dgpg_traffic.sumo.cells import CARS, COUNTED, CROSSING, make
from dgpg_traffic.sumo.config import Config
from dgpg_traffic.sumo.instance import build
from dgpg_traffic.sumo.mapping import RouteMapping
from dgpg_traffic.sumo.model import FittedTimes, fitted_times

TOGETHER = 128
"""Drivers whose routes are compared with each other at once."""


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


def own_times(model: FittedTimes, mapping: RouteMapping, choice: Tensor) -> Tensor:
    """Minutes that the fitted model foretells drivers `[N]` on each of their routes, `[N, K]`, if only they change.

    Its bias included; what others would wait is not.
    """
    agents = torch.arange(len(choice))
    index, value = mapping.index[agents, choice], mapping.value[agents, choice]
    state = mapping.people.index_add(0, index.flatten(), value.flatten(0, 1))
    together = zip(*(torch.split(x, TOGETHER) for x in (mapping.index, mapping.value, index, value)), strict=True)
    return torch.cat([_own_times(model, state, *part) for part in together])


def _own_times(
    model: FittedTimes, state: Tensor, index: Tensor, value: Tensor, at: Tensor, adds: Tensor
) -> Tensor:  # fmt: skip
    """Of some drivers with routes `[n, K, P]`, that now add `adds` `[n, P, 3]` to blocks `at` `[n, P]`."""
    taken = (index.unsqueeze(-1) == at[:, None, None]).float()
    others = state[index] - torch.einsum("nkpq,nqm->nkpm", taken, adds)
    base, slope, cross = model.of_blocks()[index].unbind(-1)
    minutes = base + slope * others[..., CARS].clamp(min=0) + cross * others[..., CROSSING]
    # A route's own block holds no car, but one who counts: whoever takes it pays its bias.
    pays = torch.where(index < len(model.edge), value[..., CARS], value[..., COUNTED])
    return (pays * minutes).sum(-1)


def baselines(config: Config) -> Sequence[Baseline]:
    """Rules with what a driver knows: `human` its own experience, `aon` the map, `best-response` what edges took."""
    instance = build(config)
    human = torch.from_numpy(instance.humans.choice[instance.fleet])
    aon = torch.from_numpy(instance.free_minutes[instance.fleet].argmin(-1))
    times = own_times(fitted_times(config), RouteMapping(make(instance, config.fit.window_s)), human)
    best = times.masked_fill(~torch.from_numpy(instance.mask), torch.inf).argmin(-1)
    return [Fixed("human", human), Fixed("aon", aon), Fixed("best-response", best), AtRandom()]
