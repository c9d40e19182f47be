"""Before any training: does the model's guidance point where the true cost falls?

In saved states, single agents try each of their choices (or some continuous actions) while everything else,
the other agents' draws and all later chance included, stays as it was (common random numbers). What that
does to the cost of the next steps is the gradient of J with respect to the agent's logits; what the model
says about the same tries is the gradient of -G.

- `direction`: the cosine of both gradients with respect to the last layer of a new shared policy, averaged
  over states under even draws. Inner products are taken between different states only, so luck does not bias it.
- `along`: the same in states that the model's own followers and the cheapest rule lead to, where a trained policy
  will be: what is wrong there does not show under even draws.
- `detail`: the cosine choice by choice. Luck lowers it, so it is compared with the same model whose blocks
  are shuffled: a model that knows its blocks does better than that.
- `alone`: what it costs to follow the model without any learning, on the same arrivals as the rules and even draws.

Why these and no others: docs/adr/0009-alignment-is-a-direction-and-a-control.md and docs/adr/0020-follow-it-and-see.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from dgpg.domain import (
    AgentMapping,
    Baseline,
    Environment,
    SupportsBaselines,
    SupportsBlockPotential,
    SupportsOwnConfig,
    SupportsRole,
    random,
)
from dgpg.learning import Task
from dgpg.learning.actions import kind_of
from dgpg.measuring import moments
from dgpg.measuring.evaluate import Watch, unwatched
from dgpg.measuring.moments import Array, Even, Sample
from dgpg.measuring.rules import BiggestFirst, following
from dgpg.measuring.statistics import Costs, difference
from dgpg.measuring.tries import tries_of
from dgpg.measuring.verdict import Alignment, Alone, Along, Interval
from dgpg.runs import launch

ALIKE = 1e-4
"""Part of the guidance below which a shuffle of the blocks changes nothing but rounding."""
GROUPS = 4
"""The states are ordered by their potential and cut in so many groups; `worst` is the worst of them."""
ROWS = 2400
"""Agents times environments that a measurement is made in, with 4 to 48 environments."""
TURNS = 16
"""Rounds in which agents that choose follow the model in turns: all at once they would take the same block."""


@dataclass(frozen=True)
class Plan:
    """How much is measured: `moments` states of each environment, `agents` in each state."""

    moments: int = 3
    agents: int = 6
    lookahead: int | None = None
    """Steps of cost that a choice is charged with; None until what it does has died out, at most the horizon."""


def checked(plan: launch.Plan, how: Plan, seed: int, tell: Watch = unwatched) -> Alignment:
    """`measure` of what `launch.probe` made, beside the domain's rules for the same instance but the optimum."""
    domain, config = plan.domain, plan.config
    found = domain.baselines(config) if isinstance(domain, SupportsBaselines) else ()
    rules = [rule for rule in found if not isinstance(rule, SupportsOwnConfig) and _to_beat(rule)]
    return measure(plan.task, how, seed, rules, tell)


def _to_beat(rule: Baseline) -> bool:
    return not isinstance(rule, SupportsRole) or rule.role == "baseline"


def measure(task: Task, plan: Plan, seed: int, rules: Sequence[Baseline] = (), tell: Watch = unwatched) -> Alignment:
    """Measure on fresh episodes of the task's environment, which is left in an arbitrary state.

    Args:
        task: environments, model and mapping.
        plan: how much is measured.
        seed: of everything random.
        rules: of the domain, for the same instance; the cheapest is held against the model.
        tell: is told what is being measured and what part of that is done.
    """
    way, draws = tries_of(task.env, task.mapping), random.derive(seed, "alignment")
    even = Even(way)
    costs = _episodes(task.env, (even, *rules, _alone(task)), way.draws, draws, tell)
    lookahead = plan.lookahead or moments.reach(task.env, way, even, seed)

    def looked(play: Baseline | Even, count: int, what: str) -> Alignment:
        found = moments.sample(task, play, count, plan.agents, lookahead, seed, lambda share: tell(what, share))
        return summarise(found, np.random.default_rng(random.derive(seed, "bootstrap")), lookahead)

    found = looked(even, plan.moments, "alignment under even draws")
    alone, cheapest = _held(costs, even.name, rules)
    along = []
    for play in (_alone(task), *([cheapest] if cheapest else [])):
        seen = looked(play, 1, f"alignment along {play.name}")
        along.append(Along(play.name, seen.direction, seen.direction_ci95))
    return replace(found, along=tuple(along), alone=alone)


