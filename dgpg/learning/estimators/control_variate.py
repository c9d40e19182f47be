"""`control_variate`: what the others' actions did, off the return's advantage, docs/theory.md section 4, S6."""

from __future__ import annotations

import torch
from torch import Tensor

from dgpg.domain import AgentMapping, AnalyticalModel, Decision, JointMapping, contract
from dgpg.learning import advantage, guidance
from dgpg.learning.estimators.choices import marginal, measured
from dgpg.learning.estimators.estimator import InReturn
from dgpg.learning.shards import WHOLE, Shard
from dgpg.learning.trajectory import Trajectory


class ControlVariate(InReturn):
    """A baseline b_i(s, a_-i) from the model: grad J stays unbiased whatever the model says."""

    NAME = "control_variate"
    BLOCKS = "needed"

    @torch.no_grad()
    def signal(
        self, model: AnalyticalModel, mapping: AgentMapping | JointMapping, trajectory: Trajectory, shard: Shard = WHOLE
    ) -> Tensor:
        """b, in units of the potential, `[T, B, N]`."""
        sums = contract.choosing(mapping)

        def parts(decision: Decision, state: Tensor, actions: Tensor, logs: Tensor) -> tuple[Tensor, Tensor]:
            seen, context = decision.observation, decision.context
            influence, base = sums.influence(seen, context), sums.base_state(context)
            probability = logs.exp() * seen.active.unsqueeze(-1)
            rest = guidance.unexpected(model, state, base, context, influence, probability)
            return marginal(model, sums, decision, state, actions)[0], rest

        potential, rest = measured(trajectory, parts)
        u = advantage.centre(potential, trajectory.policy.exp())
        return -rest.unsqueeze(-1) - self.kind.log_prob(u, trajectory.actions)
