"""Policies and rules measured on the same arrivals; lower cost is better."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
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
    SupportsEpisodes,
    SupportsJudge,
    SupportsOwnConfig,
    SupportsRole,
    random,
)
from dgpg.errors import ConfigError
from dgpg.learning.actions import kind_of
from dgpg.learning.rounds import Team
from dgpg.measuring.rows import Kind, Mode, Row, in_order
from dgpg.measuring.rules import BiggestFirst, following
from dgpg.measuring.statistics import Costs, Difference, block_of, difference, interval
from dgpg.runs import Trained
from dgpg.runs.building import on_device

Watch: TypeAlias = Callable[[str, float], None]
"""Is told what is being measured, and what part of the whole is done."""
BATCH = 16
"""Episodes run together; results do not depend on it."""
UNTRAINED = "untrained"
"""Name of the policy before its training, in tables and for those who draw figures."""


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


@dataclass(frozen=True)
class Contestant:
    """What a row is measured of."""

    name: str
    kind: Kind
    information: Information
    mode: Mode | None
    policy: Policy
    config: Any
    """Settings of the domain that it acts in."""


def label(one: Contestant | Row) -> str:
    """Name, and the mode of a network."""
    return f"{one.name} ({one.mode})" if one.mode else one.name


def _unseen(share: float) -> None:
    pass


def unwatched(what: str, share: float) -> None:
    """Nobody is told."""


@torch.no_grad()
def play(
    domain: Domain, config: Any, policy: Policy, episodes: int, seed: int, device: torch.device,
    tick: Callable[[float], None] = _unseen,
) -> Played:  # fmt: skip
    """Run a policy; episode e draws from `seed + e` alone. `tick` is told after each step what part is done.

    Episodes of a recording are in its order, all others in that of their seeds.
    """
    parts: list[dict[str, NDArray[np.float64]]] = []
    order = np.arange(episodes)
    if isinstance(domain, SupportsEpisodes) and domain.episodes(config) is not None:
        order = np.argsort(domain.begins(config, random.derive(seed, "arrivals"), episodes), kind="stable")
    for first in range(0, episodes, BATCH):
        count = min(BATCH, episodes - first)
        env = domain.make_env(config, count, device, random.derive(seed, "arrivals") + first)
        noise = random.Streams(random.derive(seed, "policy") + first, count)
        draws = noise.uniform(env.horizon, env.num_agents, *(env.action_space.shape or ())[1:]).to(device)
        decision, totals = env.reset(), dict[str, Tensor]()
        for t, noise_t in enumerate(draws.unbind(1)):
            step = env.step(policy.act(decision, noise_t))
            decision = step.decision
            for name, x in {"": -step.reward.double() / env.num_agents, **step.measures}.items():
                totals[name] = totals.get(name, 0.0) + x.double()
            tick((first + count * (t + 1) / env.horizon) / episodes)
        parts.append({name: (x / env.horizon).cpu().numpy() for name, x in totals.items()})
    every = {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}
    return Played(every.pop(""), every)


def episode_costs(
    domain: Domain, config: Any, policy: Policy, episodes: int, seed: int, device: torch.device
) -> NDArray[np.float64]:
    """Cost an agent and step of each episode, `[episodes]`."""
    return play(domain, config, policy, episodes, seed, device).cost


def row(one: Contestant, found: Played, against: Difference | None = None, block: int = 1) -> Row:
    """Summary of some episodes; `block` as for `statistics.interval`."""
    measures = {measure: float(x.mean()) for measure, x in found.measures.items()}
    cost, spread = float(found.cost.mean()), interval(found.cost, block)
    return Row(
        one.name, one.kind, one.information, one.mode, cost, spread, len(found.cost), measures, against,
        tuple(map(float, found.cost)),
    )  # fmt: skip


def networks(name: str, kind: Kind, team: Team, config: Any) -> list[Contestant]:
    """The network sampled and greedy."""
    modes: tuple[Mode, Mode] = ("stochastic", "greedy")
    sees: Information = "same" if team.rounds is None else "sums"
    return [Contestant(name, kind, sees, mode, NetworkPolicy(team, mode), config) for mode in modes]


def rules(domain: Domain, config: Any, model: AnalyticalModel, device: torch.device, rounds: int) -> list[Contestant]:
    """The domain's rules and those that follow the model.

    Where policies have rounds to agree in, the rule that takes turns within as many rounds is beside them.
    """
    found: list[Any] = list(domain.baselines(config)) if isinstance(domain, SupportsBaselines) else []
    mapping = on_device(domain.agent_mapping(config), device)
    kind = kind_of(domain.make_env(config, 1, device, 0).action_space)
    found.append(following(model, mapping, kind))
    if rounds and isinstance(mapping, AgentMapping) and isinstance(model, SupportsBlockPotential):
        found.append(BiggestFirst(model, mapping, rounds))
    contestants = []
    for rule in found:
        own = rule.config if isinstance(rule, SupportsOwnConfig) else config
        role = rule.role if isinstance(rule, SupportsRole) else "baseline"
        contestants.append(Contestant(rule.name, role, rule.information, None, rule, own))
    return contestants


def network_rows(name: str, kind: Kind, team: Team, trained: Trained, episodes: int, seed: int) -> list[Row]:
    """The network sampled and greedy."""
    domain, device = trained.domain, trained.device
    return [
        row(one, play(domain, one.config, one.policy, episodes, seed, device))
        for one in networks(name, kind, team, trained.config)
    ]


def baseline_rows(
    domain: Domain, config: Any, model: AnalyticalModel, episodes: int, seed: int, device: torch.device, rounds: int = 0
) -> list[Row]:
    """Rows of `rules`, the cheapest first within each group."""
    found = rules(domain, config, model, device, rounds)
    return in_order(row(one, play(domain, one.config, one.policy, episodes, seed, device)) for one in found)


def cost_unit(trained: Trained) -> str:
    """Unit of every cost that is reported: the domain's, an agent and step."""
    env = trained.domain.make_env(trained.config, 1, trained.device, 0)
    return f"{env.cost_unit}; per agent and step"


