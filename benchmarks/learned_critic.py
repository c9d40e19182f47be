"""Guidance from a learned additive critic: no analytical model, only the known mapping.

    python benchmarks/learned_critic.py --presets waiting default --gammas 0 0.5 0.9

The discounted cost of what follows a step is regressed on a sum over blocks, sum_g q(x_g, x0_g, e_g), with one network
q and an embedding e_g for each block; x = x_0 + sum_i z_i(a_i). Guidance then asks it for marginal costs as it asks any
model. `--gammas 0` fits the cost of the step alone. Not part of dgpg: docs/results/guidance.md says why.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import torch
from common import ARRIVALS, FOLLOWING, emit, heuristics
from publishing import published
from torch import Tensor, nn

from dgpg.domain import AgentMapping, Context, CostModel, random
from dgpg.domain.types import flatten
from dgpg.learning import Task, Trainer, Trajectory
from dgpg.learning.algorithms import find
from dgpg.learning.estimators import Estimator
from dgpg.learning.networks import Shared
from dgpg.measuring import NetworkPolicy, episode_costs
from dgpg.runs import launch, machine

HIDDEN, EMBEDDING = 64, 4
MEMORY = 4
"""Trajectories that it is fitted to: the newest ones."""
EPOCHS, MINIBATCHES = 8, 8
RATE = 1e-2
ROWS = 6400
"""Blocks times states of one Adam step at most: beyond, a part of the states does."""
MARKS = (4, 10, 20, 40)


class LearnedModel(CostModel):
    """phi(x; c) = sum_g q(x_g, x0_g, e_g), in units of the cost of a step and right up to a constant."""

    scale: Tensor
    spread: Tensor

    def __init__(self, mapping: AgentMapping, base: Tensor, seed: int) -> None:
        """`base` is any x_0, `[B, G, m]`, for its sizes."""
        super().__init__()
        self.mapping = mapping
        self.blocks, coordinates = base.shape[1:]
        self.chance = random.generator(random.derive(seed, "learned model"))
        self.embedding = nn.Parameter(0.1 * torch.randn(self.blocks, EMBEDDING, generator=self.chance))
        sizes = (2 * coordinates + EMBEDDING, HIDDEN, HIDDEN, 1)
        layers: list[nn.Module] = []
        for inputs, outputs, gain in zip(sizes[:-1], sizes[1:], (math.sqrt(2), math.sqrt(2), 0.1), strict=True):
            layers += [Shared().layer(inputs, outputs, gain, self.chance), nn.ReLU()]
        self.net = nn.Sequential(*layers[:-1], nn.Softplus())
        self.register_buffer("scale", torch.ones(coordinates))
        self.register_buffer("spread", torch.ones(()))
        self.memory: list[dict[str, Any]] = []
        self.optimiser = torch.optim.Adam(self.parameters(), RATE)

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        """phi_g >= 0, `[B, A]`."""
        base = self.mapping.base_state(context)
        found = base.gather(1, index.unsqueeze(-1).expand(*index.shape, base.shape[-1]))
        inputs = torch.cat([block / self.scale, found / self.scale, self.embedding[index]], -1)
        cost: Tensor = self.net(inputs).squeeze(-1) * self.spread
        return cost

    def fit(self, trajectory: Trajectory, target: Tensor) -> None:
        """Adam steps on targets `[T, B]` of the newest trajectories; differences count, not their mean."""
        context = flatten(trajectory.decision).context
        state, cost = trajectory.state.flatten(0, 1), target.flatten()
        if not self.memory:
            self.scale.copy_(state.flatten(0, 1).std(0).clamp(min=1e-6))
        self.memory = [*self.memory, {"state": state, "cost": cost, "context": dict(context)}][-MEMORY:]
        state, cost = (torch.cat([m[name] for m in self.memory]) for name in ("state", "cost"))
        context = {name: torch.cat([m["context"][name] for m in self.memory]) for name in context}
        self.spread.copy_(cost.std() / math.sqrt(self.blocks) + 1e-6)
        part = max(ROWS // self.blocks, 2)
        for _ in range(EPOCHS):
            order = torch.randperm(len(state), generator=self.chance)
            for rows in order.tensor_split(MINIBATCHES):
                self._descend(rows[:part].to(state.device), state, cost, context)

    def _descend(self, rows: Tensor, state: Tensor, cost: Tensor, context: Context) -> None:
        if len(rows) < 2:
            return
        said = self.potential(state[rows], {name: x[rows] for name, x in context.items()})
        error = (said - said.mean()) - (cost[rows] - cost[rows].mean())
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward((error / (cost.std() + 1e-6)).square().mean())
        nn.utils.clip_grad_norm_(self.parameters(), 1.0)
        self.optimiser.step()


def ahead(trajectory: Trajectory, gamma: float) -> Tensor:
    """Discounted cost from each step to the end of what was collected, `[T, B]`."""
    cost = -trajectory.reward
    result, running = torch.empty_like(cost), torch.zeros_like(cost[0])
    for t in reversed(range(len(cost))):
        running = cost[t] + gamma * running * ~trajectory.done[t]
        result[t] = running
    return result


class Fitting:
    """An estimator, with a fit of the model before each question."""

    def __init__(self, estimator: Estimator, model: LearnedModel, gamma: float) -> None:
        self.estimator, self.model, self.gamma = estimator, model, gamma

    def __getattr__(self, name: str) -> Any:
        return getattr(self.estimator, name)

    def signal(self, model: Any, mapping: Any, trajectory: Trajectory) -> Tensor:
        """As the estimator's own."""
        self.model.fit(trajectory, ahead(trajectory, self.gamma))
        return self.estimator.signal(model, mapping, trajectory)


def curve(settings: dict[str, Any], gamma: float, seed: int) -> dict[int, float]:
    """Cost of the stochastic policy at each mark."""
    plan = launch.resolve(
        "cloud",
        {
            "settings": settings,
            "device": "cpu",
            "seed": seed,
            "iterations": max(MARKS),
            "model": "cloud.capacity",
            "train": FOLLOWING,
        },
    )
    env, mapping = plan.task.env, plan.task.mapping
    model = LearnedModel(mapping, mapping.base_state(env.reset().context), seed)
    trainer: Any = Trainer(plan.run, find("dg-pg"), Task(env, model, mapping))
    trainer.estimator = Fitting(trainer.estimator, model, gamma)
    found = {}
    for iteration in range(1, max(MARKS) + 1):
        trainer.iterate()
        if iteration in MARKS:
            policy = NetworkPolicy(trainer.team, "stochastic")
            found[iteration] = float(episode_costs(plan.domain, plan.config, policy, 64, ARRIVALS, env.device).mean())
    return found


def main() -> None:
    """One JSON line a run, costs over h."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=50)
    parser.add_argument("--presets", nargs="+", default=["waiting", "default"])
    parser.add_argument("--gammas", type=float, nargs="+", default=[0.0, 0.5, 0.9])
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    machine.keep_memory()
    for preset in args.presets:
        settings = {"num_agents": args.agents, "preset": preset}
        h = heuristics(settings).h
        for gamma in args.gammas:
            for seed in range(args.seeds):
                over = {mark: round(cost / h, 3) for mark, cost in curve(settings, gamma, seed).items()}
                emit({"preset": preset, "gamma": gamma, "seed": seed, "over_h": over})


if __name__ == "__main__":
    published(main)
