"""From settings to the parts of a run: resolve every default, build; nothing is written yet."""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from gymnasium import spaces
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from dgpg.domain import (
    AgentMapping,
    AnalyticalModel,
    Domain,
    Environment,
    JointMapping,
    SupportsBlockPotential,
    SupportsDescription,
    SupportsFit,
    SupportsParts,
    SupportsTraining,
    contract,
    random,
    registry,
    validate,
)
from dgpg.errors import ConfigError, DgpgError, PluginError, RunError
from dgpg.learning import CoordinationConfig, RunConfig, Task, TrainConfig
from dgpg.learning.actions import kind_of
from dgpg.learning.algorithms import coordination_config, find, train_config, values_blocks
from dgpg.learning.estimators import Estimator, find_estimator
from dgpg.learning.shards import environments
from dgpg.learning.unused import is_record, refuse_unused, refuse_without_guidance
from dgpg.runs.differences import OPTIONS, option
from dgpg.runs.versions import plugin_of

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
        """What the domain made of its configuration, and what its model cannot do."""
        lines = list(self.domain.describe(self.config)) if isinstance(self.domain, SupportsDescription) else []
        guided, estimator = find(self.run.algorithm).guided, _estimator(self.run.train, self.task.env)
        if guided and estimator.BLOCKS == "wanted" and not isinstance(self.task.model, SupportsBlockPotential):
            lines.append("the model has no block_potential: guidance is first order, whatever train.estimator says")
        return lines


def device_of(name: str) -> torch.device:
    """`auto` is the GPU where there is one; asking for one where there is none is an error.

    Raises:
        ConfigError: an unknown device, or one that is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise ConfigError(f"--device {name}: expected auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: this torch sees no GPU; use --device cpu or auto")
    return torch.device(name)


def resolve(
    domain_name: str,
    values: Mapping[str, Any],
    said: Mapping[str, Any] | None = None,
    held: Callable[[int], range] = range,
) -> Plan:
    """Fill in every default and build the parts.

    Args:
        domain_name: entry point in `dgpg.domains`.
        values: fields of `RunConfig`; `settings` are the domain's own, `train` the trainer's.
        said: those of `values` that somebody said, which must have an effect; all of them by default, or none where
            they are the record of a run, with every field.
        held: which of so many shards this process holds; all by default.

    Raises:
        ConfigError: a setting is wrong, or has no effect on this run.
    """
    values = {"algorithm": "dg-pg", "device": "auto"} | {k: v for k, v in values.items() if v is not None}
    validate(RunConfig, {**values, "domain": domain_name, "device": "cpu"}, "")
    domain = registry.load_domain(domain_name)
    algorithm = find(values["algorithm"])
    if said is None:
        said = {} if is_record({"model": None, **values, "domain": domain_name}) else values
    refuse_without_guidance(algorithm, said)
    config = domain_config(domain, values.get("settings", {}))
    settings = _stored(config)
    device = device_of(values["device"])
    model, name = load_model(domain_name, domain, config, values.get("model"))
    probe = domain.make_env(config, 1, device, 0)
    contract.look_at_environment(probe)
    tuned = domain.training(algorithm.name) if isinstance(domain, SupportsTraining) else {}
    coordination = coordination_config(algorithm, values.get("coordination", {}))
    told, asked = tuned.get("train", {}), values.get("train", {})
    valued, choosing = values_blocks(probe, model), isinstance(probe.action_space, spaces.MultiDiscrete)
    train = train_config(algorithm, told, asked, probe.action_space, coordination.rounds, valued)
    _refuse_without_blocks(train, probe, model)
    refuse_unused(algorithm, train, coordination, _estimator(train, probe), valued, choosing, said)
    num_envs = values.get("num_envs") or tuned.get("num_envs") or (8 if probe.num_agents < MANY_AGENTS else 2)
    _refuse_shards(train.shards, int(num_envs), name, algorithm.guided and isinstance(model, SupportsFit))
    train = _with_threads(train, probe.num_agents * int(num_envs), said.get("train", {}).get("threads"))
    chosen = {**tuned, **values}
    fields = {key: chosen[key] for key in ("iterations", "seed") if key in chosen}
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
            "coordination": coordination.model_dump(),
            "settings": settings,
        },
        "",
    )
    return Plan(run, domain, config, make_task(run, domain, config, model, held(train.shards)))


def _refuse_shards(shards: int, num_envs: int, model: str | None, fitted: bool) -> None:
    if shards > num_envs:
        raise ConfigError(f"train.shards = {shards}: there are {num_envs} environments to put in them; give fewer")
    if shards > 1 and fitted:
        named = model or "of the domain"
        raise ConfigError(f"train.shards = {shards}: model {named} is fitted to all environments at once; leave it out")


def _estimator(train: TrainConfig, env: Environment) -> type[Estimator]:
    return find_estimator(kind_of(env.action_space, train.distribution), str(train.estimator))


def _refuse_without_blocks(train: TrainConfig, env: Environment, model: AnalyticalModel) -> None:
    if _estimator(train, env).BLOCKS == "needed" and not isinstance(model, SupportsBlockPotential):
        raise ConfigError(
            f"train.estimator = {train.estimator}: the model has no block_potential, so what an agent's own "
            "action did cannot be taken out exactly; use potential_based, or a model that is a sum over blocks"
        )


def _with_threads(train: TrainConfig, rows: int, said: int | None) -> TrainConfig:
    """As many as agents in all environments keep busy, unless the user says; no more than there are cores.

    Shards are for several processes, each of which has a core: numbers may depend on threads, so there is one.
    """
    lent = cores()
    if said is not None and train.threads is not None and train.threads > lent:
        raise ConfigError(f"train.threads = {train.threads}: this machine lends {lent} cores; give at most that")
    if train.threads is not None:
        return train
    return train.model_copy(update={"threads": 1 if rows < SMALL or train.shards > 1 else min(2, lent)})


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def probe(domain_name: str, values: Mapping[str, Any], rows: int, seed: int) -> Plan:
    """What would be trained, its task in as many environments as make about `rows` agents, 4 to 48."""
    plan = resolve(domain_name, values)
    torch.set_num_threads(plan.run.train.threads or 1)
    keep_memory()
    count = min(max(rows // plan.task.env.num_agents, 4), 48)
    env = plan.domain.make_env(plan.config, count, plan.task.env.device, random.derive(seed, "probe"))
    return replace(plan, task=replace(plan.task, env=env, more=()))


def domain_of(run: RunConfig, path: Path) -> Domain:
    """The domain of the run in a folder; RunError with the plugin's name where it is not installed any more."""
    plugin = plugin_of(path)
    if plugin is not None and run.domain not in registry.find(registry.DOMAINS):
        raise RunError(
            f"{path}: its domain '{run.domain}' came from {plugin}, which is not installed; install it again"
        )
    return registry.load_domain(run.domain)


