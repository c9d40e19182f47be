"""Configuration of the domain `sumo`; the defaults alone give a small town that netgenerate makes."""

from __future__ import annotations

from os.path import expanduser
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from dgpg.bridges.simulators import Workers
from dgpg.domain import Settings
from dgpg_traffic.sumo.files import GRID


def _absolute(name: str) -> str:
    """A run must find its files from any directory it is resumed or evaluated in."""
    return name if name == GRID else str(Path(expanduser(name)).absolute())


FileName = Annotated[str, AfterValidator(_absolute)]


class Routes(Settings):
    """Which routes drivers choose among."""

    most: int = Field(4, ge=2, le=32, description="routes of a driver, K; who has fewer chooses among these")
    spread: float = Field(
        0.5, gt=0, le=3, description="deviation of the logarithm of perceived times that routes are drawn with"
    )
    longest: float = Field(2.0, ge=1, le=100, description="longest route, over the fastest without traffic")


class Fleet(Settings):
    """The drivers that learn; everybody else drives as people do."""

    share: float = Field(0.4, gt=0, le=1, description="of all drivers")
    seed: int = Field(42, ge=0, lt=2**31, description="that draws who they are")


class Humans(Settings):
    """How people chose their routes before there was a fleet: `dgpg_traffic.sumo.humans`."""

    days: int = Field(40, ge=1, le=100, description="on which they learned; played once and kept")
    memory: float = Field(0.2, gt=0, le=1, description="least weight of the newest experience of a route")
    share: float = Field(0.5, gt=0, le=1, description="of them that reconsider on a day")


class Day(Settings):
    """What a day is."""

    sumo_seed: int | None = Field(
        None, ge=0, lt=2**31, description="of SUMO, the same every day (as URB's 42); none: drawn for each day"
    )
    stuck_s: float = Field(600, gt=0, le=86_400, description="who stood for so many seconds is taken out")
    wait_s: float = Field(3600, gt=0, le=86_400, description="who cannot set out for so many seconds never does")
    penalty_min: float = Field(60, ge=0, le=1440, description="minutes charged to who does not arrive")
    limit_s: float = Field(1200, gt=0, description="seconds on the wall that a day may take before it is an error")


class Fit(Settings):
    """The analytical model, fitted to the days seen: `dgpg_traffic.sumo.model`."""

    window_s: float = Field(120, ge=1, le=3600, description="seconds in which cars on an edge count as together")
    decay: float = Field(0.97, gt=0, le=1, description="weight of all that was seen before, a day")
    ridge: float = Field(30, gt=0, description="cars for which an edge's own slopes are worth as much as all edges'")
    own: float = Field(0.9, ge=0, lt=1, description="weight of what a driver knew of its routes, a day; 0: no bias")
    past: bool = Field(True, description="begin with what people's last days said")


class Config(Settings):
    """N drivers of a fleet choose one of K routes, once a day."""

    network: FileName = Field(GRID, description="folder or .net.xml of SUMO; or grid")
    demand: FileName | None = Field(
        None, description="agents.csv, .trips.xml or .rou.xml; none: the only one in the folder"
    )
    scale: float = Field(1.0, gt=0, le=5, description="drivers for each one of the demand")
    closed: tuple[str, ...] = Field((), description="lanes (EDGE_0), or edges with all of theirs, that nobody may use")
    objective: Literal["fleet", "all"] = Field("fleet", description="whose minutes are the cost")
    seed: int = Field(0, ge=0, lt=2**31, description="of routes, copies of drivers and people's days")
    routes: Routes = Routes()
    fleet: Fleet = Fleet()
    humans: Humans = Humans()
    day: Day = Day()
    fit: Fit = Fit()
    workers: Workers = Workers()
