"""A policy in other settings than its run's: the domain says what features keep, outputs mean the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from gymnasium import spaces
from pydantic import Field

from dgpg.domain import Decision, SupportsTransfer, registry
from dgpg.errors import DataError, RunError
from dgpg.measuring import evaluate
from dgpg.runs import launch, open_trained, training
from dgpg.runs.trained import evaluated_in

from .. import toy, toy_box, toy_simplex

AHEAD, BEHIND = (1.0, 0.0, -1.0), (-1.0, 0.0, 1.0)


class Alike(toy_simplex.Env):
    """Agents see their demand alone, so that a policy fits any number of them."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        agent = spaces.Box(0, toy_simplex.TOTAL, (self.num_agents, 1))
        self.observation_space = spaces.Dict({**self.observation_space.spaces, "agent": agent})

    def _decide(self) -> Decision:
        decision = super()._decide()
        seen = decision.observation
        return replace(decision, observation=replace(seen, agent=seen.agent[..., -1:]))


class Config(toy_simplex.Config):
    start: tuple[float, float, float] = Field(AHEAD, description="logits that policies start at")
    agents: int = Field(4, ge=1, description="number of agents")
    trained: tuple[float, float, float] | None = Field(None, description="start in training")


class Plain(toy_simplex.Domain):
    Config = Config
    missing: tuple[float, float, float] | None = None
    """Where starts are that can no longer be read."""

    def make_env(self, config: Any, num_envs: int, device: torch.device, seed: int) -> Alike:
        if config.start == self.missing:
            raise DataError("links.csv: no such file")
        return Alike(num_envs, seed, config.horizon, config.still, config.agents, config.start)


class Keeping(Plain):
    def transfer(self, trained: Any, wished: Any) -> Any:
        return wished.model_copy(update={"trained": trained.start})


@pytest.fixture
def run_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """The folder of a run of a domain that nobody has installed, before its first iteration."""

    def make(domain: Any, **settings: Any) -> Path:
        monkeypatch.setattr(registry, "load_domain", lambda name: domain)
        train = {"minibatches": 1, "actor_hidden": 8, "critic_hidden": 8}
        values = {"num_envs": 2, "device": "cpu", "settings": settings, "train": train}
        training.start(launch.resolve("toy", values), tmp_path / "r")
        return tmp_path / "r"

    return make


def test_only_changed_settings_are_transferred() -> None:
    domain, own = Keeping(), Config(horizon=5)
    assert isinstance(domain, SupportsTransfer) and not isinstance(Plain(), SupportsTransfer)
    assert evaluated_in(domain, own, {}) == own == evaluated_in(domain, own, {"horizon": 5})
    assert evaluated_in(domain, own, {"start": BEHIND}) == Config(horizon=5, start=BEHIND, trained=AHEAD)
    assert evaluated_in(Plain(), own, {"start": BEHIND}) == Config(horizon=5, start=BEHIND)


def test_an_evaluation_takes_the_transferred_settings(run_of: Callable[..., Path]) -> None:
    run = run_of(Keeping())
    assert open_trained(run, {}).config == Config()
    assert open_trained(run, {"horizon": 2}).config == Config(horizon=2, trained=AHEAD)


def test_splits_start_where_they_did_in_training(run_of: Callable[..., Path]) -> None:
    """The same policy sees the same moment: it must split alike wherever another instance would start."""
    run = run_of(Plain(), still=True)
    splits = []
    for changes in ({}, {"start": BEHIND}):
        trained = open_trained(run, changes)
        assert trained.config.start == changes.get("start", AHEAD)
        decision = trained.domain.make_env(trained.config, 2, trained.device, 0).reset()
        policy = evaluate.policies(trained)[trained.run.algorithm]
        splits.append(policy.act(decision, torch.full((2, 4, 3), 0.5)))
    torch.testing.assert_close(splits[1], splits[0], rtol=0, atol=0)
    assert (splits[0][..., 0] > splits[0][..., 2]).all()


def test_another_number_of_agents_starts_where_its_own_environment_says(run_of: Callable[..., Path]) -> None:
    kind: Any = open_trained(run_of(Plain()), {"agents": 6, "start": BEHIND}).team.kind
    assert kind.start.tolist() == [list(BEHIND)] * 6


def test_numbers_keep_to_the_bounds_of_training(run_of: Callable[..., Path]) -> None:
    class Longer(toy_box.Domain):
        def make_env(self, config: Any, num_envs: int, device: torch.device, seed: int) -> toy_box.Env:
            env = super().make_env(config, num_envs, device, seed)
            low, high = env.action_space.low, env.action_space.high
            env.action_space = spaces.Box(low, config.horizon * high)
            return env

    kind: Any = open_trained(run_of(Longer(), horizon=2), {"horizon": 9}).team.kind
    torch.testing.assert_close(kind.high, 2 * torch.tensor(toy_box.HIGH).float())


def test_training_that_can_no_longer_be_built_is_said_to_be_why(run_of: Callable[..., Path]) -> None:
    domain = Plain()
    run = run_of(domain)
    domain.missing = AHEAD
    with pytest.raises(RunError, match=r"settings it was trained in, .* put back what is missing: links\.csv: no such"):
        open_trained(run, {"start": BEHIND})


def test_choices_need_nothing_of_training(run_of: Callable[..., Path]) -> None:
    """A trace may be gone: what agents may choose is all in the environment that is evaluated."""
    asked: list[int] = []

    class Watched(toy.Domain):
        def make_env(self, config: Any, *args: Any) -> toy.Env:
            asked.append(config.horizon)
            return super().make_env(config, *args)

    run = run_of(Watched(), horizon=3)
    asked.clear()
    assert open_trained(run, {"horizon": 4}).config.horizon == 4
    assert asked == [4]
