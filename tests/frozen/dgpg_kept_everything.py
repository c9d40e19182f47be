"""Every optional member of a domain and of a model, as they were in api_version 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from dgpg_kept_continuous import domain as numbers
from dgpg_kept_continuous.config import Config as NumbersConfig
from dgpg_kept_continuous.model import capacity
from dgpg_kept_discrete import domain as choices
from dgpg_kept_discrete.config import Config as ChoicesConfig
from dgpg_kept_discrete.env import service
from torch import Tensor

from dgpg.domain import Baseline, Context, Decision, DistanceModel, Information, Policy, Role


class Oracle:
    """A rule of role `oracle`, that keeps a configuration of its own, in the older form with a place for messages."""

    name = "in-turn"
    information: Information = "more"
    role: Role = "oracle"

    def __init__(self, config: ChoicesConfig) -> None:
        self.config = config

    def act(self, decision: Decision, noise: Tensor, coordination: Tensor | None = None) -> Tensor:
        """One client after the other."""
        work, speed = decision.context["backlog"].clone(), service(self.config)
        actions = torch.zeros(noise.shape, dtype=torch.int64)
        for i in range(noise.shape[1]):
            size = decision.context["size"][:, i : i + 1]
            actions[:, i] = ((2 * work + size) / speed).argmin(-1)
            work.scatter_add_(1, actions[:, i : i + 1], size)
        return actions


class Even(DistanceModel):
    """Distance to work in proportion to speed, with every optional member of a model."""

    def __init__(self, config: ChoicesConfig) -> None:
        super().__init__()
        self.speed = service(config)

    def reference(self, context: Context) -> Tensor:
        """x~."""
        total = context["backlog"].sum(-1) + context["size"].sum(-1)
        return (total.unsqueeze(-1) * self.speed / self.speed.sum()).unsqueeze(-1)

    def weight(self) -> Tensor:
        """W."""
        return (1 / self.speed).unsqueeze(-1)

    def conserved(self, state: Tensor, context: Context) -> Tensor:
        """Total work."""
        return state.sum(1)


class Discrete(choices.KeptDiscreteDomain):
    """Choices."""

    default_model = "kept-discrete.waiting"
    deterministic = False
    views: Sequence[str] = ()

    def baselines(self, config: ChoicesConfig) -> Sequence[Baseline]:
        """And an oracle."""
        return [*super().baselines(config), Oracle(config)]

    def describe(self, config: ChoicesConfig) -> Sequence[str]:
        """A line."""
        return [f"{config.num_agents} clients"]

    def transfer(self, trained: ChoicesConfig, wished: ChoicesConfig) -> ChoicesConfig:
        """Nothing is kept."""
        return wished

    def judge(
        self, config: ChoicesConfig, policies: Mapping[str, Policy], episodes: int, seed: int
    ) -> Sequence[Mapping[str, float | str]]:
        """Names and a number."""
        return [{"name": name, "judged_s": 1.0} for name in policies]

    def figures(self, config: ChoicesConfig, policies: Mapping[str, Policy], folder: Path, seed: int) -> Sequence[Path]:
        """A file."""
        path = folder / "kept.svg"
        path.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
        return [path]

    def calibrate(
        self, config: ChoicesConfig, data: Path, out: Path | None, iterations: int
    ) -> Sequence[Mapping[str, float | str]]:
        """A row."""
        return [{"parameter": "speed", "unit": "", "start": 1.0, "fitted": 2.0, "note": ""}]


class Continuous(numbers.KeptContinuousDomain):
    """Numbers."""

    default_model = "kept-continuous.pumping"

    def describe(self, config: NumbersConfig) -> Sequence[str]:
        """A line."""
        return [f"{float(capacity(config).sum()):g} in all"]


discrete, continuous = Discrete(), Continuous()


def model(config: Any) -> Even:
    """By a function, too."""
    return Even(config)
