"""The file of a sweep: settings of all its runs, as `dgpg train --config` reads them, and a table `sweep`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from dgpg.domain import Settings, merge, registry, validate
from dgpg.errors import ConfigError, DgpgError, unknown
from dgpg.learning import RunConfig
from dgpg.learning.algorithms import find
from dgpg.runs import building
from dgpg.runs.overrides import read_file

OPTIONS = ("algorithm", "iterations", "num_envs", "device", "model")
"""Names that stand for what `dgpg train` has an option for; `settings.model` is a domain's."""
Varied = Mapping[str, Any]
"""Settings by their names, as `--set` has them, or an option's."""


class Range(Settings):
    """Numbers that a search draws from; whole ones where both ends are."""

    low: int | float
    high: int | float
    log: bool = Field(False, description="by their logarithm")

    @model_validator(mode="after")
    def _in_order(self) -> Range:
        if not self.low < self.high:
            raise ValueError(f"low = {self.low} is not below high = {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"log = true needs low above 0, got {self.low}")
        return self


class Sweep(Settings):
    """What varies between the runs."""

    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1, description="of each candidate's runs")
    episodes: int = Field(32, ge=2, le=100_000, description="in which the policy is measured after training")
    arrivals: int = Field(1, ge=0, lt=2**48, description="seed of these episodes; the same for all runs")
    grid: dict[str, tuple[Any, ...]] = Field(default_factory=dict, description="values by setting: every combination")
    search: dict[str, Range | tuple[Any, ...]] = Field(
        default_factory=dict, description="values or ranges by setting, from which --search draws, in each combination"
    )

    @model_validator(mode="after")
    def _something(self) -> Sweep:
        for name in self.grid.keys() & self.search.keys():
            raise ValueError(f"'{name}' is in grid and in search; leave one of them out")
        for name, values in [*self.grid.items(), *self.search.items()]:
            if isinstance(values, tuple) and not values:
                raise ValueError(f"'{name}' has no values")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds = {list(self.seeds)}: one is there twice")
        return self


@dataclass(frozen=True)
class Asked:
    """A sweep's file."""

    base: dict[str, Any]
    """What all runs have in common, in the shape of `RunConfig`."""
    sweep: Sweep

    @property
    def domain(self) -> str:
        """Its entry point."""
        return str(self.base["domain"])

    def combinations(self) -> Iterator[dict[str, Any]]:
        """Every combination of the grid, one without anything if there is none."""
        names = list(self.sweep.grid)
        for values in itertools.product(*self.sweep.grid.values()):
            yield dict(zip(names, values, strict=True))

    def values(self, varied: Varied) -> dict[str, Any]:
        """Settings of a run, in the shape of `RunConfig`."""
        found = self.base
        for name, value in varied.items():
            found = merge(found, _nested(_path(name), value))
        return found


def read(path: Path) -> Asked:
    """The file of a sweep, every name and value in it looked at.

    Raises:
        ConfigError: it is not one; says which name or value, and what was expected.
    """
    values = read_file(path, "")
    table = values.pop("sweep", None)
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: expected a table 'sweep' with seeds, grid or search; see docs/sweeps.md")
    if "seed" in values:
        raise ConfigError(f"{path}: seed = {values['seed']!r} is of one run; give sweep.seeds")
    if not isinstance(values.get("domain"), str):
        installed = ", ".join(registry.find(registry.DOMAINS)) or "none"
        raise ConfigError(f"{path}: domain: required, the name of one of those installed: {installed}")
    known = {"domain", *OPTIONS, "settings", "train", "coordination"}
    for key in values:
        if key not in known:
            raise ConfigError(f"{path}: {unknown('field', key, known)}")
    asked = Asked(values, validate(Sweep, table, f"{path}: sweep"))
    _look(asked, path)
    return asked


def _look(asked: Asked, path: Path) -> None:
    """At each value once, beside the first ones of all others."""
    try:
        domain = registry.load_domain(asked.domain)
    except DgpgError as error:
        raise ConfigError(f"{path}: {error}") from None
    usual = next(asked.combinations()) | {name: _some(values)[0] for name, values in asked.sweep.search.items()}
    spaces = {**asked.sweep.grid, **asked.sweep.search}
    every = [usual, *({**usual, name: value} for name, values in spaces.items() for value in _some(values))]
    for varied in every:
        values = {"algorithm": "dg-pg", **asked.values(varied)}
        try:
            find(values["algorithm"])
            validate(RunConfig, values, "")
            building.domain_config(domain, values.get("settings", {}))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None


def _some(values: Range | Sequence[Any]) -> Sequence[Any]:
    return (values.low, values.high) if isinstance(values, Range) else values


def _path(name: str) -> list[str]:
    """Where in `RunConfig` a setting is that a grid names as `--set` does."""
    first, *more = name.split(".")
    if (not more and first in OPTIONS) or (more and first in ("train", "coordination", "settings")):
        return [first, *more]
    return ["settings", first, *more]


def _nested(path: Sequence[str], value: Any) -> dict[str, Any]:
    return {path[0]: _nested(path[1:], value) if len(path) > 1 else value}
