"""A potential learned from costs, for domains whose mapping is known and whose model is not (`--model learned`).

The cost of a step is regressed on a sum over blocks, sum_g q(x_g, x0_g, e_g), with one network q and an
embedding e_g for each block; x = x_0 + sum_i z_i(a_i) by the known mapping. Guidance then asks it for
marginal costs as it asks any other model. It learns from the same steps as the policy, and only the cost
of the step itself: with returns as targets the luck of what follows drowned the signal (docs/results.md).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from dgpg import random
from dgpg.models import CostModel
from dgpg.protocols import AgentMapping
from dgpg.sharing import Shared
from dgpg.types import Context, Trajectory, flatten

HIDDEN, EMBEDDING = 64, 4
MEMORY = 4
"""Trajectories that it is fitted to: the newest ones."""
EPOCHS, MINIBATCHES = 8, 8
RATE = 1e-2
ROWS = 12800
"""Blocks times states of one Adam step at most: beyond, a part of the states does."""


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

    def fit(self, trajectory: Trajectory) -> None:
        """Adam steps on the costs of the newest trajectories; differences between states count, not their mean."""
        context = flatten(trajectory.decision).context
        state, cost = trajectory.state.flatten(0, 1), -trajectory.reward.flatten()
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

    def get_extra_state(self) -> dict[str, Any]:
        """What `state_dict` adds to the weights: all that the next fit depends on."""
        return {"memory": self.memory, "optimiser": self.optimiser.state_dict(), "chance": self.chance.get_state()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore what `get_extra_state` returned."""
        self.memory = state["memory"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.chance.set_state(state["chance"].cpu())
