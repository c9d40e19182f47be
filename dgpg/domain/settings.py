"""Settings: frozen pydantic models, one validation, errors that name the field."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from dgpg.errors import ConfigError, hint

Model = TypeVar("Model", bound=BaseModel)
SHOWN = 60
"""Characters of a wrong value that a message repeats."""


class Settings(BaseModel):
    """Base of every configuration: frozen, an unknown field is an error, and so is true for a number or no text."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _means_what_it_says(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields[str(info.field_name)]
        given = value if isinstance(value, (list, tuple)) else [value]
        if any(isinstance(one, bool) for one in given) and not _takes_truth(field.annotation):
            raise PydanticCustomError("truth", "Expected what the setting is, not true or false")
        if isinstance(value, str) and not value.strip() and field.default != value:
            raise PydanticCustomError("nothing", "Nothing is given; give a value, or leave it out for the default")
        return value


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
        return f"unknown setting '{name}': {hint(path[-1], known)}Valid here: {', '.join(known)}"
    if item["type"] == "missing":
        return f"{name}: required, and has no default"
    if item["type"] == "model_type":
        inner = _fields(model, path)
        such = f", such as {name}.{inner[0]}" if inner else ""
        return f"{name} = {_shown(item['input'])}: expected a table of settings{such}; Valid in it: {', '.join(inner)}"
    if item["type"] in ("tuple_type", "list_type"):
        return f"{name} = {_shown(item['input'])}: expected a list in brackets, such as {_listed(item['input'])}"
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "value_error":
        return f"{name}: {message}" if name else message
    return f"{name} = {_shown(item['input'])}: {message[0].lower()}{message[1:]}"


def _shown(value: Any) -> str:
    """A wrong value, cut where it is long."""
    text = repr(value) if not isinstance(value, int) or value.bit_length() < 4 * SHOWN else "a number of many digits"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _listed(value: Any) -> str:
    """What was given for a list, as one in JSON; words are divided where they have commas."""
    parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else [value]
    return json.dumps(parts, ensure_ascii=False, default=str)


def _takes_truth(annotation: Any) -> bool:
    """Whether true and false are among what an annotation allows, inside unions and containers too."""
    if annotation in (bool, Any):
        return True
    inner = get_args(annotation)
    if get_origin(annotation) is Literal:
        return any(isinstance(value, bool) for value in inner)
    return any(_takes_truth(one) for one in inner)


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
