r"""What intent rounds are worth on the cloud domain, beside rules and descents of equal rounds.

    python benchmarks/coordination.py --agents 50 200 --preset default waiting --seeds 5 --instances 3
    python benchmarks/coordination.py --robust --agents 50 --preset waiting --seeds 3
    python benchmarks/coordination.py --elsewhere --preset waiting --seeds 3
    python benchmarks/coordination.py --potential --seeds 3
    python benchmarks/coordination.py --throughput

One iteration is eight parallel episodes of 64 steps (two at N = 200) and 16 Adam steps; figures are costs after ten,
of the stochastic policy, on the same arrivals. Global best-fit reaches every machine, dispatchers deciding one after
the other; jobs of one step queue in the same random order as for everybody else.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from common import ARRIVALS, FOLLOWING, TUNING_ARRIVALS, emit, episodes_for
from publishing import published

from dgpg.domain import Policy, SupportsOwnConfig, random
from dgpg.learning import Trainer
from dgpg.learning.algorithms import find
from dgpg.learning.parts import make_team
from dgpg.learning.rounds import Channel, Team
from dgpg.measuring import BiggestFirst, NetworkPolicy, episode_costs
from dgpg.runs import launch, machine
from dgpg_cloud.config import Config
from dgpg_cloud.instance import build
from dgpg_cloud.sequential import Sequential
from dgpg_cloud.view import SCORES

CPU = torch.device("cpu")
CELLS: Mapping[str, tuple[str, int, Mapping[str, Any]]] = {
    "no rounds, K = 8": ("dg-pg", 8, {"rounds": 0}),
    "no rounds, K = 16": ("dg-pg", 16, {"rounds": 0}),
    "R = 1, K = 8": ("dg-pg", 8, {"rounds": 1}),
    "R = 3, K = 8": ("dg-pg", 8, {"rounds": 3}),
    "R = 3, K = 8, detached": ("dg-pg", 8, {"rounds": 3, "detached": True}),
    "R = 3, K = 16": ("dg-pg", 16, {"rounds": 3}),
    "R = 5, K = 16": ("dg-pg", 16, {"rounds": 5}),
    "R = 5, K = 32": ("dg-pg", 32, {"rounds": 5}),
    "mirror descent, R = 3, K = 8": ("mirror-descent", 8, {"rounds": 3}),
    "mirror descent, R = 5, K = 16": ("mirror-descent", 16, {"rounds": 5}),
}
"""Algorithm, K and rounds of a row."""
SETTLED = 20
"""Rounds after which biggest first hardly changes any more, as if all had taken turns."""
ALONE = {"alpha": {"start": 1.0, "end": 1.0}, "actor_lr": 1.2e-2, "entropy": 0.0}
"""Without rounds too: what the settings of rounds are worth must not count for the rounds."""


@dataclass(frozen=True)
class Place:
    """An instance to train and measure in."""

    preset: str
    agents: int
    instance: int
    arrivals: int = ARRIVALS
    model: str | None = None
    """The domain's own if None."""
    values: bool = False
    """Whether `dg-pg` learns values of blocks, with its own settings."""

    def plan(self, choices: int, **run: Any) -> launch.Plan:
        """Settings, with K candidates."""
        settings = {"preset": self.preset, "num_agents": self.agents, "seed": self.instance, "candidates": choices}
        envs = {"num_envs": 2} if self.agents >= 200 else {}
        return launch.resolve("cloud", {"device": "cpu", "model": self.model, "settings": settings, **envs, **run})

    def cost(self, plan: launch.Plan, policy: Policy) -> float:
        """Mean cost an agent and step."""
        config = policy.config if isinstance(policy, SupportsOwnConfig) else plan.config
        episodes = min(32, episodes_for(self.agents))
        return float(episode_costs(plan.domain, config, policy, episodes, self.arrivals, CPU).mean())


def rules(place: Place) -> dict[str, float]:
    """The best rule without messages (h), the best in turns by list, the best that reaches all, and biggest first."""
    found: dict[str, float] = {}
    for choices, rounds in ((8, 3), (16, 5)):
        plan = place.plan(choices)
        task: Any = plan.task
        found[f"in turns, K = {choices}"] = min(place.cost(plan, rule) for rule in in_turns(plan.config))
        for turns in (rounds, SETTLED):
            rule = BiggestFirst(task.model, task.mapping, turns)
            found[f"biggest first, R = {turns}, K = {choices}"] = place.cost(plan, rule)
    plan = place.plan(8)
    listed = list(plan.domain.baselines(plan.config))  # type: ignore[attr-defined]
    found["h"] = min(place.cost(plan, rule) for rule in listed if rule.information == "same")
    found["global best-fit"] = min(place.cost(plan, rule) for rule in listed if rule.name.startswith("global"))
    return found


