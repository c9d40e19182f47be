"""Configuration of a cloud instance; the defaults alone give one that needs no file."""

from __future__ import annotations

from os.path import expanduser
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from dgpg.domain import Settings, merge
from dgpg_cloud.data import BadRows, JobUnits, Units

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "waiting": {
        "workload": {"load": 0.6, "swing": 0.2},
        "weights": {"waiting": 1.0, "price": 1.0, "stranded": 2.0},
    },
}
"""Settings that a preset changes; anything set beside it wins."""

SYNTHETIC_SLOTS = 16
NODE_SLOTS = 110
"""Pods that a Kubernetes node runs at most, unless it is told otherwise (`maxPods` of the kubelet)."""


def _absolute(path: Path) -> Path:
    """A run must find its files from any directory it is resumed or evaluated in."""
    return Path(expanduser(path)).absolute()  # unlike Path.expanduser, leaves the home of nobody for the reader to name


File = Annotated[Path, AfterValidator(_absolute)]


class Workload(Settings):
    """Where jobs come from and how many."""

    trace: File | None = Field(
        None,
        description="job trace of a format that docs/cloud.md lists; synthetic if absent",
    )
    bad_rows: BadRows = Field(
        "refuse",
        description="jobs that are wrong or fit on no machine: refused, or left out and told (`skip`)",
    )
    units: JobUnits = JobUnits()
    work: Literal["trace", "any"] = Field(
        "trace",
        description="work of a trace in whole steps: within 10 % of what it is (`trace`), or as it comes (`any`)",
    )
    load: float = Field(
        0.5, gt=0, lt=1, description="work offered / capacity of the bottleneck resource, rounding of steps counted"
    )
    step: float | None = Field(
        None, gt=0, le=1e9, description="seconds of a step (traces); chosen from run times and arrivals by default"
    )
    pace: float | None = Field(
        None, gt=0, le=1e9, description="how many times as fast jobs of a trace come; by default what gives `load`"
    )
    arrivals: float = Field(
        0.5, gt=0, le=0.9, description="mean jobs a dispatcher gets each step; of a trace at most, if `step` is not set"
    )
    swing: float = Field(
        0.3, ge=0, lt=1, description="relative amplitude of the daily cycle of arrivals (synthetic jobs)"
    )
    period: int = Field(64, ge=2, le=1_000_000, description="steps of one daily cycle")
    longest: int = Field(64, ge=1, le=100_000, description="steps of the longest synthetic job")
    memory_per_vcpu: float = Field(4.0, gt=0, le=10_000, description="GiB a vCPU, for traces that do not record memory")
    start: float = Field(0.0, ge=0, lt=1, description="share of the trace at which its used part starts")
    end: float = Field(1.0, gt=0, le=1, description="share of the trace at which its used part ends")

    @model_validator(mode="after")
    def _check(self) -> Workload:
        if self.start >= self.end:
            raise ValueError(f"start = {self.start} must be below end = {self.end}")
        if self.trace is not None and self.longest != Workload.model_fields["longest"].default:
            raise ValueError(
                f"longest = {self.longest} is of synthetic jobs, those of a trace run as long as they did; leave it out"
            )
        if self.arrivals * (1 + self.swing) > 1:
            raise ValueError(
                f"arrivals = {self.arrivals} with swing = {self.swing} asks for more than one job a dispatcher "
                "and step at the peak; lower one of them"
            )
        return self


class Machines(Settings):
    """Which machines there are."""

    file: File | None = Field(
        None,
        description="machine table of a format that docs/cloud.md lists; a dozen EC2 types if absent",
    )
    bad_rows: BadRows = Field(
        "refuse", description="machines of the file that are wrong: refused, or left out and told (`skip`)"
    )
    units: Units = Units()
    run_slots: int | None = Field(
        None,
        ge=1,
        le=4_096,
        description="jobs a machine runs at most at once; by default 16, of a trace 110",
    )
    queue_places: int = Field(32, ge=1, le=4_096, description="jobs that can wait at a machine")


class Weights(Settings):
    """Prices of the three terms of the shared cost."""

    waiting: float = Field(0.2, ge=0, le=1e6, description="cost of one job waiting for one step")
    price: float = Field(1.0, ge=0, le=1e6, description="cost of one USD per hour of switched-on machine, a step")
    stranded: float = Field(
        3.0, ge=0, le=1e6, description="cost of one USD per hour of capacity that cannot be used, a step"
    )


class Config(Settings):
    """N dispatchers place jobs on M machines through K candidates each."""

    DESCRIBED: ClassVar[bool] = True
    """Whether candidates have features."""
    preset: Literal["default", "waiting"] = Field("default", description="a named set of load and weights")
    num_agents: int = Field(50, ge=1, le=100_000, description="dispatchers, N")
    num_machines: int | None = Field(
        None, ge=1, le=100_000, description="machines, M; as many as dispatchers by default"
    )
    candidates: int = Field(8, ge=1, le=100_000, description="machines each dispatcher can reach, K")
    everywhere: bool = Field(
        False, description="every machine is a candidate of every dispatcher; arrivals stay as they are without"
    )
    horizon: int = Field(64, ge=1, le=100_000, description="steps of an episode")
    wait_limit: float | None = Field(
        None,
        gt=0,
        le=1e9,
        description="wait that makes a job late: steps, or seconds of a trace; ten steps by default",
    )
    local_reward: Literal["bill", "waiting"] = Field(
        "bill", description="what `ippo-local` pays a dispatcher: its waiting jobs and reservations, or the former only"
    )
    seed: int = Field(0, ge=0, lt=2**48, description="seed of the instance: machines, graph and synthetic job types")
    workload: Workload = Workload()
    machines: Machines = Machines()
    weights: Weights = Weights()
    trained: Config | None = Field(
        None,
        description="settings that the policy was trained in, where others are evaluated on a trace: the seconds of a "
        "step, pace and machines are kept; set by an evaluation",
    )

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return merge(PRESETS.get(str(values.get("preset", "default")), {}), values)

    @model_validator(mode="after")
    def _once(self) -> Config:
        if self.trained is not None and self.trained.trained is not None:
            raise ValueError("trained.trained: settings of a training have no training before them; leave it out")
        return self

    def same_machines(self, other: Config) -> bool:
        """Are as many machines taken of the same table by the same seed?"""
        return (self.machines, self.machine_count, self.seed) == (other.machines, other.machine_count, other.seed)

    @property
    def run_slots(self) -> int:
        """Jobs that a machine runs at most at once."""
        if self.machines.run_slots is not None:
            return self.machines.run_slots
        return SYNTHETIC_SLOTS if self.workload.trace is None else NODE_SLOTS

    @property
    def machine_count(self) -> int:
        """M."""
        return self.num_machines or self.num_agents

    @property
    def candidate_count(self) -> int:
        """K, at most M."""
        return self.machine_count if self.everywhere else min(self.candidates, self.machine_count)

    def of_all(self) -> Undescribed:
        """The same, where every machine is a candidate, for rules that look at the cluster itself."""
        return Undescribed.model_validate({**self.model_dump(), "everywhere": True})


class Undescribed(Config):
    """Candidates have no features: of N M of them these would take gigabytes."""

    DESCRIBED: ClassVar[bool] = False
