r"""What a wrong model does to who follows it, and to who learns what blocks cost: cloud, a ladder of mistakes.

    python benchmarks/ladder.py --agents 20 --preset waiting default --publish ladder

Each way of being wrong is climbed by shares of 0 to 50 %, at random over machines (the same for all rows); `none` has
no analytical model at all. Costs are over h, as in learning.py, of the stochastic policy after `--iterations`: `dg-pg`
with values of blocks, the same settings without them (`followed`), and `greedy-potential`, which learns nothing.
"""

from __future__ import annotations

import argparse
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
from dgpg.measuring import GreedyPotential, NetworkPolicy, episode_costs
from dgpg.runs import launch

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


def reached(settings: dict[str, Any], way: str, share: float, use: bool, iterations: int, seed: int) -> float:
    """Cost after training."""
    train = {"threads": 1, "blocks": {"use": use}}
    if not use:  # the settings that block values brought, so that only these differ
        train |= dict(find("dg-pg").blocks)
    run = {"iterations": iterations, "settings": settings, "device": "cpu", "algorithm": "dg-pg", "seed": seed}
    plan = launch.resolve("cloud", {**run, "train": train})
    torch.set_num_threads(1)
    launch.keep_memory()
    model = _of(plan, way, share)
    trainer = Trainer(plan.run, find("dg-pg"), replace(plan.task, model=model))
    for _ in range(iterations):
        trainer.iterate()
    policy = NetworkPolicy(trainer.team, "stochastic")
    agents = plan.task.env.num_agents
    return float(episode_costs(plan.domain, plan.config, policy, episodes_for(agents), ARRIVALS, CPU).mean())


def followed(settings: dict[str, Any], way: str, share: float) -> float:
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
        for way in args.ways:
            for share in args.shares if way != "none" else (1.0,):
                values, model = (
                    np.mean([reached(settings, way, share, use, args.iterations, seed) for seed in range(args.seeds)])
                    for use in (True, False)
                )
                emit({
                    "preset": preset, "agents": args.agents, "way": way, "share": share,
                    "block_values": round(float(values) / h, 3), "followed": round(float(model) / h, 3),
                    "greedy_potential": round(followed(settings, way, share) / h, 3),
                })  # fmt: skip


if __name__ == "__main__":
    published(main)
