"""What agents hear when all of them announce what they are about to do: sums, never another agent's choice.

Announced policies add up to the expected state x^ = x_0 + sum_i E_p z_i. An agent gets back the sums of the
coordinates that its choices touch, takes its own part out, and asks the model what each choice would cost there. Only
sums travel, O(B N K P) numbers; the rest is arithmetic of the agent's own. One class for each kind of mapping. Why it
is so: docs/adr/0017-intent-rounds.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from dgpg.domain import (
    AgentMapping,
    AnalyticalModel,
    Decision,
    Influence,
    JointMapping,
    SupportsBlockPotential,
    contract,
)
from dgpg.learning.actions import ActionKind, Box, Simplex
from dgpg.learning.guidance import gather_blocks, linear_potential, rise, slope

FLOOR = -10.0
"""Least log probability that a message holds."""


class Intents(Protocol):
    """What is said in one moment of decision, for announced policies of the action kind."""

    @property
    def size(self) -> int:
        """M, numbers in a message. The last two are u, the worth of a choice, and where the agent stands."""
        ...

    @property
    def said(self) -> int:
        """Numbers that one agent sends in one round, and gets back."""
        ...

    def silence(self) -> Tensor:
        """What agents know before anyone has spoken, as a message `[B, N, K, M]` or `[B, N, A, M]`."""
        ...

    def totals(self, policy: Tensor) -> Tensor:
        """The sums of what is announced, `[B, G, .]`: all that travels."""
        ...

    def message(self, totals: Tensor, policy: Tensor) -> Tensor:
        """What each agent makes of them, raw, `[B, N, K, M]` or `[B, N, A, M]`."""
        ...


@dataclass(frozen=True)
class ChoiceIntents:
    """Of choices, with a mapping that is a sum over agents.

    A message has, for each choice: what others add to the coordinates that it touches, and how many they are, for each
    of its P blocks; the announced probability; u = -(marginal potential there), less its mean over the agent's choices;
    and the announced log probability.
    """

    model: AnalyticalModel
    decision: Decision
    influence: Influence
    base: Tensor
    """x_0, `[B, G, m]`."""
    here: Tensor
    """x_0 where choices touch it, `[B, N, K, P, m]`."""
    amount: Tensor
    """z_i(k) and a one that counts, `[B, N, K, P, m + 1]`, zero for agents with nothing to decide."""
    overlap: Tensor | None
    """1 where two places (k, p) of an agent are one block, `[B, N, K P, K P]`; None where no two are."""

    @classmethod
    def of(cls, model: AnalyticalModel, mapping: AgentMapping, decision: Decision) -> ChoiceIntents:
        """Once for all rounds of a moment."""
        seen = decision.observation
        influence = mapping.influence(seen, decision.context)
        amount = amounts(influence.value, seen.active)
        base = mapping.base_state(decision.context)
        here = gather_blocks(base, influence.index)
        return cls(model, decision, influence, base, here, amount, overlap(influence.index))

    @property
    def size(self) -> int:
        """P (m + 1) + 3."""
        return self.amount.shape[-2] * self.amount.shape[-1] + 3

    @property
    def said(self) -> int:
        """K P (m + 1)."""
        choices, places, width = self.amount.shape[-3:]
        return choices * places * width

    def silence(self) -> Tensor:
        """Nobody adds anything; the model is asked about x_0."""
        nobody = self.base.new_zeros(*self.base.shape[:-1], self.amount.shape[-1])
        nothing = torch.zeros_like(self.amount)
        return self._message(nobody, nothing, torch.zeros_like(self.amount[..., 0, 0]), None)

    def totals(self, policy: Tensor) -> Tensor:
        """sum_i E_p z_i and the expected number of agents, `[B, G, m + 1]`, of log probabilities `[B, N, K]`."""
        said = self._said(policy.exp()).flatten(1, 3)
        index = self.influence.index.flatten(1).unsqueeze(-1).expand(-1, -1, said.shape[-1])
        return said.new_zeros(len(said), self.base.shape[1], said.shape[-1]).scatter_add(1, index, said)

    def message(self, totals: Tensor, policy: Tensor) -> Tensor:
        """`[B, N, K, M]`."""
        probability = policy.exp()
        own = self._said(probability)
        if self.overlap is not None:
            flat = own.flatten(2, 3)
            own = (self.overlap.to(flat) @ flat).view(own.shape)
        return self._message(totals, own, probability, policy)

    def _said(self, probability: Tensor) -> Tensor:
        return self.amount * probability[..., None, None]

    def _message(self, totals: Tensor, own: Tensor, probability: Tensor, logs: Tensor | None) -> Tensor:
        influence, context = self.influence, self.decision.context
        others = gather_blocks(totals, influence.index) - own
        if isinstance(self.model, SupportsBlockPotential):
            cost = rise(self.model, self.here + others[..., :-1], influence, context)
        else:
            cost = linear_potential(self.model, self.base + totals[..., :-1], context, influence)
        return message(others, cost, probability, logs, self.decision.observation.mask)


def message(others: Tensor, cost: Tensor, probability: Tensor, logs: Tensor | None, mask: Tensor) -> Tensor:
    """What an agent makes of what others add to the blocks that its choices touch, `[..., K, M]`.

    Args:
        others: `[..., K, P, m + 1]`.
        cost: marginal potential of each choice there, `[..., K]`.
        probability: that the agent announced, `[..., K]`.
        logs: their logarithms; None where it has said nothing yet.
        mask: choices that are allowed, `[..., K]`.
    """
    mean = (cost * mask).sum(-1, keepdim=True) / mask.sum(-1, keepdim=True).clamp(min=1)
    stand = torch.zeros_like(cost) if logs is None else logs.clamp(min=FLOOR)
    return torch.cat([others.flatten(-2), torch.stack([probability, mean - cost, stand], -1)], -1) * mask[..., None]


def amounts(value: Tensor, active: Tensor) -> Tensor:
    """z_i(k) and a one that counts, zero for agents with nothing to decide, `[..., K, P, m + 1]`.

    Args:
        value: of the influence, `[..., K, P, m]`.
        active: agents that act, `[...]`.
    """
    count = (value != 0).any(-1, keepdim=True).to(value)
    return torch.cat([value, count], -1) * active[..., None, None, None]


@dataclass(frozen=True)
class JointIntents:
    """Of continuous actions and splits, with a mapping of the joint action: what travels is the expected state.

    A message has, for each dimension (or choice of a split): the announced action in shares; u, the direction of
    descent of phi along what the policy moves; and where the agent stands, in the units of a network's output.
    """

    model: AnalyticalModel
    mapping: JointMapping
    decision: Decision
    kind: Continuous
    size: int = 3
    """Numbers in a message."""

    @property
    def said(self) -> int:
        """One number a dimension."""
        return self.kind.DRAWS[0]

    def silence(self) -> Tensor:
        """Zeros: what others are about to do is not known before they speak."""
        seen = self.decision.observation
        return seen.agent.new_zeros(*seen.active.shape, self.kind.DRAWS[0], self.size)

    def totals(self, policy: Tensor) -> Tensor:
        """x^ = the state that the announced actions lead to, `[B, G, m]`."""
        return self.mapping.state(self.kind.to_env(self.kind.greedy(policy)), self.decision.context)

    def message(self, totals: Tensor, policy: Tensor) -> Tensor:
        """`[B, N, A, 3]`."""
        announced = self.kind.greedy(policy)
        actions = self.kind.to_env(announced)
        found = slope(self.model, self.mapping, totals, actions, self.decision.context)
        share, u, stand = self.kind.heard(announced, actions, found)
        return torch.stack([share, u, stand], -1) * self.decision.observation.active[..., None, None]


class Continuous(Protocol):
    """What `JointIntents` asks of a continuous action kind."""

    @property
    def DRAWS(self) -> tuple[int, ...]:
        """A, or K of a split."""
        ...

    def greedy(self, policy: Tensor) -> Tensor:
        """The action `[B, N, A]` that a policy announces."""
        ...

    def to_env(self, actions: Tensor) -> Tensor:
        """The same in the units of the environment, `[B, N, A]`."""
        ...

    def heard(self, announced: Tensor, actions: Tensor, slope: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Shares, descent along what the policy moves, and where it stands, `[B, N, A]` each, finite.

        Args:
            announced: of `greedy`.
            actions: the same in the units of the environment.
            slope: d phi / d action, `[B, N, A]`.
        """
        ...


def intents_of(
    kind: ActionKind, model: AnalyticalModel, mapping: AgentMapping | JointMapping, decision: Decision
) -> Intents:
    """What agents may say to each other in a moment of decision.

    Agents that choose announce probabilities, and what travels are sums over blocks. Others announce their central
    actions, and what travels is the state that these lead to.

    Raises:
        PluginError: the mapping is not of this kind of action.
    """
    if isinstance(kind, Box | Simplex):
        return JointIntents(model, contract.joint(mapping, kind.NAME), decision, kind)
    return ChoiceIntents.of(model, contract.choosing(mapping), decision)


def overlap(index: Tensor) -> Tensor | None:
    """1 where two places (k, p) of an agent are the same block, `[B, N, K P, K P]`; None where no two are.

    Args:
        index: `[B, N, K, P]`, see `Influence`.
    """
    # Where every moment of a batch has the same index it is an expanded one: one look is enough.
    places = (index[:1] if index.stride(0) == 0 else index).flatten(2)
    ordered = places.sort(-1).values
    if not bool((ordered[..., 1:] == ordered[..., :-1]).any()):
        return None
    places = index.flatten(2)
    return places.unsqueeze(-1) == places.unsqueeze(-2)
