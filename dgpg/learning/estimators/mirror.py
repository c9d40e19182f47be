"""`mirror`: towards the policy one step of mirror descent away, docs/theory.md section 2.3."""

from __future__ import annotations

import torch
from torch import Tensor

from dgpg.domain import AgentMapping, AnalyticalModel, JointMapping, contract
from dgpg.learning import advantage
from dgpg.learning.estimators.choices import marginal, measured
from dgpg.learning.estimators.estimator import InLoss
from dgpg.learning.losses import towards_mirrored
from dgpg.learning.shards import WHOLE, Shard
from dgpg.learning.trajectory import Rows, Trajectory


class Mirror(InLoss):
    """Approaches pi_old(k) exp(clip u_k) / Z, which a policy that has got there does not leave.

    `all_action` ascends <pi, u> for as long as steps are taken, and an optimiser that scales gradients by their own
    size moves an agent of which choices hardly differ as far as any other. Here the size of u says how far: what noise
    adds to logits in one iteration, the next ones take off.
    """

    NAME = "mirror"
    BLOCKS = "wanted"
    SCALES = True

    @torch.no_grad()
    def signal(
        self, model: AnalyticalModel, mapping: AgentMapping | JointMapping, trajectory: Trajectory, shard: Shard = WHOLE
    ) -> Tensor:
        """u_i(k), centred, over its root mean square over all allowed choices alike, `[T, B, N, K]`.

        Under the policy that size would vanish as the policy settles, and the step grow without end.
        """
        sums = contract.choosing(mapping)
        potential, own = measured(trajectory, lambda decision, x, a, _: marginal(model, sums, decision, x, a))
        observation = trajectory.decision.observation
        u = advantage.centre(potential, trajectory.policy.exp())
        alike = observation.mask / observation.mask.sum(-1, keepdim=True).clamp(min=1)
        return advantage.scale_guidance(u, alike, observation.active, own if self.scaled else None, shard)

    def descent(self, policy: Tensor, rows: Rows, u: Tensor, clip: float) -> Tensor:
        """Cross-entropy to the target, `[...]`."""
        return towards_mirrored(policy, rows.policy, u, clip)
