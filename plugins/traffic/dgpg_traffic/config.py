"""Configuration of a traffic instance; the defaults alone give one that needs no file."""

from __future__ import annotations

from os.path import expanduser
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from dgpg.domain import Settings
from dgpg_traffic.data.load import NAMES
from dgpg_traffic.data.names import file_like
from dgpg_traffic.data.tntp import NET


def _absolute(name: str) -> str:
    """A run must find its files from any directory it is resumed or evaluated in."""
    if name in NAMES:
        return name
    path = Path(expanduser(name))  # unlike Path.expanduser, leaves the home of nobody for load_network to name
    file = path.suffix or len(path.parts) > 1 or path.exists() or file_like(Path(f"{path}{NET}"))
    return str(path.absolute()) if file else name


NetworkName = Annotated[str, AfterValidator(_absolute)]
Splits = Literal["shortest", "user-equilibrium", "system-optimum"]


class Demand(Settings):
    """Vehicles of each pair: the network's own times a daily profile times noise."""

    scale: float = Field(1.0, gt=0, le=100, description="every demand of the network times this")
    noise: float = Field(
        0.1, ge=0, lt=0.5,
        description="relative deviation of a pair's demand; all pairs of an origin move together by 0.4 of it, all "
        "pairs by 0.2 of it",
    )  # fmt: skip
    memory: float = Field(0.8, ge=0, lt=1, description="autocorrelation of the noise from one period to the next")
    profile: Literal["flat", "daily"] = Field(
        "daily", description="flat: the same in every period; daily: 0.6 at night to 1.2 in two peaks"
    )


class Incidents(Settings):
    """Links that lose capacity for a while; neither agents nor the analytical model are told."""

    probability: float = Field(0.0, ge=0, le=1, description="that an incident begins on a link, in a period")
    capacity: float = Field(0.6, gt=0, le=1, description="share of the capacity that is left")
    periods: int = Field(2, ge=1, le=100_000, description="how long it lasts")


class Models(Settings):
    """What analytical models look at."""

    capacity: Literal["measured", "nominal"] = Field(
        "measured", description="of links: as last flows and times imply, incidents included, or the network's own"
    )


class Config(Settings):
    """N agents, one or several for each pair of zones, split their vehicles over routes."""

    network: NetworkName = Field("grid", description="folder or prefix of TNTP or GMNS files, or braess or grid")
    toll_factor: float | None = Field(
        None, ge=0, le=1e6,
        description="cost of a unit of toll, in the network's unit of time; none: what its files say, or 0",
    )  # fmt: skip
    distance_factor: float | None = Field(
        None, ge=0, le=1e6,
        description="cost of a unit of length, in the network's unit of time; none: what its files say, or 0",
    )  # fmt: skip
    standard_b: float | None = Field(
        None, gt=0, le=100,
        description="b of the delay function at true capacities, 0.15 as a rule, from which these follow where files "
        "have capacities of 1; none: the files' capacities",
    )  # fmt: skip
    routes: int = Field(6, ge=1, le=64, description="most routes of a pair, K")
    agents_per_pair: int = Field(
        1, ge=1, le=1000, description="agents that share a pair's vehicles alike: one alone is a monopolist"
    )
    horizon: int = Field(24, ge=1, le=100_000, description="periods of an episode, a day")
    queues: bool = Field(
        True,
        description="links let through their capacity, who waits goes on later; without, periods are static problems",
    )
    start: Splits = Field(
        "user-equilibrium",
        description="splits that policies begin at; at the equilibrium drivers arrive by themselves",
    )
    time_unit: float = Field(
        60.0,
        gt=0,
        le=1e6,
        description="seconds of the network's unit of time, a minute; queues and the judge ask for it",
    )
    judge: Literal["uxsim", "sumo"] = Field("uxsim", description="simulator of `dgpg evaluate RUN --judge`")
    seed: int = Field(0, ge=0, lt=2**48, description="seed of the instance: demand from which features are scaled")
    demand: Demand = Demand()
    incidents: Incidents = Incidents()
    models: Models = Models()
    trained: Config | None = Field(
        None, description="settings that the policy was trained in, where others are evaluated; set by an evaluation"
    )

    @model_validator(mode="after")
    def _once(self) -> Config:
        if self.trained is not None and self.trained.trained is not None:
            raise ValueError("trained.trained: expected settings of a training, which have none of their own")
        return self
