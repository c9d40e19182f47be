"""What followed in the blocks that agents chose: the attribution that values of blocks learn from, without a model.

A policy gradient on it is what guidance has to be better than: it knows what each block cost and who acted on it, and
samples what guidance computes.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from dgpg.domain import AgentMapping, JointMapping, SupportsBlockWork
from dgpg.domain.types import flatten
from dgpg.learning.blocks import targets
from dgpg.learning.shards import WHOLE, Shard, mean
from dgpg.learning.trajectory import Trajectory


def brought(trajectory: Trajectory, mapping: AgentMapping | JointMapping, gamma: float) -> Tensor:
    """Work that joint actions brought to blocks, discounted, `[T, B, G]`; zero where the mapping does not say.

    Numbers and splits bring none: what they do to blocks is no change that one could tell apart from the rest.
    """
    cost = cast(Tensor, trajectory.block_cost)
    if not (isinstance(mapping, AgentMapping) and isinstance(mapping, SupportsBlockWork)):
        return torch.zeros_like(cost)
    change = trajectory.state.flatten(0, 1) - mapping.base_state(flatten(trajectory.decision).context)
    return mapping.block_work(change, gamma).clamp(min=0).view(cost.shape)


def of_choices(trajectory: Trajectory, mapping: AgentMapping, gamma: float, shard: Shard = WHOLE) -> Tensor:
    """Cost that followed in the blocks that each agent's choice touched, above the mean of all blocks, `[T, B, N]`.

    Discounted by gamma, less the fee of what came later (docs/theory.md section 6); at the mean price of work.
    """
    cost, ends = cast(Tensor, trajectory.block_cost), (trajectory.terminated, trajectory.done)
    price = targets.price_of(brought(trajectory, mapping, 1.0), cost, shard)
    fee = price * brought(trajectory, mapping, gamma)
    tail = mean(cost - fee, (0, 1), shard)[0, 0] / (1 - gamma)
    followed = targets.returns(cost, fee, None, tail, *ends, gamma, 1.0)
    followed = followed - followed.mean(-1, keepdim=True)
    moments = flatten(trajectory.decision)
    index = mapping.influence(moments.observation, moments.context).index
    actions = trajectory.actions.flatten(0, 1)
    touched = index.gather(2, actions[..., None, None].expand(-1, -1, 1, index.shape[-1])).squeeze(2)
    found = followed.flatten(0, 1).gather(1, touched.flatten(1)).view(touched.shape).sum(-1)
    return found.view(trajectory.actions.shape)
