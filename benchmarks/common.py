"""What the benchmark scripts share: train in memory, measure at marked iterations, print rows."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import stats

from dgpg.domain import Policy, SupportsOwnConfig
from dgpg.learning import Trainer
from dgpg.learning.algorithms import find
from dgpg.measuring import GreedyPotential, NetworkPolicy, Played, episode_costs
from dgpg.runs import launch, machine

ARRIVALS = 20_000
"""Seed of the arrivals that published figures are measured on; tuning uses others."""
TUNING_ARRIVALS = 10_000
FOLLOWING = {"blocks": {"use": False}}
"""Settings of `train` with which `dg-pg` follows the model as it is: what was measured of models and estimators."""


def episodes_for(num_agents: int) -> int:
    """Episodes a figure is the mean of: fewer where each holds many agents."""
    return 64 if num_agents < 100 else 16 if num_agents < 1000 else 2


@dataclass(frozen=True)
class Heuristics:
    """Costs of the rules on the benchmark's arrivals."""

    h: float
    """The best rule of the same information, greedy-potential left out."""
    best: str
    greedy_potential: float
    more: float
    """The best rule that sees more."""
    random: float


def heuristics(settings: Mapping[str, Any], arrivals: int = ARRIVALS) -> Heuristics:
    """Measure every rule; from 1000 agents on only those of the same information (the others take turns: slow)."""
    plan = launch.resolve("cloud", {"settings": settings, "device": "cpu"})
    agents, device = plan.task.env.num_agents, torch.device("cpu")
    greedy = GreedyPotential(plan.task.model, plan.task.mapping)
    cost: dict[str, dict[str, float]] = {"same": {}, "more": {}}
    for rule in (*plan.domain.baselines(plan.config), greedy):  # type: ignore[attr-defined]
        if rule.information == "same" or agents < 1000:
            config = rule.config if isinstance(rule, SupportsOwnConfig) else plan.config
            found = episode_costs(plan.domain, config, rule, episodes_for(agents), arrivals, device)
            cost[rule.information][rule.name] = float(found.mean())
    greedy_potential = cost["same"].pop(greedy.name)
    best = min(cost["same"], key=lambda name: cost["same"][name])
    more = min(cost["more"].values(), default=float("nan"))
    return Heuristics(cost["same"][best], best, greedy_potential, more, cost["same"]["random"])


def train_and_measure(
    settings: Mapping[str, Any],
    marks: Sequence[int],
    arrivals: int = ARRIVALS,
    without: str | None = None,
    **run: Any,
) -> dict[str, Any]:
    """Train as `dgpg train cloud` does; cost of the stochastic policy at each mark, and of the greedy one last.

    The last mark is the total number of iterations. `run` holds fields of RunConfig: algorithm, seed, train, ...
    `without` leaves a term of the cost (price or stranded) out of the potential, not out of the cost.
    """
    plan = launch.resolve("cloud", {"iterations": max(marks), "settings": settings, "device": "cpu", **run})
    if without is not None:
        plan.task.model.weights = plan.task.model.weights.model_copy(update={without: 0.0})  # type: ignore[attr-defined]
    torch.set_num_threads(plan.run.train.threads or 1)
    machine.keep_memory()
    trainer = Trainer(plan.run, find(plan.run.algorithm), plan.task)
    episodes = episodes_for(plan.task.env.num_agents)
    curve: dict[int, float] = {}
    metrics: dict[str, float] = {}

    def measure(mode: Any) -> float:
        policy = NetworkPolicy(trainer.team, mode)
        costs = episode_costs(plan.domain, plan.config, policy, episodes, arrivals, torch.device("cpu"))
        return float(costs.mean())

    for iteration in range(1, max(marks) + 1):
        metrics = trainer.iterate()
        if iteration in marks:
            curve[iteration] = measure("stochastic")
    return {"curve": curve, "greedy": measure("greedy"), "wall_s": trainer.wall_s, **metrics}


def follow(plan: launch.Plan, marks: Sequence[int], measure: Callable[[Policy], Any]) -> dict[str, Any]:
    """Train in memory; what `measure` finds of the greedy policy at each mark (iterations), and what it took.

    At mark 0 the policy is untrained; the last mark is the total number of iterations.
    """
    torch.set_num_threads(plan.run.train.threads or 1)
    machine.keep_memory()
    trainer = Trainer(plan.run, find(plan.run.algorithm), plan.task)
    found: dict[int, Any] = {}
    updates: dict[int, int] = {}
    train = plan.run.train
    for iteration in range(max(marks) + 1):
        if iteration:
            trainer.iterate()
        if iteration in marks:
            found[iteration] = measure(NetworkPolicy(trainer.team, "greedy"))
            updates[iteration] = iteration * train.epochs * train.minibatches
    return {"found": found, "updates": updates, "wall_s": trainer.wall_s}


def excess(found: Played, optimum: Played) -> float:
    """Percent of mean cost above the optimum's."""
    return 100 * float(found.cost.mean() / optimum.cost.mean() - 1)


def mean_over(results: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """Mean over seeds of the cost at each mark."""
    marks = results[0]["curve"]
    return {mark: float(np.mean([r["curve"][mark] for r in results])) for mark in marks}


def interval(difference: Any) -> dict[str, float]:
    """Mean and 95 % interval (Student's t) of paired differences `[D]`; of a single one there is none."""
    mean = float(difference.mean())
    half = (
        float(stats.t.ppf(0.975, len(difference) - 1) * stats.sem(difference)) if len(difference) > 1 else float("nan")
    )
    return {"mean": mean, "low": mean - half, "high": mean + half}


def percent_above(costs: Sequence[float], others: Sequence[float]) -> dict[str, float]:
    """How far costs are above others of the same place and seed, in percent: mean of logarithms, and its interval."""
    found = interval(np.log(np.asarray(costs) / np.asarray(others)))
    return {name: 100 * float(np.expm1(value)) for name, value in found.items()}


EMITTED: list[Mapping[str, Any]] = []
"""Every record of this process, for `publishing`."""


def emit(record: Mapping[str, Any]) -> None:
    """One JSON line, so that a long run leaves what it has found so far."""
    EMITTED.append(record)
    print(json.dumps(record), flush=True)
    sys.stdout.flush()
