"""`potential_based`: F_t = gamma Phi_{t+1} - Phi_t added to the reward, docs/theory.md section 4, S5."""

from __future__ import annotations

import torch
from torch import Tensor

from dgpg.domain import AgentMapping, AnalyticalModel, JointMapping, contract
from dgpg.learning import guidance
from dgpg.learning.estimators.estimator import InReward
from dgpg.learning.shards import WHOLE, Shard
from dgpg.learning.trajectory import Trajectory


class PotentialBased(InReward):
    """Shaping that leaves every equilibrium of the Markov game where it was (Ng, Harada and Russell 1999)."""

    NAME = "potential_based"

    @torch.no_grad()
    def signal(
        self, model: AnalyticalModel, mapping: AgentMapping | JointMapping, trajectory: Trajectory, shard: Shard = WHOLE
    ) -> Tensor:
        """F, `[T, B]`."""
        return guidance.shaping(model, contract.choosing(mapping), trajectory, self.gamma)
