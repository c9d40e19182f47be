"""Policies and rules measured on the same arrivals; lower cost is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import bootstrap
from torch import Tensor

from dgpg import guidance, random
from dgpg.actions import kind_of
from dgpg.launch import Trained, on_device
from dgpg.networks import ScoringActor
from dgpg.protocols import (
    AgentMapping,
    AnalyticalModel,
    Domain,
    Environment,
    Information,
    Policy,
    SupportsBaselines,
    SupportsOwnConfig,
)
from dgpg.types import Decision

Kind = Literal["policy", "baseline", "oracle", "untrained"]
Mode = Literal["stochastic", "greedy"]
BATCH = 16
"""Episodes run together; results do not depend on it."""


@dataclass(frozen=True)
class Row:
    """One line of the table: mean cost over episodes with a bootstrap interval."""

    name: str
    kind: Kind
    information: Information
    mode: Mode | None
    cost: float
    ci95: tuple[float, float]
    episodes: int

    def json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self) | {"ci95": list(self.ci95)}


@dataclass(frozen=True)
class NetworkPolicy:
    """A trained or untrained actor, sampled or at its most probable choice."""

    actor: ScoringActor
    env: Environment
    mode: Mode

    def act(self, decision: Decision, noise: Tensor, coordination: Tensor | None = None) -> Tensor:
        """Joint action `[B, N]`."""
        kind, seen = kind_of(self.env.action_space), decision.observation
        logs = kind.log_probs(self.actor.logits(seen), seen.mask)
        actions: Tensor = kind.sample(logs, noise) if self.mode == "stochastic" else kind.greedy(logs)
        return actions


@dataclass(frozen=True)
class GreedyPotential:
    """The rule that needs no learning: least marginal potential of the state before anyone acts."""

    model: AnalyticalModel
    mapping: AgentMapping
    name: str = "greedy-potential"
    information: Information = "same"

    def act(self, decision: Decision, noise: Tensor, coordination: Tensor | None = None) -> Tensor:
        """Joint action `[B, N]`; the first choice where several are equal."""
        seen, context = decision.observation, decision.context
        influence = self.mapping.influence(seen, context)
        nobody = torch.zeros_like(seen.active)
        rise = guidance.marginal_potential(
            self.model, self.mapping.base_state(context), context, influence, nobody.long(), nobody
        )
        return rise.masked_fill(~seen.mask, torch.inf).argmin(-1)


@torch.no_grad()
def episode_costs(
    domain: Domain, config: Any, policy: Policy, episodes: int, seed: int, device: torch.device
) -> NDArray[np.float64]:
    """Cost an agent and step of each episode, `[episodes]`; episode e draws from `seed + e` alone."""
    costs: list[NDArray[np.float64]] = []
    for first in range(0, episodes, BATCH):
        count = min(BATCH, episodes - first)
        env = domain.make_env(config, count, device, random.derive(seed, "arrivals") + first)
        noise = random.Streams(random.derive(seed, "policy") + first, count)
        draws = noise.uniform(env.horizon, env.num_agents).to(device)
        decision, total = env.reset(), torch.zeros(count, dtype=torch.float64, device=device)
        for noise_t in draws.unbind(1):
            step = env.step(policy.act(decision, noise_t))
            decision, total = step.decision, total - step.reward
        costs.append((total / (env.horizon * env.num_agents)).cpu().numpy())
    return np.concatenate(costs)


def interval(costs: NDArray[np.float64]) -> tuple[float, float]:
    """Percentile bootstrap of the mean, 95 %; of one number, that number."""
    if len(costs) < 2 or np.ptp(costs) == 0:
        return float(costs.mean()), float(costs.mean())
    found = bootstrap(
        (costs,), np.mean, n_resamples=2000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    return float(found.low), float(found.high)


def row(name: str, kind: Kind, information: Information, mode: Mode | None, costs: NDArray[np.float64]) -> Row:
    """Summary of the costs of some episodes."""
    return Row(name, kind, information, mode, float(costs.mean()), interval(costs), len(costs))


def network_rows(
    name: str, kind: Kind, actor: ScoringActor, domain: Domain, config: Any, episodes: int, seed: int, env: Environment
) -> list[Row]:
    """The network sampled and greedy."""
    modes: tuple[Mode, Mode] = ("stochastic", "greedy")
    rows = []
    for mode in modes:
        policy = NetworkPolicy(actor, env, mode)
        costs = episode_costs(domain, config, policy, episodes, seed, env.device)
        rows.append(row(name, kind, "same", mode, costs))
    return rows


def baseline_rows(
    domain: Domain, config: Any, model: AnalyticalModel, episodes: int, seed: int, device: torch.device
) -> list[Row]:
    """The domain's rules and greedy-potential, cheapest first within each group of information."""
    rules: Sequence[Any] = domain.baselines(config) if isinstance(domain, SupportsBaselines) else ()
    rows = []
    for rule in (*rules, GreedyPotential(model, on_device(domain.agent_mapping(config), device))):
        own = rule.config if isinstance(rule, SupportsOwnConfig) else config
        costs = episode_costs(domain, own, rule, episodes, seed, device)
        rows.append(row(rule.name, "baseline", rule.information, None, costs))
    return sorted(rows, key=lambda r: (r.information != "same", r.cost))


def cost_unit(trained: Trained) -> str:
    """Unit of every cost that is reported: the domain's, an agent and step."""
    env = trained.domain.make_env(trained.config, 1, next(trained.actor.parameters()).device, 0)
    return f"{env.cost_unit}; per agent and step"


def evaluate_run(trained: Trained, episodes: int, seed: int) -> tuple[str, list[Row]]:
    """The unit, and rows of the policy, its untrained self and every baseline."""
    env = trained.domain.make_env(trained.config, 1, next(trained.actor.parameters()).device, 0)
    shared = (trained.domain, trained.config, episodes, seed, env)
    rows = network_rows(trained.run.algorithm, "policy", trained.actor, *shared)
    rows += network_rows("untrained", "untrained", trained.untrained, *shared)
    rows += baseline_rows(trained.domain, trained.config, trained.model, episodes, seed, env.device)
    return cost_unit(trained), rows
