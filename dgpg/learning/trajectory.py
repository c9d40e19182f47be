"""What a rollout collected, and the rows that an update makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from dgpg.domain import Decision, Experience


@dataclass(frozen=True)
class Trajectory:
    """T steps of B environments under one policy; tensors start `[T, B]` unless said otherwise."""

    decision: Decision
    """The moments of decision, each field `[T, B, ...]`."""
    actions: Tensor
    """a_t as the policy drew it, `[T, B, N]`, `[T, B, N, A]` or a split's logits `[T, B, N, K]`; meaningless where an
    agent had nothing to decide."""
    policy: Tensor
    """What the policy was when the action was drawn, as its action kind has it: log pi(k | o_t) of every choice,
    `[T, B, N, K]`, or the parameters of a continuous distribution, `[T, B, N, A, .]`, or of the logits of a split,
    `[T, B, N, K + .]`."""
    reward: Tensor
    state: Tensor
    terminated: Tensor
    done: Tensor
    """terminated or truncated, `[T, B]`."""
    local_reward: Tensor | None
    block_cost: Tensor | None
    """`[T, B, G]`, where the environment says."""
    last: Decision
    """The moment of decision after the last step, `[B, ...]`."""
    finals: Mapping[int, Decision]
    """By step, the moment in which episodes ended there, `[B, ...]`."""

    def experience(self, to_env: Callable[[Tensor], Tensor]) -> Experience:
        """What a model is fitted to; `to_env` turns actions into the environment's units."""
        return Experience(
            self.decision, to_env(self.actions), self.state, self.reward, self.local_reward, self.block_cost
        )


@dataclass(frozen=True)
class Rows:
    """What the loss asks of each row besides the policy: of agents as their sharing lays them out, `[M, ...]` or
    `[N, S, ...]`, or of moments, `[S, N, ...]`."""

    actions: Tensor
    policy: Tensor
    """When the action was drawn, see `Trajectory.policy`."""
    advantage: Tensor
    u: Tensor | None
    """Guidance of every choice, `[..., K]`, or along each dimension of the action, `[..., A]`; None if the estimator
    enters elsewhere."""
    active: Tensor
    """Rows that take part."""
