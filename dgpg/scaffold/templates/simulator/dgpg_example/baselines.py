"""Rules to compare with: what an engineer would try first, with the information that an agent has."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dgpg.domain import Decision, Information


@dataclass(frozen=True)
class Soonest:
    """The server that would be done with the job first, if nobody else sent it anything."""

    name: str = "soonest"
    information: Information = "same"

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        """Joint action `[B, N]`."""
        return decision.observation.choices.sum(-1).argmin(-1)


@dataclass(frozen=True)
class BySpeed:
    """Any server, the faster the likelier: spreads, and looks at nothing."""

    speeds: tuple[float, ...]
    name: str = "by-speed"
    information: Information = "same"

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        """Joint action `[B, N]`, from uniform `noise` `[B, N]`."""
        share = noise.new_tensor(self.speeds).cumsum(0)
        return (share[:-1] / share[-1] <= noise.unsqueeze(-1)).sum(-1)
