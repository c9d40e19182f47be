"""Step 4 of 5: minibatches of clipped losses until the parameters have moved (Schulman et al. 2017, algorithm 1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from dgpg.domain import Decision
from dgpg.domain.types import flatten, map_tensors
from dgpg.learning import losses
from dgpg.learning.config import TrainConfig
from dgpg.learning.estimators import Estimator
from dgpg.learning.gradients import give, gradient
from dgpg.learning.networks import Actor, Critic
from dgpg.learning.rounds import MirrorDescent, Team
from dgpg.learning.shards import WHOLE, Shard
from dgpg.learning.trajectory import Rows, Trajectory

CHOICES = 16_384
"""Of a slice: two hidden layers of 32 units and their gradients are 8 MiB."""


@dataclass(frozen=True)
class PolicyBatch:
    """Rows of agents that decide by themselves; features normalised."""

    agent: Tensor
    choices: Tensor
    mask: Tensor
    rows: Rows

    def __len__(self) -> int:
        return self.mask.shape[self.rows.active.dim() - 1]

    @property
    def width(self) -> int:
        """Choices of a row."""
        return self.mask.shape[-1]

    def select(self, rows: Tensor) -> PolicyBatch:
        """The given rows `[R]` of M or S."""
        return map_tensors(lambda x: x.index_select(self.rows.active.dim() - 1, rows), self)

    def acting(self, team: Team, rows: Tensor) -> Tensor:
        """How many of the given rows `[R]` take part, `[]`, or of each network, `[N]`."""
        return self.rows.active.index_select(-1, rows).sum(-1)

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

    @property
    def width(self) -> int:
        """Choices of all agents of a moment."""
        return self.decision.observation.mask[0].numel()

    def select(self, rows: Tensor) -> JointBatch:
        """The given moments `[R]`."""
        return map_tensors(lambda x: x.index_select(0, rows), self)

    def acting(self, team: Team, rows: Tensor) -> Tensor:
        """How many agents act in the given moments `[R]`, `[]`, or of each network, `[N]`."""
        active = self.rows.active.index_select(0, rows)
        return team.actor.sharing.rows(active, active).sum(-1)

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


def slices(rows: Tensor, width: int) -> tuple[Tensor, ...]:
    """Row numbers `[R]` in parts whose hidden layers stay in a processor's cache; all of them at once on a GPU.

    Args:
        rows: of one Adam step.
        width: choices that are computed for each.
    """
    return torch.split(rows, max(CHOICES // width, 1)) if rows.device.type == "cpu" else (rows,)


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
    shard: Shard = WHOLE,
) -> dict[str, Tensor]:
    """Adam steps on the clipped policy loss, each on parts of all shards; returns means over the steps, each `[]`."""
    logged: list[Tensor] = []
    device = batch.rows.actions.device
    steps = [rows.to(device) for rows in minibatches(len(batch), config, seed)]
    counts = shard.total(torch.stack([batch.acting(team, rows) for rows in steps]))
    for chosen, count in zip(steps, counts, strict=True):
        if bool(count.any()):
            parts = (batch.select(rows) for rows in slices(chosen, batch.width))
            flat = reduce(torch.add, (_descent(team, part, estimator, alpha, count, config) for part in parts))
            logged.append(_descend(flat, team.actor, optimiser, config, shard))
    return _means(("policy_loss", "entropy", "kl", "clip_fraction", "grad_norm"), logged)


def _descent(
    team: Team, part: PolicyBatch | JointBatch, estimator: Estimator, alpha: float, count: Tensor, config: TrainConfig
) -> Tensor:
    """Of rows that are a part of a step: their share in what is logged, then in the gradient, `[4 + P]`."""
    policy, rows = part.policy(team)
    rows_loss = estimator.loss(policy, rows, alpha, config.clip)
    loss, entropy = (losses.mean_by_network(x, rows.active, count) for x in (rows_loss, team.kind.entropy(policy)))
    with torch.no_grad():
        new, before = (team.kind.log_prob(x, rows.actions) for x in (policy, rows.policy))
        clipped = ((new - before).exp() - 1).abs() > config.clip
        kl, share = (
            losses.mean_by_network(x, rows.active, count) for x in (losses.approximate_kl(new, before), clipped)
        )
        seen = torch.stack([x.detach().mean() for x in (loss, entropy, kl, share)])
    return torch.cat([seen, gradient((loss - config.entropy * entropy).sum(), team.actor)])


def update_value(
    critic: Critic,
    optimiser: torch.optim.Optimizer,
    batch: ValueBatch,
    config: TrainConfig,
    seed: torch.Generator,
    shard: Shard = WHOLE,
) -> dict[str, Tensor]:
    """Adam steps on the clipped value loss, each on parts of all shards; returns means over the steps, each `[]`."""
    logged: list[Tensor] = []
    device = batch.target.device
    steps = [rows.to(device) for rows in minibatches(batch.target.shape[-1], config, seed)]
    counts = shard.total(torch.tensor([float(len(rows)) for rows in steps], device=device))
    for rows, count in zip(steps, counts, strict=True):
        if not bool(count):
            continue
        part = batch.select(rows)
        value = critic(part.features)
        rows_loss = losses.clipped_value(value, part.value, part.target, config.value_clip, config.huber)
        loss = rows_loss.sum(-1) / count
        flat = torch.cat([loss.detach().mean().unsqueeze(0), gradient(loss.sum(), critic)])
        logged.append(_descend(flat, critic, optimiser, config, shard))
    return _means(("value_loss", "value_grad_norm"), logged)


def _descend(
    flat: Tensor, network: Actor | MirrorDescent | Critic, optimiser: torch.optim.Optimizer, config: TrainConfig,
    shard: Shard,
) -> Tensor:  # fmt: skip
    """One step on the sum of all shards' `flat` `[L + P]`: what is logged, and the gradient, whose norm is returned
    with the former, `[L + 1]`."""
    whole = shard.total(flat)
    return shard.once(lambda: _step(whole, network, optimiser, config.max_grad_norm))


def _step(
    whole: Tensor, network: Actor | MirrorDescent | Critic, optimiser: torch.optim.Optimizer, max_norm: float
) -> Tensor:
    seen = give(network, whole)
    norm = network.sharing.clip(network, max_norm)
    optimiser.step()
    return torch.cat([seen, norm.detach().unsqueeze(0)])


def _means(names: tuple[str, ...], logged: list[Tensor]) -> dict[str, Tensor]:
    if not logged:
        return {name: torch.zeros(()) for name in names}
    return dict(zip(names, torch.stack(logged).mean(0), strict=True))
