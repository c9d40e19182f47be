"""Policies and rules measured on the same arrivals; lower cost is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import bootstrap
from torch import Tensor

from dgpg.domain import (
    AgentMapping,
    AnalyticalModel,
    Decision,
    Domain,
    Information,
    Policy,
    SupportsBaselines,
    SupportsBlockPotential,
    SupportsJudge,
    SupportsOwnConfig,
    SupportsRole,
    random,
)
from dgpg.errors import ConfigError
from dgpg.learning.rounds import Team
from dgpg.measuring.rules import BiggestFirst, GreedyPotential
from dgpg.runs import Trained
from dgpg.runs.launch import on_device

Kind = Literal["policy", "baseline", "oracle", "untrained"]
Mode = Literal["stochastic", "greedy"]
GROUPS: tuple[Information, ...] = ("same", "sums", "more")
"""What policies see, in the order of the table."""
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
    measures: Mapping[str, float] = field(default_factory=dict)
    """Means over steps of what the domain reports beside the cost."""

    def json(self) -> dict[str, Any]:
        """As plain values, measures beside the cost."""
        plain: dict[str, Any] = asdict(self) | {"ci95": list(self.ci95)}
        measures: dict[str, Any] = plain.pop("measures")
        return plain | measures


@dataclass(frozen=True)
class Played:
    """What a policy did in E episodes."""

    cost: NDArray[np.float64]
    """An agent and step, `[E]`."""
    measures: Mapping[str, NDArray[np.float64]]
    """Mean over steps of each of `Step.measures`, `[E]`."""


@dataclass(frozen=True)
class NetworkPolicy:
    """A trained or untrained team, sampled or at its most probable choice."""

    team: Team
    mode: Mode

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        """Joint action `[B, N]` or `[B, N, A]`."""
        kind, policy = self.team.kind, self.team.policy(decision, noise)
        return kind.to_env(kind.sample(policy, noise) if self.mode == "stochastic" else kind.greedy(policy))


@torch.no_grad()
def play(domain: Domain, config: Any, policy: Policy, episodes: int, seed: int, device: torch.device) -> Played:
    """Run a policy; episode e draws from `seed + e` alone."""
    parts: list[dict[str, NDArray[np.float64]]] = []
    for first in range(0, episodes, BATCH):
        count = min(BATCH, episodes - first)
        env = domain.make_env(config, count, device, random.derive(seed, "arrivals") + first)
        noise = random.Streams(random.derive(seed, "policy") + first, count)
        draws = noise.uniform(env.horizon, env.num_agents, *(env.action_space.shape or ())[1:]).to(device)
        decision, totals = env.reset(), dict[str, Tensor]()
        for noise_t in draws.unbind(1):
            step = env.step(policy.act(decision, noise_t))
            decision = step.decision
            for name, x in {"": -step.reward.double() / env.num_agents, **step.measures}.items():
                totals[name] = totals.get(name, 0.0) + x.double()
        parts.append({name: (x / env.horizon).cpu().numpy() for name, x in totals.items()})
    every = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Played(every.pop(""), every)


def episode_costs(
    domain: Domain, config: Any, policy: Policy, episodes: int, seed: int, device: torch.device
) -> NDArray[np.float64]:
    """Cost an agent and step of each episode, `[episodes]`."""
    return play(domain, config, policy, episodes, seed, device).cost


def interval(costs: NDArray[np.float64]) -> tuple[float, float]:
    """Percentile bootstrap of the mean, 95 %; of one number, that number."""
    if len(costs) < 2 or np.ptp(costs) == 0:
        return float(costs.mean()), float(costs.mean())
    found = bootstrap(
        (costs,), np.mean, n_resamples=2000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    return float(found.low), float(found.high)


def row(name: str, kind: Kind, information: Information, mode: Mode | None, found: Played) -> Row:
    """Summary of some episodes."""
    measures = {measure: float(x.mean()) for measure, x in found.measures.items()}
    return Row(name, kind, information, mode, float(found.cost.mean()), interval(found.cost), len(found.cost), measures)


def network_rows(name: str, kind: Kind, team: Team, trained: Trained, episodes: int, seed: int) -> list[Row]:
    """The network sampled and greedy."""
    modes: tuple[Mode, Mode] = ("stochastic", "greedy")
    rows = []
    for mode in modes:
        policy = NetworkPolicy(team, mode)
        found = play(trained.domain, trained.config, policy, episodes, seed, trained.device)
        rows.append(row(name, kind, "same" if team.rounds is None else "sums", mode, found))
    return rows


def baseline_rows(
    domain: Domain, config: Any, model: AnalyticalModel, episodes: int, seed: int, device: torch.device, rounds: int = 0
) -> list[Row]:
    """The domain's rules and, for choices, those that follow the model: cheapest first within each group.

    Where policies have rounds to agree in, the rule that takes turns within as many rounds is beside them.
    """
    rules: list[Any] = list(domain.baselines(config)) if isinstance(domain, SupportsBaselines) else []
    mapping = on_device(domain.agent_mapping(config), device)
    if isinstance(mapping, AgentMapping):
        rules.append(GreedyPotential(model, mapping))
        if rounds and isinstance(model, SupportsBlockPotential):
            rules.append(BiggestFirst(model, mapping, rounds))
    rows = []
    for rule in rules:
        own = rule.config if isinstance(rule, SupportsOwnConfig) else config
        role = rule.role if isinstance(rule, SupportsRole) else "baseline"
        rows.append(row(rule.name, role, rule.information, None, play(domain, own, rule, episodes, seed, device)))
    return sorted(rows, key=lambda r: (GROUPS.index(r.information), r.cost))


def cost_unit(trained: Trained) -> str:
    """Unit of every cost that is reported: the domain's, an agent and step."""
    env = trained.domain.make_env(trained.config, 1, trained.device, 0)
    return f"{env.cost_unit}; per agent and step"


