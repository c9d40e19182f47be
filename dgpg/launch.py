"""From settings to a run and back: resolve, build, train, resume, open for evaluation."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel

from dgpg import random, registry
from dgpg.actions import kind_of
from dgpg.algorithms import find, train_config
from dgpg.config import RunConfig, merge, validate
from dgpg.errors import ConfigError, DivergenceError, RunError
from dgpg.networks import ScoringActor
from dgpg.protocols import AgentMapping, AnalyticalModel, Domain, SupportsDescription
from dgpg.record import RunFolder
from dgpg.train import Metrics, Task, Trainer, make_actor

Part = TypeVar("Part")
MANY_AGENTS = 1000
"""From here on two environments fill an iteration with as much data as eight do below."""
SMALL = 800
"""Agents times environments below which a second thread costs more than it brings."""


@dataclass(frozen=True)
class Plan:
    """A validated run: nothing has been written yet."""

    run: RunConfig
    domain: Domain
    config: BaseModel
    task: Task

    @property
    def description(self) -> list[str]:
        """What the domain made of its configuration."""
        return list(self.domain.describe(self.config)) if isinstance(self.domain, SupportsDescription) else []


def device_of(name: str) -> torch.device:
    """`auto` is the GPU where there is one; asking for one where there is none is an error."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise ConfigError(f"--device {name}: expected auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: this torch sees no GPU; use --device cpu or auto")
    return torch.device(name)


def resolve(domain_name: str, values: Mapping[str, Any]) -> Plan:
    """Fill in every default and build the parts.

    Args:
        domain_name: entry point in `dgpg.domains`.
        values: fields of `RunConfig`; `settings` are the domain's own, `train` the trainer's.
    """
    domain = registry.load_domain(domain_name)
    algorithm = find(str(values.get("algorithm", "dg-pg")))
    config = validate(domain.Config, values.get("settings", {}), "")
    device = device_of(str(values.get("device", "auto")))
    model, name = load_model(domain_name, domain, config, values.get("model"))
    probe = domain.make_env(config, 1, device, 0)
    train = train_config(algorithm, values.get("train", {}), kind_of(probe.action_space).ESTIMATORS)
    num_envs = values.get("num_envs") or (8 if probe.num_agents < MANY_AGENTS else 2)
    if train.threads is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        threads = 1 if probe.num_agents * int(num_envs) < SMALL else min(2, cores)
        train = train.model_copy(update={"threads": threads})
    fields = {key: values[key] for key in ("iterations", "seed") if values.get(key) is not None}
    run = validate(
        RunConfig,
        {
            **fields,
            "domain": domain_name,
            "algorithm": algorithm.name,
            "model": name,
            "num_envs": num_envs,
            "device": device.type,
            "train": train.model_dump(),
            "settings": config.model_dump(mode="json"),
        },
        "",
    )
    return Plan(run, domain, config, _task(run, domain, config, model))


def load_model(
    domain_name: str, domain: Domain, config: BaseModel, name: str | None
) -> tuple[AnalyticalModel, str | None]:
    """The named analytical model, or the domain's own and the name it goes by."""
    if name is None:
        return domain.analytical_model(config), getattr(domain, "default_model", None)
    if "." not in name:
        name = f"{domain_name}.{name}"
    if name.partition(".")[0] != domain_name:
        valid = ", ".join(registry.models_of(domain_name)) or "none"
        raise ConfigError(f"--model {name} is for another domain; models for {domain_name}: {valid}")
    return registry.load_model(name, config), name


def on_device(part: Part, device: torch.device) -> Part:
    """Modules move; plain objects are expected to follow the tensors they are given."""
    return part.to(device) if isinstance(part, torch.nn.Module) else part


def _task(run: RunConfig, domain: Domain, config: BaseModel, model: AnalyticalModel) -> Task:
    device = torch.device(run.device)
    env = domain.make_env(config, run.num_envs, device, random.derive(run.seed, "train"))
    mapping: AgentMapping = domain.agent_mapping(config)
    return Task(env, on_device(model, device), on_device(mapping, device))


