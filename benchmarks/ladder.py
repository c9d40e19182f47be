r"""What a wrong model does to who follows it, and to who learns what blocks cost: cloud, a ladder of mistakes.

    python benchmarks/ladder.py --agents 20 --preset waiting default --publish ladder

Each way of being wrong is climbed by shares of 0 to 50 %, at random over machines (the same for all rows); `none` has
no analytical model at all. Costs are over h, as in learning.py, of the stochastic policy after `--iterations`: `dg-pg`
with values of blocks, the same settings without them (`followed`), and `greedy-potential`, which learns nothing. Beside
them is what the alignment check says of the model, and whether it is right: a model is to be trusted where who follows
it ends below the best learner without one, `alone`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from common import ARRIVALS, emit, episodes_for, heuristics
from publishing import published
from torch import Tensor

from dgpg.domain import Context, CostModel, random
from dgpg.learning import Trainer
from dgpg.learning.algorithms import find
from dgpg.measuring import GreedyPotential, NetworkPolicy, alignment, episode_costs
from dgpg.runs import launch, machine

ALONE = ("ippo-local", "ippo-blocks", "mappo")
"""Learners without an analytical model."""
SHARES = (0.0, 0.05, 0.1, 0.2, 0.5)
WAYS = ("capacity", "waiting", "units", "none")
CPU = torch.device("cpu")


class Nothing(CostModel):
    """No analytical model."""

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        """Zero."""
        return 0.0 * block[..., 0]


class Spoilt(CostModel):
    """A model that is asked about other coordinates than those that are: `factor` `[M, m]` times them."""

    def __init__(self, base: Any, factor: Tensor) -> None:
        super().__init__()
        self.base, self.factor = base, factor

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        """phi_m of what it takes a machine's state for."""
        return self.base.block_potential(block * self.factor[index], index, context)


class Deaf(CostModel):
    """A model that does not hear of waiting on a share of the machines, `mute` `[M]`."""

    def __init__(self, base: Any, mute: Tensor) -> None:
        super().__init__()
        self.base, self.mute = base, mute

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        """phi_m without its waiting where mute."""
        table = self.base.table
        self.base.table = torch.cat([table[:, :-1], 0 * table[:, -1:]], -1)
        silent = self.base.block_potential(block, index, context)
        self.base.table = table
        return torch.where(self.mute[index], silent, self.base.block_potential(block, index, context))


def spoilt(model: Any, way: str, share: float, machines: int, coordinates: int) -> CostModel:
    """The model wrong in one way.

    capacity: each machine's is off by a factor exp(share x a normal number). waiting: a share of the machines lacks the
    term. units: a share of the machines counts memory in MiB for GiB.
    """
    if way == "none":
        return Nothing()
    chance = random.generator(random.derive(0, f"ladder {way}"))
    if way == "capacity":
        off = (share * torch.randn(machines, 1, generator=chance)).exp()
        return Spoilt(model, off.expand(-1, coordinates))
    chosen = torch.rand(machines, generator=chance).argsort() < round(share * machines)
    if way == "waiting":
        return Deaf(model, chosen)
    factor = torch.ones(machines, coordinates)
    factor[chosen, 1], factor[chosen, coordinates // 2 + 1] = 1024.0, 1024.0
    return Spoilt(model, factor)


def reached(
    settings: Mapping[str, Any], algorithm: str, args: argparse.Namespace, train: Mapping[str, Any] | None = None,
    way: str = "capacity", share: float = 0.0,
) -> float:  # fmt: skip
    """Cost after training, the mean over seeds."""
    run = {"iterations": args.iterations, "settings": settings, "device": "cpu", "algorithm": algorithm}
    run["train"] = {"threads": 1, **(train or {})}
    return float(np.mean([_trained({**run, "seed": seed}, way, share) for seed in range(args.seeds)]))


def _trained(run: Mapping[str, Any], way: str, share: float) -> float:
    plan = launch.resolve("cloud", run)
    torch.set_num_threads(1)
    machine.keep_memory()
    trainer = Trainer(plan.run, find(plan.run.algorithm), replace(plan.task, model=_of(plan, way, share)))
    for _ in range(plan.run.iterations):
        trainer.iterate()
    policy = NetworkPolicy(trainer.team, "stochastic")
    agents = plan.task.env.num_agents
    return float(episode_costs(plan.domain, plan.config, policy, episodes_for(agents), ARRIVALS, CPU).mean())


def trusted(settings: Mapping[str, Any], way: str, share: float) -> tuple[bool, str]:
    """What the alignment check says: whether the model may be trusted, and its verdict in a few words."""
    plan = launch.probe("cloud", {"settings": settings, "device": "cpu"}, alignment.ROWS, 0)
    found = alignment.checked(replace(plan, task=replace(plan.task, model=_of(plan, way, share))), alignment.Plan(), 0)
    return found.trusted, found.verdict.partition(":")[0]


def followed(settings: Mapping[str, Any], way: str, share: float) -> float:
    """Cost of the rule that follows the model."""
    plan = launch.resolve("cloud", {"settings": settings, "device": "cpu"})
    rule = GreedyPotential(_of(plan, way, share), plan.task.mapping)  # type: ignore[arg-type]
    agents = plan.task.env.num_agents
    return float(episode_costs(plan.domain, plan.config, rule, episodes_for(agents), ARRIVALS, CPU).mean())


def _of(plan: launch.Plan, way: str, share: float) -> CostModel:
    state = plan.task.mapping.base_state(plan.task.env.reset().context)  # type: ignore[union-attr]
    return spoilt(plan.task.model, way, share, *state.shape[1:])


def main() -> None:
    """Print one JSON line a cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=20)
    parser.add_argument("--preset", nargs="+", default=["waiting", "default"])
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    for preset in args.preset:
        settings = {"num_agents": args.agents, "preset": preset}
        h = heuristics(settings).h
        without = {name: reached(settings, name, args) / h for name in ALONE}
        emit({"preset": preset, "agents": args.agents, "way": "learners without a model", **_round(without)})
        for way in args.ways:
            for share in args.shares if way != "none" else (1.0,):
                _cell(settings, way, share, args, h, min(without.values()))


def _cell(
    settings: Mapping[str, Any], way: str, share: float, args: argparse.Namespace, h: float, alone: float
) -> None:
    """One JSON line: what came out, and what the check said before."""
    follow = {**find("dg-pg").blocks, "blocks": {"use": False}}  # the settings that block values brought
    costs = {
        "block_values": reached(settings, "dg-pg", args, way=way, share=share) / h,
        "followed": reached(settings, "dg-pg", args, follow, way, share) / h,
        "greedy_potential": followed(settings, way, share) / h,
    }
    said, verdict = trusted(settings, way, share)
    emit({
        "preset": settings["preset"], "agents": args.agents, "way": way, "share": share, **_round(costs),
        "alone": round(alone, 3), "verdict": verdict, "right": said == (costs["followed"] <= alone),
    })  # fmt: skip


def _round(costs: Mapping[str, float]) -> dict[str, float]:
    return {name: round(cost, 3) for name, cost in costs.items()}


if __name__ == "__main__":
    published(main)
