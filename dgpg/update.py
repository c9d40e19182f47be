"""Step 4 of 4: minibatches of clipped losses until the parameters have moved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from dgpg import losses
from dgpg.config import TrainConfig
from dgpg.networks import Critic, ScoringActor
from dgpg.types import map_tensors


@dataclass(frozen=True)
class PolicyBatch:
    """One row for each agent that acted, M rows; features as the actor normalised them."""

    agent: Tensor
    choices: Tensor
    mask: Tensor
    actions: Tensor
    log_policy: Tensor
    advantage: Tensor
    u: Tensor | None
    """Guidance of every choice, `[M, K]`, for the all-action estimator."""

    def select(self, rows: Tensor) -> PolicyBatch:
        """The given rows."""
        return map_tensors(lambda x: x.index_select(0, rows), self)


@dataclass(frozen=True)
class ValueBatch:
    """One row for each value predicted; values in normalised units."""

    features: Tensor
    value: Tensor
    target: Tensor


def minibatches(rows: int, config: TrainConfig, seed: torch.Generator) -> Iterator[Tensor]:
    """Row numbers of each Adam step: a fresh permutation each epoch, cut in equal parts."""
    for _ in range(config.epochs):
        order = torch.randperm(rows, generator=seed)
        yield from order.tensor_split(config.minibatches)


def update_policy(
    kind: ModuleType,
    actor: ScoringActor,
    optimiser: torch.optim.Optimizer,
    batch: PolicyBatch,
    alpha: float,
    config: TrainConfig,
    seed: torch.Generator,
) -> dict[str, Tensor]:
    """Adam steps on the clipped policy loss; returns means over the steps."""
    logged: list[Tensor] = []
    for rows in minibatches(len(batch.actions), config, seed):
        if len(rows) == 0:
            continue
        rows = rows.to(batch.actions.device)
        part = batch.select(rows)
        logs = kind.log_probs(actor(part.agent, part.choices), part.mask)
        policy = kind.policy_loss(logs, part.log_policy, part.actions, part.advantage, part.u, alpha, config.clip)
        entropy = kind.entropy(logs).mean()
        norm = _descend(policy - config.entropy * entropy, actor, optimiser, config.max_grad_norm)
        with torch.no_grad():
            new, before = (kind.log_prob(x, part.actions) for x in (logs, part.log_policy))
            clipped = (((new - before).exp() - 1).abs() > config.clip).float().mean()
            kl = losses.approximate_kl(new, before)
        logged.append(torch.stack([policy.detach(), entropy.detach(), kl, clipped, norm]))
    names = ("policy_loss", "entropy", "kl", "clip_fraction", "grad_norm")
    return _means(names, logged)


def update_value(
    critic: Critic,
    optimiser: torch.optim.Optimizer,
    batch: ValueBatch,
    config: TrainConfig,
    seed: torch.Generator,
) -> dict[str, Tensor]:
    """Adam steps on the clipped value loss; returns means over the steps."""
    logged: list[Tensor] = []
    for rows in minibatches(len(batch.target), config, seed):
        if len(rows) == 0:
            continue
        rows = rows.to(batch.target.device)
        part = map_tensors(lambda x: x.index_select(0, rows), batch)  # noqa: B023 (called at once)
        value = critic(part.features)
        loss = losses.clipped_value(value, part.value, part.target, config.value_clip, config.huber)
        norm = _descend(loss, critic, optimiser, config.max_grad_norm)
        logged.append(torch.stack([loss.detach(), norm]))
    return _means(("value_loss", "value_grad_norm"), logged)


def _descend(loss: Tensor, module: torch.nn.Module, optimiser: torch.optim.Optimizer, max_norm: float) -> Tensor:
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    norm = torch.nn.utils.clip_grad_norm_(module.parameters(), max_norm)
    optimiser.step()
    return norm


def _means(names: tuple[str, ...], logged: list[Tensor]) -> dict[str, Tensor]:
    if not logged:
        return {name: torch.zeros(()) for name in names}
    return dict(zip(names, torch.stack(logged).mean(0), strict=True))
