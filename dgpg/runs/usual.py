"""What a run's settings would be if nobody had said anything of its training."""

from __future__ import annotations

from typing import Any

from dgpg.domain import registry, validate
from dgpg.learning import RunConfig
from dgpg.learning.algorithms import coordination_config, find
from dgpg.runs.launch import resolve


def usual(run: RunConfig) -> dict[str, Any]:
    """Defaults in the shape of `RunConfig`: the domain's, and those of training for this system, model and rounds.

    Builds the run's instance.

    Raises:
        ConfigError: settings that the domain no longer knows.
    """
    asked: dict[str, Any] = {"algorithm": run.algorithm, "settings": run.settings, "device": run.device}
    if run.coordination.rounds:
        asked["coordination"] = {"rounds": run.coordination.rounds}
    if find(run.algorithm).guided or run.coordination.rounds:  # the others refuse a model
        asked["model"] = run.model
    found = resolve(run.domain, asked).run.model_dump(mode="json")
    domain = registry.load_domain(run.domain)
    silent = coordination_config(find(run.algorithm), {})
    return found | {
        "model": getattr(domain, "default_model", None),
        "settings": validate(domain.Config, {}, "").model_dump(mode="json"),
        "coordination": silent.model_dump(mode="json"),
    }
