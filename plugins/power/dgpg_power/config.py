"""Configuration of a power instance; the defaults alone give one that needs no file."""

from __future__ import annotations

from os.path import expanduser
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from dgpg.domain import Settings


def _absolute(name: str) -> str:
    """A run must find its file from any directory it is resumed or evaluated in."""
    path = Path(expanduser(name))  # unlike Path.expanduser, leaves the home of nobody for the reader to name
    return str(path.absolute()) if path.suffix or path.exists() else name


Flow = Literal["pglib", "matpower"]
"""What the DC approximation counts; `dgpg_power.data.branch` says how."""
NetworkName = Annotated[str, AfterValidator(_absolute)]
Month = Annotated[int, Field(ge=1, le=12)]
Day = Annotated[int, Field(ge=1, le=31)]


class Load(Settings):
    """Demand: the network's own times a common level times noise, or a recorded series."""

    source: Literal["noise", "series"] | None = Field(
        None, description="drawn, or the hourly series beside the network file; series where there is one"
    )
    scale: float = Field(1.0, gt=0, le=1000.0, description="every load of the network times this")
    low: float = Field(0.85, gt=0, le=100, description="least common level of demand, share of the network's")
    high: float = Field(1.0, gt=0, le=100, description="largest common level of demand, share of the network's")
    noise: float | None = Field(
        None, ge=0, lt=0.5,
        description="relative deviation of a bus's load from the common level, or from the series: to train on more "
        "days than it has; 0.05 by default, 0 with a series",
    )  # fmt: skip
    memory: float = Field(0.9, ge=0, lt=1, description="autocorrelation of level and noise from one step to the next")
    reach: float = Field(
        3.0, ge=0, le=1e6, description="how far the noise is alike: 0 each bus for itself; lines squared"
    )
    months: tuple[Month, ...] = Field(tuple(range(1, 13)), description="months of the series to use")
    days: tuple[Day, Day] = Field((1, 14), description="first and last day of the month to use of the series")

    @field_validator("days", mode="before")
    @classmethod
    def _two_days(cls, days: Any) -> Any:
        if isinstance(days, (list, tuple)) and len(days) == 2:
            return days
        raise ValueError(f"expected [first, last], such as [1, 14], got {days}")

    @model_validator(mode="after")
    def _check(self) -> Load:
        if not self.months:
            raise ValueError("months = []: expected at least one, such as [1, 7]")
        if self.low > self.high:
            raise ValueError(f"low = {self.low} must not exceed high = {self.high}")
        if self.days[0] > self.days[1]:
            raise ValueError(f"days = {list(self.days)}: the first must not be after the last")
        return self


class Mismatch(Settings):
    """How the true system departs from what agents and the analytical model are told."""

    losses: bool = Field(True, description="lines lose r f^2, which has to be generated too")
    forecast_error: float = Field(
        0.01, ge=0, lt=0.5, description="deviation of demand from its forecast, of the total and of each bus, relative"
    )
    outages: float = Field(0.002, ge=0, le=1, description="probability that a line trips, in a step")
    outage_steps: int = Field(4, ge=1, le=100_000, description="steps until a tripped line is back")


class Prices(Settings):
    """Prices of what the network does not forbid but punishes."""

    overload: float | None = Field(
        None,
        gt=0,
        le=1e9,
        description="$ per MWh over a line's limit; twice the largest line price of the optimum by default",
    )
    imbalance: float = Field(1000.0, ge=0, le=1e9, description="$ per MWh that the units could not balance")
    curtailment: float = Field(5.0, ge=0, le=1e9, description="$ per MWh of wind and sun not taken")


class Models(Settings):
    """What analytical models take for granted."""

    premium: float = Field(
        100.0,
        gt=0,
        le=1e9,
        description="$ per MWh that power.nodal-price pays for a move beside its cost; bounds its prices",
    )


class Config(Settings):
    """N units of a grid choose their output."""

    network: NetworkName = Field(
        "case24-tight", description="a MATPOWER .m file, a built-in case (case39), or synthetic-N with N units"
    )
    flow: Flow | None = Field(
        None,
        description="matpower: b = 1 / (x tap), phase shifts counted; pglib: b = x / (r^2 + x^2), taps and shifts left "
        "out, as PGLib publishes its optima; by the source",
    )
    island: int | None = Field(
        None,
        ge=1,
        le=10**9,
        description="of a case with several islands the one that has this bus; each is dispatched alone",
    )
    limit_scale: float = Field(1.0, gt=0, le=1e6, description="every line limit times this")
    margin: float | None = Field(
        None,
        ge=0,
        lt=0.5,
        description="limits tightened line by line by what an AC power flow adds to DC flows, and by this share of "
        "themselves; not at all by default",
    )
    observation: Literal["A", "B", "C", "P"] = Field(
        "C",
        description="A: own limits, cost, output, local load, total forecast; B: and the last residual and the area's "
        "price; C: and the last flows of the 8 lines it moves most; P: and the broadcast of base flows on 20 lines",
    )
    action: Literal["participation", "set-point"] = Field(
        "participation", description="a base point and a share of the residual, or a base point alone"
    )
    commitment: Literal["all-on", "relaxed", "committed"] | None = Field(
        None,
        description="all-on: outputs stay above the units' minimum; relaxed: minimum taken as 0; committed: on and "
        "off solved ahead (series only); all-on by default, relaxed with a series",
    )
    horizon: int = Field(24, ge=1, le=100_000, description="steps of an episode, an hour each")
    ramp: float | None = Field(
        None,
        gt=0,
        le=1e6,
        description="largest change of an output in a step, share of its maximum; the network's by default",
    )
    seed: int = Field(0, ge=0, lt=2**48, description="seed of the instance: statistics that scale features and prices")
    load: Load = Load()
    mismatch: Mismatch = Mismatch()
    prices: Prices = Prices()
    models: Models = Models()
    trained: Config | None = Field(
        None,
        description="settings that the policy was trained in, where others are evaluated: the scales of features, the "
        "lines to watch and, unless prices.overload is given, the overload price are theirs; set by an evaluation",
    )

    @model_validator(mode="before")
    @classmethod
    def _spelling(cls, values: Any) -> Any:
        """Levels of observation in any case."""
        if isinstance(values, dict) and isinstance(values.get("observation"), str):
            return values | {"observation": values["observation"].upper()}
        return values

    @model_validator(mode="after")
    def _once(self) -> Config:
        if self.trained is not None and self.trained.trained is not None:
            raise ValueError("trained.trained: settings of a training have no training before them; leave it out")
        return self


class Bounded(Settings):
    """The instance of `of`, charged what no dispatch of its episodes is below: for the row `bound` of an evaluation."""

    of: Config
