"""`exact`: the marginal potential of the sampled choice as an advantage, docs/theory.md section 2.2."""

from __future__ import annotations

import torch
from torch import Tensor

from dgpg.domain import AgentMapping, AnalyticalModel, JointMapping, contract
from dgpg.learning.estimators.all_action import every_choice
from dgpg.learning.estimators.estimator import InAdvantage
from dgpg.learning.shards import WHOLE, Shard
from dgpg.learning.trajectory import Trajectory


class Exact(InAdvantage):
    """u_i(a_i) less its mean under the policy: the expectation of `all_action`, with the noise of the own draw."""

    NAME = "exact"
    BLOCKS = "wanted"
    SCALES = True

    @torch.no_grad()
    def signal(
        self, model: AnalyticalModel, mapping: AgentMapping | JointMapping, trajectory: Trajectory, shard: Shard = WHOLE
    ) -> Tensor:
        """u_i(a_i), `[T, B, N]`."""
        u = every_choice(model, contract.choosing(mapping), trajectory, self.scaled, shard)
        return self.kind.log_prob(u, trajectory.actions)