def domain_config(domain: Domain, settings: Mapping[str, Any]) -> Any:
    """The domain's configuration; what is an option, or a setting of the trainer, is told apart from a wrong name.

    Raises:
        ConfigError: naming the field.
    """
    for name in settings:
        if name in domain.Config.model_fields:
            continue
        if name in OPTIONS:
            raise ConfigError(f"--set {name}=...: not a setting of the domain; training has an option {option(name)}")
        for table, model in (("train", TrainConfig), ("coordination", CoordinationConfig)):
            if name in model.model_fields:
                raise ConfigError(f"--set {name}...: not a setting of the domain; training has --set {table}.{name}")
    return validate(domain.Config, settings, "")


def load_model(
    domain_name: str, domain: Domain, config: BaseModel, name: str | None
) -> tuple[AnalyticalModel, str | None]:
    """The named analytical model, or the domain's own and the name it goes by.

    A model that has a name is found by it, at the start of a run as when it goes on.

    Raises:
        ConfigError: the model is for another domain.
        PluginError: it is not registered.
    """
    if name is None:
        name = _own_name(domain_name, domain)
    if name is None:
        return domain.analytical_model(config), None
    name = registry.full_name(domain_name, name)
    if name.partition(".")[0] != domain_name:
        valid = ", ".join(registry.models_of(domain_name)) or "none"
        raise ConfigError(f"--model {name} is for another domain; models for {domain_name}: {valid}")
    return registry.load_model(name, config), name


def _own_name(domain_name: str, domain: Domain) -> str | None:
    """Under which name a run would look for the domain's own model when it goes on."""
    name: str | None = getattr(domain, "default_model", None)
    known = registry.models_of(domain_name)
    if name is not None and name not in known:
        raise PluginError(
            f"domain '{domain_name}' calls its own model {name!r} (default_model), and none of that name is registered "
            f"in {registry.MODELS}, so no run could go on or be evaluated; registered: {', '.join(known) or 'none'}. "
            "Correct the name, register the model, or leave default_model out"
        )
    return name


def _stored(config: BaseModel) -> dict[str, Any]:
    """Settings as config.json holds them, from which a run goes on and is evaluated.

    Raises:
        PluginError: they would be read back as others, or not at all.
    """
    try:
        stored: dict[str, Any] = json.loads(json.dumps(config.model_dump(mode="json")))
        again = validate(type(config), stored, "")
        changed = [name for name in type(config).model_fields if getattr(again, name) != getattr(config, name)]
    except (DgpgError, PydanticSerializationError, TypeError, ValueError) as error:
        changed = [str(error)]
    if changed:
        raise PluginError(
            f"settings of the domain are others once written to config.json and read again ({', '.join(changed)}), so "
            "no run could go on or be evaluated: let fields be numbers, texts, lists and tables, and validators change "
            "nothing twice, nor a default"
        )
    return stored


def on_device(part: Part, device: torch.device) -> Part:
    """Modules move; plain objects are expected to follow the tensors they are given."""
    return part.to(device) if isinstance(part, torch.nn.Module) else part


def make_task(run: RunConfig, domain: Domain, config: BaseModel, model: AnalyticalModel, mine: range) -> Task:
    """What there is to learn, with environments of some shards, in which nothing has happened yet."""
    device, seed = torch.device(run.device), random.derive(run.seed, "train")
    parts = [environments(shard, run.train.shards, run.num_envs) for shard in mine]

    def made(part: range) -> Environment:
        return domain.make_env(config, len(part), device, seed + part.start)

    env, more = made(parts[0]), parts[1:]
    if more and isinstance(env, SupportsParts):
        env, more = made(range(parts[0].start, parts[-1].stop)), []
    mapping: AgentMapping | JointMapping = domain.agent_mapping(config)
    return Task(env, on_device(model, device), on_device(mapping, device), tuple(map(made, more)))


def keep_memory() -> None:
    """Tell glibc's allocator to keep large blocks: fresh pages for every tensor cost a quarter of time."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mmap_threshold, trim_threshold = -3, -1  # names in malloc.h
        mallopt(mmap_threshold, 2**30)
        mallopt(trim_threshold, 2**31 - 1)
