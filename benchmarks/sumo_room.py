"""What there is to win in a town: people, who each look after themselves, against the best that is found for everybody.

    python benchmarks/sumo_room.py grid --scale 1 2 --train 40

Every row is of the same fresh SUMO seeds, on which nothing was searched, and is compared with people day by day (95 %
interval, Student's t over days). Everybody counts (`objective=all`), and `--share` of all drivers may be given routes:

- `duaIterate` and `duaIterate, marginal cost`: SUMO's own, of all drivers, on any route of the network;
- `search`: from people's routes, a day at a time, the drivers with the most to win by the fitted model's marginal time
  change their route; the best of the last plans, and of people's, on seeds of its own;
- `search, own time`: the same where each looks at its own time alone, as far as people have not settled;
- `--train`: what is learned, so many days, all drivers of the share with a network each.

The room is what the best of them is below people: what is found, so at least that.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from common import emit, interval
from publishing import published

from dgpg.domain import Decision, Experience
from dgpg.learning import Trainer
from dgpg.learning.algorithms import find
from dgpg.learning.guidance import marginal_potential
from dgpg.measuring import NetworkPolicy
from dgpg.runs import launch
from dgpg_traffic.sumo import dua
from dgpg_traffic.sumo.baselines import own_times
from dgpg_traffic.sumo.day import Days
from dgpg_traffic.sumo.instance import Instance, build

FRESH, SEARCH = 50_000, 60_000
"""First SUMO seeds of the rows, and of what the search compares plans by."""
MOVED = 0.1
"""Share of drivers that a step of the search moves at first; it falls to none."""
LAST = 5
"""Plans that the search compares."""


@dataclass(frozen=True)
class Routing:
    """Routes for every driver of a town: `choice` `[n]` of those of `days`."""

    days: Days
    choice: Any

    def minutes(self, first_seed: int, count: int) -> Any:
        """Mean of everybody on each day, `[D]`, and how many did not arrive."""
        played = [self.days.play(self.choice, first_seed + d) for d in range(count)]
        return np.array([one.minutes.mean() for one in played]), np.mean([one.counts["not arrived"] for one in played])


def plan_of(town: str, settings: Mapping[str, Any], share: float, algorithm: str, days: int, seed: int) -> launch.Plan:
    """A run in the town, everybody counting."""
    fixed = {"network": town, "objective": "all", "fleet": {"share": share}, "workers": {"count": 0}, **settings}
    values = {"algorithm": algorithm, "iterations": days, "seed": seed, "settings": fixed, "device": "cpu"}
    return launch.resolve("sumo", values)


def search(plan: launch.Plan, instance: Instance, days: int, imposed: bool) -> Routing:
    """Descent from people's routes, of the fitted model's marginal time or (not `imposed`) of each one's own."""
    env, model, mapping = plan.task.env, plan.task.model, plan.task.mapping
    decision = env.reset()
    actions = torch.from_numpy(instance.humans.choice[instance.fleet]).unsqueeze(0)
    agents, plans = torch.arange(actions.shape[1]), []
    for day in range(days):
        decision, state = taken(model, env, decision, actions)  # type: ignore[assignment]
        influence = mapping.influence(decision.observation, decision.context)
        seen = decision.observation
        cost = (
            marginal_potential(model, state, decision.context, influence, actions, seen.active)
            if imposed
            else own_times(model, mapping, actions[0]).unsqueeze(0)  # type: ignore[arg-type]
        ).masked_fill(~seen.mask, torch.inf)[0]
        plans.append(actions[0].numpy().copy())
        gain = cost[agents, actions[0]] - cost.min(-1).values
        most = max(int(MOVED * (1 - day / days) * len(gain)), 1)
        moves = gain.topk(most).indices
        moves = moves[gain[moves] > 0]
        actions = actions.clone()
        actions[0, moves] = cost[moves].argmin(-1)
    return best_of([on_routes(instance, choice) for choice in (plans[0], *plans[-LAST:])])


def taken(model: Any, env: Any, decision: Decision, actions: torch.Tensor) -> tuple[Decision, torch.Tensor]:
    """The model after a day of these actions, and the state of that day."""
    step = env.step(actions)
    day = (step.state, step.reward, step.local_reward, step.block_cost)
    state, reward, own, blocks = (one.unsqueeze(0) for one in day)
    model.fit(Experience(decision, actions.unsqueeze(0), state, reward, own, blocks))
    return step.decision, step.state


