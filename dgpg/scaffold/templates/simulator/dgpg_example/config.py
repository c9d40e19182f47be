"""Settings of the domain; each field says its unit, and the defaults give an instance that runs."""

from __future__ import annotations

from pydantic import Field

from dgpg.bridges.simulators import Workers
from dgpg.domain import Settings


class Config(Settings):
    """N clients send one job each to one of K servers, every step."""

    num_agents: int = Field(12, ge=1, le=1000, description="clients, N")
    speeds: tuple[float, ...] = Field(
        (1.0, 1.0, 2.0, 4.0), min_length=2, description="relative speeds of the servers, one each"
    )
    load: float = Field(0.8, gt=0, lt=1, description="work that arrives, over what the servers do in a step")
    horizon: int = Field(16, ge=1, description="steps of an episode")
    workers: Workers = Workers()

    @property
    def service(self) -> tuple[float, ...]:
        """Work that each server does in a step, so much that all jobs together load them by `load`."""
        return tuple(speed * self.num_agents / self.load / sum(self.speeds) for speed in self.speeds)
