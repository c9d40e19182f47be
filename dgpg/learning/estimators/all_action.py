"""`all_action`: the expectation over the agent's own choice in closed form, docs/theory.md section 2.3."""

from __future__ import annotations

import torch
from torch import Tensor

from dgpg.domain import AgentMapping, AnalyticalModel, JointMapping, contract
from dgpg.learning import advantage
from dgpg.learning.estimators.choices import marginal, measured
from dgpg.learning.estimators.estimator import InLoss
from dgpg.learning.losses import clipped_all_action
from dgpg.learning.shards import WHOLE, Shard
from dgpg.learning.trajectory import Rows, Trajectory


class AllAction(InLoss):
    """Ascends sum_k pi_i(k) u_i(k): no noise of the agent's own sampling is left."""

    NAME = "all_action"
    BLOCKS = "wanted"
    SCALES = True

    @torch.no_grad()
    def signal(
        self, model: AnalyticalModel, mapping: AgentMapping | JointMapping, trajectory: Trajectory, shard: Shard = WHOLE
    ) -> Tensor:
        """u_i(k), centred and scaled, `[T, B, N, K]`."""
        return every_choice(model, contract.choosing(mapping), trajectory, self.scaled, shard)

    def descent(self, policy: Tensor, rows: Rows, u: Tensor, clip: float) -> Tensor:
        """-sum_k pi_old(k) min(rho_k u_k, clip(rho_k) u_k), `[...]`."""
        return clipped_all_action(policy, rows.policy, u, clip)


def every_choice(
    model: AnalyticalModel, mapping: AgentMapping, trajectory: Trajectory, scaled: bool, shard: Shard = WHOLE
) -> Tensor:
    """u_i(k) = -phi_i(k) less its mean under the policy, over the root mean square of the batch, `[T, B, N, K]`.

    Args:
        model: phi.
        mapping: z_i(k).
        trajectory: T steps.
        scaled: divide by each agent's own scale first.
        shard: that the trajectory is of.
    """
    potential, own = measured(trajectory, lambda decision, x, a, _: marginal(model, mapping, decision, x, a))
    probability, active = trajectory.policy.exp(), trajectory.decision.observation.active
    return advantage.scale_guidance(
        advantage.centre(potential, probability), probability, active, own if scaled else None, shard
    )