def best_of(plans: Sequence[Routing]) -> Routing:
    """The one with the least minutes on the search's seeds."""
    found = [plan.minutes(SEARCH, LAST)[0].mean() for plan in plans]
    return plans[int(np.argmin(found))]


def on_routes(instance: Instance, of_fleet: Any) -> Routing:
    """The fleet on these routes, everybody else as people drive."""
    choice = instance.humans.choice.copy()
    choice[instance.fleet] = of_fleet
    return Routing(instance.days, choice)


def trained(plan: launch.Plan, instance: Instance) -> Routing:
    """The most probable routes of what was learned."""
    torch.set_num_threads(1)
    trainer = Trainer(plan.run, find(plan.run.algorithm), plan.task)
    for _ in range(plan.run.iterations):
        trainer.iterate()
    decision = plan.domain.make_env(plan.config, 1, torch.device("cpu"), 0).reset()
    noise = torch.zeros(1, len(instance.fleet))
    return on_routes(instance, NetworkPolicy(trainer.team, "greedy").act(decision, noise)[0].numpy())


def row(town: Mapping[str, Any], title: str, routing: Routing, days: int, human: Any) -> Any:
    """Emit what routes took on the fresh seeds; their minutes `[D]`."""
    minutes, lost = routing.minutes(FRESH, days)
    against = minutes if human is None else human
    emit({
        **town, "row": title, "days": days, "minutes": float(minutes.mean()),
        "above people, %": 100 * float((minutes - against).mean() / against.mean()),
        "above people": None if human is None else interval(minutes - against), "not arrived": float(lost),
    })  # fmt: skip
    return minutes


def main() -> None:
    """A record a row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("town", help="grid, or folder of a town")
    parser.add_argument("--scale", type=float, nargs="+", default=[1.0], help="of demand")
    parser.add_argument("--closed", nargs="*", default=[], help="lanes or edges")
    parser.add_argument("--share", type=float, nargs="+", default=[1.0], help="of drivers that may be given routes")
    parser.add_argument("--days", type=int, default=10, help="fresh SUMO seeds")
    parser.add_argument("--search", type=int, default=40, help="days that searches and duaIterate.py play")
    parser.add_argument("--quick", action="store_true", help="neither duaIterate.py nor the search of own times")
    parser.add_argument("--train", type=int, default=0, help="days that dg-pg and ippo-local learn; 0: not at all")
    args = parser.parse_args()
    for scale in args.scale:
        for share in args.share:
            one_town(args, scale, share)


def one_town(args: argparse.Namespace, scale: float, share: float) -> None:
    """Rows of one demand and share."""
    settings = {"scale": scale, "closed": args.closed}
    told = {"demand": scale, "share": share}
    plan = plan_of(args.town, settings, share, "dg-pg", args.train or 1, 0)
    instance = build(plan.config)  # type: ignore[arg-type]
    human = row(told, "people", Routing(instance.days, instance.humans.choice), args.days, None)

    def show(title: str, routing: Routing) -> None:
        row(told, title, routing, args.days, human)

    show("fastest without traffic", on_routes(instance, instance.free_minutes[instance.fleet].argmin(-1)))
    if share == 1 and not args.quick:
        everyone = np.zeros(len(instance.names), np.int64)
        show("duaIterate", Routing(dua.assign(instance.days, args.search, marginal_cost=False), everyone))
        show("duaIterate, marginal cost", Routing(dua.assign(instance.days, args.search, marginal_cost=True), everyone))
    for title, imposed in (("search, own time", False), ("search", True)):
        if args.quick and not imposed:
            continue
        fresh = plan_of(args.town, settings, share, "dg-pg", 1, 1)
        show(title, search(fresh, instance, args.search, imposed))
    for algorithm in ("dg-pg", "ippo-local") if args.train else ():
        show(f"{algorithm}, {args.train} days", trained(plan_of(args.town, settings, share, algorithm, args.train, 0),
                                                         instance))  # fmt: skip


if __name__ == "__main__":
    published(main)
