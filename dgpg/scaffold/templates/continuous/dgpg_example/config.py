"""Settings of the domain; each field says its unit, and the defaults give an instance that runs."""

from __future__ import annotations

from pydantic import Field

from dgpg.domain import Settings


class Config(Settings):
    """N pumps meet one demand together, every step."""

    num_agents: int = Field(20, ge=1, le=10_000, description="pumps, N")
    cheapest: float = Field(1.0, gt=0, description="price of the first unit from the cheapest pump")
    dearest: float = Field(4.0, gt=0, description="price of the first unit from the dearest pump")
    shortage: float = Field(40.0, gt=0, description="price of the first unit that is missing or too much, N = 1")
    swing: float = Field(0.4, ge=0, lt=1, description="largest deviation of demand from its mean, a share of it")
    horizon: int = Field(24, ge=1, description="steps of an episode")
