"""What an estimator is: what the model says about a trajectory, and the one place where that enters learning.

There are four places, in the order of an iteration: the reward, the return's advantage before it is normalised, the
normalised advantage, and the loss. An estimator derives from the class of its place and says `signal`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from dgpg.domain import AgentMapping, AnalyticalModel, JointMapping
from dgpg.learning import advantage as adv
from dgpg.learning.actions import ActionKind
from dgpg.learning.losses import clipped_policy
from dgpg.learning.shards import WHOLE, Shard
from dgpg.learning.trajectory import Rows, Trajectory


@dataclass(frozen=True)
class Estimator(ABC):
    """A way for an analytical model to enter learning; by itself it enters nowhere."""

    NAME: ClassVar[str]
    """As `train.estimator` calls it."""
    NEEDS: ClassVar[Literal["score", "path", "nothing"]] = "score"
    """Of the policy's distribution: a score function, or draws that are differentiable in its parameters."""
    BLOCKS: ClassVar[Literal["unused", "wanted", "needed"]] = "unused"
    """Whether the potential should be a sum over blocks: without it `wanted` falls back to first order."""
    SCALES: ClassVar[bool] = False
    """Whether it can divide by each agent's own scale (`train.guidance_scale`)."""
    ALONE: ClassVar[bool] = False
    """Whether a policy can be trained by it with no return at all."""
    LEARNS: ClassVar[bool] = False
    """Whether it may follow a potential that was learned from the trajectory it is applied to (`dgpg.learning.blocks`):
    what leaves the objective alone would be biased by one."""

    kind: ActionKind
    gamma: float
    """Discount a step."""
    scaled: bool
    """Whether to divide by each agent's own scale; only where `SCALES`."""

    @abstractmethod
    def signal(
        self, model: AnalyticalModel, mapping: AgentMapping | JointMapping, trajectory: Trajectory, shard: Shard = WHOLE
    ) -> Tensor:
        """What the model says about a whole trajectory, `[T, B, ...]`, that of one shard.

        Raises:
            PluginError: the mapping is of another kind of action.
        """

    def reward(self, reward: Tensor, signal: Tensor, alpha: float) -> Tensor:
        """The shared reward `[T, B]` that returns are made of."""
        return reward

    def correct(
        self, advantage: Tensor, signal: Tensor, active: Tensor, alpha: float, known: float, shard: Shard = WHOLE
    ) -> tuple[Tensor, float]:
        """The return's advantage `[T, B, N]`, raw, and what to know of it in the next iteration.

        Args:
            advantage: `[T, B, N]`.
            signal: of `signal`.
            active: agents that act, `[T, B, N]`.
            alpha: weight of guidance.
            known: what the iteration before left.
            shard: that the trajectory is of.
        """
        return advantage, known

    def mix(self, advantage: Tensor, signal: Tensor, alpha: float) -> Tensor:
        """The advantage of sampled actions `[T, B, N]`, normalised."""
        return advantage

    def direction(self, signal: Tensor) -> Tensor | None:
        """What the loss is told beside the advantage, `[T, B, N, K]` or `[T, B, N, A]`."""
        return None

    def loss(self, policy: Tensor, rows: Rows, alpha: float, clip: float) -> Tensor:
        """What an update descends, a number a row `[...]`, of policies `[..., K]` or `[..., A, .]` being trained."""
        return sampled(self.kind, policy, rows, clip)

    def parts(self, signal: Tensor, active: Tensor, alpha: float, shard: Shard = WHOLE) -> tuple[float, Tensor]:
        """Weight of the return in an update, and the mean size of guidance in it: what alpha weighs.

        Args:
            signal: of `signal`.
            active: `[T, B, N]`.
            alpha: weight of guidance.
            shard: that the trajectory is of.
        """
        return 1.0, torch.zeros(())


