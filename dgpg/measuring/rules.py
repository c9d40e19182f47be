"""Rules that any domain has: its model followed without learning (docs/coordination.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dgpg.domain import (
    AgentMapping,
    AnalyticalModel,
    Decision,
    Influence,
    Information,
    JointMapping,
    Observation,
    SupportsBlockPotential,
)
from dgpg.learning import guidance
from dgpg.learning.actions import ActionKind, Box, Simplex
from dgpg.measuring.tries import joint, of_choices

STEPS, RATE = 100, 0.3
"""Of the descent by `DescendPotential`, and its first step in log-odds, which falls to 0."""


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
class DescendPotential:
    """The same for numbers and splits: the joint action of least potential, by Adam from the middle of what is allowed.

    Agents descend together, each along the slope that all of their actions leave it, so it takes as many rounds of
    talk as it has steps. Descent is in log-odds: bounds and splits are kept by themselves.
    """

    model: AnalyticalModel
    mapping: JointMapping
    kind: Box | Simplex
    name: str = "greedy-potential"
    information: Information = "more"

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        """Joint action `[B, N, A]`: of all that were looked at, the one of least potential."""
        take = _within(self.kind, decision.observation)
        odds = torch.zeros_like(noise, requires_grad=True)
        descent = torch.optim.Adam([odds], lr=RATE)
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(descent, STEPS)
        best, least = take(odds.detach()), noise.new_full((len(noise),), torch.inf)
        for _ in range(STEPS):
            with torch.enable_grad():
                actions = take(odds)
                phi = self.model.potential(self.mapping.state(actions, decision.context), decision.context)
                (odds.grad,) = torch.autograd.grad(phi.sum(), odds, allow_unused=True, materialize_grads=True)
            lower = phi.detach() < least
            least = torch.where(lower, phi.detach(), least)
            best = torch.where(lower[:, None, None], actions.detach(), best)
            descent.step()
            decay.step()
        return best


def _within(kind: Box | Simplex, seen: Observation) -> Callable[[Tensor], Tensor]:
    """Actions in the environment's units of log-odds `[B, N, A]`."""
    if isinstance(kind, Box):
        return lambda odds: kind.to_env(odds.sigmoid())
    able = seen.mask | ~seen.mask.any(-1, keepdim=True)
    return lambda odds: odds.masked_fill(~able, -torch.inf).softmax(-1)


def following(
    model: AnalyticalModel, mapping: AgentMapping | JointMapping, kind: ActionKind, name: str = "greedy-potential"
) -> GreedyPotential | DescendPotential:
    """The rule that follows a model without learning, and how tables call it.

    Raises:
        PluginError: a mapping for the other kind of action.
    """
    if isinstance(kind, Box | Simplex):
        return DescendPotential(model, joint(mapping), kind, name)
    return GreedyPotential(model, of_choices(mapping), name)


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