def in_turns(config: Config) -> Iterator[Policy]:
    """Every score with and without price, one dispatcher after the other with its own list: no herding is left."""
    instance = build(config)
    for name, score in SCORES.items():
        for price in (0.0, config.weights.price / config.weights.waiting):
            yield Sequential(name, instance, score, price, config)


def trained(place: Place, cell: str, seed: int, iterations: int) -> tuple[launch.Plan, Trainer]:
    """A trainer after its last iteration; at 0 iterations, one that has only heard its first messages."""
    algorithm, choices, coordination = CELLS[cell]
    run: dict[str, Any] = {"algorithm": algorithm, "seed": seed, "coordination": coordination}
    learned = {} if place.values or algorithm != "dg-pg" else FOLLOWING
    run["train"] = {"threads": 1, **learned, **({} if coordination["rounds"] or place.values else ALONE)}
    plan = place.plan(choices, iterations=max(iterations, 1), **run)
    torch.set_num_threads(1)
    machine.keep_memory()
    trainer = Trainer(plan.run, find(algorithm), plan.task)
    for _ in range(iterations):
        trainer.iterate()
    return plan, trainer


def elsewhere(plan: launch.Plan, team: Team) -> Team:
    """The same network as the agents of another plan."""
    algorithm = find(plan.run.algorithm)
    moved = make_team(plan.run, algorithm, plan.task, team.kind, plan.task.env.reset())
    moved.actor.load_state_dict(team.actor.state_dict())
    return moved


def table(args: argparse.Namespace) -> None:
    """Costs of every cell, by preset and number of agents, over instances and seeds."""
    for preset in args.preset:
        for agents in args.agents:
            costs: dict[str, list[float]] = {}
            for instance in range(args.instances):
                arrivals = TUNING_ARRIVALS if args.tuning else ARRIVALS
                place = Place(preset, agents, instance, arrivals, args.model, args.values)
                for name, cost in rules(place).items():
                    costs.setdefault(name, []).append(cost)
                for cell in args.cells:
                    _fill(costs, cell, place, args)
            for row in rows(costs):
                emit({"preset": preset, "agents": agents, **row})


def _fill(costs: dict[str, list[float]], cell: str, place: Place, args: argparse.Namespace) -> None:
    # A descent has eight or twelve numbers to fit, from the same start: one seed.
    for seed in range(1 if cell.startswith("mirror") else args.seeds):
        plan, trainer = trained(place, cell, seed, args.iterations)
        for mode in ("stochastic", "greedy"):
            name = cell if mode == "stochastic" else f"{cell}, greedy"
            costs.setdefault(name, []).append(place.cost(plan, NetworkPolicy(trainer.team, mode)))
    if cell.startswith("mirror"):
        plan, trainer = trained(place, cell, 0, 0)
        costs.setdefault(f"untrained {cell}", []).append(place.cost(plan, NetworkPolicy(trainer.team, "stochastic")))


def rows(costs: Mapping[str, Sequence[float]]) -> Iterator[dict[str, Any]]:
    """Of the costs of each row's runs, the cheapest row first: against global best-fit, and the share that is closed of
    the gap to it from no rounds with the same lists, where there is a gap."""
    best = float(np.mean(costs["global best-fit"]))
    for name, found in sorted(costs.items(), key=lambda item: float(np.mean(item[1]))):
        lists = re.search(r"K = \d+", name)
        begin = f"no rounds, {lists[0] if lists else ''}" + (", greedy" if name.endswith("greedy") else "")
        mean, none = float(np.mean(found)), float(np.mean(costs.get(begin, [np.nan])))
        told = {"row": name, "runs": len(found), "cost": mean, "least": min(found), "most": max(found)}
        told["over global best-fit, %"] = 100 * (mean / best - 1)
        yield told | ({"gap closed, %": 100 * (none - mean) / (none - best)} if none > 1.02 * best else {})


def _spread(costs: Sequence[float]) -> dict[str, float]:
    return {"mean": float(np.mean(costs)), "least": min(costs), "most": max(costs)}


def robust(args: argparse.Namespace) -> None:
    """One policy, trained with R = 3 and nothing wrong, under other rounds and bad messages."""
    cases = {f"R = {count}": (count, Channel()) for count in (0, 1, 2, 3, 5, 10)}
    cases |= {f"{share:.0%} deaf": (3, Channel(deaf=share)) for share in (0.1, 0.3, 1.0)}
    cases |= {f"{noise:.0%} noise": (3, Channel(noise=noise)) for noise in (0.2, 0.5)}
    cases["late"] = (3, Channel(late=True))
    for preset in args.preset:
        for agents in args.agents:
            place = Place(preset, agents, 0, model=args.model)
            runs = [trained(place, "R = 3, K = 8", seed, args.iterations) for seed in range(args.seeds)]
            for name, (count, channel) in cases.items():
                found = []
                for plan, trainer in runs:
                    rounds = replace(trainer.team.rounds, count=count, channel=channel)  # type: ignore[type-var]
                    team = replace(trainer.team, rounds=rounds)
                    found.append(place.cost(plan, NetworkPolicy(team, "stochastic")))
                emit({"preset": preset, "agents": agents, "case": name, **_spread(found)})


