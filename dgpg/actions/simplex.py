"""Splits: each agent divides one unit over K choices, the softmax of logits that start where the space says.

Policies, losses and drawn actions are logits less the agent's start, -inf where a choice is not allowed, so agents
that start in different places look alike to shared weights; `to_env` is the only place where start and softmax
appear.

Why the natural gradient. Let s_k be the slope of phi along share k of an agent and p its split. Through the softmax,

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

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dgpg import advantage, guidance
from dgpg.actions.kind import joint
from dgpg.actions.logits import LogitDistribution, allowed, difference
from dgpg.intents import JointIntents
from dgpg.losses import clipped_move, clipped_policy
from dgpg.networks import MlpActor
from dgpg.protocols import AgentMapping, AnalyticalModel, JointMapping
from dgpg.sharing import Sharing
from dgpg.types import Decision, Guidance, Observation, Trajectory, flatten

REACH = 0.2
"""How far a logit may move from where its slope was taken and still earn: p (1 - p) of it, at most 0.05 of a share."""


ABANDONED = 1e-5
"""Share below which a choice counts as unused: the natural gradient raises it, and lowers it no more."""


@dataclass(frozen=True)
class Simplex:
    """Logits `[N, K]` that policies start at, and the distribution of logits around them."""

    start: Tensor
    distribution: LogitDistribution

    @property
    def ESTIMATORS(self) -> tuple[str, ...]:
        """Those of the distribution."""
        return self.distribution.estimators

    @property
    def DRAWS(self) -> tuple[int, ...]:
        """One uniform number a choice."""
        return (self.start.shape[1],)

    def make_actor(self, sizes: Mapping[str, int], hidden: int, sharing: Sharing, seed: torch.Generator) -> MlpActor:
        """A plain network from the agent's own features and those of all its choices in their order.

        Scoring each choice by itself would take two choices that look alike for one.
        """
        choices = self.start.shape[1]
        inputs = sizes["agent"] + choices * sizes["choices"]
        outputs, heard = choices + self.distribution.rest, sizes.get("messages", 0)
        return MlpActor(inputs, outputs, 1, hidden, sharing, seed, choices, heard)

    def parameters(self, outputs: Tensor, mask: Tensor) -> Tensor:
        """`[..., K + R]` of outputs `[..., K + R, 1]`; where nothing is allowed, as if everything were."""
        logits, rest = outputs.squeeze(-1).tensor_split([mask.shape[-1]], -1)
        nothing = ~mask.any(-1, keepdim=True)
        return self.distribution.parameters(logits.masked_fill(~(mask | nothing), -torch.inf), rest)

    def sample(self, policy: Tensor, noise: Tensor) -> Tensor:
        """Logits, `[..., K]`."""
        return self.distribution.sample(policy, noise)

    def greedy(self, policy: Tensor) -> Tensor:
        """The centre of the distribution, `[..., K]`."""
        return self.distribution.centre(policy)

    def to_env(self, actions: Tensor) -> Tensor:
        """The split, softmax(start + logits), `[B, N, K]`; exactly zero where not allowed."""
        return (self.start.to(actions) + actions).softmax(-1)

    def even(self, observation: Observation, noise: Tensor) -> Tensor:
        """Uniform over the splits of the allowed choices from uniform `noise` `[B, N, K]`: exponentials, divided."""
        mask = observation.mask
        weight = (-torch.log1p(-noise)).clamp(min=1e-12) * (mask | ~mask.any(-1, keepdim=True))
        return weight / weight.sum(-1, keepdim=True)

    def anything(self, observation: Observation, chance: torch.Generator) -> Tensor:
        """Uniform over the splits of the allowed choices, `[B, N, K]`."""
        mask = observation.mask
        return self.even(observation, torch.rand(mask.shape, generator=chance).to(mask.device))

    def shares(self, actions: Tensor, agents: Tensor) -> Tensor:
        """As they are, `[B, P, C, K]`."""
        return actions

    def log_prob(self, policy: Tensor, actions: Tensor) -> Tensor:
        """Log density of the logits, `[...]`."""
        return self.distribution.log_prob(policy, actions)

    def entropy(self, policy: Tensor) -> Tensor:
        """Entropy of the logits, `[...]`."""
        return self.distribution.entropy(policy)

    def policy_loss(
        self, policy: Tensor, policy_old: Tensor, actions: Tensor, advantage: Tensor, u: Tensor | None,
        alpha: float, clip: float,
    ) -> Tensor:  # fmt: skip
        """(1 - alpha) of the sampled clipped loss + alpha of the pathwise one, a number a row.

        The pathwise part ascends <u, logits>, the logits that the same chance draws under the parameters being
        trained: its derivative with respect to a logit is -alpha u_k. Beyond `REACH` a move earns nothing more.

        Args:
            policy: parameters being trained, `[..., K + R]`.
            policy_old: the same when the action was drawn.
            actions: logits, `[..., K]`.
            advantage: of the sampled action, `[...]`.
            u: direction of ascent in logits, `[..., K]`; None when `advantage` holds guidance already.
            alpha: weight of u, unused without it.
            clip: width of the trust region of the sampled part.
        """
        sampled = clipped_policy(
            self.log_prob(policy, actions), self.log_prob(policy_old, actions), advantage, clip
        )  # fmt: skip
        if u is None:
            return sampled
        move = difference(self.distribution.again(policy, policy_old, actions), actions)
        return (1 - alpha) * sampled + alpha * clipped_move(u, move, REACH)

    @torch.no_grad()
    def guide(
        self, estimator: str, model: AnalyticalModel, mapping: AgentMapping | JointMapping, trajectory: Trajectory,
        gamma: float, scaled: bool,
    ) -> Guidance:  # fmt: skip
        """What the model says about a whole trajectory.

        Args:
            estimator: `pathwise`, the natural gradient (see above); `pathwise_plain`, the derivative through the
                softmax; or `first_order`, the slope times the split's way from the centre, as the advantage of a
                score function.
            model: phi.
            mapping: x of a joint action.
            trajectory: T steps.
            gamma: unused: no form looks beyond the step.
            scaled: unused.
        """
        mapping, decision = joint(mapping, "splits"), flatten(trajectory.decision)
        state, actions = (x.flatten(0, 1) for x in (trajectory.state, trajectory.actions))
        split = self.to_env(actions)
        slope = guidance.slope(model, mapping, state, split, decision.context).view(trajectory.actions.shape)
        split, active = split.view(slope.shape), trajectory.decision.observation.active
        if estimator == "first_order":
            way = split - self.to_env(self.greedy(trajectory.policy))
            return Guidance(u=advantage.normalise(-(slope * way).sum(-1), active, "batch"))
        able = allowed(trajectory.actions) & active.unsqueeze(-1)
        u = ((split * slope).sum(-1, keepdim=True) - slope) * able
        u = split * u if estimator == "pathwise_plain" else _natural(split, able, u)
        # <u, deviation e> is the advantage that u stands for; of size one, as the return's is, alpha weighs alike.
        worth = u * self.distribution.deviation(trajectory.policy)
        return Guidance(u=advantage.scale_direction(u, worth, active))

    def intents(self, model: AnalyticalModel, mapping: AgentMapping | JointMapping, decision: Decision) -> JointIntents:
        """Agents announce their central splits; what travels is the state that these lead to."""
        return JointIntents(model, joint(mapping, "splits"), decision, self)

    def heard(self, announced: Tensor, actions: Tensor, slope: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Splits, the natural gradient of a descent, and logits less the start, `[B, N, K]` each."""
        able = allowed(announced)
        u = ((actions * slope).sum(-1, keepdim=True) - slope) * able
        return actions, u, torch.where(able, announced, 0.0)


def _natural(split: Tensor, able: Tensor, u: Tensor) -> Tensor:
    """p_k u_k over the agent's mean of p_k in the moments that allow k, `[T, B, N, K]`; see above."""
    mean = (split * able).sum((0, 1)) / able.sum((0, 1)).clamp(min=1)
    u = torch.where((split < ABANDONED) & (u < 0), 0.0, u)
    return torch.where(mean > 0, split / mean, 1.0) * u