class Unguided(Estimator):
    """No model: MAPPO and IPPO, and DG-PG where alpha is zero, number for number (docs/theory.md, S7)."""

    NAME = "unguided"

    def signal(
        self, model: AnalyticalModel, mapping: AgentMapping | JointMapping, trajectory: Trajectory, shard: Shard = WHOLE
    ) -> Tensor:
        """Nothing, `[0]`."""
        return trajectory.reward.new_zeros(0)


class InReward(Estimator):
    """Adds alpha F_t, `[T, B]`, to the shared reward."""

    def reward(self, reward: Tensor, signal: Tensor, alpha: float) -> Tensor:
        """r + alpha F, `[T, B]`."""
        return reward + alpha * signal


class InReturn(Estimator):
    """Takes alpha c b_i, b `[T, B, N]`, off the return's advantage.

    The coefficient c is regressed on the iteration before: one from the same actions would bias the gradient.
    """

    def correct(
        self, advantage: Tensor, signal: Tensor, active: Tensor, alpha: float, known: float, shard: Shard = WHOLE
    ) -> tuple[Tensor, float]:
        """A - alpha c b, `[T, B, N]`, and the coefficient for the next iteration."""
        return advantage - alpha * known * signal, adv.regress(advantage, signal, active, shard)


class InAdvantage(Estimator):
    """Mixes u `[T, B, N]` into the normalised advantage of the sampled action."""

    ALONE = True
    LEARNS = True

    def mix(self, advantage: Tensor, signal: Tensor, alpha: float) -> Tensor:
        """(1 - alpha) A + alpha u, `[T, B, N]`."""
        return adv.mix(advantage, signal, alpha)

    def parts(self, signal: Tensor, active: Tensor, alpha: float, shard: Shard = WHOLE) -> tuple[float, Tensor]:
        """1 - alpha, and alpha of the mean size of u where agents act, `[]`."""
        return 1 - alpha, alpha * size(signal, active, shard)


class InLoss(Estimator):
    """Mixes an ascent along u, `[T, B, N, K]` or `[T, B, N, A]`, into the loss."""

    ALONE = True
    LEARNS = True

    @abstractmethod
    def descent(self, policy: Tensor, rows: Rows, u: Tensor, clip: float) -> Tensor:
        """The loss of guidance alone, a number a row `[...]`; arguments as in `loss`."""

    def direction(self, signal: Tensor) -> Tensor | None:
        """u itself, `[T, B, N, K]` or `[T, B, N, A]`."""
        return signal

    def loss(self, policy: Tensor, rows: Rows, alpha: float, clip: float) -> Tensor:
        """(1 - alpha) of the sampled clipped loss + alpha of guidance's, a number a row `[...]`."""
        assert rows.u is not None
        return (1 - alpha) * sampled(self.kind, policy, rows, clip) + alpha * self.descent(policy, rows, rows.u, clip)

    def parts(self, signal: Tensor, active: Tensor, alpha: float, shard: Shard = WHOLE) -> tuple[float, Tensor]:
        """1 - alpha, and alpha of the mean size of u where agents act, `[]`."""
        return 1 - alpha, alpha * size(signal, active, shard)


def sampled(kind: ActionKind, policy: Tensor, rows: Rows, clip: float) -> Tensor:
    """The clipped loss of the sampled actions, a number a row `[...]` (Schulman et al. 2017, eq. 7)."""
    new, old = kind.log_prob(policy, rows.actions), kind.log_prob(rows.policy, rows.actions)
    return clipped_policy(new, old, rows.advantage, clip)


def size(signal: Tensor, active: Tensor, shard: Shard = WHOLE) -> Tensor:
    """Mean absolute size, `[]`, of a signal `[T, B, N, ...]` where agents act; 0 where nobody does."""
    acting = signal[active]
    count = torch.tensor(float(acting.numel()), device=signal.device)
    whole, count = shard.total(torch.stack([acting.abs().sum(), count])).unbind()
    return whole / count.clamp(min=1)
