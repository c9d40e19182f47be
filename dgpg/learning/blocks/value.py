"""The potential that is learned: the model's own, at the scale of what blocks cost, and a network's part in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dgpg.domain import AgentMapping, Context, JointMapping, SupportsBlockPotential, block_looks, random
from dgpg.learning.networks import Shared

LARGEST = 10.0
"""Deviations from its mean at which an input ends: what is far outside what was seen says no more than that."""

SLICE = 8192
"""Blocks that the network is asked about at a time on a processor: its hidden layers then stay in the cache."""


class Correction(nn.Module):
    """What was learned: r, one network for all blocks; the scale a of the model's potential; and how far r is heard."""

    mean: Tensor
    deviation: Tensor
    scale: Tensor
    unit: Tensor
    share: Tensor

    def __init__(self, inputs: int, blocks: int, hidden: int, seed: torch.Generator) -> None:
        super().__init__()
        layer = Shared().layer
        self.net = nn.Sequential(
            layer(inputs, hidden, 1.0, seed), nn.SiLU(),
            layer(hidden, hidden, 1.0, seed), nn.SiLU(),
            layer(hidden, 1, 0.0, seed),
        )  # fmt: skip
        self.level = nn.Parameter(torch.zeros(blocks))
        """What each block costs whatever is done, in `unit`s: no choice hears of it."""
        for name, start in (("mean", torch.zeros(inputs)), ("deviation", torch.ones(inputs))):
            self.register_buffer(name, start)
        for name, number in (("scale", 1.0), ("unit", 1.0), ("share", 0.0)):
            self.register_buffer(name, torch.tensor(number))

    @classmethod
    def like(cls, state: Mapping[str, Tensor]) -> Correction:
        """The one that a state was taken of, whose first weights are `[hidden, inputs]`."""
        hidden, inputs = state["net.0.weight"].shape
        found = cls(inputs, len(state["level"]), hidden, random.generator(0))
        found.load_state_dict(state)
        return found

    def standard(self, raw: Tensor) -> Tensor:
        """Raw inputs by their mean and deviation when training began, `[..., F]`."""
        return ((raw - self.mean) / self.deviation).clamp(-LARGEST, LARGEST)

    def forward(self, inputs: Tensor) -> Tensor:
        """r, `[...]`, in `unit`s, of standard inputs `[..., F]`."""
        found: Tensor = self.net(inputs).squeeze(-1)
        return found


@dataclass(frozen=True)
class BlockValue:
    """v(x; c) = sum_g [ a phi_g(x_g; c) + share r(x_g, phi_g) ]: an analytical model like any other.

    A share of 0 is the model's potential, 1 what was learned.
    """

    base: SupportsBlockPotential
    mapping: AgentMapping | JointMapping
    correction: Correction

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        """v_g, `[B, A]`, of blocks `index` `[B, A]` with coordinates `block` `[B, A, m]`."""
        phi = self.base.block_potential(block, index, context)
        learned = self.correction
        if learned.share == 0:
            return learned.scale * phi
        raw = looks(self.mapping, block, index, context, phi)
        rows = raw.flatten(0, -2)
        parts = torch.split(rows, SLICE if raw.device.type == "cpu" else max(len(rows), 1))
        r = learned.unit * torch.cat([learned(learned.standard(part)) for part in parts]).view(phi.shape)
        return learned.scale * phi + learned.share * r

    def potential(self, state: Tensor, context: Context) -> Tensor:
        """v, `[B]`, of states `[B, G, m]`."""
        index = torch.arange(state.shape[-2], device=state.device).expand(state.shape[:-1])
        return self.block_potential(state, index, context).sum(-1)


def looks(mapping: object, block: Tensor, index: Tensor, context: Context, phi: Tensor) -> Tensor:
    """What the network sees of blocks, raw, `[B, A, F]`: how they look, or their coordinates where the mapping does
    not say, and the model's potential."""
    return torch.cat([block_looks(mapping, block, index, context), phi.unsqueeze(-1)], -1)
