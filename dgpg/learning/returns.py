"""What the return says of a trajectory: the critic, its values, and the advantages made of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from dgpg.domain import Decision, contract
from dgpg.errors import ConfigError
from dgpg.learning import advantage as adv
from dgpg.learning.algorithms import Algorithm
from dgpg.learning.blocks import of_choices
from dgpg.learning.config import RunConfig
from dgpg.learning.losses import explained_variance
from dgpg.learning.networks import Critic, ValueNormaliser, make_block_critic, make_critic, values
from dgpg.learning.parts import Task, attributes
from dgpg.learning.shards import WHOLE, Shard
from dgpg.learning.trajectory import Trajectory
from dgpg.learning.update import ValueBatch, update_value


@dataclass(frozen=True)
class Estimate:
    """Of one trajectory."""

    advantage: Tensor
    """Of the return, raw, `[T, B, N]`."""
    batch: ValueBatch
    """What the critic learns from."""
    logged: dict[str, Tensor] = field(default_factory=dict)


class Returns:
    """Owns the critic, its optimiser and the normaliser of values.

    Args:
        run: its settings.
        algorithm: which critic, and what it is paid.
        task: environment, model and mapping.
        decision: any moment, to see how many numbers describe a block.

    Raises:
        ConfigError: the algorithm pays agents what blocks cost, and the domain does not say, or nothing is
            discounted.
    """

    def __init__(self, run: RunConfig, algorithm: Algorithm, task: Task, decision: Decision) -> None:
        train, env = run.train, task.env
        self.run, self.algorithm, self.task = run, algorithm, task
        if algorithm.reward == "blocks" and not attributes(env):
            raise ConfigError(
                f"algorithm {algorithm.name} needs what each block of the state cost, "
                f"which domain {run.domain} does not say; use ippo or ippo-local"
            )
        if algorithm.reward == "blocks" and train.gamma == 1:
            raise ConfigError(
                f"train.gamma = 1: {algorithm.name} is paid all that follows in a block, which has no end; give less"
            )
        self.critic = _critic(run, algorithm, task, decision)
        self.optimiser = torch.optim.Adam(self.critic.parameters(), train.critic_lr, eps=1e-5)
        self.normaliser = ValueNormaliser().to(env.device)

    @torch.no_grad()
    def estimate(self, trajectory: Trajectory, shard: Shard = WHOLE) -> Estimate:
        """Advantages by GAE, and the targets of the critic, in one shard.

        Raises:
            ConfigError: the algorithm pays each agent its own reward, and the domain offers none.
        """
        local = self.algorithm.critic == "local"
        seen = trajectory.decision.observation
        normal_t = values(self.critic, trajectory.decision)
        value_t = self.normaliser.denormalise(normal_t)
        value_tp1 = self._ahead(trajectory, value_t)
        done, end = (x.unsqueeze(-1) if local else x for x in (trajectory.done, trajectory.terminated))
        reward, *discounts = self._paid(trajectory, shard)
        reward = (reward.unsqueeze(-1) if local and reward.dim() == 2 else reward).expand(value_t.shape)
        advantage = adv.gae(reward, value_t, value_tp1, end, done, *discounts)
        target = advantage + value_t
        self.normaliser.update(target, shard)
        every = torch.ones_like(target, dtype=torch.bool)
        columns = (self.critic.features(trajectory.decision), normal_t, self.normaliser.normalise(target))
        batch = ValueBatch(*(self.critic.sharing.rows(x, every) for x in columns))
        of_agents = (advantage if local else advantage.unsqueeze(-1)).expand(seen.active.shape)
        return Estimate(of_agents, batch, {"explained_variance": explained_variance(value_t, target, shard)})

    def learn(self, estimate: Estimate, shuffle: torch.Generator, shard: Shard = WHOLE) -> dict[str, Tensor]:
        """Adam steps of the critic; means over them, each `[]`."""
        return update_value(self.critic, self.optimiser, estimate.batch, self.run.train, shuffle, shard)

    def _ahead(self, trajectory: Trajectory, value_t: Tensor) -> Tensor:
        """V_{t+1}: of the final moment where an episode ended, shaped like `value_t`."""
        value_tp1 = torch.cat([value_t[1:], self._value(trajectory.last).unsqueeze(0)])
        local = self.algorithm.critic == "local"
        for t, final in trajectory.finals.items():
            done = trajectory.done[t].unsqueeze(-1) if local else trajectory.done[t]
            value_tp1[t] = torch.where(done, self._value(final), value_tp1[t])
        return value_tp1

    def _value(self, decision: Decision) -> Tensor:
        return self.normaliser.denormalise(values(self.critic, decision))

    def _paid(self, trajectory: Trajectory, shard: Shard) -> tuple[Tensor, float, float]:
        """Reward `[T, B]` or `[T, B, N]`, and the gamma and lambda with which more of it follows."""
        train, kind = self.run.train, self.algorithm.reward
        if kind == "blocks":
            mapping = contract.choosing(self.task.mapping)
            return -of_choices(trajectory, mapping, train.gamma, shard), 0.0, 0.0  # all that follows is in it
        reward = self._local(trajectory) if kind == "local" else trajectory.reward
        return reward, train.gamma, train.lambda_

    def _local(self, trajectory: Trajectory) -> Tensor:
        if trajectory.local_reward is None:
            raise ConfigError(
                f"algorithm {self.algorithm.name} needs each agent's own reward, "
                f"which domain {self.run.domain} does not offer; use ippo"
            )
        return trajectory.local_reward


def _critic(run: RunConfig, algorithm: Algorithm, task: Task, decision: Decision) -> Critic:
    hidden = run.train.critic_hidden
    if algorithm.critic != "blocks":
        return make_critic(task.env, algorithm.critic, run.train.parameters, hidden, run.seed)
    return make_block_critic(contract.choosing(task.mapping), decision, hidden, run.seed)


class Unasked(Returns):
    """Guidance alone: the return never enters, so no value of it is learned."""

    def estimate(self, trajectory: Trajectory, shard: Shard = WHOLE) -> Estimate:
        """Zeros."""
        nothing = trajectory.reward.new_zeros(0)
        active = trajectory.decision.observation.active
        return Estimate(torch.zeros_like(active, dtype=nothing.dtype), ValueBatch(nothing, nothing, nothing))

    def learn(self, estimate: Estimate, shuffle: torch.Generator, shard: Shard = WHOLE) -> dict[str, Tensor]:
        """No numbers, whatever their shape: `[]` of none."""
        return {}
