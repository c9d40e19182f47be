"""Continuous actions within bounds of each agent's own: A numbers, drawn on [0, 1] and stretched to the bounds.

Policies, losses and guidance work on [0, 1]^A, so agents of different sizes look alike to shared weights;
`to_env` is the only place where units appear. Which distributions, and why: docs/adr/0012-continuous-actions.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dgpg import advantage, guidance
from dgpg.actions.distributions import EDGE, Distribution
from dgpg.actions.kind import joint
from dgpg.intents import JointIntents
from dgpg.losses import clipped_move, clipped_policy
from dgpg.networks import MlpActor
from dgpg.protocols import AgentMapping, AnalyticalModel, JointMapping
from dgpg.sharing import Sharing
from dgpg.types import Decision, Guidance, Observation, Trajectory, flatten

REACH = 0.05
"""How far from where its slope was taken, in shares of the range, a pathwise step goes on being rewarded."""


@dataclass(frozen=True)
class Box:
    """Bounds `[N, A]` in the environment's units, and the distribution of policies on [0, 1]."""

    low: Tensor
    high: Tensor
    distribution: Distribution

    @classmethod
    def of(cls, low: NDArray[np.floating], high: NDArray[np.floating], distribution: Distribution) -> Box:
        """From the bounds of a Gymnasium space."""
        return cls(torch.as_tensor(low).float(), torch.as_tensor(high).float(), distribution)

    @property
    def ESTIMATORS(self) -> tuple[str, ...]:
        """Those of the distribution."""
        return self.distribution.estimators

    @property
    def DRAWS(self) -> tuple[int, ...]:
        """One uniform number a dimension."""
        return (self.low.shape[1],)

    def make_actor(self, sizes: Mapping[str, int], hidden: int, sharing: Sharing, seed: torch.Generator) -> MlpActor:
        """A plain network from the agent's own features."""
        numbers, heard = self.low.shape[1], sizes.get("messages", 0)
        return MlpActor(sizes["agent"], numbers, self.distribution.width, hidden, sharing, seed, numbers, heard)

    def parameters(self, outputs: Tensor, mask: Tensor) -> Tensor:
        """`[..., A, P]`."""
        return self.distribution.parameters(outputs)

    def sample(self, policy: Tensor, noise: Tensor) -> Tensor:
        """On [0, 1], `[..., A]`."""
        return self.distribution.sample(policy, noise)

    def greedy(self, policy: Tensor) -> Tensor:
        """The centre of the distribution, `[..., A]`."""
        return self.distribution.centre(policy)

    def to_env(self, actions: Tensor) -> Tensor:
        """low + (high - low) a, `[B, N, A]`."""
        low, high = self.low.to(actions), self.high.to(actions)
        return low + (high - low) * actions

    def even(self, observation: Observation, noise: Tensor) -> Tensor:
        """Uniform `noise` `[B, N, A]` stretched to the bounds."""
        return self.to_env(noise)

    def anything(self, observation: Observation, chance: torch.Generator) -> Tensor:
        """Uniform within the bounds, `[B, N, A]`."""
        shape = (len(observation.mask), *self.low.shape)
        return self.even(observation, torch.rand(shape, generator=chance).to(observation.mask.device))

    def shares(self, actions: Tensor, agents: Tensor) -> Tensor:
        """Actions `[B, P, C, A]` of `agents` `[B, P]` as shares of their range."""
        low, high = (end.to(actions)[agents].unsqueeze(2) for end in (self.low, self.high))
        return (actions - low) / (high - low)

    def log_prob(self, policy: Tensor, actions: Tensor) -> Tensor:
        """Sum over dimensions, `[...]`."""
        return self.distribution.log_prob(policy, actions).sum(-1)

    def entropy(self, policy: Tensor) -> Tensor:
        """Sum over dimensions, `[...]`."""
        return self.distribution.entropy(policy).sum(-1)

    def policy_loss(
        self, policy: Tensor, policy_old: Tensor, actions: Tensor, advantage: Tensor, u: Tensor | None,
        alpha: float, clip: float,
    ) -> Tensor:  # fmt: skip
        """(1 - alpha) of the sampled clipped loss + alpha of the pathwise one, a number a row.

        The pathwise part ascends <u, a>, a the action that the same chance draws under the parameters being
        trained. u was taken at `actions`; beyond `REACH` from there a move earns nothing more.

        Args:
            policy: parameters being trained, `[..., A, P]`.
            policy_old: the same when the action was drawn.
            actions: on [0, 1], `[..., A]`.
            advantage: of the sampled action, `[...]`.
            u: slope of -phi along each dimension, `[..., A]`; None when `advantage` holds guidance already.
            alpha: weight of u, unused without it.
            clip: width of the trust region of the sampled part.
        """
        sampled = clipped_policy(
            self.log_prob(policy, actions), self.log_prob(policy_old, actions), advantage, clip
        )  # fmt: skip
        if u is None:
            return sampled
        move = self.distribution.again(policy, policy_old, actions) - actions
        return (1 - alpha) * sampled + alpha * clipped_move(u, move, REACH)

    @torch.no_grad()
    def guide(
        self, estimator: str, model: AnalyticalModel, mapping: AgentMapping | JointMapping, trajectory: Trajectory,
        gamma: float, scaled: bool,
    ) -> Guidance:  # fmt: skip
        """What the model says about a whole trajectory.

        Args:
            estimator: `pathwise`, the slope of -phi along each dimension, or `first_order`, that slope times the
                sampled action's way from the centre, as the advantage of a score function.
            model: phi.
            mapping: x of a joint action.
            trajectory: T steps.
            gamma: unused: neither form looks beyond the step.
            scaled: unused.
        """
        mapping, decision = joint(mapping, "continuous actions"), flatten(trajectory.decision)
        state, actions = (x.flatten(0, 1) for x in (trajectory.state, trajectory.actions))
        slope = guidance.slope(model, mapping, state, self.to_env(actions), decision.context)
        u = (-slope * (self.high - self.low).to(slope)).view(trajectory.actions.shape)
        active = trajectory.decision.observation.active
        if estimator == "first_order":
            way = trajectory.actions - self.greedy(trajectory.policy)
            return Guidance(u=advantage.normalise((u * way).sum(-1), active, "batch"))
        u = u * active.unsqueeze(-1)
        return Guidance(u=advantage.scale_direction(u, u, active))

    def intents(self, model: AnalyticalModel, mapping: AgentMapping | JointMapping, decision: Decision) -> JointIntents:
        """Agents announce the centre of their policies; what travels is the state that these lead to."""
        return JointIntents(model, joint(mapping, "continuous actions"), decision, self)

    def heard(self, announced: Tensor, actions: Tensor, slope: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Shares of the range, descent along them, and log-odds of the share, `[B, N, A]` each."""
        u = -slope * (self.high - self.low).to(slope)
        return announced, u, torch.logit(announced.clamp(EDGE, 1 - EDGE))