@dataclass(frozen=True)
class Draws:
    """How many are played, and what an interval over them must know."""

    count: int
    block: int = 1
    """Neighbours that are drawn together; 1 where each episode is drawn for itself."""
    notes: tuple[str, ...] = ()


def recorded_episodes(trained: Trained, episodes: int) -> Draws:
    """As many of `episodes` as share nothing that was recorded, and what to say of them."""
    domain, config = trained.domain, trained.config
    most = domain.episodes(config) if isinstance(domain, SupportsEpisodes) else None
    if most is None:
        return Draws(episodes)
    count = min(episodes, most)
    block, notes = block_of(count), list[str]()
    if count < episodes:
        notes.append(f"{count} episodes instead of {episodes}: the recording has no more that do not overlap")
    if block > 1:
        notes.append(f"episodes are windows of one recording: intervals draw {block} neighbours together")
    return Draws(count, block, tuple(notes))


def contestants(trained: Trained) -> list[Contestant]:
    """The policy as it was trained, which the others are held against; itself greedy and untrained; every rule."""
    count = trained.team.rounds.count if trained.team.rounds is not None else 0
    found = networks(trained.run.algorithm, "policy", trained.team, trained.config)
    found += networks(UNTRAINED, "untrained", trained.untrained, trained.config)
    found += rules(trained.domain, trained.config, trained.model, trained.device, count)
    if trained.value is not None:
        rule = following(trained.value, trained.value.mapping, trained.team.kind, "greedy-block-value")
        found.append(Contestant(rule.name, "baseline", rule.information, None, rule, trained.config))
    return found


def measured(
    trained: Trained, among: Sequence[Contestant], draws: Draws, seed: int, watch: Watch = unwatched
) -> Iterator[Row]:
    """A row for each of `among` as it is found, with its difference to the first on the same episodes."""
    episodes, block = draws.count, draws.block
    first: tuple[str, Costs] | None = None
    for place, one in enumerate(among):
        what, device = f"measuring {label(one)}, {place + 1} of {len(among)}", trained.device

        def tick(share: float, place: int = place, what: str = what) -> None:
            watch(what, (place + share) / len(among))

        tick(0.0)
        found = play(trained.domain, one.config, one.policy, episodes, seed, device, tick)
        yield row(one, found, difference(found.cost, first[1], first[0], block) if first else None, block)
        first = first or (label(one), found.cost)


def evaluate_run(trained: Trained, episodes: int, seed: int) -> tuple[str, list[Row]]:
    """The unit, and rows of the policy, its untrained self and every baseline."""
    draws = recorded_episodes(trained, episodes)
    return cost_unit(trained), in_order(measured(trained, contestants(trained), draws, seed))


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


def drawn(trained: Trained) -> dict[str, Policy]:
    """What figures are of: `policies`, and last the untrained self of the trained policy."""
    return {**policies(trained), UNTRAINED: NetworkPolicy(_on_cpu(trained.untrained), "greedy")}


def judge_run(
    trained: Trained, episodes: int, seed: int, watch: Watch = unwatched
) -> Sequence[Mapping[str, float | str]]:
    """Rows of the independent simulator: the policy at its most probable choice and the domain's rules."""
    judge, among = judge_of(trained), policies(trained)
    told = {
        name: Watched(policy, partial(watch, f"judging {name}, {place + 1} of {len(among)}", place / len(among)))
        for place, (name, policy) in enumerate(among.items())
    }
    return judge.judge(trained.config, told, episodes, seed)


@dataclass(frozen=True)
class Watched:
    """A policy that tells whenever it acts, and is the same in everything else."""

    policy: Policy
    tell: Callable[[], None]

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        """Joint action of the policy."""
        self.tell()
        return self.policy.act(decision, noise)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.policy, name)


def _on_cpu(team: Team) -> Team:
    rounds = team.rounds
    if rounds is not None:
        cpu = torch.device("cpu")
        model, mapping = on_device(deepcopy(rounds.model), cpu), on_device(deepcopy(rounds.mapping), cpu)
        rounds = replace(rounds, model=model, mapping=mapping)
    return replace(team, actor=deepcopy(team.actor).cpu(), rounds=rounds)
