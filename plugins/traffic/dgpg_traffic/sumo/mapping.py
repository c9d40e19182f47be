"""What a driver's choice adds to the cells of edges and windows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dgpg.domain import Context, Influence, Observation
from dgpg_traffic.sumo.cells import Cells


class RouteMapping(nn.Module):
    """State `[B, G, 3]`: cars in each cell, those that count, those that cross; then a block for each of N K routes.

    Where cars are when is the timetable's; what that costs is the day's.
    """

    people: Tensor
    index: Tensor
    value: Tensor

    def __init__(self, cells: Cells) -> None:
        super().__init__()
        self.register_buffer("people", torch.from_numpy(cells.people).float())
        self.register_buffer("index", torch.from_numpy(cells.index))
        self.register_buffer("value", torch.from_numpy(cells.value).float())

    def base_state(self, context: Context) -> Tensor:
        """x_0: the drivers beside the fleet."""
        return self.people.expand(len(context["people"]), *self.people.shape)

    def influence(self, observation: Observation, context: Context) -> Influence:
        """z_i(k): the cells of route k of driver i, by the timetable; the same every day."""
        batch = len(observation.mask)
        return Influence(self.index.expand(batch, *self.index.shape), self.value.expand(batch, *self.value.shape))
