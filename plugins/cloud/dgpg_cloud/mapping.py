"""What a placement does to the state: the machine is asked for more, and has more work to do."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dgpg.domain import Context, Influence, Observation
from dgpg_cloud.deploy.scales import LARGE_MACHINE
from dgpg_cloud.instance import Instance
from dgpg_cloud.plant import make

CPU = torch.device("cpu")
NEARLY_FULL = 0.8
"""Share of capacity from which on jobs to come are likely to wait."""
NOTHING = 1e-6
"""Share of capacity that is rounding."""


class PlacementMapping(nn.Module):
    """State `[B, M, 2 R]`: one block a machine, requested resources first, then work left (resource x base steps).

    Choice k of dispatcher i adds its job's demand and work to the block of candidate k.
    """

    candidates: Tensor
    table: Tensor
    """By machine: 1 / C, 1 / (C s), price, capacity / LARGE_MACHINE, speed, `[M, 3 R + 2]`."""
    worth: Tensor
    """Of a unit of work, `[R]`: what capacity costs, shared equally among resources."""

    def __init__(self, instance: Instance) -> None:
        super().__init__()
        plant = make(instance, CPU)
        speed, price = plant.speed.unsqueeze(-1), plant.price.unsqueeze(-1)
        self.resources = plant.capacity.shape[1]
        large = torch.tensor(LARGE_MACHINE[: self.resources])
        kind = (plant.inverse, plant.inverse / speed, price, plant.capacity / large, speed)
        self.register_buffer("candidates", torch.from_numpy(instance.candidates))
        self.register_buffer("table", torch.cat(kind, -1))
        self.register_buffer("worth", price.sum() / (plant.capacity * speed).sum(0).clamp(min=1e-9) / self.resources)

    def base_state(self, context: Context) -> Tensor:
        """x_0: what is on the machines before the action, `[B, M, 2 R]`."""
        return torch.cat([context["requested"], context["work"]], -1)

    def influence(self, observation: Observation, context: Context) -> Influence:
        """One block a choice (P = 1), the same amounts wherever the job goes."""
        demand, steps = context["demand"], context["steps"].unsqueeze(-1)
        amount = torch.cat([demand, demand * steps], -1)[:, :, None, None, :]
        envs, choices = len(demand), self.candidates.shape[1]
        return Influence(
            index=self.candidates.unsqueeze(-1).expand(envs, -1, -1, -1),
            value=amount.expand(-1, -1, choices, -1, -1),
        )

    def block_features(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        """What is requested and left to do on machines, by their capacity, and their type, `[B, A, 4 R + 6]`."""
        row = self.table.index_select(0, index.flatten()).view(*index.shape, -1)
        share, time = (block * row[..., : 2 * self.resources]).chunk(2, -1)
        most = share.amax(-1, keepdim=True)
        uneven = [(x[..., :1] - x[..., 1:2]).abs() for x in (share, time)]
        beyond, on = (most - NEARLY_FULL).clamp(min=0), (most > NOTHING).float()
        looks = (share.clamp(max=4), time.log1p(), beyond, on, uneven[0], uneven[1].log1p())
        return torch.cat([*looks, row[..., 2 * self.resources :]], -1)

    def block_work(self, change: Tensor, gamma: float) -> Tensor:
        """Work left that a change of the state brings, at what the capacity for it costs, `[B, M]`.

        A job asks for the same in each of its steps: of several on one machine, in as many as they have on average.
        """
        demand, work = change.clamp(min=0).chunk(2, -1)
        if gamma < 1:
            steps = work / demand.clamp(min=NOTHING)
            work = demand * (1 - torch.pow(gamma, steps)) / (1 - gamma)
        worth: Tensor = (work * self.worth).sum(-1)
        return worth
