"""What a run is made of: frozen pydantic models, one validation, errors that name the field."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dgpg.advantage import Scope
from dgpg.errors import ConfigError
from dgpg.sharing import Parameters

Model = TypeVar("Model", bound=BaseModel)


class Settings(BaseModel):
    """Base of every configuration: frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AlphaSchedule(Settings):
    """Weight of guidance in the advantage, linear over the run from `start` to `end`.

    Equal ends are a constant; `end=0` finishes with the unguided update (docs/theory.md S7).
    """

    start: float = Field(0.9, ge=0, le=1, description="alpha in the first iteration")
    end: float = Field(0.2, ge=0, le=1, description="alpha in the last iteration")

    @property
    def guidance_alone(self) -> bool:
        """Whether the return never enters."""
        return self.start == self.end == 1

    def at(self, iteration: int, iterations: int) -> float:
        """alpha in iteration 0, ..., iterations - 1; it stays at `end` beyond."""
        share = min(iteration / (iterations - 1), 1.0) if iterations > 1 else 0.0
        return self.start + (self.end - self.start) * share


class TrainConfig(Settings):
    """Everything the trainer can be told; the defaults of an algorithm are in `dgpg.algorithms`."""

    horizon: int | None = Field(None, ge=1, description="steps an iteration collects; an episode by default")
    epochs: int = Field(2, ge=1, description="passes over the collected data in one update phase")
    minibatches: int = Field(8, ge=1, description="Adam steps in one pass")
    actor_lr: float = Field(3e-3, gt=0, description="learning rate of the policy")
    critic_lr: float = Field(3e-3, gt=0, description="learning rate of the value")
    lr_end: float = Field(0.2, ge=0, le=1, description="share of the learning rates left at the end (linear)")
    gamma: float = Field(0.95, ge=0, le=1, description="discount a step")
    lambda_: float = Field(0.9, ge=0, le=1, description="lambda of GAE")
    clip: float = Field(0.2, gt=0, description="width of the policy's trust region")
    value_clip: float = Field(0.2, gt=0, description="width of the value's trust region, normalised units")
    huber: float = Field(10.0, gt=0, description="where the value loss turns linear, normalised units")
    entropy: float = Field(1e-3, ge=0, description="weight of the entropy bonus")
    max_grad_norm: float = Field(0.5, gt=0, description="gradients are scaled down to this norm")
    parameters: Parameters = Field(
        "shared", description="one network for all agents, or one for each (a central critic is always one)"
    )
    actor_hidden: int = Field(32, ge=1, le=4096, description="units of each hidden layer of the policy")
    critic_hidden: int = Field(64, ge=1, le=4096, description="units of each hidden layer of the critic")
    normalise: Scope = Field("batch", description="what the return advantage is normalised over")
    estimator: str | None = Field(
        None, description="how the analytical model enters the update; default all_action for choices, else pathwise"
    )
    distribution: Literal["gaussian", "beta", "mean"] | None = Field(
        None,
        description="of continuous actions: gaussian, beta (numbers only), or mean: no chance, needs alpha 1; default "
        "gaussian, and mean for splits wherever guidance is alone",
    )
    guidance_scale: Literal["none", "influence"] = Field(
        "none", description="what an agent's guidance is divided by before the batch normaliser"
    )
    alpha: AlphaSchedule = AlphaSchedule()
    threads: int | None = Field(None, ge=1, description="torch threads; chosen by problem size by default")
    checkpoint_every: int = Field(5, ge=1, description="iterations between checkpoints")


class CoordinationConfig(Settings):
    """Intent rounds, see `dgpg.coordination`."""

    rounds: int = Field(0, ge=0, le=100, description="times that agents announce their policies before they act")
    detached: bool = Field(False, description="whether no gradient flows through messages")


class ChannelConfig(Settings):
    """Rounds where a policy acts, and what is wrong with its messages there."""

    rounds: int | None = Field(None, ge=0, le=100, description="rounds; those of the training by default")
    deaf: float = Field(0.0, ge=0, le=1, description="share of agents that hear nothing in a step")
    noise: float = Field(0.0, ge=0, le=10, description="relative error of every sum, a standard deviation")
    late: bool = Field(False, description="whether messages come one round late")


class RunConfig(Settings):
    """A resolved run, as `config.json` holds it: everything needed to repeat it."""

    domain: str
    algorithm: str
    model: str | None = Field(None, description="analytical model; the domain's own by default")
    iterations: int = Field(40, ge=1, description="total number that schedules are laid over")
    num_envs: int = Field(8, ge=1, le=65536, description="parallel environments")
    seed: int = Field(0, ge=0, lt=2**48)
    device: Literal["cpu", "cuda"] = "cpu"
    train: TrainConfig = TrainConfig()
    coordination: CoordinationConfig = CoordinationConfig()
    settings: dict[str, Any] = Field(default_factory=dict, description="the domain's own configuration")


def validate(model: type[Model], values: Mapping[str, Any], where: str) -> Model:
    """Build a model, or raise one ConfigError that names the field, the value and what was expected."""
    try:
        return model.model_validate(dict(values) if isinstance(values, Mapping) else values)
    except ValidationError as error:
        lines = [_explain(model, item, where) for item in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def _explain(model: type[BaseModel], item: Any, where: str) -> str:
    path = [part for part in item["loc"] if isinstance(part, str)]
    name = ".".join((*([where] if where else []), *path))
    if item["type"] == "extra_forbidden":
        known = _fields(model, path[:-1])
        near = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'? " if near else ""
        return f"unknown setting '{name}': {hint}Valid here: {', '.join(known)}"
    if item["type"] == "missing":
        return f"{name}: required, and has no default"
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "value_error":
        return f"{name}: {message}" if name else message
    return f"{name} = {item['input']!r}: {message[0].lower()}{message[1:]}"


def _fields(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Names of the settings in the table that `path` leads to."""
    for part in path:
        if part in model.model_fields:  # otherwise the key of a dictionary of tables
            found = _tables(model.model_fields[part].annotation)
            if not found:
                return []
            model = found[0]
    return sorted(model.model_fields)


def _tables(annotation: Any) -> list[type[BaseModel]]:
    """Models in an annotation: a table, an optional one, or several of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [table for inner in get_args(annotation) for table in _tables(inner)]


def parse_overrides(pairs: Sequence[str]) -> dict[str, Any]:
    """`["a.b=1", "c=x"]` to `{"a": {"b": 1}, "c": "x"}`; values are JSON where they parse as it.

    Raises:
        ConfigError: a pair without `=` or without a name.
    """
    tree: dict[str, Any] = {}
    for pair in pairs:
        path, sign, text = pair.partition("=")
        keys = path.strip().split(".")
        if not sign or not all(keys):
            raise ConfigError(f"--set {pair}: expected path.to.field=value, for example num_agents=50")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = text
        tree = merge(tree, _nest(keys, value))
    return tree


def _nest(keys: Sequence[str], value: Any) -> Any:
    return {keys[0]: _nest(keys[1:], value)} if keys else value


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` on top of `base`, table by table."""
    result = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = merge(result[key], value)
        else:
            result[key] = value
    return result


def read_file(path: Path) -> dict[str, Any]:
    """A configuration file, JSON or TOML, shaped like `RunConfig` (a run's config.json is one).

    Raises:
        ConfigError: the file cannot be read, or is not a table.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config {path}: cannot be read ({error})") from None
    try:
        values = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"--config {path}: not valid {path.suffix or '.json'}: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"--config {path}: expected a table of settings, got {type(values).__name__}")
    return values