def moved(args: argparse.Namespace) -> None:
    """Policies of N = 50 at other sizes and in another instance, beside those trained there."""
    for preset in args.preset:
        home = Place(preset, 50, 0, model=args.model)
        runs = [trained(home, "R = 3, K = 8", seed, args.iterations)[1] for seed in range(args.seeds)]
        for place in (replace(home, instance=1), replace(home, agents=200), replace(home, agents=1500)):
            there, native = [], []
            for seed, run in enumerate(runs):
                plan, own = trained(place, "R = 3, K = 8", seed, args.iterations)
                native.append(place.cost(plan, NetworkPolicy(own.team, "stochastic")))
                there.append(place.cost(plan, NetworkPolicy(elsewhere(plan, run.team), "stochastic")))
            figures = {"moved": float(np.mean(there)), "trained there": float(np.mean(native))}
            emit({"preset": preset, "agents": place.agents, "instance": place.instance, **figures})


def potential(args: argparse.Namespace) -> None:
    """Cost and potential of what policies lead to: rounds lower the potential, all that a model can ask for."""
    for preset in args.preset:
        place = Place(preset, 50, 0, model=args.model)
        for cell in ("no rounds, K = 8", "R = 3, K = 8"):
            found = [_potential(*trained(place, cell, seed, args.iterations)) for seed in range(args.seeds)]
            cost, phi = np.mean(found, 0)
            emit({"preset": preset, "agents": 50, "cell": cell, "cost": float(cost), "potential": float(phi)})


@torch.no_grad()
def _potential(plan: launch.Plan, trainer: Trainer) -> tuple[float, float]:
    """Of the greedy policy in 16 episodes, an agent and step."""
    env = plan.domain.make_env(plan.config, 16, CPU, random.derive(ARRIVALS, "arrivals"))
    policy, decision, found = NetworkPolicy(trainer.team, "greedy"), env.reset(), []
    for _ in range(env.horizon):
        context = decision.context
        step = env.step(policy.act(decision, torch.zeros(16, env.num_agents)))
        phi = plan.task.model.potential(step.state, context)
        found.append((-float(step.reward.mean()), float(phi.mean())))
        decision = step.decision
    cost, phi_mean = np.mean(found, 0) / env.num_agents
    return float(cost), float(phi_mean)


def throughput(args: argparse.Namespace) -> None:
    """Agent-steps a second of whole iterations, median of five, one thread."""
    for agents in args.agents:
        rows: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
            ("no rounds, defaults, with a critic", {"rounds": 0}, {}),
            ("no rounds, guidance alone", {"rounds": 0}, ALONE),
            *((f"R = {count}", {"rounds": count}, {}) for count in (1, 3, 5)),
            ("R = 3, detached", {"rounds": 3, "detached": True}, {}),
        ]
        for name, coordination, settings in rows:
            run = {"coordination": coordination, "train": {"threads": 1, **FOLLOWING, **settings}}
            plan = Place("default", agents, 0).plan(8, iterations=10, **run)
            speed = _speed(Trainer(plan.run, find("dg-pg"), plan.task))
            emit({"agents": agents, "cell": name, "agent-steps/s": speed})


def _speed(trainer: Trainer) -> float:
    torch.set_num_threads(1)
    machine.keep_memory()
    trainer.iterate()
    spent = []
    for _ in range(5):
        start = time.perf_counter()
        trainer.iterate()
        spent.append(time.perf_counter() - start)
    env = trainer.task.env
    return float(env.num_agents * env.num_envs * trainer.horizon / np.median(spent))


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", nargs="+", default=["default", "waiting"])
    parser.add_argument("--agents", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--instances", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--cells", nargs="+", default=list(CELLS), help="rows to train, by name")
    parser.add_argument("--values", action="store_true", help="dg-pg learns values of blocks, with its own settings")
    parser.add_argument("--model", help="analytical model; the domain's own by default")
    parser.add_argument("--tuning", action="store_true", help="arrivals that are not those of published figures")
    which = parser.add_mutually_exclusive_group()
    for name in ("robust", "elsewhere", "potential", "throughput"):
        which.add_argument(f"--{name}", action="store_true")
    args = parser.parse_args()
    shown = {"robust": robust, "elsewhere": moved, "potential": potential, "throughput": throughput}
    next((run for name, run in shown.items() if getattr(args, name)), table)(args)


if __name__ == "__main__":
    published(main)
