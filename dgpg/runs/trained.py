"""A run opened for evaluation, perhaps in another setting than it was trained in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from gymnasium.spaces import Box, MultiDiscrete, Space
from pydantic import BaseModel

from dgpg.domain import (
    AnalyticalModel,
    Domain,
    Environment,
    SupportsBlockPotential,
    SupportsFit,
    SupportsTransfer,
    merge,
)
from dgpg.errors import ConfigError, DgpgError, RunError
from dgpg.learning import ChannelConfig, RunConfig, Task
from dgpg.learning.actions import ActionKind, kind_of
from dgpg.learning.algorithms import find
from dgpg.learning.blocks import BlockValue, Correction
from dgpg.learning.parts import make_team
from dgpg.learning.rounds import Channel, Team
from dgpg.runs.building import domain_config, domain_of, load_model, on_device
from dgpg.runs.differences import differences
from dgpg.runs.machine import device_of
from dgpg.runs.record import RunFolder
from dgpg.runs.versions import changed

PERFECT = ChannelConfig()
"""Messages arrive as they were sent, as often as in training."""


@dataclass(frozen=True)
class Trained:
    """A run opened for evaluation, perhaps in another setting than it was trained in."""

    run: RunConfig
    domain: Domain
    config: BaseModel
    model: AnalyticalModel
    team: Team
    untrained: Team
    iteration: int
    value: BlockValue | None = None
    """What was learned of the blocks' costs, as a potential; None where nothing was."""
    elsewhere: tuple[str, ...] = ()
    """Settings of the domain that are others than in training."""
    notes: tuple[str, ...] = ()
    """What a user should know of the run that was opened."""

    @property
    def device(self) -> torch.device:
        """Where the policy is."""
        return next(self.team.actor.parameters()).device


def evaluated_in(domain: Domain, trained: Any, overrides: Mapping[str, Any]) -> Any:
    """The settings `trained` of a run with some changed, features keeping the meaning that they had in the run."""
    wished = _wished(domain, trained, overrides)
    if wished == trained or not isinstance(domain, SupportsTransfer):
        return wished
    return domain.transfer(trained, wished)


def _wished(domain: Domain, trained: Any, overrides: Mapping[str, Any]) -> Any:
    return domain_config(domain, merge(trained.model_dump(mode="json"), overrides))


def _apart(own: BaseModel, wished: BaseModel) -> tuple[str, ...]:
    """Settings that differ; what `transfer` adds to them is no wish of the user's."""
    before, now = (config.model_dump(mode="json") for config in (own, wished))
    return tuple(differences(before, now, between="here"))


def _kind(run: RunConfig, domain: Domain, own: Any, config: Any, env: Environment) -> ActionKind:
    """What the outputs of a run's policy stand for in an environment of `config`: what they did in training.

    Its own settings `own` gave them bounds or a start. Choices have neither; where the number of agents, or of numbers
    an agent, is another, the environment's own are all there is.
    """
    space = env.action_space
    if config != own and not isinstance(space, MultiDiscrete):
        try:
            offered = domain.make_env(own, 1, env.device, 0).action_space
        except DgpgError as error:
            raise RunError(
                "what the policy's outputs stand for is known from the settings it was trained in, and these can no "
                f"longer be built; put back what is missing: {error}"
            ) from None
        space = offered if offered.shape == space.shape else space
    return kind_of(space, run.train.distribution)


def _misfit(domain: Domain, own: Any, env: Environment) -> str:
    """How what agents see and do differs from what it was in the settings `own` of the training; "" if it does not."""
    try:
        before, now = _sizes(domain.make_env(own, 1, env.device, 0)), _sizes(env)
    except DgpgError:
        return ""
    told = ", ".join(f"{before[name]} {name} (now {now[name]})" for name in now if now[name] != before[name])
    return told and f"it was trained with {told}; leave out what changes that, or train with it"


