"""Settings: frozen pydantic models, one validation, errors that name the field."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from dgpg.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


class Settings(BaseModel):
    """Base of every configuration: frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` on top of `base`, table by table."""
    result = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = merge(result[key], value)
        else:
            result[key] = value
    return result
