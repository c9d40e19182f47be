"""Rules to compare with: what an engineer would try first, with the information that an agent has."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dgpg.domain import Decision, Information

from .config import Config
from .model import capacity, price


@dataclass(frozen=True)
class InProportion:
    """Every pump delivers the same share of its capacity: nothing is missing, dear pumps run as hard as cheap ones."""

    config: Config
    name: str = "in-proportion"
    information: Information = "same"

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        """Joint action `[B, N, 1]`."""
        most = capacity(self.config).to(noise.device)
        share = decision.context["demand"] / most.sum()
        return (share.unsqueeze(-1) * most).unsqueeze(-1)


@dataclass(frozen=True)
class MeritOrder:
    """The cheapest pumps run in full, one is in between, the others stand: nothing is missing."""

    config: Config
    name: str = "merit-order"
    information: Information = "same"

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        """Joint action `[B, N, 1]`."""
        most, order = capacity(self.config).to(noise.device), price(self.config).to(noise.device).argsort()
        before = most[order].cumsum(0) - most[order]
        taken = (decision.context["demand"].unsqueeze(-1) - before).clamp(min=0).minimum(most[order])
        return taken[:, order.argsort()].unsqueeze(-1)
