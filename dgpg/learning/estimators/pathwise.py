"""`pathwise`: the gradient through the reparameterised draw of a continuous action, docs/theory.md section 2.4.

Why the natural gradient of splits. Let s_k be the slope of phi along share k of an agent and p its split. Through the
softmax,

    d phi / d logit_k = p_k (s_k - sum_j p_j s_j),

which vanishes with p_k: a choice that has fallen out of use hardly comes back, and one that should is slow to go.
A step of p that is short in Kullback-Leibler divergence, the metric of which is F = diag(p) - p p^T in logits, solves
F g = d phi / d logit. Its solutions are g_k = s_k + constant; the constant moves no split (F has the null space 1),
and g_k = s_k - sum_j p_j s_j is the one of mean zero under p. A step logit -= eta g is p_k <- p_k exp(-eta s_k) / Z:
mirror descent with the negative entropy, or exponentiated gradient (Kivinen and Warmuth 1997; Amari 1998 for the
metric; Beck and Teboulle 2003 for the equality).

Why a mean share. A network serves many moments with one set of weights. Divided by the p_k of each moment, the
gradients of these no longer add up to a multiple of the gradient of their mean phi: moments in which a choice matters
little would weigh as much as those in which it matters, and training drifts off the optimum. One metric for all
moments of an agent does not move the optimum: p_k (s_k - sum_j p_j s_j) is divided by the agent's mean share of choice
k. Of a policy that does the same in all moments, as in a static problem, that is g_k itself.

Why a least share. At the optimum g_k of an unused choice is not zero: logits alone would go down for ever and harm
nobody, a network that also has other choices to serve is bent by it. A share below `ABANDONED` is pushed no further.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from dgpg.domain import AgentMapping, AnalyticalModel, JointMapping, contract
from dgpg.domain.types import flatten
from dgpg.learning import advantage, guidance
from dgpg.learning.actions import Box, Simplex
from dgpg.learning.estimators.estimator import InLoss
from dgpg.learning.losses import clipped_move
from dgpg.learning.shards import WHOLE, Shard
from dgpg.learning.trajectory import Rows, Trajectory

ContinuousKind = Box | Simplex

ABANDONED = 1e-5
"""Share below which a choice counts as unused: the natural gradient raises it, and lowers it no more."""


def slopes(
    kind: ContinuousKind, model: AnalyticalModel, mapping: AgentMapping | JointMapping, trajectory: Trajectory
) -> Tensor:
    """d phi / d action in the units of the environment, `[T, B, N, A]` or `[T, B, N, K]`.

    Raises:
        PluginError: the mapping is one of choices.
    """
    joint, decision = contract.joint(mapping, kind.NAME), flatten(trajectory.decision)
    state, actions = (x.flatten(0, 1) for x in (trajectory.state, trajectory.actions))
    found = guidance.slope(model, joint, state, kind.to_env(actions), decision.context)
    return found.view(trajectory.actions.shape)


class Along(InLoss):
    """Ascends <u, a>, a the action that the same chance draws under the parameters being trained.

    u was taken at the drawn action; beyond the kind's `REACH` from there a move earns nothing more.
    """

    NEEDS = "path"
    kind: ContinuousKind

    def descent(self, policy: Tensor, rows: Rows, u: Tensor, clip: float) -> Tensor:
        """-<u, move>, bounded, `[...]`."""
        return clipped_move(u, self.kind.move(policy, rows.policy, rows.actions), self.kind.REACH)


class Pathwise(Along):
    """The slope of -phi along each number of an agent."""

    NAME = "pathwise"
    kind: Box

    @torch.no_grad()
    def signal(
        self, model: AnalyticalModel, mapping: AgentMapping | JointMapping, trajectory: Trajectory, shard: Shard = WHOLE
    ) -> Tensor:
        """u, `[T, B, N, A]`."""
        active = trajectory.decision.observation.active
        u = self.kind.along(slopes(self.kind, model, mapping, trajectory)) * active.unsqueeze(-1)
        return advantage.scale_direction(u, u, active, shard)


class AlongSplit(Along):
    """Of splits: u_k in logits by some metric of shares."""

    kind: Simplex

    @torch.no_grad()
    def signal(
        self, model: AnalyticalModel, mapping: AgentMapping | JointMapping, trajectory: Trajectory, shard: Shard = WHOLE
    ) -> Tensor:
        """u, `[T, B, N, K]`."""
        slope = slopes(self.kind, model, mapping, trajectory)
        split = self.kind.to_env(trajectory.actions.flatten(0, 1)).view(slope.shape)
        active = trajectory.decision.observation.active
        able = self.kind.able(trajectory.actions) & active.unsqueeze(-1)
        u = self.metric(split, able, self.kind.along(split, slope) * able, shard)
        # <u, deviation e> is the advantage that u stands for; of size one, as the return's is, alpha weighs alike.
        worth = u * self.kind.distribution.deviation(trajectory.policy)
        return advantage.scale_direction(u, worth, active, shard)

    @abstractmethod
    def metric(self, split: Tensor, able: Tensor, u: Tensor, shard: Shard) -> Tensor:
        """The direction in logits, `[T, B, N, K]`, of u_k = sum_j p_j s_j - s_k where `able` allows."""


class PlainSplit(AlongSplit):
    """The derivative through the softmax, to compare with."""

    NAME = "pathwise_plain"

    def metric(self, split: Tensor, able: Tensor, u: Tensor, shard: Shard) -> Tensor:
        """p_k u_k, `[T, B, N, K]`."""
        return split * u


class NaturalSplit(AlongSplit):
    """The natural gradient in logits, see above."""

    NAME = "pathwise"

    def metric(self, split: Tensor, able: Tensor, u: Tensor, shard: Shard) -> Tensor:
        """p_k u_k over the agent's mean of p_k in the moments that allow k, `[T, B, N, K]`."""
        sums = torch.stack([(split * able).sum((0, 1)), able.sum((0, 1)).to(split.dtype)])
        share, count = shard.total(sums).unbind()
        mean = share / count.clamp(min=1)
        u = torch.where((split < ABANDONED) & (u < 0), 0.0, u)
        return torch.where(mean > 0, split / mean, 1.0) * u
