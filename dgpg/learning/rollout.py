"""Step 1 of 5: run the policy in the environments."""

from __future__ import annotations

import torch
from torch import Tensor

from dgpg.domain import Decision, Environment, Step
from dgpg.domain.contract import look_at_step
from dgpg.domain.types import stack
from dgpg.learning.grounds import Apart, Grounds, Move
from dgpg.learning.rounds import Team
from dgpg.learning.shards import WHOLE, Shard
from dgpg.learning.trajectory import Trajectory


@torch.no_grad()
def collect(
    env: Environment, team: Team, decision: Decision, noise: Tensor, shard: Shard = WHOLE,
    grounds: Grounds | None = None, at: int = 0,
) -> tuple[Trajectory, Decision]:  # fmt: skip
    """T steps from `decision` on, T given by `noise` `[B, T, N, *DRAWS]`; returns also where they led.

    Args:
        env: what acts.
        team: who decides.
        decision: where it begins.
        noise: what decides, where policies leave it to chance.
        shard: what this is a part of.
        grounds: where shards act, if not each in an `env` of its own.
        at: which of them this is.
    """
    grounds = grounds or Apart([env])
    decisions: list[Decision] = []
    moves: list[Move] = []
    for noise_t in noise.unbind(1):
        team.measure(decision, shard)
        decisions.append(decision)
        moves.append(grounds.move(at, team, decision, noise_t, shard))
        decision = moves[-1][2].decision
        if len(moves) == 1:
            look_at_step(moves[0][2], env, len(noise))
    policies, actions, steps = (list(column) for column in zip(*moves, strict=True))
    return _trajectory(decisions, actions, policies, steps, decision), decision


def _trajectory(
    decisions: list[Decision], actions: list[Tensor], policies: list[Tensor], steps: list[Step], last: Decision
) -> Trajectory:
    local = [step.local_reward for step in steps if step.local_reward is not None]
    blocks = [step.block_cost for step in steps if step.block_cost is not None]
    return Trajectory(
        decision=stack(decisions),
        actions=torch.stack(actions),
        policy=torch.stack(policies),
        reward=torch.stack([step.reward for step in steps]),
        state=torch.stack([step.state for step in steps]),
        terminated=torch.stack([step.terminated for step in steps]),
        done=torch.stack([step.terminated | step.truncated for step in steps]),
        local_reward=torch.stack(local) if local else None,
        block_cost=torch.stack(blocks) if blocks else None,
        last=last,
        finals={t: step.final for t, step in enumerate(steps) if step.final is not None},
    )
