"""Step 4 of 5: minibatches of clipped losses until the parameters have moved (Schulman et al. 2017, algorithm 1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from dgpg.domain import Decision
from dgpg.domain.types import flatten, map_tensors
from dgpg.learning import losses
from dgpg.learning.config import TrainConfig
from dgpg.learning.estimators import Estimator
from dgpg.learning.networks import Actor, Critic
from dgpg.learning.rounds import MirrorDescent, Team
from dgpg.learning.trajectory import Rows, Trajectory


@dataclass(frozen=True)
class PolicyBatch:
    """Rows of agents that decide by themselves; features normalised."""

    agent: Tensor
    choices: Tensor
    mask: Tensor
    rows: Rows

    def __len__(self) -> int:
        return self.mask.shape[self.rows.active.dim() - 1]

    def select(self, rows: Tensor) -> PolicyBatch:
        """The given rows `[R]` of M or S."""
        return map_tensors(lambda x: x.index_select(self.rows.active.dim() - 1, rows), self)

    def policy(self, team: Team) -> tuple[Tensor, Rows]:
        """Policies `[M, ...]` or `[N, S, ...]` under the parameters being trained, and what they are compared with."""
        return team.kind.parameters(team.actor(self.agent, self.choices), self.mask), self.rows


@dataclass(frozen=True)
class JointBatch:
    """Moments with all agents together, for policies that hear of each other."""

    decision: Decision
    rows: Rows

    def __len__(self) -> int:
        return len(self.rows.active)

    def select(self, rows: Tensor) -> JointBatch:
        """The given moments `[R]`."""
        return map_tensors(lambda x: x.index_select(0, rows), self)

    def policy(self, team: Team) -> tuple[Tensor, Rows]:
        """As of a `PolicyBatch`: rows `[M, ...]` or `[N, S, ...]`, laid out by the actor's sharing."""
        active = self.rows.active

        def rows(x: Tensor) -> Tensor:
            return team.actor.sharing.rows(x, active)

        return rows(team.policy(self.decision)), map_tensors(rows, self.rows)


@dataclass(frozen=True)
class ValueBatch:
    """A row for each value predicted, `[M, ...]` or `[N, S, ...]`; values in normalised units."""

    features: Tensor
    value: Tensor
    target: Tensor

    def select(self, rows: Tensor) -> ValueBatch:
        """The given rows `[R]` of M or S."""
        return map_tensors(lambda x: x.index_select(self.target.dim() - 1, rows), self)


def policy_batch(team: Team, trajectory: Trajectory, advantage: Tensor, u: Tensor | None) -> PolicyBatch | JointBatch:
    """What a policy is updated from: rows of agents, or, where these hear of each other, moments `[T * B, N, ...]`."""
    told = Rows(trajectory.actions, trajectory.policy, advantage, u, trajectory.decision.observation.active)
    if team.rounds is not None:
        return JointBatch(flatten(trajectory.decision), flatten(told))
    observation, active = trajectory.decision.observation, told.active

    def rows(x: Tensor) -> Tensor:
        return team.actor.sharing.rows(x, active)

    agent, choices = team.actor.features(rows(observation.agent), rows(observation.choices))
    return PolicyBatch(agent, choices, rows(observation.mask), map_tensors(rows, told))


def minibatches(rows: int, config: TrainConfig, seed: torch.Generator) -> Iterator[Tensor]:
    """Row numbers `[R]` of each Adam step: a fresh permutation each epoch, cut in equal parts."""
    for _ in range(config.epochs):
        order = torch.randperm(rows, generator=seed)
        yield from order.tensor_split(config.minibatches)


def update_policy(
    team: Team,
    optimiser: torch.optim.Optimizer,
    batch: PolicyBatch | JointBatch,
    estimator: Estimator,
    alpha: float,
    config: TrainConfig,
    seed: torch.Generator,
) -> dict[str, Tensor]:
    """Adam steps on the clipped policy loss; returns means over the steps, each `[]`."""
    logged: list[Tensor] = []
    kind = team.kind
    for chosen in minibatches(len(batch), config, seed):
        if len(chosen) == 0:
            continue
        policy, part = batch.select(chosen.to(batch.rows.actions.device)).policy(team)
        rows_loss = estimator.loss(policy, part, alpha, config.clip)
        loss, entropy = (losses.mean_by_network(x, part.active) for x in (rows_loss, kind.entropy(policy)))
        norm = _descend((loss - config.entropy * entropy).sum(), team.actor, optimiser, config.max_grad_norm)
        with torch.no_grad():
            new, before = (kind.log_prob(x, part.actions) for x in (policy, part.policy))
            clipped = ((new - before).exp() - 1).abs() > config.clip
            kl, share = (losses.mean_by_network(x, part.active) for x in (losses.approximate_kl(new, before), clipped))
        logged.append(torch.stack([x.detach().mean() for x in (loss, entropy, kl, share, norm)]))
    names = ("policy_loss", "entropy", "kl", "clip_fraction", "grad_norm")
    return _means(names, logged)


def update_value(
    critic: Critic,
    optimiser: torch.optim.Optimizer,
    batch: ValueBatch,
    config: TrainConfig,
    seed: torch.Generator,
) -> dict[str, Tensor]:
    """Adam steps on the clipped value loss; returns means over the steps, each `[]`."""
    logged: list[Tensor] = []
    for rows in minibatches(batch.target.shape[-1], config, seed):
        if len(rows) == 0:
            continue
        part = batch.select(rows.to(batch.target.device))
        value = critic(part.features)
        loss = losses.clipped_value(value, part.value, part.target, config.value_clip, config.huber).mean(-1)
        norm = _descend(loss.sum(), critic, optimiser, config.max_grad_norm)
        logged.append(torch.stack([loss.detach().mean(), norm]))
    return _means(("value_loss", "value_grad_norm"), logged)


def _descend(
    loss: Tensor, network: Actor | MirrorDescent | Critic, optimiser: torch.optim.Optimizer, max_norm: float
) -> Tensor:
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    norm = network.sharing.clip(network, max_norm)
    optimiser.step()
    return norm


def _means(names: tuple[str, ...], logged: list[Tensor]) -> dict[str, Tensor]:
    if not logged:
        return {name: torch.zeros(()) for name in names}
    return dict(zip(names, torch.stack(logged).mean(0), strict=True))
