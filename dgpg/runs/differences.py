"""What differs between the settings of two runs, named as on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from dgpg.domain import merge, registry, validate
from dgpg.learning import RunConfig

OPTIONS = ("algorithm", "iterations", "num_envs", "seed", "device", "model")
"""Fields of `RunConfig` that have an option of their own."""

FAR = 100.0
"""Times a default from which on a number is far from it."""


def changes(run: RunConfig, asked: Mapping[str, Any]) -> list[str]:
    """What `asked` would change in a run; asking for what it has, in other words, changes nothing."""
    name = asked.get("domain", run.domain)
    if name != run.domain:
        return [f"the domain is {run.domain!r}, asked for {name!r}"]
    config = registry.load_domain(name).Config
    wish = merge(run.model_dump(mode="json"), {k: v for k, v in asked.items() if v is not None})
    if wish["device"] == "auto":
        wish["device"] = run.device
    if isinstance(wish["model"], str):
        wish["model"] = registry.full_name(name, wish["model"])
    wished = validate(RunConfig, wish, "")
    return differences(_with_defaults(run, config), _with_defaults(wished, config))


def _with_defaults(run: RunConfig, config: type[BaseModel]) -> dict[str, Any]:
    settings = validate(config, run.settings, "").model_dump(mode="json")
    return run.model_dump(mode="json") | {"settings": settings}


def differences(
    stored: Mapping[str, Any], wished: Mapping[str, Any], where: str = "", between: str = "asked for"
) -> list[str]:
    """Fields of two runs that differ, named as on the command line."""
    found = []
    for key, value in wished.items():
        name, old = f"{where}{key}", stored.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            found += differences(old, value, f"{name}.", between)
        elif value != old:
            found.append(f"{option(name)} is {old!r}, {between} {value!r}")
    gone = [f"{where}{key}" for key in stored if key not in wished]
    found += [f"{option(name)} is no longer there" for name in gone]
    return found


def far_from_defaults(run: RunConfig) -> list[str]:
    """The domain's numbers that are a hundred times their default or a hundredth, as `name = value (default)`."""
    config = registry.load_domain(run.domain).Config
    defaults = validate(config, {}, "").model_dump(mode="json")
    return _far(validate(config, run.settings, "").model_dump(mode="json"), defaults)


def _far(values: Mapping[str, Any], defaults: Mapping[str, Any], where: str = "") -> list[str]:
    found = []
    for key, value in values.items():
        usual, name = defaults.get(key), f"{where}{key}"
        if isinstance(value, Mapping) and isinstance(usual, Mapping):
            found += _far(value, usual, f"{name}.")
        elif isinstance(value, float) and isinstance(usual, float) and value and usual:
            ratio = abs(value / usual)
            found += [] if 1 / FAR < ratio < FAR else [f"{name} = {value:g} ({usual:g} by default)"]
    return found


def option(name: str) -> str:
    """How a field of `RunConfig` is given on the command line."""
    return f"--{name.replace('_', '-')}" if name in OPTIONS else f"--set {name.removeprefix('settings.')}"
