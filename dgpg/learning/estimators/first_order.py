"""`first_order`: the paper's form, a linearisation as an advantage of the draw, docs/theory.md section 2.1."""

from __future__ import annotations

import torch
from torch import Tensor

from dgpg.domain import AgentMapping, AnalyticalModel, Decision, JointMapping, contract
from dgpg.learning import advantage, guidance
from dgpg.learning.estimators.choices import measured
from dgpg.learning.estimators.estimator import InAdvantage
from dgpg.learning.estimators.pathwise import ContinuousKind, slopes
from dgpg.learning.shards import WHOLE, Shard
from dgpg.learning.trajectory import Trajectory


class FirstOrder(InAdvantage):
    """-<grad phi(x), z_i(a_i)> of choices; biased where choices of an agent differ in size."""

    NAME = "first_order"

    @torch.no_grad()
    def signal(
        self, model: AnalyticalModel, mapping: AgentMapping | JointMapping, trajectory: Trajectory, shard: Shard = WHOLE
    ) -> Tensor:
        """Normalised, `[T, B, N]`."""
        sums = contract.choosing(mapping)

        def linear(decision: Decision, state: Tensor, actions: Tensor, logs: Tensor) -> tuple[Tensor]:
            influence = sums.influence(decision.observation, decision.context)
            return (guidance.linear_potential(model, state, decision.context, influence),)

        (potential,) = measured(trajectory, linear)
        active = trajectory.decision.observation.active
        return advantage.normalise(-self.kind.log_prob(potential, trajectory.actions), active, "batch", shard)


class FirstOrderDraw(InAdvantage):
    """The slope of -phi along an agent's numbers times the draw's way from the centre, for numbers and splits."""

    NAME = "first_order"
    kind: ContinuousKind

    @torch.no_grad()
    def signal(
        self, model: AnalyticalModel, mapping: AgentMapping | JointMapping, trajectory: Trajectory, shard: Shard = WHOLE
    ) -> Tensor:
        """Normalised, `[T, B, N]`."""
        slope = slopes(self.kind, model, mapping, trajectory)
        gain = self.kind.gain(trajectory.actions, trajectory.policy, slope)
        return advantage.normalise(gain, trajectory.decision.observation.active, "batch", shard)