def _alone(task: Task) -> Baseline:
    """The rule that follows the model; agents that choose take turns, where the model lets them."""
    model, mapping, agents = task.model, task.mapping, task.env.num_agents
    if isinstance(mapping, AgentMapping) and isinstance(model, SupportsBlockPotential):
        return BiggestFirst(model, mapping, min(TURNS, agents))
    return following(model, mapping, kind_of(task.env.action_space))


@torch.no_grad()
def _episodes(
    env: Environment, plays: Sequence[Any], draws: tuple[int, ...], seed: int, tell: Watch
) -> dict[str, Costs]:
    """Cost an agent and step of each policy over one episode of each environment, all from the same state, `[B]`."""
    env.reset()
    saved, found = env.state_dict(), dict[str, Costs]()
    for play in plays:
        decision, chance = env.load_state_dict(saved), random.Streams(seed, env.num_envs)
        total = torch.zeros(env.num_envs, dtype=torch.float64)
        for t in range(env.horizon):
            noise = chance.uniform(env.num_agents, *draws).to(decision.observation.mask.device)
            step = env.step(play.act(decision, noise))
            decision, total = step.decision, total - step.reward.double().cpu() / env.num_agents
            tell(f"following {play.name}", (t + 1) / env.horizon)
        found[play.name] = (total / env.horizon).numpy()
    env.load_state_dict(saved)
    return found


def _held(costs: dict[str, Costs], even: str, rules: Sequence[Baseline]) -> tuple[Alone, Baseline | None]:
    """The follower, played last, beside even draws and the cheapest rule; and that rule."""
    name = list(costs)[-1]
    cheapest = min(rules, key=lambda rule: float(costs[rule.name].mean()), default=None)
    told = {x: float(found.mean()) for x, found in costs.items()}
    over = difference(costs[name], costs[even], even)
    rule = None if cheapest is None else cheapest.name
    return Alone(name, told[name], told[even], over, rule, None if rule is None else told[rule]), cheapest


def summarise(found: Sample, rng: np.random.Generator, lookahead: int, resamples: int = 1000) -> Alignment:
    """Cosines, their intervals and the scale."""
    count = len(found.true)
    true, guided = (np.einsum("spk,spkd->sd", x, found.features) for x in (found.true, found.guided))
    draws = rng.integers(count, size=(resamples, count))
    groups = np.array_split(found.potential.argsort(), GROUPS)
    apart = float(np.abs(found.shuffled - found.guided).max())

    def detail(states: Any) -> float:
        return _cosine(found.true[states], found.guided[states])

    def gain(states: Any) -> float:
        return detail(states) - float(np.mean([_cosine(found.true[states], x[states]) for x in found.shuffled]))

    every = np.arange(count)
    return Alignment(
        direction=_direction(true, guided),
        direction_ci95=_interval([_direction(true[s], guided[s]) for s in draws]),
        worst=min((d for s in groups if (d := _direction(true[s], guided[s]))), default=0.0),
        detail=detail(every),
        gain=gain(every),
        gain_ci95=_interval([gain(s) for s in draws]),
        scale=float((found.true * found.guided).sum() / max(float(np.square(found.guided).sum()), 1e-300)),
        states=count,
        own=_cosine(found.step, found.guided),
        lasting=float((found.true * found.step).sum() / max(float(np.square(found.step).sum()), 1e-300)),
        symmetric=float(np.abs(found.guided).max()) > 0 and apart <= ALIKE * float(np.abs(found.guided).max()),
        lookahead=lookahead,
    )


def _cosine(one: Array, other: Array) -> float:
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float((one * other).sum()) / size if size > 0 else 0.0


def _direction(one: Array, other: Array) -> float:
    """Cosine of the means of `[S, D]` over states, 0 where luck outweighs them; no state is multiplied by itself."""

    def product(a: Array, b: Array) -> float:
        return float(a.sum(0) @ b.sum(0) - (a * b).sum())

    power, power_other = product(one, one), product(other, other)
    if power <= 0 or power_other <= 0:
        return 0.0
    return float(np.clip(product(one, other) / np.sqrt(power * power_other), -1.0, 1.0))


def _interval(values: list[float]) -> Interval:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