def evaluate_run(trained: Trained, episodes: int, seed: int) -> tuple[str, list[Row]]:
    """The unit, and rows of the policy, its untrained self and every baseline."""
    count = trained.team.rounds.count if trained.team.rounds is not None else 0
    rows = network_rows(trained.run.algorithm, "policy", trained.team, trained, episodes, seed)
    rows += network_rows("untrained", "untrained", trained.untrained, trained, episodes, seed)
    rows += baseline_rows(trained.domain, trained.config, trained.model, episodes, seed, trained.device, count)
    return cost_unit(trained), rows


def judge_of(trained: Trained) -> SupportsJudge:
    """The domain's independent simulator; ConfigError if it has none."""
    if not isinstance(trained.domain, SupportsJudge):
        raise ConfigError(f"--judge: domain {trained.run.domain} has no independent simulator; leave --judge out")
    return trained.domain


def policies(trained: Trained) -> dict[str, Policy]:
    """On the CPU, the trained policy at its most probable choice first, then the domain's rules, by name."""
    found: dict[str, Policy] = {trained.run.algorithm: NetworkPolicy(_on_cpu(trained.team), "greedy")}
    for rule in trained.domain.baselines(trained.config) if isinstance(trained.domain, SupportsBaselines) else ():
        if not isinstance(rule, SupportsOwnConfig):  # a variant of the instance is another system
            found[rule.name] = rule
    return found


def judge_run(trained: Trained, episodes: int, seed: int) -> Sequence[Mapping[str, float | str]]:
    """Rows of the independent simulator: the policy at its most probable choice and the domain's rules."""
    return judge_of(trained).judge(trained.config, policies(trained), episodes, seed)


def _on_cpu(team: Team) -> Team:
    rounds = team.rounds
    if rounds is not None:
        cpu = torch.device("cpu")
        model, mapping = on_device(deepcopy(rounds.model), cpu), on_device(deepcopy(rounds.mapping), cpu)
        rounds = replace(rounds, model=model, mapping=mapping)
    return replace(team, actor=deepcopy(team.actor).cpu(), rounds=rounds)
