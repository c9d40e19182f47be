"""What single agents try in the alignment check, and what a model says about it, for either kind of action."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dgpg.domain import AgentMapping, AnalyticalModel, Decision, Environment, JointMapping, Observation, random
from dgpg.errors import PluginError
from dgpg.learning import guidance
from dgpg.learning.actions import kind_of
from dgpg.learning.actions.box import Box
from dgpg.learning.actions.simplex import Simplex
from dgpg.learning.networks import Actor

CANDIDATES = 5
"""Actions that an agent with continuous ones tries."""


@dataclass(frozen=True)
class Moment:
    """A decision, the joint action that all but one agent keep to, and what P agents of each environment try."""

    decision: Decision
    actions: Tensor
    """`[B, N]` or `[B, N, A]`."""
    state: Tensor
    """x after it, `[B, G, m]`."""
    agents: Tensor
    """Who tries, `[B, P]`."""
    tried: Tensor
    """In units of the environment, `[B, P, K]` or `[B, P, K, A]`."""
    mask: Tensor
    """True where an agent may try that, `[B, P, K]`."""

    def of(self, x: Tensor) -> Tensor:
        """The rows `[B, P, ...]` of those who try, out of `[B, N, ...]`."""
        return rows(x, self.agents)

    def instead(self, p: int, k: int) -> Tensor:
        """The joint action in which the p-th of them does its k-th try, where it may."""
        every = torch.arange(len(self.actions), device=self.actions.device)
        changed, agent = self.actions.clone(), self.agents[:, p]
        may = self.mask[:, p, k].view(-1, *[1] * (changed.dim() - 2))
        changed[every, agent] = torch.where(may, self.tried[:, p, k], changed[every, agent])
        return changed

    def each(self, p: int) -> list[Tensor]:
        """The joint actions `instead` of each of its K tries."""
        return [self.instead(p, k) for k in range(self.mask.shape[-1])]


def rows(x: Tensor, agents: Tensor) -> Tensor:
    """Rows `agents` `[B, P]` of `[B, N, ...]`."""
    return x.gather(1, agents.view(*agents.shape, *[1] * (x.dim() - 2)).expand(-1, -1, *x.shape[2:]))


class Choices:
    """Every choice of an agent."""

    draws: tuple[int, ...] = ()
    """Uniform numbers of an agent that `even` takes."""

    def __init__(self, mapping: AgentMapping) -> None:
        self.mapping = mapping

    def even(self, seen: Observation, noise: Tensor) -> Tensor:
        """Draw every allowed choice with the same probability, `[B, N]` from uniform noise `[B, N]`."""
        count = seen.mask.sum(-1)
        rank = (noise * count).long().minimum((count - 1).clamp(min=0))
        return (seen.mask.cumsum(-1) > rank.unsqueeze(-1)).int().argmax(-1)

    def tries(self, seen: Observation, chance: random.Streams) -> tuple[Tensor, Tensor]:
        """What each agent can try and whether it may, `[B, N, K]` each."""
        every = torch.arange(seen.mask.shape[-1], device=seen.mask.device)
        return every.expand(seen.mask.shape), seen.mask

    @torch.no_grad()
    def rises(self, models: Sequence[AnalyticalModel], moment: Moment) -> list[Tensor]:
        """Marginal potential of each choice, `[B, P, K]` a model."""
        seen, context = moment.decision.observation, moment.decision.context
        influence = self.mapping.influence(seen, context)
        return [
            moment.of(guidance.marginal_potential(m, moment.state, context, influence, moment.actions, seen.active))
            for m in models
        ]

    @torch.no_grad()
    def features(self, actor: Actor, moment: Moment) -> Tensor:
        """What the last layer scores, `[B, P, K, D]`."""
        seen = moment.decision.observation
        return moment.of(actor.hidden(*actor.features(seen.agent, seen.choices)))


class Numbers:
    """A few actions of an agent, drawn evenly within its bounds, or over its splits."""

    def __init__(self, kind: Box | Simplex, mapping: JointMapping) -> None:
        self.kind, self.mapping, self.draws = kind, mapping, kind.DRAWS

    def even(self, seen: Observation, noise: Tensor) -> Tensor:
        """Draw every action with the same density, `[B, N, A]` from uniform noise of that shape."""
        return self.kind.even(seen, noise)

    def tries(self, seen: Observation, chance: random.Streams) -> tuple[Tensor, Tensor]:
        """What each agent can try, `[B, N, K, A]`, and whether it may, `[B, N, K]`."""
        drawn = chance.uniform(CANDIDATES, seen.mask.shape[1], *self.draws).to(seen.mask.device)
        tried = torch.stack([self.kind.even(seen, one) for one in drawn.unbind(1)], 2)
        return tried, seen.active.unsqueeze(-1).expand(-1, -1, CANDIDATES)

    @torch.no_grad()
    def rises(self, models: Sequence[AnalyticalModel], moment: Moment) -> list[Tensor]:
        """phi of the state that each try leads to, `[B, P, K]` a model; a constant of an agent does not count."""
        context = moment.decision.context
        found: list[list[Tensor]] = [[] for _ in models]
        agents, tries = moment.mask.shape[1:]
        for p in range(agents):
            states = [self.mapping.state(moment.instead(p, k), context) for k in range(tries)]
            for model, potential in zip(models, found, strict=True):
                potential.append(torch.stack([model.potential(state, context) for state in states], -1))
        return [torch.stack(potential, 1) for potential in found]

    @torch.no_grad()
    def features(self, actor: Actor, moment: Moment) -> Tensor:
        """(a_k - mean a) outer what the last layer maps, `[B, P, K, A * D]`; a in shares: of the range, or of the unit.

        The gradient of an expectation over a small move of the last layer then is the sum of what the tries
        are worth times these. Of splits too: around an even one, logits move shares by the same factor.
        """
        seen = moment.decision.observation
        hidden = moment.of(actor.hidden(*actor.features(seen.agent, seen.choices)))
        share = self.kind.shares(moment.tried, moment.agents)
        way = share - share.mean(2, keepdim=True)
        return (way.unsqueeze(-1) * hidden[:, :, None, None]).flatten(3)


def tries_of(env: Environment, mapping: AgentMapping | JointMapping) -> Choices | Numbers:
    """What agents of an environment try.

    Raises:
        PluginError: a mapping for the other kind of action.
    """
    kind = kind_of(env.action_space)
    return Numbers(kind, joint(mapping)) if isinstance(kind, Box | Simplex) else Choices(of_choices(mapping))


def joint(mapping: AgentMapping | JointMapping) -> JointMapping:
    """The mapping of continuous actions; PluginError for one of choices."""
    if not isinstance(mapping, JointMapping):
        raise PluginError("continuous actions need a mapping with state(actions, context), see dgpg.domain.protocols")
    return mapping


def of_choices(mapping: AgentMapping | JointMapping) -> AgentMapping:
    """The mapping of choices; PluginError for one of continuous actions."""
    if not isinstance(mapping, AgentMapping):
        raise PluginError("choices need a mapping with base_state and influence, see dgpg.domain.protocols")
    return mapping
