"""What a run is built of: a domain found by its name, its configuration, its model, its environments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from dgpg.domain import (
    AgentMapping,
    AnalyticalModel,
    Domain,
    Environment,
    JointMapping,
    SupportsParts,
    random,
    registry,
    validate,
)
from dgpg.errors import ConfigError, DgpgError, PluginError, RunError
from dgpg.learning import CoordinationConfig, RunConfig, Task, TrainConfig
from dgpg.learning.shards import environments
from dgpg.runs.differences import OPTIONS, option
from dgpg.runs.versions import plugin_of

Part = TypeVar("Part")


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


def stored(config: BaseModel) -> dict[str, Any]:
    """Settings as config.json holds them, from which a run goes on and is evaluated.

    Raises:
        PluginError: they would be read back as others, or not at all.
    """
    try:
        kept: dict[str, Any] = json.loads(json.dumps(config.model_dump(mode="json")))
        again = validate(type(config), kept, "")
        changed = [name for name in type(config).model_fields if getattr(again, name) != getattr(config, name)]
    except (DgpgError, PydanticSerializationError, TypeError, ValueError) as error:
        changed = [str(error)]
    if changed:
        raise PluginError(
            f"settings of the domain are others once written to config.json and read again ({', '.join(changed)}), so "
            "no run could go on or be evaluated: let fields be numbers, texts, lists and tables, and validators change "
            "nothing twice, nor a default"
        )
    return kept


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
