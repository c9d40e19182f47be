"""From settings to the parts of a run: resolve every default, build; nothing is written yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from gymnasium import spaces
from pydantic import BaseModel

from dgpg.domain import (
    AnalyticalModel,
    Domain,
    Environment,
    SupportsBlockPotential,
    SupportsDescription,
    SupportsFit,
    SupportsTraining,
    contract,
    random,
    registry,
    validate,
)
from dgpg.errors import ConfigError
from dgpg.learning import CoordinationConfig, RunConfig, Task, TrainConfig
from dgpg.learning.actions import kind_of
from dgpg.learning.algorithms import Algorithm, coordination_config, find, train_config
from dgpg.learning.estimators import Estimator, find_estimator
from dgpg.learning.parts import values_blocks
from dgpg.learning.unused import is_record, refuse_unused, refuse_without_guidance
from dgpg.runs.building import domain_config, load_model, make_task, stored
from dgpg.runs.machine import device_of, keep_memory, with_threads

MANY_AGENTS = 1000
"""From here on two environments fill an iteration with as much data as eight do below."""


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
    settings = stored(config)
    device = device_of(values["device"])
    model, name = load_model(domain_name, domain, config, values.get("model"))
    env = domain.make_env(config, 1, device, 0)
    contract.look_at_environment(env)
    tuned = domain.training(algorithm.name) if isinstance(domain, SupportsTraining) else {}
    train, coordination = _training(algorithm, tuned, values, said, env, model)
    num_envs = values.get("num_envs") or tuned.get("num_envs") or (8 if env.num_agents < MANY_AGENTS else 2)
    _refuse_shards(train.shards, int(num_envs), name, algorithm.guided and isinstance(model, SupportsFit))
    train = with_threads(train, env.num_agents * int(num_envs), said.get("train", {}).get("threads"))
    chosen = {key: one for key, one in {**tuned, **values}.items() if key in ("iterations", "seed")}
    made = {"domain": domain_name, "algorithm": algorithm.name, "model": name, "num_envs": num_envs}
    parts = {"train": train.model_dump(), "coordination": coordination.model_dump(), "settings": settings}
    run = validate(RunConfig, chosen | made | {"device": device.type} | parts, "")
    return Plan(run, domain, config, make_task(run, domain, config, model, held(train.shards)))


def _training(
    algorithm: Algorithm, tuned: Mapping[str, Any], values: Mapping[str, Any], said: Mapping[str, Any],
    env: Environment, model: AnalyticalModel,
) -> tuple[TrainConfig, CoordinationConfig]:  # fmt: skip
    """Every setting of the trainer and of rounds; what somebody said has an effect."""
    coordination = coordination_config(algorithm, values.get("coordination", {}))
    valued, choosing = values_blocks(env, model), isinstance(env.action_space, spaces.MultiDiscrete)
    asked, space = values.get("train", {}), env.action_space
    train = train_config(algorithm, tuned.get("train", {}), asked, space, coordination.rounds, valued)
    _refuse_without_blocks(train, env, model)
    refuse_unused(algorithm, train, coordination, _estimator(train, env), valued, choosing, said)
    return train, coordination


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


def probe(domain_name: str, values: Mapping[str, Any], rows: int, seed: int) -> Plan:
    """What would be trained, its task in as many environments as make about `rows` agents, 4 to 48."""
    plan = resolve(domain_name, values)
    torch.set_num_threads(plan.run.train.threads or 1)
    keep_memory()
    count = min(max(rows // plan.task.env.num_agents, 4), 48)
    env = plan.domain.make_env(plan.config, count, plan.task.env.device, random.derive(seed, "probe"))
    return replace(plan, task=replace(plan.task, env=env, more=()))