def start(plan: Plan, path: Path, plugin: str | None = None) -> tuple[Trainer, RunFolder]:
    """A new run folder and its trainer, checkpointed before the first iteration."""
    trainer = Trainer(plan.run, find(plan.run.algorithm), plan.task)
    folder = RunFolder.create(path, plan.run, plugin)
    folder.save(0, trainer.state_dict())
    return trainer, folder


def resume(path: Path, asked: Mapping[str, Any]) -> tuple[Plan, Trainer, RunFolder]:
    """The run in a folder, where its last complete checkpoint left it.

    Args:
        path: the run folder.
        asked: settings given beside --resume; any that differs from the run's is refused.
    """
    folder, run = RunFolder.open(path)
    differing = _differences(asked, run.model_dump(mode="json"))
    if differing:
        raise RunError(
            f"{path} was started with other settings: {'; '.join(differing)}. "
            "Resume without them, or start a new run with another --out"
        )
    plan = resolve(run.domain, run.model_dump(mode="json"))
    trainer = Trainer(plan.run, find(run.algorithm), plan.task)
    trainer.load_state_dict(folder.load(torch.device(run.device)))
    return plan, trainer, folder


def _differences(asked: Mapping[str, Any], stored: Mapping[str, Any], where: str = "") -> list[str]:
    found = []
    for key, value in asked.items():
        name = f"{where}{key}"
        if isinstance(value, Mapping) and isinstance(stored.get(key), Mapping):
            found += _differences(value, stored[key], f"{name}.")
        elif value is not None and value != stored.get(key):
            found.append(f"{name} is {stored.get(key)!r}, asked for {value!r}")
    return found


def train(
    trainer: Trainer, folder: RunFolder, stop_after: int | None, report: Callable[[Metrics], None]
) -> None:
    """Iterate to the total, or `stop_after` iterations from here; log each, checkpoint regularly."""
    run = trainer.config
    torch.set_num_threads(run.train.threads or 1)
    folder.start_log(trainer.iteration)
    last = run.iterations if stop_after is None else min(run.iterations, trainer.iteration + stop_after)
    try:
        while trainer.iteration < last:
            metrics = trainer.iterate()
            if trainer.iteration % run.train.checkpoint_every == 0 or trainer.iteration == last:
                folder.save(trainer.iteration, trainer.state_dict())
            folder.log(metrics)
            report(metrics)
    except DivergenceError as error:
        raise DivergenceError(
            f"{error}. The last good checkpoint is kept in {folder.checkpoints}; try a lower train.actor_lr"
        ) from None
    finally:
        folder.close()


@dataclass(frozen=True)
class Trained:
    """A run opened for evaluation, perhaps in another setting than it was trained in."""

    run: RunConfig
    domain: Domain
    config: BaseModel
    model: AnalyticalModel
    actor: ScoringActor
    untrained: ScoringActor
    iteration: int


def open_trained(path: Path, overrides: Mapping[str, Any]) -> Trained:
    """The policy of a run's newest checkpoint; `overrides` change the domain's settings for evaluation."""
    folder, run = RunFolder.open(path)
    domain = registry.load_domain(run.domain)
    config = validate(domain.Config, merge(run.settings, overrides), "")
    device = device_of("cuda" if run.device == "cuda" and torch.cuda.is_available() else "cpu")
    model, _ = load_model(run.domain, domain, config, run.model)
    env = domain.make_env(config, 1, device, 0)
    state = folder.load(device)
    actor = make_actor(env, run.train.actor_hidden, run.seed)
    untrained = make_actor(env, run.train.actor_hidden, run.seed)
    try:
        actor.load_state_dict(state["actor"])
    except (KeyError, RuntimeError) as error:
        raise RunError(f"the policy of {path} does not fit these settings: {str(error).splitlines()[-1]}") from None
    iteration = int(state["counters"]["iteration"])
    return Trained(run, domain, config, on_device(model, device), actor, untrained, iteration)

