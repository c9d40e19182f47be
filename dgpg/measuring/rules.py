"""Rules that any domain of choices has: its model followed without learning (docs/coordination.md)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dgpg.domain import AgentMapping, AnalyticalModel, Decision, Influence, Information, SupportsBlockPotential
from dgpg.learning import guidance


@dataclass(frozen=True)
class GreedyPotential:
    """The rule that needs no learning: least marginal potential of the state before anyone acts."""

    model: AnalyticalModel
    mapping: AgentMapping
    name: str = "greedy-potential"
    information: Information = "same"

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        """Joint action `[B, N]`; the first choice where several are equal."""
        seen, context = decision.observation, decision.context
        influence = self.mapping.influence(seen, context)
        nobody = torch.zeros_like(seen.active)
        rise = guidance.marginal_potential(
            self.model, self.mapping.base_state(context), context, influence, nobody.long(), nobody
        )
        return rise.masked_fill(~seen.mask, torch.inf).argmin(-1)


@dataclass(frozen=True)
class BiggestFirst:
    """Agents with more influence go first: each takes the least marginal potential given those before it.

    In each of R rounds all agents decide at once and announce; each hears the sums of what agents of more influence
    announced. The first is right after one round, the second after two; after N rounds it is as if all had taken turns.
    """

    model: SupportsBlockPotential
    mapping: AgentMapping
    rounds: int
    name: str = "biggest-influence-first"
    information: Information = "sums"

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        """Joint action `[B, N]`; the first choice where several are equal."""
        model, seen, context = self.model, decision.observation, decision.context
        influence = self.mapping.influence(seen, context)
        base = guidance.gather_blocks(self.mapping.base_state(context), influence.index)
        size = guidance.own_scale(influence, seen.mask).masked_fill(~seen.active, -1.0)
        rank = size.argsort(dim=-1, descending=True, stable=True).argsort(-1)
        before = torch.zeros_like(influence.value)
        for turn in range(self.rounds + 1):
            cost = guidance.rise(model, base + before, influence, context)
            actions = cost.masked_fill(~seen.mask, torch.inf).argmin(-1)
            if turn < self.rounds:
                before = announced_before(influence, actions, seen.active, rank)
        return actions


def announced_before(influence: Influence, actions: Tensor, active: Tensor, rank: Tensor) -> Tensor:
    """What agents of lower rank add to the blocks that choice k touches, `[B, N, K, P, m]`.

    Sums before a place in a sorted list are differences of cumulative sums: O(N K P log N), nothing `[B, N, G]`.

    Args:
        influence: z_i(k).
        actions: announced, `[B, N]`.
        active: agents that act, `[B, N]`.
        rank: 0 for the first agent, `[B, N]`.
    """
    index, value = influence.index, influence.value
    count, places, width = index.shape[1], index.shape[-1], value.shape[-1]
    at = actions[..., None, None].expand(-1, -1, 1, places)
    block = index.gather(2, at).flatten(1)
    said = value.gather(2, at.unsqueeze(-1).expand(-1, -1, -1, -1, width)) * active[..., None, None, None]
    own = rank.unsqueeze(-1).expand(-1, -1, places).flatten(1)
    key, order = (block * count + own).sort(stable=True, dim=-1)
    # In double precision: a difference of long sums leaves rounding of the order of the smallest jobs in single.
    ordered = said.flatten(1, 3).double().gather(1, order.unsqueeze(-1).expand(-1, -1, width))
    total = torch.nn.functional.pad(ordered.cumsum(1), (0, 0, 1, 0))
    start = index.flatten(1) * count
    ends = (start, start + rank[..., None, None].expand_as(index).flatten(1))
    first, last = (
        total.gather(1, torch.searchsorted(key, end).unsqueeze(-1).expand(-1, -1, width)) for end in ends
    )  # fmt: skip
    return (last - first).to(value).view(value.shape)