def _sizes(env: Environment) -> dict[str, int]:
    """What a policy's own numbers depend on, by name."""
    seen = env.observation_space.spaces
    features, of_choices, choices = (_last(seen[name]) for name in ("agent", "choices", "mask"))
    return {
        "agents": env.num_agents, "features an agent": features, "choices": choices, "features a choice": of_choices,
        "numbers an action": _last(env.action_space) if isinstance(env.action_space, Box) else 1,
    }  # fmt: skip


def _last(space: Space[Any]) -> int:
    assert space.shape is not None
    return space.shape[-1]


def open_trained(path: Path, overrides: Mapping[str, Any], channel: ChannelConfig = PERFECT) -> Trained:
    """The policy of a run's newest checkpoint.

    Args:
        path: folder of the run.
        overrides: changes of the domain's settings for evaluation.
        channel: how agents speak there.

    Raises:
        RunError: no run there, or one whose policy does not fit the overrides.
    """
    folder, run = RunFolder.open(path)
    domain = domain_of(run, path)
    device = device_of("cuda" if run.device == "cuda" and torch.cuda.is_available() else "cpu")
    state = folder.load(device)
    own = domain_config(domain, run.settings)
    config = evaluated_in(domain, own, overrides)
    model, _ = load_model(run.domain, domain, config, run.model)
    env = domain.make_env(config, 1, device, 0)
    kind = _kind(run, domain, own, config, env)
    task = Task(env, on_device(model, device), on_device(domain.agent_mapping(config), device))
    algorithm, decision = find(run.algorithm), env.reset()
    team, untrained = (make_team(run, algorithm, task, kind, decision) for _ in range(2))
    try:
        team.actor.load_state_dict(state["actor"])
    except (KeyError, RuntimeError, TypeError) as error:
        why = _misfit(domain, own, env) or str(error).splitlines()[-1].strip()
        raise RunError(f"the policy of {path} does not fit these settings: {why}") from None
    if team.rounds is not None:  # an untrained policy hears as the trained one does
        untrained.actor.hearing.load_state_dict(team.actor.hearing.state_dict())
    team, untrained = (_spoken(one, channel) for one in (team, untrained))
    iteration = int(state["counters"]["iteration"])
    if isinstance(task.model, SupportsFit) and state.get("model"):
        _fitted(task.model, state["model"], path)
    value = _block_value(task, state.get("blocks"))
    apart = _apart(own, _wished(domain, own, overrides))
    told = f"measured in other settings than the policy was trained in: {'; '.join(apart)}" if apart else None
    notes = (*folder.notes, *(line for line in (changed(path), told) if line is not None))
    return Trained(run, domain, config, task.model, team, untrained, iteration, value, apart, notes)


def _fitted(model: SupportsFit, state: Mapping[str, Any], path: Path) -> None:
    """What training fitted, which is of the instance that it was fitted to."""
    try:
        model.load_state_dict(state)
    except (KeyError, RuntimeError) as error:
        why = str(error).splitlines()[-1].strip()
        raise RunError(f"the model that {path} fitted does not fit these settings: {why}") from None


def _block_value(task: Task, state: Mapping[str, Any] | None) -> BlockValue | None:
    """The potential that a run learned; blocks of other machines or roads look alike, so it may be another instance."""
    if not state or not isinstance(task.model, SupportsBlockPotential):
        return None
    correction = Correction.like(state["correction"]).to(task.env.device)
    return BlockValue(task.model, task.mapping, correction)


def _spoken(team: Team, channel: ChannelConfig) -> Team:
    """The same agents, with the rounds and the messages that an evaluation asks for."""
    if team.rounds is None:
        if channel != PERFECT:
            raise ConfigError(
                "--set coordination.*: this run was trained without rounds, so its agents cannot hear; leave it out, "
                "or train with --set coordination.rounds=3"
            )
        return team
    count = team.rounds.count if channel.rounds is None else channel.rounds
    wrong = Channel(channel.deaf, channel.noise, channel.late)
    return replace(team, rounds=replace(team.rounds, count=count, channel=None if wrong == Channel() else wrong))
