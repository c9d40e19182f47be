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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

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
from dgpg.measuring.replays import Replays
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

    def more(count: int) -> Environment:
        return domain.make_env(config, count, plan.task.env.device, seed)

    return measure(plan.task, how, seed, rules, tell, more)


def _to_beat(rule: Baseline) -> bool:
    return not isinstance(rule, SupportsRole) or rule.role == "baseline"


def measure(
    task: Task, plan: Plan, seed: int, rules: Sequence[Baseline] = (), tell: Watch = unwatched,
    more: Callable[[int], Environment] | None = None,
) -> Alignment:  # fmt: skip
    """Measure on fresh episodes of the task's environment, which is left in an arbitrary state.

    Args:
        task: environments, model and mapping.
        plan: how much is measured.
        seed: of everything random.
        rules: of the domain, for the same instance; the cheapest is held against the model.
        tell: is told what is being measured and what part of that is done.
        more: makes so many environments of the same instance, for what can be done in one batch.
    """
    way, draws = tries_of(task.env, task.mapping), random.derive(seed, "alignment")
    even, replays = Even(way), Replays(task.env, way, more)
    follower = _alone(task)
    costs = _episodes(task.env, (even, follower, *rules), way.draws, draws, tell)
    lookahead = plan.lookahead or moments.reach(replays, even, seed)

    def looked(play: Baseline | Even, count: int, what: str) -> Alignment:
        found = moments.sample(
            task, replays, play, count, plan.agents, lookahead, seed, lambda share: tell(what, share)
        )
        return summarise(found, np.random.default_rng(random.derive(seed, "bootstrap")), lookahead)

    found = looked(even, plan.moments, "alignment under even draws")
    alone, cheapest = _held(follower, costs, rules)
    along = []
    for play in (follower, *([cheapest] if cheapest else [])):
        seen = looked(play, 1, f"alignment along {play.name}")
        along.append(Along(play.name, seen.direction, seen.direction_ci95, seen.states))
    return replace(found, along=tuple(along), alone=alone)


def _alone(task: Task) -> Baseline:
    """The rule that follows the model; agents that choose take turns, where the model lets them."""
    model, mapping, agents = task.model, task.mapping, task.env.num_agents
    if isinstance(mapping, AgentMapping) and isinstance(model, SupportsBlockPotential):
        return BiggestFirst(model, mapping, min(TURNS, agents))
    return following(model, mapping, kind_of(task.env.action_space))


@torch.no_grad()
def _episodes(env: Environment, plays: Sequence[Any], draws: tuple[int, ...], seed: int, tell: Watch) -> list[Costs]:
    """Cost an agent and step of each policy over one episode of each environment, all from the same state, `[B]`."""
    env.reset()
    saved, found = env.state_dict(), list[Costs]()
    for play in plays:
        decision, chance = env.load_state_dict(saved), random.Streams(seed, env.num_envs)
        total = torch.zeros(env.num_envs, dtype=torch.float64)
        for t in range(env.horizon):
            noise = chance.uniform(env.num_agents, *draws).to(decision.observation.mask.device)
            step = env.step(play.act(decision, noise))
            decision, total = step.decision, total - step.reward.double().cpu() / env.num_agents
            tell(f"following {play.name}", (t + 1) / env.horizon)
        found.append((total / env.horizon).numpy())
    env.load_state_dict(saved)
    return found


def _held(follower: Baseline, costs: Sequence[Costs], rules: Sequence[Baseline]) -> tuple[Alone, Baseline | None]:
    """The follower beside even draws and the cheapest rule, from costs in the order of `_episodes`; and that rule."""
    even, own, *others = costs
    over = difference(own, even, Even.name)
    alone = Alone(follower.name, float(own.mean()), float(even.mean()), over)
    if not rules:
        return alone, None
    best = int(np.argmin([cost.mean() for cost in others]))
    rule, cost = rules[best], others[best]
    gap, behind = difference(cost, even, Even.name), difference(own, cost, rule.name)
    return replace(alone, rule=rule.name, rule_cost=float(cost.mean()), rule_over_even=gap, over_rule=behind), rule


def summarise(found: Sample, rng: np.random.Generator, lookahead: int, resamples: int = 1000) -> Alignment:
    """Cosines, their intervals and the scale."""
    true, guided = (np.einsum("spk,spkd->sd", x, found.features) for x in (found.true, found.guided))
    envs = np.unique(found.env)
    of = [np.flatnonzero(found.env == env) for env in envs]
    draws = rng.integers(len(envs), size=(resamples, len(envs)))
    groups = np.array_split(found.potential.argsort(), GROUPS)
    apart = float(np.abs(found.shuffled - found.guided).max())

    def detail(states: Any) -> float:
        return _cosine(found.true[states], found.guided[states])

    def gain(states: Any) -> float:
        return detail(states) - float(np.mean([_cosine(found.true[states], x[states]) for x in found.shuffled]))

    def towards(states: Any, times: Array | None = None) -> float:
        return _direction(true[states], guided[states], found.env[states], times)

    every = np.arange(len(found.true))
    place = np.searchsorted(envs, found.env)
    times = (np.bincount(d, minlength=len(envs))[place].astype(float) for d in draws)
    return Alignment(
        direction=towards(every),
        direction_ci95=_interval([towards(every, n) for n in times]),
        worst=min((d for s in groups if (d := towards(s))), default=0.0),
        detail=detail(every),
        gain=gain(every),
        gain_ci95=_interval([gain(np.concatenate([of[e] for e in d])) for d in draws]),
        scale=float((found.true * found.guided).sum() / max(float(np.square(found.guided).sum()), 1e-300)),
        states=len(every),
        own=_cosine(found.step, found.guided),
        lasting=float((found.true * found.step).sum() / max(float(np.square(found.step).sum()), 1e-300)),
        symmetric=float(np.abs(found.guided).max()) > 0 and apart <= ALIKE * float(np.abs(found.guided).max()),
        lookahead=lookahead,
    )


def _cosine(one: Array, other: Array) -> float:
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float((one * other).sum()) / size if size > 0 else 0.0


def _direction(one: Array, other: Array, env: NDArray[np.int64], times: Array | None = None) -> float:
    """Cosine of the means of `[S, D]` over states, 0 where luck outweighs them.

    Nothing is multiplied by what is of its own environment, however often that was drawn (`times` `[S]`; once each).
    """
    place = np.unique(env, return_inverse=True)[1]
    weight = np.ones(len(env)) if times is None else times

    def of_each(x: Array) -> Array:
        total = np.zeros((place.max() + 1, x.shape[1]))
        np.add.at(total, place, weight[:, None] * x)
        return total

    a, b = of_each(one), of_each(other)

    def product(x: Array, y: Array) -> float:
        return float(x.sum(0) @ y.sum(0) - (x * y).sum())

    power, power_other = product(a, a), product(b, b)
    if power <= 0 or power_other <= 0:
        return 0.0
    return float(np.clip(product(a, b) / np.sqrt(power * power_other), -1.0, 1.0))


def _interval(values: list[float]) -> Interval:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
