"""What a placement does to the state: the machine is asked for more, and has more work to do."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dgpg.domain import Context, Influence, Observation
from dgpg_cloud.instance import Instance


class PlacementMapping(nn.Module):
    """State `[B, M, 2 R]`: one block a machine, requested resources first, then work left (resource x base steps).

    Choice k of dispatcher i adds its job's demand and work to the block of candidate k.
    """

    candidates: Tensor

    def __init__(self, instance: Instance) -> None:
        super().__init__()
        self.register_buffer("candidates", torch.from_numpy(instance.candidates))

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
